"""Rooms with added structure and fittings, and open places: the subjects of the photos in `room_photos`."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .room_drawing import BOXES, ELLIPSOIDS, FABRICS, FACES, FIRST_BALL, FIRST_BOX, LIGHTS, WOODS, draw_room
from .textures import FIRST_PICTURE, MATERIALS, PICTURES, TILES_PER_MATERIAL

_NOWHERE = (0, 0, -1000.0, 0.01, 0.01, 0.01, 0)


def built_over(rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """A room of `rooms` with blocks, furniture against its walls and another standpoint: its values, shell, blocks."""
    room = draw_room(rng)
    if rng.uniform() < 0.25:  # halls, and corridors
        room = _stretched(room, rng)
    centre, half = room["shell"]
    floor = centre[2] - half[2]
    blocks = _draw_blocks(rng, centre[:2], half[:2])
    old = room["boxes"][room["boxes"][:, 2] > -100]
    looks = room["surfaces"][FIRST_BOX : FIRST_BOX + len(old)]
    kept = ~within(blocks, old[:, :2], 0.1)
    old, looks = old[kept], looks[kept]
    balls = room["ellipsoids"]
    balls[within(blocks, balls[:, :2], 0.1)] = _NOWHERE[:6]

    added: list[tuple[np.ndarray, np.ndarray]] = []

    def look(tint, material="plain", scale=0.02, gloss=0.0) -> np.ndarray:
        tile = MATERIALS.index(material) * TILES_PER_MATERIAL + rng.integers(TILES_PER_MATERIAL)
        return np.array([tile, scale, *np.clip(tint, 0.02, 1), 0, gloss])

    def put(x, y, z, hx, hy, hz, yaw, surface) -> None:
        added.append((np.array([x, y, floor + z, max(hx, 0.008), max(hy, 0.008), max(hz, 0.008), yaw]), surface))

    paper = room["surfaces"][0]
    for x, y, hx, hy, yaw in blocks:
        accent = rng.uniform() < 0.15
        put(x, y, half[2], hx, hy, half[2] + 0.02, yaw, look(FABRICS[rng.integers(len(FABRICS))]) if accent else paper)
    _dress_walls(rng, centre, half, blocks, put, look)
    count = min(BOXES, len(added) + len(old))
    boxes = np.tile(_NOWHERE, (BOXES, 1)).astype(float)
    own = min(len(added), BOXES)
    for k in range(own):
        boxes[k], room["surfaces"][FIRST_BOX + k] = added[k]
    boxes[own:count], room["surfaces"][FIRST_BOX + own : FIRST_BOX + count] = old[: count - own], looks[: count - own]
    room["boxes"] = boxes

    level = min(rng.uniform(0.75, 1.85), 2 * half[2] - 0.4)
    x, y = _standpoint(rng, room, blocks, floor + level)
    _move(room, np.array([-x, -y, -(floor + level)]))
    room["camera_height"] = np.array(level)
    _relight(rng, room)
    return room, room["shell"][:, :2], blocks - np.array([x, y, 0, 0, 0])


def _stretched(room: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Moves the walls; what stood against them is now free, or inside a wall and not seen."""
    factor = np.array([rng.uniform(0.6, 1.7), rng.uniform(0.6, 1.7), rng.uniform(0.95, 1.35)])
    centre, half = room["shell"]
    floor = centre[2] - half[2]
    half = np.maximum(half * factor, (0.9, 0.9, 1.1))
    room["shell"] = np.stack([np.array([*centre[:2], floor + half[2]]), half])
    for k, (face, *_) in enumerate(room["openings"]):
        if face >= 0:  # the annexes lie behind the walls
            axis, sign = int(face) // 2, 1 if face % 2 else -1
            room["annexes"][k, 0, axis] = centre[axis] + sign * (half[axis] + room["annexes"][k, 1, axis])
    return room


