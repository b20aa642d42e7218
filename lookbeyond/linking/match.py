"""Where a second world is in a first one, from what both show: matched details on the first one's distance."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera, heading_pitch_roll, placed_camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import extract_perspective
from lookbeyond.photo.align import features_of, matched

VIEWS = 8
"""Around each world, in which details are looked for."""
VIEW_PX, VIEW_FOV_RAD = 512, math.radians(80)
NEAR_DEG = 1.5
"""How far a matched detail may be off the pose that it is counted for."""
LEAST_MATCHES = 12
_TRIES = 2000


@dataclass(frozen=True)
class Found:
    """Where the second world is, and how well that agrees."""

    second_to_first: NDArray[np.float64]
    matches: int
    """How many details agree."""
    residual_deg: float
    """The median angle between where they are and where they should be."""


def match_worlds(first: Panorama, second: Panorama) -> Found:
    """The upright pose of a second world in a first one's frame. Raises InputError where they share too little.

    Of the first world, details that it only invented count as much as others: what is invented is found in one only.
    """
    points, rays = _matched(first, second)
    found = _agreed(points, rays, np.random.default_rng(0)) if len(points) >= LEAST_MATCHES else None
    if found is None:
        raise InputError(
            f"The two worlds share too little: fewer than {LEAST_MATCHES} details agree; give the second one's place "
            "with --at X Y Z TURN or --camera, or make it from a frame of the first world's shot."
        )
    return found


def _matched(first: Panorama, second: Panorama) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points [N, 3] of the first world, and the rays [N, 3] from the second one's viewpoint that show the same."""
    sides = []
    for world in (first, second):
        rays, around = [], []
        for number in range(VIEWS):
            camera = placed_camera(VIEW_PX, VIEW_PX, VIEW_FOV_RAD, heading_rad=2 * math.pi * number / VIEWS)
            own, described = features_of(extract_perspective(world.colour, camera, world.heading_rad), camera)
            # only the middle of a view, so that nothing is found twice
            azimuth = np.abs(np.arctan2(own[:, 0], own[:, 2]))
            middle = azimuth < math.pi / VIEWS
            rays.append(own[middle] @ camera.rotation.T)
            around.append(described[middle])
        sides.append((np.concatenate(rays), np.concatenate(around)))
    if min(len(described) for _, described in sides) < LEAST_MATCHES:
        return np.zeros((0, 3)), np.zeros((0, 3))
    pairs = matched(sides[0][1], sides[1][1])
    ones, others = sides[0][0][pairs[:, 0]], sides[1][0][pairs[:, 1]]
    return first.position + ones * first.distance_at(ones)[:, None], others


def _agreed(points: NDArray, rays: NDArray, rng: np.random.Generator) -> Found | None:
    """The pose that most of the points are seen by; upright, so two details make one."""
    best, best_pose = np.zeros(len(points), bool), None
    for _ in range(_TRIES):
        some = rng.choice(len(points), 2, replace=False)
        for pose in _poses(points[some], rays[some]):
            agree = _angles(pose, points, rays) < math.radians(NEAR_DEG)
            if agree.sum() > best.sum():
                best, best_pose = agree, pose
    if best_pose is None or best.sum() < LEAST_MATCHES:
        return None
    for _ in range(6):
        best_pose = _refined(best_pose, points[best], rays[best])
        best = _angles(best_pose, points, rays) < math.radians(NEAR_DEG)
        if best.sum() < LEAST_MATCHES:
            return None
    residual = math.degrees(float(np.median(_angles(best_pose, points[best], rays[best]))))
    return Found(_matrix(best_pose), int(best.sum()), residual)


def _matrix(pose: NDArray) -> NDArray[np.float64]:
    """[x, y, z, turn] -> [4, 4]"""
    c, s = math.cos(pose[3]), math.sin(pose[3])
    matrix = np.eye(4)
    matrix[:2, :2], matrix[:3, 3] = [[c, -s], [s, c]], pose[:3]
    return matrix


def _angles(pose: NDArray, points: NDArray, rays: NDArray) -> NDArray[np.float64]:
    """How far points are off the rays that show them, radians."""
    seen = points - pose[:3]
    seen /= np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-9)
    turned = rays @ _matrix(pose)[:3, :3].T
    return 2 * np.arcsin(np.clip(np.linalg.norm(seen - turned, axis=1) / 2, 0, 1))


