"""From a camera path to anchors and clips.

Anchors are the frames made first, from the panorama; a clip is the frames from one anchor to the next. Both are picked
greedily from the path's start, and depend on nothing after them: an edit of the path's end leaves its beginning as it
was.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .cameras import Camera, PathError, rotation_angle
from .opening import Opening, crossings
from .panorama import Panorama
from .projection import equirectangular_directions

REACH = 0.8
"""Share of the free distance that a camera may go: more leaves too little of its view known."""
CONE_RAD = math.radians(10)
"""Half angle of the cone around a displacement in which the nearest distance counts as free."""
MAX_BEFORE = 3
"""Most earlier anchors that a new anchor is conditioned on."""
PASSAGE_M, PASSAGE_MARGIN_M = 1.2, 0.1
"""How far from an opening between two worlds, and from its rim, a camera may go that both worlds tell about."""
GROUP = 128
"""Most anchors that lie in one box when they are searched."""
SLACK = 1e-5
"""Error of rough scores: poses are rounded to 1e-6."""


@dataclass(frozen=True)
class Anchor:
    """A frame that is made before the clips on both its sides."""

    frame: int
    """Its frame on the path, from 0 (the first one, where several frames are the same camera)."""
    camera: Camera
    before: tuple[int, ...]
    """Up to `MAX_BEFORE` earlier anchors whose views can help to fill this one's holes, nearest first."""


@dataclass(frozen=True)
class Clip:
    """The frames first..last of the path; both ends are anchors."""

    source: int
    target: int
    first: int
    last: int


@dataclass(frozen=True)
class ShotPlan:
    """Anchors in the order in which they are made, and the clips between them in the path's order."""

    anchors: tuple[Anchor, ...]
    clips: tuple[Clip, ...]


def plan_shot(
    cameras: Sequence[Camera],
    panorama: Panorama,
    *,
    frames_per_clip: int = 13,
    max_rotation_rad: float = math.radians(40),
    max_translation: float | None = None,
    first_frame: int = 1,
) -> ShotPlan:
    """Anchors and clips of a camera path through a panorama.

    From each anchor on, the next one is the last frame up to which every frame lies within `frames_per_clip`
    frames (both ends counted), `max_rotation_rad` and `max_translation` metres (a quarter of the panorama's
    median distance unless given) of it; at least the very next frame. A camera that an earlier anchor has
    already is that anchor, so that a closed path closes. Raises `PathError` for fewer than two cameras, frames of
    different sizes and cameras beyond their `reach`, naming the frame (the path's first one is `first_frame`).
    """
    check_path(cameras, panorama, first_frame)
    scale = panorama.median_distance
    if max_translation is None:
        max_translation = 0.25 * scale
    anchors: list[Anchor] = []
    numbers: dict[Camera, int] = {}
    helpful = _Helpful(anchors, scale, len(cameras))

    def anchor_at(frame: int) -> int:
        camera = cameras[frame]
        if camera not in numbers:
            before = helpful(camera)
            numbers[camera] = len(anchors)
            anchors.append(Anchor(frame, camera, before))
        return numbers[camera]

    clips = []
    first, source = 0, anchor_at(0)
    while first < len(cameras) - 1:
        last = first + 1
        limit = min(first + frames_per_clip, len(cameras)) - 1
        if _near(cameras[first], cameras[last], max_rotation_rad, max_translation):
            while last < limit and _near(cameras[first], cameras[last + 1], max_rotation_rad, max_translation):
                last += 1
        target = anchor_at(last)
        clips.append(Clip(source, target, first, last))
        first, source = last, target
    return ShotPlan(tuple(anchors), tuple(clips))


def check_path(cameras: Sequence[Camera], panorama: Panorama, first_frame: int = 1) -> None:
    """Raises `PathError` for a path that cannot be shot: see `plan_shot`."""
    if len(cameras) < 2:
        raise PathError(f"the path has {len(cameras)} camera; give at least 2 frames")
    size = (cameras[0].width, cameras[0].height)
    reaches = [Reach(panorama)]
    passage = None
    if panorama.beyond is not None:
        passage = panorama.beyond.opening
        if not crossings(cameras, passage, first_frame):
            x, y, _ = passage.centre
            raise PathError(
                f"the path never goes through the opening to the second world, {passage.width:.2f} m wide around "
                f"({x:.2f}, {y:.2f}); lead it through, or shoot it in one world"
            )
        reaches.append(Reach(panorama.beyond.panorama))
    for number, camera in enumerate(cameras, first_frame):
        if (camera.width, camera.height) != size:
            raise PathError(
                f"frame {number} has {camera.width} x {camera.height} pixels but frame {first_frame} has"
                f" {size[0]} x {size[1]}; give all frames one size"
            )
        if passage is not None and in_passage(camera.position, passage):
            continue
        beyond = [reach.beyond(camera.position) for reach in reaches]
        if all(too_far is not None for too_far in beyond):
            length, free = min(filter(None, beyond), key=lambda too_far: too_far[0] - too_far[1])
            raise PathError(
                f"frame {number}: the camera stands {length:.1f} m from the photo's position but only"
                f" {free:.1f} m are free in that direction; keep the path within {free:.1f} m there"
            )


