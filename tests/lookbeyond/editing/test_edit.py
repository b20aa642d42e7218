"""Only the spot changes; what was taken out is gone, in the light of what is around it; bad masks change nothing."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lookbeyond.editing.edit import read_mask, remove, repaint, spot_of, with_hole
from lookbeyond.errors import InputError
from lookbeyond.geometry.panorama import Panorama, Plate

WIDTH = 256
THING = np.zeros((WIDTH // 2, WIDTH), bool)
THING[50:90, 100:140] = True
SPOT = np.zeros_like(THING)
SPOT[46:94, 96:144] = True


def wall(width: int = WIDTH) -> np.ndarray:
    """A smooth picture, as of painted walls, the same over the seam."""
    u, v = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(width // 2) + 0.5) / (width // 2))
    bands = [150 + 40 * np.cos(2 * np.pi * u) * np.sin(np.pi * v), 140 + 30 * v, 120 + 20 * np.sin(2 * np.pi * u)]
    return np.stack(bands, -1)


def world(plate_shift: float = 0.0) -> Panorama:
    """A wall 3 m away with a dark thing 2 m away in front of it; the plate's light may be off by so much."""
    empty = wall()
    colour = np.where(THING[..., None], 30, empty).astype(np.uint8)
    distance = np.where(THING, 2.0, 3.0).astype(np.float32)
    plate = Plate((empty + plate_shift).astype(np.uint8), np.full(distance.shape, 3.0, np.float32))
    return Panorama(colour, distance, np.full(THING.shape, 255, np.uint8), plate=plate)


def same_outside(before: Panorama, after: Panorama) -> bool:
    return all(
        np.array_equal(getattr(before, name)[~SPOT], getattr(after, name)[~SPOT])
        for name in ("colour", "distance", "from_photo")
    )


@pytest.mark.parametrize("shift", [0.0, 12.0, -15.0])
def test_what_is_removed_gives_the_empty_place_and_no_seam(shift):
    before = world(shift)
    after = remove(before, SPOT)
    assert same_outside(before, after)
    error = after.colour[SPOT].astype(float) - wall()[SPOT]
    assert 10 * np.log10(255**2 / (error**2).mean()) > 36
    row = after.colour[:, 96:98].astype(float)[SPOT[:, 96]] - before.colour[:, 94:96].astype(float)[SPOT[:, 96]]
    assert np.abs(row).max() < 5  # across the spot's edge it goes on as it came
    assert (after.distance[SPOT] == 3.0).all() and (after.from_photo[SPOT] == 0).all()
    assert after.plate is before.plate


def test_a_distance_map_may_be_coarser():
    before = world()
    before = replace(before, distance=before.distance[::2, ::2].copy())
    after = remove(before, SPOT)
    assert (after.distance == 3.0).all() and after.distance.shape == (WIDTH // 4, WIDTH // 2)


def test_what_is_repainted_agrees_with_the_distance_around_it():
    before = world()
    made = replace(
        before, colour=np.full_like(before.colour, 90), distance=np.full(THING.shape, 1.7, np.float32), plate=None
    )
    after = repaint(before, SPOT, made)
    assert same_outside(before, after)
    assert np.allclose(after.distance[SPOT], 3.0, rtol=1e-3)  # 1.7 m anywhere is 3 m here, and no more: the plate
    assert with_hole(before, SPOT)[..., 3][SPOT].max() == 0 and with_hole(before, SPOT)[..., 3][~SPOT].min() == 255


def test_a_spot_over_the_seam_of_the_panorama():
    def turned(panorama: Panorama) -> Panorama:
        arrays = {name: np.roll(getattr(panorama, name), 140, 1) for name in ("colour", "distance", "from_photo")}
        plate = Plate(np.roll(panorama.plate.colour, 140, 1), np.roll(panorama.plate.distance, 140, 1))
        return replace(panorama, plate=plate, **arrays)

    plain, over = remove(world(9.0), SPOT), remove(turned(world(9.0)), np.roll(SPOT, 140, 1))
    assert np.abs(np.roll(over.colour, -140, 1).astype(int) - plain.colour).max() <= 2


def test_masks_that_cannot_be(tmp_path):
    panorama = world()
    blank = np.zeros(THING.shape, np.uint8)
    for mask, words in (
        (blank, "marks nothing"),
        (blank + 255, "marks 100%"),
        (blank[::2, ::2], "128 x 64 pixels but"),
    ):
        with pytest.raises(InputError, match=words):
            spot_of(mask, panorama)
    (tmp_path / "m.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="cannot be read"):
        read_mask(tmp_path / "m.png")
    with pytest.raises(InputError, match=r"There is no mask .*other\.png; check the path"):
        read_mask(tmp_path / "other.png")
    with pytest.raises(InputError, match="no clean plate"):
        remove(replace(panorama, plate=None), SPOT)
    bare = np.zeros_like(SPOT)
    bare[5:20, 5:30] = True
    with pytest.raises(InputError, match="Nothing stands out there"):
        remove(panorama, bare)


def test_a_mask_is_its_brightness_where_it_is_opaque(tmp_path):
    rgba = np.zeros((128, 256, 4), np.uint8)
    rgba[40:60, 40:60] = 255
    rgba[70:90, 40:60] = (255, 255, 255, 60)  # hardly painted
    rgba[40:60, 80:90] = (0, 0, 0, 255)
    Image.fromarray(rgba).save(tmp_path / "m.png")
    spot = spot_of(read_mask(tmp_path / "m.png"), world())
    assert spot.sum() == 400 and spot[40:60, 40:60].all()