def _poses(points: NDArray, rays: NDArray) -> list[NDArray[np.float64]]:
    """The upright poses [x, y, z, turn] from which two points [2, 3] are seen along two rays [2, 3].

    With a turn R, point k is where the viewpoint is plus a_k R r_k. The difference of both equations has the level
    lengths a_1 |r_1|, a_2 |r_2| and the level angle between the rays in a triangle with the points' level distance,
    and the height's difference: two equations for a_1 and a_2.
    """
    gap = points[1] - points[0]
    level, up = np.linalg.norm(rays[:, :2], axis=1), rays[:, 2]
    if min(level) < 0.1:
        return []
    angle = math.atan2(rays[1, 1], rays[1, 0]) - math.atan2(rays[0, 1], rays[0, 0])
    slopes = up / level
    far = float(np.hypot(*gap[:2]))
    # with level lengths p, q: p² + q² - 2 p q cos(angle) = far², q slope_1 - p slope_0 = height
    poses = []
    for p, q in _lengths(slopes, float(gap[2]), far, math.cos(angle)):
        own = np.array([p, q])[:, None] * (rays[:, :2] / level[:, None])
        between = own[1] - own[0]
        turn = math.atan2(gap[1], gap[0]) - math.atan2(between[1], between[0])
        c, s = math.cos(turn), math.sin(turn)
        place = points[0, :2] - np.array([[c, -s], [s, c]]) @ own[0]
        poses.append(np.array([*place, points[0, 2] - p * slopes[0], turn]))
    return poses


def _lengths(slopes: NDArray, height: float, far: float, cosine: float) -> list[tuple[float, float]]:
    one, other = slopes.tolist()
    if max(abs(one), abs(other)) < 1e-3:
        return []
    # express the length of the steeper ray's by the other's
    swap = abs(other) < abs(one)
    if swap:
        one, other, height = other, one, -height
    # q = (height + p one) / other
    a, b = one / other, height / other
    squares = [1 + a * a - 2 * a * cosine, 2 * a * b - 2 * b * cosine, b * b - far * far]
    found = []
    for p in np.roots(squares):
        if abs(p.imag) < 1e-9 and p.real > 0.05 and a * p.real + b > 0.05:
            pair = float(p.real), float(a * p.real + b)
            found.append(pair[::-1] if swap else pair)
    return found


def _refined(pose: NDArray, points: NDArray, rays: NDArray) -> NDArray[np.float64]:
    """One step of Gauss and Newton on the angles between points and rays."""

    def errors(pose: NDArray) -> NDArray[np.float64]:
        seen = points - pose[:3]
        seen = seen / np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-9)
        return (seen - rays @ _matrix(pose)[:3, :3].T).ravel()

    now, step = errors(pose), 1e-5
    slopes = np.stack([(errors(pose + step * each) - now) / step for each in np.eye(4)], 1)
    change, *_ = np.linalg.lstsq(slopes, -now, rcond=None)
    return np.asarray(pose + np.clip(change, -0.5, 0.5), np.float64)


def pose_of_camera(second: Panorama, camera: Camera) -> NDArray[np.float64]:
    """The second world's pose [4, 4] in the first one's frame, from where its photo's camera is there.

    Only its heading and position count: worlds stand upright. Raises InputError for a world without a photo's camera.
    """
    own = second.photo_camera
    if own is None:
        raise InputError("The second world was not made from a photo; give its place with --at X Y Z TURN instead.")
    turn = heading_pitch_roll(camera)[0] - heading_pitch_roll(own)[0]
    matrix = _matrix(np.array([0, 0, 0, turn]))
    matrix[:3, 3] = camera.position - matrix[:3, :3] @ own.position
    return matrix


def pose_at(second: Panorama, place: NDArray[np.float64], turn_rad: float) -> NDArray[np.float64]:
    """The second world's pose [4, 4], from where its viewpoint is in the first one's frame and how far it is turned."""
    matrix = _matrix(np.array([0, 0, 0, turn_rad]))
    matrix[:3, 3] = np.asarray(place, np.float64) - matrix[:3, :3] @ second.position
    return matrix
