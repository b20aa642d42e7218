"""A world with a spot changed: nothing but the masked pixels, of colour and distance alike."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lookbeyond.editing.masks import grown
from lookbeyond.editing.surface_fill import filled
from lookbeyond.errors import InputError
from lookbeyond.geometry.panorama import Panorama, Plate
from lookbeyond.geometry.projection import pixel_directions
from lookbeyond.geometry.spots import MOST_SHARE, sphere_share
from lookbeyond.layout.render import map_faces
from lookbeyond.photo.reading import MAX_SIDE

RING_SHARE = 1 / 128
"""Width of the ring around a mask in which old and new are compared, as a share of the panorama's."""
OPEN = 1.12
"""One looks through a door or a window where the plate is farther than the wall by this factor."""
OPENING_RIM = 3 / 1024
"""Of a panorama's width: by how much plates show more than an opening."""
MOST_SHIFT = 40.0
"""Most that the new colour is shifted towards the old around it, of 255."""


def read_mask(path: Path, name: str = "") -> NDArray[np.uint8]:
    """The mask in a PNG, [H, W]: its brightness, where it has transparency times that. InputError if it is none."""
    called = name or str(path)
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if max(image.size) > MAX_SIDE:
                raise InputError(f"The mask {called} is over {MAX_SIDE} pixels a side; give the panorama's size.")
            pixels = np.asarray(image.convert("LA"), np.uint16)
    except FileNotFoundError as error:
        raise InputError(f"There is no mask {called}; check the path.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"The mask {called} cannot be read as a PNG image; save it as one.") from error
    return (pixels[..., 0] * pixels[..., 1] // 255).astype(np.uint8)


def spot_of(mask: NDArray[np.uint8], panorama: Panorama) -> NDArray[np.bool_]:
    """The pixels [H, W] of the panorama that a mask [H, W] marks, above half of white.

    InputError for another size, and for one that marks nothing or nearly everything.
    """
    height, width = panorama.colour.shape[:2]
    if mask.shape != (height, width):
        raise InputError(
            f"The mask has {mask.shape[1]} x {mask.shape[0]} pixels but the world's panorama {width} x {height}; "
            "paint it over the panorama itself."
        )
    spot = mask > 127
    share = sphere_share(spot)
    if not spot.any():
        raise InputError("The mask marks nothing: paint white what is to change.")
    if share > MOST_SHARE:
        raise InputError(
            f"The mask marks {share:.0%} of the world; mark a spot of at most {MOST_SHARE:.0%}, or build the world "
            "again."
        )
    return spot


def remove(panorama: Panorama, spot: NDArray[np.bool_]) -> Panorama:
    """What stands in a spot [H, W] is taken out: there the clean plate's surfaces show, in the light around it.

    InputError where the world has no plate, or it shows the same there.
    """
    plate = panorama.plate
    if plate is None:
        raise InputError(
            "Nothing is known of what stands behind that: this world has no clean plate. Repaint the spot instead, or "
            "build the world with a room (--room on; in Blender, Room: Always a Room)."
        )
    if np.array_equal(plate.colour[spot], panorama.colour[spot]):
        raise InputError("Nothing stands out there that could be removed: the clean plate shows the same spot.")
    colour = filled(panorama.colour, plate.colour, spot, _surfaces(panorama, plate, spot))
    distance = panorama.distance.copy()
    coarse = _coarse(spot, distance.shape)
    distance[coarse] = cv2.resize(plate.distance, distance.shape[::-1], interpolation=cv2.INTER_NEAREST)[coarse]
    return _changed(panorama, spot, colour, distance)


def repaint(panorama: Panorama, spot: NDArray[np.bool_], made: Panorama) -> Panorama:
    """A spot [H, W] becomes what `made` shows there: the same panorama completed and measured anew.

    Its distance is measured alone, so it is scaled to agree with the world's around the spot; nothing of it lies behind
    the clean plate.
    """
    colour = _in_light_of(panorama.colour, made.colour, spot)
    old, shape = panorama.distance, panorama.distance.shape
    coarse = _coarse(spot, shape)
    new = cv2.resize(made.distance, shape[::-1], interpolation=cv2.INTER_LINEAR)
    ring = _ring(coarse)
    ratio = np.log(old / new)[..., None].astype(np.float32)
    scale = np.exp(_continued(ratio, ring)[..., 0])
    distance = old.copy()
    distance[coarse] = (new * scale)[coarse]
    if panorama.plate is not None:
        behind = cv2.resize(panorama.plate.distance, shape[::-1], interpolation=cv2.INTER_NEAREST)
        distance[coarse] = np.minimum(distance, behind)[coarse]
    return _changed(panorama, spot, colour, distance)


def with_hole(panorama: Panorama, spot: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The panorama [H, W, 4] whose fourth channel is 0 in the spot: what `measure_world` completes."""
    return np.dstack([panorama.colour, np.where(spot, 0, 255).astype(np.uint8)])


def points_of(panorama: Panorama, spot: NDArray[np.bool_], count: int = 256) -> list[list[float]]:
    """Some points of what a panorama shows in a spot [H, W], inside of it and along its edge: x, y, z in metres."""
    inner = cv2.erode(spot.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    places = []
    for part in (spot, spot & ~inner):
        pixels = np.argwhere(part)
        places.append(pixels[np.linspace(0, len(pixels) - 1, min(len(pixels), count // 2)).astype(int)])
    rows, columns = np.concatenate(places).T
    height, width = spot.shape
    rays = pixel_directions(columns + 0.5, rows + 0.5, width, height, panorama.heading_rad)
    points = panorama.position + rays * panorama.distance_at(rays)[:, None]
    return np.round(points, 3).tolist()


def _changed(panorama: Panorama, spot: NDArray, colour: NDArray[np.uint8], distance: NDArray) -> Panorama:
    own = panorama.from_photo.copy()
    own[spot] = 0
    whole = panorama.colour.copy()
    whole[spot] = colour[spot]
    return replace(panorama, colour=whole, distance=distance.astype(np.float32), from_photo=own)


def _coarse(spot: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The pixels of a distance map that mostly lie in the spot."""
    return cv2.resize(spot.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA) > 0.5


def _ring(spot: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels around a spot, over the panorama's seam too."""
    width = max(2, round(spot.shape[1] * RING_SHARE))
    return grown(spot, width) & ~spot


def _surfaces(panorama: Panorama, plate: Plate, spot: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Which surface of a clean plate every pixel [H, W] shows: walls, floor, ceiling; and beyond an opening of each.

    Without a layout what is above the horizon and what is below it.
    """
    height, width = panorama.colour.shape[:2]
    if panorama.layout is None:
        return np.repeat((np.arange(height) >= height // 2).astype(np.int16)[:, None], width, 1)
    faces = map_faces(panorama.layout, panorama.position, width, panorama.heading_rad)
    away = cv2.resize(plate.distance, (width, height), interpolation=cv2.INTER_NEAREST)
    beyond = _openings(away > OPEN * faces.distance, spot)
    return np.where(beyond, np.int16(panorama.layout.ceiling_face + 1) + faces.face, faces.face)


def _openings(beyond: NDArray[np.bool_], spot: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The openings [H, W] among what lies beyond the walls: most of one lies outside the spot, or it is to go, too.

    Plates show a little more than the openings, for their rims.
    """
    width = 2 * round(OPENING_RIM * beyond.shape[1]) + 1
    beyond = cv2.erode(beyond.astype(np.uint8), np.ones((width, width), np.uint8)) > 0
    _, pieces = cv2.connectedComponents(beyond.astype(np.uint8), connectivity=4)
    size = np.bincount(pieces.ravel())
    inside = np.bincount(pieces[spot], minlength=len(size))
    kept = inside < 0.5 * size
    kept[0] = False
    return kept[pieces]


def _in_light_of(old: NDArray[np.uint8], new: NDArray[np.uint8], spot: NDArray) -> NDArray[np.uint8]:
    """The new colour shifted by how much the old is lighter around the spot.

    A membrane, as in gradient-domain blending (Pérez et al. 2003).
    """
    ring = _ring(spot)
    shift = np.clip(old.astype(np.float32) - new, -MOST_SHIFT, MOST_SHIFT)
    return np.clip(new + _continued(shift, ring) + 0.5, 0, 255).astype(np.uint8)


def _continued(values: NDArray[np.float32], ring: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Values [H, W, C] of a ring, without their grain, continued into the spot."""
    blur = max(1.0, values.shape[1] * RING_SHARE / 2)
    weighted = np.dstack([values * ring[..., None], ring]).astype(np.float32)
    margin = round(4 * blur)
    wrapped = cv2.GaussianBlur(np.hstack([weighted[:, -margin:], weighted, weighted[:, :margin]]), (0, 0), blur)
    means = wrapped[:, margin:-margin]
    from lookbeyond.pipelines.panorama import spread_smoothly  # loads torch, which the command line starts without

    return spread_smoothly(means[..., :-1] / np.maximum(means[..., -1:], 1e-6), ring)