class Reach:
    """How far cameras may go from a panorama's origin."""

    def __init__(self, panorama: Panorama) -> None:
        self._directions, self._distance = nearest_surfaces(panorama, 128)
        self._origin = panorama.position
        self._everywhere = REACH * float(self._distance.min())

    def free(self, direction: ArrayLike) -> float:
        """How far from the origin, in metres, a camera may go in a world direction [3] of any length.

        `REACH` times the nearest distance within `CONE_RAD` of that direction.
        """
        ahead = np.asarray(direction, np.float64)
        along = self._directions @ (ahead / np.linalg.norm(ahead)).astype(np.float32)
        within = along >= min(math.cos(CONE_RAD), float(along.max()))
        return REACH * float(self._distance[within].min())

    def too_far(self, position: ArrayLike) -> float:
        """How many metres a place [3] lies beyond that; not positive where it may be shot from."""
        displacement = np.asarray(position, np.float64) - self._origin
        length = float(np.linalg.norm(displacement))
        return length - self.free(displacement) if length >= 1e-3 else -length

    def beyond(self, position: NDArray[np.float64]) -> tuple[float, float] | None:
        """How far a place [3] is from the origin, and how far it may be, metres; None where it is not too far."""
        displacement = position - self._origin
        length = float(np.linalg.norm(displacement))
        if length < 1e-3 or length <= self._everywhere:
            return None
        free = self.free(displacement)
        return (length, free) if length > free else None


def in_passage(position: NDArray[np.float64], opening: Opening) -> bool:
    """Whether a place [3] is straight before an opening or straight behind it: there a camera may go, near as the wall
    around it is, for what one world does not show of its view the other one does."""
    away = float(opening.side(position))
    return abs(away) <= PASSAGE_M and bool(opening.holds(position - away * opening.normal, PASSAGE_MARGIN_M))


def anchor_seed(seed: int, camera: Camera) -> int:
    """Seed (63 bits) of an anchor's noise: from the shot's seed and the anchor's camera, nothing else."""
    return _seed("anchor", seed, camera)


def clip_seed(seed: int, source: Camera, target: Camera) -> int:
    """Seed (63 bits) of a clip's noise: from the shot's seed and its two anchors' cameras, nothing else."""
    return _seed("clip", seed, source, target)


