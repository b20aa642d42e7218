"""Two procedural rooms joined by a doorway, ray-cast: exact colour and distance from any camera in either.

Both are rooms of `lookbeyond.data.rooms`, each with its own furniture and light; a ray that leaves one of them through
the doorway goes on in the other. The wall between them has no thickness. What would stand in the way is taken out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lookbeyond.data.room_drawing import draw_room
from lookbeyond.data.rooms import Rooms, equirectangular_rays
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.opening import Opening
from lookbeyond.geometry.panorama import Panorama, View

_STREAM = 21  # keeps these draws independent of those of `Rooms.from_seeds`
NEAR_DOOR_M = 1.3
"""So far from the doorway nothing stands."""
ASIDE_M = 0.4
"""Nor so far from the way between it and the photographer."""


@dataclass(frozen=True, eq=False)
class TwoRooms:
    """Two rooms (batches of one), each with its photographer at its own origin."""

    first: Rooms
    second: Rooms
    second_to_first: np.ndarray
    """[4, 4], metres."""
    opening: Opening
    """In the first room's world."""

    def render(self, position: np.ndarray, directions: np.ndarray, pixel_angle: float) -> tuple[np.ndarray, np.ndarray]:
        """What is seen from a place [3] along unit directions [N, 3]: uint8 [N, 3], float32 [N] metres."""
        in_first = bool(self.opening.side(position) > 0)
        colour, distance = self._seen(in_first, np.broadcast_to(position, directions.shape), directions, pixel_angle)
        at = self.opening.distances(position, directions.astype(np.float32))
        through = np.flatnonzero(distance > at - 1e-4)
        if through.size:
            away = at[through] + 1e-3
            start = position + directions[through] * away[:, None]
            # textures beyond are filtered for about the whole way to them
            wider = pixel_angle * (1 + float(np.median(away)) / 2.5)
            colour[through], rest = self._seen(not in_first, start, directions[through], wider)
            distance[through] = away + rest
        return (colour * 255).round().astype(np.uint8), distance

    def _seen(self, in_first: bool, start: np.ndarray, directions: np.ndarray, pixel_angle: float):
        room = self.first
        if not in_first:
            pose = np.linalg.inv(self.second_to_first)
            start, directions = start @ pose[:3, :3].T + pose[:3, 3], directions @ pose[:3, :3].T
            room = self.second
        rays = [torch.from_numpy(np.ascontiguousarray(each, np.float32))[None] for each in (start, directions)]
        colour, distance = room.render(*rays, pixel_angle)
        return colour[0].numpy(), distance[0].numpy()

    def view(self, camera: Camera) -> View:
        """What a camera in the first room's world truly sees."""
        shape = camera.height, camera.width
        colour, distance = self.render(camera.position, camera.rays().reshape(-1, 3), 1 / camera.intrinsics[0, 0])
        nothing = np.zeros(shape, np.uint8)
        return View(camera, colour.reshape(*shape, 3), distance.reshape(shape), nothing)

    def panorama(self, position: np.ndarray, width: int) -> Panorama:
        """The exact panorama from a place [3] in the first room's world."""
        rays = equirectangular_rays(width // 2, width).numpy()
        colour, distance = self.render(position, rays, 2 * math.pi / width)
        return Panorama(
            colour.reshape(width // 2, width, 3),
            distance.reshape(width // 2, width),
            np.zeros((width // 2, width), np.uint8),
            origin=tuple(np.asarray(position, float).tolist()),
            camera_height=float(position[2]) + float(self.first.camera_height[0]),
        )

    def is_free(self, positions: Sequence[np.ndarray], margin: float) -> np.ndarray:
        """Whether places [3] of the first room's world are this far from everything in their room, the wall with the
        doorway left out."""
        free = []
        for position in positions:
            near = abs(float(self.opening.side(position)))
            if near < margin and self.opening.holds(position - self.opening.side(position) * self.opening.normal, 0.1):
                free.append(True)
                continue
            own = np.asarray(position, np.float64)
            room = self.first
            if self.opening.side(position) < 0:
                pose = np.linalg.inv(self.second_to_first)
                own, room = pose[:3, :3] @ own + pose[:3, 3], self.second
            free.append(bool(room.free_positions(torch.from_numpy(own).float()[None, None], margin)[0, 0]))
        return np.array(free)


def draw_two_rooms(seed: int) -> TwoRooms:
    """The two rooms of a seed; the first photographer looks about at the doorway, along +X."""
    rng = np.random.default_rng((seed, _STREAM))
    drawn = [draw_room(rng), draw_room(rng)]
    half_width, height = rng.uniform(0.42, 0.55), rng.uniform(2.0, 2.1)
    places = [_put_doorway(room, half_width, height, rng) for room in drawn]
    ahead = [math.atan2(centre[1], centre[0]) for centre, _ in places]
    drawn[0]["yaw"] = np.array(rng.uniform(-0.15, 0.15) - ahead[0])
    drawn[1]["yaw"] = np.array(math.pi - ahead[1])  # the second photographer came in through it
    ways = []
    for room, (centre, normal) in zip(drawn, places, strict=True):
        turn = _turn(float(room["yaw"]))
        ways.append((turn @ centre, turn @ normal))
    (centre, normal), (other_centre, other_normal) = ways
    # the second room is put so that its doorway lies on the first one's, its floor level with the other
    angle = math.atan2(-normal[1], -normal[0]) - math.atan2(other_normal[1], other_normal[0])
    pose = np.eye(4)
    pose[:3, :3] = _turn(angle)
    pose[:3, 3] = centre - pose[:3, :3] @ other_centre
    floor = -float(drawn[0]["camera_height"])
    pose[2, 3] = floor + float(drawn[1]["camera_height"])
    # the inward normal is to the left of the way from the opening's start to its end
    along = np.array([normal[1], -normal[0]])
    start, end = (centre[:2] + sign * half_width * along for sign in (-1, 1))
    opening = Opening(tuple(start.tolist()), tuple(end.tolist()), floor, floor + height)
    rooms = [Rooms.of([room]) for room in drawn]
    return TwoRooms(rooms[0], rooms[1], pose, opening)


def _put_doorway(
    room: dict[str, np.ndarray], half_width: float, height: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a doorway into the wall that is farthest from the photographer, and clear the way to it.

    Returns its centre [3] on the floor plan (z 0) and the wall's inward normal [3], in the room's own frame.
    """
    centre, half = room["shell"]
    away = np.array(
        [
            half[0] + centre[0] * sign if axis == 0 else half[1] + centre[1] * sign
            for axis, sign in ((0, -1), (0, 1), (1, -1), (1, 1))
        ]
    )
    face = int(away.argmax())
    axis, sign = face // 2, 1 if face % 2 else -1
    room["openings"][room["openings"][:, 0] == face, 0] = -1
    room["slopes"][:] = [0, 0, -1.0, 1000.0]
    spare = half[1 - axis] - half_width - 0.15
    # not far aside, for the way there has to fit between walls
    along = np.clip(rng.uniform(-0.6, 0.6), centre[1 - axis] - spare, centre[1 - axis] + spare)
    door, normal = np.zeros(3), np.zeros(3)
    door[axis], door[1 - axis], normal[axis] = centre[axis] + sign * half[axis], along, -sign
    assert height < 2 * half[2] - 0.1
    for things, size in ((room["boxes"], 2), (room["ellipsoids"], 1)):
        for thing in things:
            reach = math.hypot(*thing[3:5]) if size == 2 else thing[3]
            to_door = np.linalg.norm(thing[:2] - door[:2])
            share = np.clip(thing[:2] @ door[:2] / (door[:2] @ door[:2]), 0, 1)
            aside = np.linalg.norm(thing[:2] - share * door[:2])
            overhead = thing[2] - thing[5] > 0.25
            flat = size == 2 and thing[5] < 0.02
            if not overhead and not flat and (to_door < NEAR_DOOR_M + reach or aside < ASIDE_M + reach):
                thing[2] = -1000.0
    return door, normal


def _turn(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
