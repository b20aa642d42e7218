"""What is painted over in the photo is cut out when the world is built: one mask for each piece."""

import json
import shutil
from pathlib import Path

import bpy
import numpy as np
import pytest


@pytest.fixture
def placed(scene, photo, service, tmp_path):
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), heading=0.5, height=1.7)
    return scene


@pytest.fixture
def sent(service, monkeypatch, tmp_path):
    """Copies of the masks that were uploaded."""
    masks, upload = [], service.upload

    def keep(path):
        if path.name.startswith("cut"):
            masks.append(Path(shutil.copy(path, tmp_path / f"mask {len(masks)}.png")))
        return upload(path)

    monkeypatch.setattr(service, "upload", keep)
    return masks


def paint(part, scene, *parts, colour=(0, 1, 0)) -> np.ndarray:
    """What a brush does to parts of the photo, (rows, columns) counted from above; the photo's size."""
    assert bpy.ops.lookbeyond.paint_cuts() == {"FINISHED"}
    image = part("world.cut").canvas(scene.look_beyond.photo_camera)
    width, height = image.size
    pixels = np.array(image.pixels[:]).reshape(height, width, 4)
    for rows, columns in parts:
        pixels[::-1][rows, columns, :3] = colour
    image.pixels.foreach_set(pixels.astype(np.float32).ravel())
    return np.zeros((height, width), np.float32)


def test_each_piece_is_a_mask_of_the_world_that_is_built(part, placed, service, sent):
    one, other = (slice(10, 40), slice(5, 20)), (slice(30, 60), slice(50, 80))
    expected = [paint(part, placed, one, other), paint(part, placed)]
    for mask, where in zip(expected, (one, other), strict=True):
        mask[where] = 1
    assert bpy.ops.lookbeyond.build_world() == {"FINISHED"}
    request = service.requests[-1]
    assert len(request.cut) == len(sent) == 2 and len(set(request.cut)) == 2
    found = []
    for path in sent:
        mask = bpy.data.images.load(str(path))
        height, width = expected[0].shape
        assert tuple(mask.size) == (width, height)
        found.append(np.array(mask.pixels[:]).reshape(height, width, 4)[::-1, :, 0])
    found.sort(key=lambda mask: np.argwhere(mask).min())
    for mask, truth in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mask, truth)


def test_nothing_painted_is_nothing_cut_out(part, placed, service):
    bpy.ops.lookbeyond.paint_cuts()
    bpy.ops.lookbeyond.build_world()
    assert service.requests[-1].cut == []
    paint(part, placed, (slice(10, 40), slice(5, 20)))
    assert bpy.ops.lookbeyond.paint_cuts(clear=True) == {"FINISHED"}
    bpy.ops.lookbeyond.build_world()
    assert service.requests[-1].cut == []


def test_nearly_all_of_the_photo_cannot_be_cut_out(part, placed, service):
    paint(part, placed, (slice(None), slice(None)))
    with pytest.raises(RuntimeError, match="100% of the photo"):
        bpy.ops.lookbeyond.build_world()
    assert not service.requests


def test_the_cards_of_a_world_stand_in_the_scene_when_it_is_built(part, placed, service, monkeypatch):
    made = service.world

    def with_cards(request, folder):
        files = made(request, folder)
        (folder / "cards").mkdir()
        shutil.copy(service.frame, folder / "cards/1.png")
        card = {"file": "cards/1.png", "base": [2, 0, 0], "width_m": 1, "height_m": 2, "heading_rad": 3, "sure": True}
        (folder / "cards.json").write_text(json.dumps({"version": 1, "cards": [card]}))
        return [*files, folder / "cards.json", folder / "cards/1.png"]

    monkeypatch.setattr(service, "world", with_cards)
    paint(part, placed, (slice(10, 40), slice(5, 20)))
    bpy.ops.lookbeyond.build_world()
    (card,) = part("world.cards").find_cards(placed)
    assert card.dimensions.z == pytest.approx(2)
    assert "1 cards of what was cut out" in part("session").session.notice


def test_pieces_of_any_shape_are_told_apart(part):
    painted = np.zeros((120, 200), bool)
    painted[10:100, 10] = painted[100, 10:150] = painted[20:100, 150] = painted[20, 30:150] = True  # a spiral
    painted[50:60, 60:70] = True
    pieces = part("world.cut")._pieces(painted)
    assert sorted(piece.sum() for piece in pieces) == [100, painted.sum() - 100]