def _draw_blocks(rng: np.random.Generator, centre: np.ndarray, half: np.ndarray) -> np.ndarray:
    """[k, 5] centre, half size, yaw of what keeps the room from being a box."""
    blocks: list[tuple[float, ...]] = []
    kind = rng.choice(
        ["none", "corner", "alcove", "breast", "columns", "slant", "two"], p=[0.34, 0.22, 0.12, 0.14, 0.06, 0.05, 0.07]
    )

    def corner() -> None:
        size = half * rng.uniform(0.15, 0.65, 2)
        sign = rng.choice([-1, 1], 2)
        blocks.append((*(centre + sign * (half - size)), *size, 0.0))

    def at_wall(along: float, width: float, depth: float, face: int) -> None:
        axis, sign = face // 2, 1 if face % 2 else -1
        middle, size = centre.copy(), np.zeros(2)
        middle[axis] += sign * (half[axis] - depth)
        middle[1 - axis] += along
        size[axis], size[1 - axis] = depth, width
        blocks.append((*middle, *size, 0.0))

    face = int(rng.integers(4))
    side = half[1 - face // 2]
    if kind in ("corner", "two"):
        corner()
    if kind == "two":
        corner() if rng.uniform() < 0.5 else at_wall(
            rng.uniform(-0.5, 0.5) * side, rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.35), face
        )
    elif kind == "alcove":  # the wall comes nearer on both sides of a gap
        gap, depth = rng.uniform(0.25, 0.6) * side, rng.uniform(0.12, 0.55)
        middle = rng.uniform(-1, 1) * (side - gap) * 0.8
        for low, high in ((-side, middle - gap), (middle + gap, side)):
            at_wall((low + high) / 2, max((high - low) / 2, 0.05), depth, face)
    elif kind == "breast":
        at_wall(rng.uniform(-0.7, 0.7) * side, rng.uniform(0.15, 0.5) * side, rng.uniform(0.08, 0.5), face)
    elif kind == "columns":
        for _ in range(int(rng.integers(1, 4))):
            blocks.append((*(centre + rng.uniform(-0.9, 0.9, 2) * half), *rng.uniform(0.08, 0.3, 2), 0.0))
    elif kind == "slant":
        size = rng.uniform(0.3, 0.7) * half.min()
        blocks.append((*(centre + rng.choice([-1, 1], 2) * half), size, size, math.pi / 4))
    return np.array(blocks, float).reshape(-1, 5)


def within(blocks: np.ndarray, points: np.ndarray, margin: float) -> np.ndarray:
    """[n] bool: points [n, 2] inside a block, or nearer than that to it."""
    inside = np.zeros(len(points), bool)
    for x, y, hx, hy, yaw in blocks:
        c, s = math.cos(yaw), math.sin(yaw)
        local = np.abs((points - (x, y)) @ np.array([[c, -s], [s, c]]))
        inside |= (local < np.array([hx, hy]) + margin).all(1)
    return inside


