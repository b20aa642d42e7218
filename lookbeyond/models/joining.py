"""Frames that two worlds tell of: which pixel is told by which.

What is seen belongs to the side of the opening between them that it is on, so it is told by that side's world, unless
only the other one knows it, or knows something in front of it that is nowhere in that world's sight. Where both know a
place and agree how far it is, it is told by the one that saw it from nearer, and along a band by both. All this is
decided by the place, not by the frame, so that nothing changes from one world to the other while the camera moves.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.opening import Opening
from lookbeyond.geometry.panorama import Panorama

from .feathering import faded

AGREEMENT = 0.06
"""Relative difference of distances up to which both worlds see the same surface."""
BAND = math.log(1.6)
"""Both worlds tell of a place whose distances from where they were seen have a ratio up to e to the power of this."""
PHOTO_COUNTS = 1.5
"""So many bands nearer counts what a photo saw, beside what was invented."""
BEFORE_M, BEHIND_M = 0.3, 0.1
"""What a ray through the opening meets so near before or behind it is the opening itself: a door that a world took for
a part of the wall."""
Side = Literal[1, -1]


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """What one world shows of a frame."""

    panorama: Panorama
    distance: NDArray[np.float32]
    """[H, W] along the ray from the camera, metres, 0 in holes."""
    behind: NDArray[np.bool_]
    """[H, W]: where it is the clean plate that shows."""
    from_photo: NDArray[np.float32]
    """[H, W] 0..1"""


def share_of_second(camera: Camera, opening: Opening, first: ShownFrame, second: ShownFrame) -> NDArray[np.float32]:
    """[H, W] 0..1: how much of each pixel the second world tells; of what neither knows, any."""
    rays = camera.rays().astype(np.float32)
    at = opening.distances(camera.position, rays)
    across = np.abs(rays @ opening.normal.astype(np.float32))
    here: Side = 1 if opening.side(camera.position) > 0 else -1
    ranks = [_rank(world, at, across, here, own) for world, own in ((first, 1), (second, -1))]
    near, far = np.minimum(first.distance, second.distance), np.maximum(first.distance, second.distance)
    agree = (near > 0) & (far - near <= AGREEMENT * near)
    nearer_second = second.distance < first.distance
    by_second = (ranks[1] > ranks[0]) | ((ranks[1] == ranks[0]) & nearer_second)
    points = camera.position.astype(np.float32) + rays * near[..., None]
    fronts = ~agree & (np.minimum(*ranks) >= 3)
    for world, mask, wins in (
        (second, fronts & by_second & ~nearer_second, False),
        (first, fronts & ~by_second & nearer_second, True),
    ):
        by_second[mask] = np.where(_saw_through(world.panorama, points[mask]), by_second[mask], wins)
    if not agree.any():
        return by_second.astype(np.float32)
    squares = [((points - world.panorama.position) ** 2).sum(-1).clip(1e-4) for world in (first, second)]
    nearer = 0.5 * np.log(squares[0] / squares[1]) / BAND + PHOTO_COUNTS * (second.from_photo - first.from_photo)
    share = (0.5 + 0.5 * nearer).clip(0, 1)
    share = share * share * (3 - 2 * share)
    share = 1 - (1 - share) * faded(agree | ~by_second)
    share *= faded(agree | by_second)
    return np.where(agree, share, by_second).astype(np.float32)


def _saw_through(panorama: Panorama, points: NDArray) -> NDArray[np.bool_]:
    """Whether a panorama shows something behind points [N, 3] in their direction: then nothing is there."""
    offset = points - panorama.position
    return panorama.distance_at(offset) > (1 + AGREEMENT) * np.linalg.norm(offset, axis=-1)


def _rank(world: ShownFrame, at: NDArray, across: NDArray, here: Side, own: Side) -> NDArray[np.int8]:
    """[H, W] how much a world is to be believed: more what is on its own side, less what it only thinks is behind
    things, least what it takes for a wall where the opening is; 0 in holes.

    at, across: of `Opening.distances`, and how straight rays go through.
    """
    through = np.isfinite(at)
    past = np.where(through, (world.distance - np.where(through, at, 0)) * across, -np.inf)
    side = np.where(past > BEHIND_M, -here, np.where(past < -BEFORE_M, here, 0))
    rank = np.where(side == own, 4, 3)
    rank[world.behind] = 2
    rank[side == 0] = 1
    return np.where(world.distance > 0, rank, 0).astype(np.int8)


def mixed(first: NDArray, second: NDArray, share: NDArray[np.float32]) -> NDArray:
    """Two images [H, W(, C)] of one type, mixed by the second one's share [H, W]; bytes are rounded."""
    share = share[..., None] if first.ndim == 3 else share
    values = first + (second.astype(np.float32) - first) * share
    return (values + 0.5).astype(first.dtype) if first.dtype == np.uint8 else values.astype(first.dtype)