def _seed(kind: str, seed: int, *cameras: Camera) -> int:
    text = json.dumps([kind, seed, *(camera.key for camera in cameras)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _near(first: Camera, second: Camera, max_rotation_rad: float, max_translation: float) -> bool:
    return (
        rotation_angle(first.rotation, second.rotation) <= max_rotation_rad
        and float(np.linalg.norm(second.position - first.position)) <= max_translation
    )


class _Helpful:
    """Finds the nearest of the anchors whose frames can overlap a camera's: nearness is their turn plus their
    distance over `scale`.

    Anchors lie in groups, each within a box, and only groups that can hold one of the nearest are looked through,
    roughly; the few nearest are compared exactly. So the time for a path grows with its length, not with its square.
    """

    def __init__(self, anchors: Sequence[Anchor], scale: float, most: int):
        self._anchors, self._scale = anchors, scale
        self._points = np.empty((most, 12))
        """Rotations over the root of 2 (two are at most their turn apart) and positions over the scale."""
        self._fovs = np.empty(most)
        self._known, self._widest = 0, 0.0
        groups = 2 + 2 * most // GROUP
        self._count = 1
        """Of groups."""
        self._rows, self._sizes = np.empty((groups, GROUP + 1), np.intp), np.zeros(groups, np.intp)
        self._low, self._high = np.full((groups, 12), np.inf), np.full((groups, 12), -np.inf)

    def __call__(self, camera: Camera) -> tuple[int, ...]:
        """Up to `MAX_BEFORE` of the anchors so far, the nearest first."""
        for anchor in self._anchors[self._known :]:
            self._add(anchor.camera)
        near = {}
        for number in self._candidates(camera).tolist() if self._known else ():
            other = self._anchors[number].camera
            turn = rotation_angle(other.rotation, camera.rotation)
            moved = float(np.linalg.norm(other.position - camera.position)) / self._scale
            if turn < 0.9 * max(camera.fov_x, other.fov_x) and moved < 1:
                near[number] = turn + moved
        return tuple(sorted(near, key=lambda number: (near[number], -number))[:MAX_BEFORE])

    def _add(self, camera: Camera) -> None:
        row, point = self._known, self._point(camera)
        self._points[row], self._fovs[row] = point, camera.fov_x
        self._known, self._widest = row + 1, max(self._widest, camera.fov_x)
        group = int(np.argmin(np.add(*self._gaps(point)))) if row else 0
        size = self._sizes[group]
        self._rows[group, size] = row
        if size < GROUP:
            self._sizes[group] += 1
            self._low[group] = np.minimum(self._low[group], point)
            self._high[group] = np.maximum(self._high[group], point)
            return
        rows = self._rows[group].copy()
        axis = np.argmax(np.ptp(self._points[rows], 0))
        rows = rows[np.argsort(self._points[rows, axis])]
        for place, half in ((group, rows[: GROUP // 2]), (self._count, rows[GROUP // 2 :])):
            self._rows[place, : len(half)], self._sizes[place] = half, len(half)
            self._low[place], self._high[place] = self._points[half].min(0), self._points[half].max(0)
        self._count += 1

    def _point(self, camera: Camera) -> NDArray[np.float64]:
        return np.concatenate((camera.rotation.ravel() / math.sqrt(2), camera.position / self._scale))

    def _gaps(self, point: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How far every group's box is from a point, in rotation and in position."""
        low, high = self._low[: self._count], self._high[: self._count]
        return _lengths(np.maximum(np.maximum(low - point, point - high), 0))

    def _candidates(self, camera: Camera) -> NDArray[np.intp]:
        """The anchors among which the nearest are, and few others."""
        point, fov = self._point(camera), camera.fov_x
        turns, moved = self._gaps(point)
        reach = 2 * math.sin(0.45 * max(fov, self._widest))  # of rotations that can overlap
        possible = (turns < reach + SLACK) & (moved < 1 + SLACK)
        if not possible.any():
            return np.empty(0, np.intp)
        gaps = np.where(possible, turns + moved, np.inf)
        group = int(np.argmin(gaps))
        found, last = self._rough(point, fov, self._rows[group, : self._sizes[group]])
        others = np.flatnonzero(gaps < last + SLACK)
        if len(others) > 1:
            rows = [self._rows[each, : self._sizes[each]] for each in others if each != group]
            found, _ = self._rough(point, fov, np.concatenate((found, *rows)))
        return found

    def _rough(self, point: NDArray[np.float64], fov: float, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], float]:
        """Of some anchors, those among which the nearest are; how far the last of them is, or infinite if all count."""
        chords, moved = _lengths(self._points[rows] - point)
        turns = 2 * np.arcsin(np.minimum(chords / 2, 1))
        overlap = (turns < 0.9 * np.maximum(fov, self._fovs[rows]) + SLACK) & (moved < 1 + SLACK)
        scores = (turns + moved)[overlap]
        # a few more than are wanted, since some near the edge may turn out to be farther
        wanted = MAX_BEFORE + int(np.count_nonzero(np.abs(moved - 1) < SLACK)) + 2
        if len(scores) <= wanted:
            return rows[overlap], math.inf
        last = float(np.partition(scores, wanted)[wanted])
        return rows[overlap][scores <= last + SLACK], last


def _lengths(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lengths of the two parts of points [N, 12]."""
    squares = points * points
    return np.sqrt(squares[:, :9].sum(1)), np.sqrt(squares[:, 9:].sum(1))


def nearest_surfaces(panorama: Panorama, rows: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Directions [N, 3] and the nearest distance [N] around each, on a sphere of about so many rows at most."""
    distance = panorama.distance
    step = max(1, distance.shape[0] // rows)
    tall = np.minimum.reduceat(distance, np.arange(0, distance.shape[0], step), 0)
    small = np.minimum.reduceat(tall, np.arange(0, distance.shape[1], step), 1)
    directions = equirectangular_directions(small.shape[1], small.shape[0], panorama.heading_rad)
    return directions.reshape(-1, 3), small.reshape(-1)
