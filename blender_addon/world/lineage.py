"""Which world a changed one comes from, and where the two differ. No bpy here."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..json_files import read_json
from ..kit import Camera, EditRequest
from ..moved import present_path
from ..service.requests import StoredRequest, known_request

MOST_EDITS = 1000
"""Of one world, one after another."""
BESIDE = 0.05
"""Of a frame's size: a spot that is so near to it counts as seen, for of the spot only some points are known."""


def former_worlds(folder: Path) -> list[Path]:
    """The worlds that the one in a folder was changed from, the latest first; none where it was built."""
    found = []
    while len(found) < MOST_EDITS:
        stored = known_request(folder)
        if stored is None or not isinstance(stored.request, EditRequest) or not stored.origin.world:
            break
        folder = present_path(Path(stored.origin.world))
        found.append(folder)
    return found


def request_of_world(folder: Path) -> StoredRequest | None:
    """What the world in a folder was built by, before any spot of it was changed; None where that is not known."""
    return known_request([folder, *former_worlds(folder)][-1])


def changed_points(folder: Path, former: Path) -> NDArray[np.float64] | None:
    """Points [n, 3] of the spots by which a world differs from one that it was changed from, as both show them.

    Metres, in the world as it was built. None where it was not changed from that.
    """
    worlds = former_worlds(folder)
    if former not in worlds:
        return None
    try:
        edits = read_json(folder / "world.json")["edits"][-1 - worlds.index(former) :]
        return np.concatenate([np.array(edit["points"], float).reshape(-1, 3) for edit in edits])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def sees_any(cameras: Sequence[Camera], points: NDArray[np.float64]) -> bool:
    """Whether one of these points [n, 3] is in one of the frames, or just beside it, whatever stands before it."""
    for camera in cameras:
        x, y, depth = ((points - camera.position) @ camera.rotation).T
        ahead = depth > 1e-3
        column = (camera.intrinsics[0] @ np.stack([x, y, depth]))[ahead] / depth[ahead] / camera.width
        row = (camera.intrinsics[1] @ np.stack([x, y, depth]))[ahead] / depth[ahead] / camera.height
        if ((np.abs(column - 0.5) < 0.5 + BESIDE) & (np.abs(row - 0.5) < 0.5 + BESIDE)).any():
            return True
    return False


@lru_cache(maxsize=128)  # the list of takes asks at each redraw
def shows_a_change(shot: Path, world: Path, former: Path) -> bool | None:
    """Whether frames of a shot in a former world show what was changed since; None if the world is no such one."""
    points, stored = changed_points(world, former), known_request(shot)
    if points is None or stored is None:
        return None
    return sees_any([Camera.from_dict(camera) for camera in stored.request.cameras], points)