@dataclass(frozen=True)
class _Walls:
    """The walls of a room that is being furnished; `put` places a box, `look` makes its surface."""

    rng: np.random.Generator
    centre: np.ndarray
    half: np.ndarray
    put: Callable[..., None]
    look: Callable[..., np.ndarray]

    def place(self, face: int, along: float, z: float, width: float, depth: float, height: float, surface) -> None:
        """A box (half sizes) against a wall."""
        axis, sign = face // 2, 1 if face % 2 else -1
        p, size = np.array(self.centre[:2], float), np.zeros(2)
        p[axis] += sign * (self.half[axis] - depth)
        p[1 - axis] += along
        size[axis], size[1 - axis] = depth, width
        self.put(*p, z, *size, height, 0.0, surface)

    def side(self, face: int) -> float:
        return self.half[1 - face // 2]

    def shut_door(self, white: np.ndarray, wood: np.ndarray, trim: np.ndarray) -> None:
        rng, look = self.rng, self.look
        face, width = int(rng.integers(4)), rng.uniform(0.36, 0.5)
        along = rng.uniform(-1, 1) * max(self.side(face) - width - 0.1, 0)
        leaf = look(white if rng.uniform() < 0.5 else wood, "wood" if rng.uniform() < 0.5 else "plain", 0.5)
        self.place(face, along, 1.05, width + 0.07, 0.012, 1.05, look(trim))
        self.place(face, along, 1.0, width, 0.018, 1.0, leaf)

    def row(self, white: np.ndarray, wood: np.ndarray) -> None:
        """A counter, wardrobes, beds and sofas in a row, a curtain, or shelves."""
        rng, look, half = self.rng, self.look, self.half
        face = int(rng.integers(4))
        side = self.side(face)
        width = side * rng.uniform(0.35, 1.0)
        along = rng.uniform(-1, 1) * (side - width)
        colour = (FABRICS[rng.integers(len(FABRICS))], wood, white)[rng.integers(3)] * rng.uniform(0.8, 1.15)
        material = str(rng.choice(["plain", "wood", "weave", "stripes", "tiles"]))
        surface = look(colour, material, 1 / rng.uniform(0.5, 2), rng.choice([0, 0.1]))
        kind = rng.uniform()
        if kind < 0.35:
            height, depth = rng.uniform(0.2, 0.5), rng.uniform(0.15, 0.5)
            self.place(face, along, height, width, depth, height, surface)
            if rng.uniform() < 0.5:  # a worktop or seat of another colour, and what hangs above
                self.place(face, along, 2 * height, width, depth + 0.02, 0.02, look(colour * 0.6))
                self.place(face, along, rng.uniform(1.5, 1.9), width * 0.8, 0.17, 0.3, surface)
        elif kind < 0.6:
            height = min(rng.uniform(0.8, 1.25), half[2])
            self.place(face, along * 0.9, height, min(width, 1.2), rng.uniform(0.2, 0.32), height, surface)
        elif kind < 0.8:
            self.place(face, along, half[2] - 0.05, width, rng.uniform(0.03, 0.08), half[2] - 0.05, surface)
        else:  # books and pictures from end to end
            tile = FIRST_PICTURE + rng.integers(PICTURES)
            shelf = np.array([tile, 1 / rng.uniform(0.8, 2), 1, 1, 1, 0, 0])
            height = rng.uniform(0.5, 1.15)
            self.place(face, along, height, width, rng.uniform(0.1, 0.18), height, shelf)


def _dress_walls(rng: np.random.Generator, centre, half, blocks, put, look) -> None:
    """Doors, skirting, cornices, and rows of things that hide where the wall meets the floor."""
    white = np.full(3, rng.uniform(0.6, 0.92))
    wood = WOODS[rng.integers(len(WOODS))] * rng.uniform(0.8, 1.2)
    trim = white if rng.uniform() < 0.65 else wood
    walls = _Walls(rng, centre, half, put, look)
    if rng.uniform() < 0.55:
        rise = rng.uniform(0.03, 0.08)
        for face in range(4):
            walls.place(face, 0, rise, walls.side(face), 0.01, rise, look(trim))
        for x, y, hx, hy, yaw in blocks:
            put(x, y, rise, hx + 0.015, hy + 0.015, rise, yaw, look(trim))
    if rng.uniform() < 0.25:
        drop = rng.uniform(0.03, 0.1)
        for face in range(4):
            walls.place(face, 0, 2 * half[2] - drop, walls.side(face), rng.uniform(0.02, 0.06), drop, look(white))
    for _ in range(int(rng.integers(0, 3))):
        walls.shut_door(white, wood, trim)
    for _ in range(int(rng.choice([0, 1, 1, 2, 3]))):
        walls.row(white, wood)
    for _ in range(int(rng.choice([0, 0, 1, 2]))):  # something that stands in the way
        x, y = centre[:2] + rng.uniform(-0.8, 0.8, 2) * half[:2]
        height = rng.uniform(0.2, 0.55)
        surface = look(FABRICS[rng.integers(len(FABRICS))], str(rng.choice(["plain", "weave", "wood"])), 0.8)
        put(x, y, height, *rng.uniform(0.2, 0.9, 2), height, rng.choice([0, 0, rng.uniform(0, 3)]), surface)


def _standpoint(rng: np.random.Generator, room: dict[str, np.ndarray], blocks: np.ndarray, z: float) -> np.ndarray:
    """Where the photographer has room to stand: [2]. Furniture that leaves none is removed."""
    centre, half = room["shell"]
    boxes = room["boxes"]
    solid = boxes[boxes[:, 2] + boxes[:, 5] > z - 0.5]
    for margin in (0.35, 0.35, 0.2, 0.1):
        for _ in range(12):
            share = rng.uniform(-1, 1, 2)
            if rng.uniform() < 0.5:  # the back against a wall
                share[rng.integers(2)] = rng.choice([-1, 1])
            place = centre[:2] + share * np.maximum(half[:2] - 0.3, 0)
            low = solid[solid[:, 2] - solid[:, 5] < z + 0.3]
            flat = np.concatenate([low[:, :2], low[:, 3:5], low[:, 6:]], 1)
            if not within(flat, place[None], margin)[0] and not within(blocks, place[None], 0.3)[0]:
                return place
    free = [p for p in centre[:2] + rng.uniform(-0.9, 0.9, (60, 2)) * half[:2] if not within(blocks, p[None], 0.15)[0]]
    place = free[0]
    flat = np.concatenate([boxes[:, :2], boxes[:, 3:5], boxes[:, 6:]], 1)
    for k in np.flatnonzero([within(one[None], place[None], 0.2)[0] for one in flat]):
        boxes[k] = _NOWHERE
    return place


def _move(room: dict[str, np.ndarray], by: np.ndarray) -> None:
    """Shifts everything so that the photographer stands at the origin."""
    room["shell"][0] += by
    room["annexes"][:, 0] += by
    room["boxes"][:, :3] += by
    room["ellipsoids"][:, :3] += by
    room["lights"][:, :3] += by
    for opening in room["openings"]:
        if opening[0] >= 0:
            opening[1] += by[1 - int(opening[0]) // 2]
            opening[3:] += by[2]


def _relight(rng: np.random.Generator, room: dict[str, np.ndarray]) -> None:
    """From even light to one window in the dark."""
    contrast = rng.uniform(0, 1)
    room["ambient"] = room["ambient"] * (1.2 - 0.7 * contrast)
    room["lights"][:, 3:] *= 0.7 + 1.3 * contrast * rng.uniform(0.3, 1, (LIGHTS, 1))
    shade = rng.uniform(0.85, 1.05, (FACES, 1))  # walls turned to and from the light outside
    room["surfaces"][:FACES, 2:5] = np.clip(room["surfaces"][:FACES, 2:5] * shade, 0.02, 1)


def open_place(rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Ground and sky: a shell too big to be a room, with blocks and bushes."""
    room = draw_room(rng)
    height = rng.uniform(1.2, 2.2)
    half = np.array([*rng.uniform(40, 120, 2), 60.0])
    room["shell"] = np.stack([np.array([0, 0, half[2] - height]), half])
    room["camera_height"] = np.array(height)
    room["openings"][:, 0] = -1
    boxes, balls = np.tile(_NOWHERE, (BOXES, 1)).astype(float), room["ellipsoids"]
    for k in range(int(rng.integers(0, 22))):
        angle, reach = rng.uniform(-math.pi, math.pi), math.exp(rng.uniform(math.log(5), math.log(70)))
        size = np.array([rng.uniform(1, 9), rng.uniform(1, 9), rng.uniform(1, 9)]) * min(1.0, reach / 15)
        away = reach + float(np.hypot(*size[:2]))
        boxes[k] = away * math.cos(angle), away * math.sin(angle), size[2] - height, *size, rng.uniform(0, math.pi)
        material = MATERIALS.index(str(rng.choice(["plain", "bricks", "tiles", "stripes", "wood"])))
        tile = material * TILES_PER_MATERIAL + rng.integers(TILES_PER_MATERIAL)
        tint = np.full(3, rng.uniform(0.1, 0.7)) * rng.uniform(0.8, 1.1, 3)
        room["surfaces"][FIRST_BOX + k] = tile, 1 / rng.uniform(1.5, 8), *tint, 0, 0
    for k in range(ELLIPSOIDS):
        angle, reach, size = rng.uniform(-math.pi, math.pi), rng.uniform(4, 30), rng.uniform(0.5, 3)
        balls[k] = reach * math.cos(angle), reach * math.sin(angle), size * 0.7 - height, size, size, size
        surface = room["surfaces"][FIRST_BALL + k]
        surface[:] = 4 * TILES_PER_MATERIAL + k, 0.4, *(np.array([0.2, 0.33, 0.12]) * rng.uniform(0.5, 1.5)), 0, 0
    ground = np.array([[0.3, 0.38, 0.17], [0.4, 0.38, 0.36], [0.5, 0.45, 0.36], [0.25, 0.25, 0.26]])[rng.integers(4)]
    material = MATERIALS.index(str(rng.choice(["carpet", "tiles", "bricks", "marble", "plain"])))
    room["surfaces"][FACES - 2] = (
        material * TILES_PER_MATERIAL + rng.integers(TILES_PER_MATERIAL),
        1 / rng.uniform(0.8, 4),
        *ground,
        0,
        0,
    )
    room["boxes"], room["lights"][:, 3:] = boxes, 0
    room["lights"][0] = *(np.array([*rng.normal(0, 30, 2), 40.0])), *(np.full(3, rng.uniform(100, 700)))
    room["ambient"] = rng.uniform(0.6, 1.5) * np.array([0.95, 1, 1.08])
    return room, room["shell"][:, :2], np.zeros((0, 5))
