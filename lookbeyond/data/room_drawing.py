"""What a procedural room consists of, drawn from a random generator; `lookbeyond.data.rooms` renders it."""

from typing import Any

import numpy as np

from .textures import FIRST_PICTURE, MATERIALS, PICTURES, TILES_PER_MATERIAL

BOXES, ELLIPSOIDS, OPENINGS, LIGHTS = 36, 4, 4, 4
# Faces of a shell and of a box, in the order -x, +x, -y, +y, -z (floor), +z (ceiling).
FACES = 6
SURFACES = FACES * (1 + OPENINGS) + BOXES + ELLIPSOIDS
FIRST_BOX = FACES * (1 + OPENINGS)
FIRST_BALL = FIRST_BOX + BOXES
SKY_DISTANCE_M = 30.0
# Albedos as homes have them, linear.
PAINTS = np.array([
    [0.82, 0.80, 0.76], [0.84, 0.84, 0.82], [0.78, 0.72, 0.61], [0.64, 0.60, 0.54], [0.62, 0.62, 0.62],
    [0.54, 0.62, 0.68], [0.50, 0.56, 0.45], [0.70, 0.57, 0.52], [0.34, 0.36, 0.38], [0.50, 0.30, 0.21],
])  # fmt: skip
PAINT_SHARES = np.array([0.24, 0.16, 0.16, 0.12, 0.10, 0.06, 0.05, 0.05, 0.03, 0.03])
WOODS = np.array([[0.42, 0.29, 0.17], [0.54, 0.41, 0.27], [0.33, 0.17, 0.09], [0.19, 0.12, 0.07], [0.09, 0.06, 0.04]])
FABRICS = np.array([
    [0.66, 0.60, 0.50], [0.45, 0.45, 0.45], [0.16, 0.16, 0.17], [0.76, 0.75, 0.72], [0.38, 0.27, 0.19],
    [0.13, 0.20, 0.33], [0.22, 0.30, 0.20], [0.55, 0.40, 0.14], [0.45, 0.14, 0.11], [0.32, 0.42, 0.48],
])  # fmt: skip

Look = dict[str, Any]
"""Keywords of `RoomDrawing.paint`."""
Part = tuple[float, float, float, tuple[float, float, float], np.ndarray, Look]
"""A box of a piece: its centre across and along the piece and above the floor, half sizes, tint, look."""
Piece = tuple[float, float, float, list[Part]]
"""x, y, yaw of a piece of furniture, and its parts."""


def draw_room(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Every parameter of one room, as numpy arrays of the shapes in `Rooms` without the batch axis."""
    return RoomDrawing(rng).draw()


class RoomDrawing:
    """A room as it is drawn. The order of the draws decides which room a seed gives: it must not change."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.half = half = np.array([rng.uniform(1.4, 4.2), rng.uniform(1.4, 4.2), rng.uniform(1.15, 1.7)])
        self.camera_height = min(rng.uniform(1.1, 1.9), 2 * half[2] - 0.5)
        # the photographer stands anywhere except against a wall; the room is laid around them
        self.centre = rng.uniform(-1, 1, 3) * (half - 0.5)
        self.centre[2] = half[2] - self.camera_height
        self.floor = -self.camera_height

        # a home has one style: a paint, a wood and two fabrics that recur from piece to piece
        self.paint_colour = PAINTS[rng.choice(len(PAINTS), p=PAINT_SHARES)] * rng.uniform(0.88, 1.08)
        self.wood = WOODS[rng.integers(len(WOODS))] * rng.uniform(0.85, 1.15)
        self.fabrics = FABRICS[rng.choice(len(FABRICS), 2, replace=False)]

        self.surfaces = np.zeros((SURFACES, 7))
        self.openings, self.annexes = np.zeros((OPENINGS, 5)), np.zeros((OPENINGS, 2, 3))
        self.outdoors, self.lights = np.zeros(OPENINGS), np.zeros((LIGHTS, 6))
        self.openings[:, 0], self.annexes[:, 1] = -1, 1
        self.boxes = np.tile([0, 0, -1000.0, 0.01, 0.01, 0.01, 0], (BOXES, 1))
        self.ellipsoids = np.tile([0, 0, -1000.0, 0.01, 0.01, 0.01], (ELLIPSOIDS, 1))
        self.next_light, self.next_box = 1, 0

    def draw(self) -> dict[str, np.ndarray]:
        rng = self.rng
        self._paint_shell(0)
        self._draw_openings()
        glow = self._draw_lamp()
        self._furnish()
        self._draw_balls()
        if self.next_light < LIGHTS and rng.uniform() < 0.6:
            spot = self.centre + rng.uniform(-0.8, 0.8, 3) * self.half
            self.lights[self.next_light] = *spot, *(glow * rng.uniform(0.1, 0.7))
        exposure = rng.uniform(0.75, 1.25)
        ambient = exposure * rng.uniform(0.22, 0.6) * np.clip(1 + rng.normal(0, 0.06, 3), 0.7, 1.3)
        self.lights[:, 3:] *= exposure
        return {
            "yaw": np.array(rng.uniform(-np.pi, np.pi)),
            "camera_height": np.array(self.camera_height),
            "shell": np.stack([self.centre, self.half]),
            "openings": self.openings,
            "annexes": self.annexes,
            "outdoors": self.outdoors,
            "boxes": self.boxes,
            "ellipsoids": self.ellipsoids,
            "surfaces": self.surfaces,
            "lights": self.lights,
            "ambient": ambient,
        }

    # colours and materials

    def paint(self, index, tint, *, material="plain", picture=False, scale=None, emission=0.0, gloss=0.0) -> None:
        """Describe a surface. scale: tiles per metre; None draws one."""
        if picture:
            tile = FIRST_PICTURE + self.rng.integers(PICTURES)
        else:
            tile = MATERIALS.index(material) * TILES_PER_MATERIAL + self.rng.integers(TILES_PER_MATERIAL)
        scale = scale or 1 / self.rng.uniform(0.6, 2.5)
        self.surfaces[index] = tile, scale, *np.clip(tint, 0.02, 1), emission, gloss

    def any_colour(self) -> np.ndarray:
        """A colour for a piece of furniture, most often one of the home's own."""
        rng = self.rng
        kind = rng.uniform()
        if kind < 0.5:
            return self.fabrics[rng.integers(2)] * rng.uniform(0.8, 1.15)
        if kind < 0.75:
            return self.wood * rng.uniform(0.85, 1.1)
        if kind < 0.92:  # white lacquer, black metal and what is between them
            return np.full(3, rng.choice([0.05, 0.3, 0.8, 0.8])) * rng.uniform(0.9, 1.1)
        return rng.uniform(0.05, 0.9, 3)

    def any_look(self) -> Look:
        """A plain or a patterned material."""
        rng = self.rng
        if rng.uniform() < 0.5:
            return {"scale": 0.02}
        return {"material": str(rng.choice(["wood", "weave", "carpet", "stripes"])), "scale": 1 / rng.uniform(0.4, 1.5)}

    # the shell and what is seen through its openings

    def _paint_shell(self, first: int) -> None:
        """Walls, floor and ceiling; most rooms of a home are painted alike."""
        rng, wall = self.rng, self.paint_colour
        if not (first == 0 or rng.uniform() < 0.7):
            wall = PAINTS[rng.choice(len(PAINTS), p=PAINT_SHARES)]
        look: Look = {"scale": 0.02}
        if rng.uniform() < 0.3:
            paper = str(rng.choice(["plain", "stripes", "weave", "bricks", "tiles", "dots", "wood"]))
            look = {"material": paper, "scale": 1 / rng.uniform(0.8, 2.5)}
        accent = int(rng.integers(4)) if rng.uniform() < 0.15 else -1
        for face in range(4):
            self.paint(first + face, self.fabrics[0] if face == accent else wall, **look)
        self._paint_floor(first + 4)
        white = np.full(3, rng.uniform(0.8, 0.92))
        ceiling = white if rng.uniform() < 0.8 else (0.5 * white + 0.5 * wall if rng.uniform() < 0.7 else self.wood)
        self.paint(first + 5, ceiling, scale=0.02)

    def _paint_floor(self, index: int) -> None:
        rng = self.rng
        kind = rng.uniform()
        if kind < 0.55:
            self.paint(index, self.wood * rng.uniform(0.8, 1.2), material="wood", gloss=rng.choice([0, 0.08, 0.2]))
        elif kind < 0.8:
            stone = np.full(3, rng.uniform(0.15, 0.5)) * (1, rng.uniform(0.93, 1), rng.uniform(0.82, 1))
            laid = str(rng.choice(["tiles", "tiles", "marble"]))
            self.paint(index, stone, material=laid, gloss=rng.choice([0, 0.1, 0.25]))
        else:
            self.paint(index, self.fabrics[1] * 0.6 + 0.05, material="carpet")

    def _draw_openings(self) -> None:
        taken: list[list[tuple[float, float]]] = [[], [], [], []]
        """Per wall: stretches already used by an opening."""
        for k in range(OPENINGS):
            if self.rng.uniform() >= 0.3:
                self._draw_opening(k, taken)

    def _draw_opening(self, k: int, taken: list[list[tuple[float, float]]]) -> None:
        """A door or a window, unless it would overlap another one, and what lies behind it."""
        rng, centre, half, floor = self.rng, self.centre, self.half, self.floor
        face = int(rng.integers(4))
        axis, side = face // 2, half[1 - face // 2]
        door = rng.uniform() < 0.45
        width = min(rng.uniform(0.4, 0.6) if door else rng.uniform(0.35, 1.4), side - 0.15)
        along = centre[1 - axis] + rng.uniform(-1, 1) * (side - width - 0.1)
        if any(abs(along - other) < width + reach + 0.1 for other, reach in taken[face]):
            return
        taken[face].append((along, width))
        bottom, top = (floor, floor + 2.05) if door else (floor + rng.uniform(0.3, 1.1), floor + rng.uniform(1.9, 2.2))
        self.openings[k] = face, along, width, bottom, min(top, floor + 2 * half[2] - 0.1)
        sign = 1 if face % 2 else -1
        outside = not door or rng.uniform() < 0.15
        reach = np.full(3, SKY_DISTANCE_M) if outside else np.array([*rng.uniform(1.0, 3.2, 2), half[2]])
        middle = centre.copy()
        middle[axis] += sign * (half[axis] + reach[axis])
        middle[1 - axis] = along + (0 if outside else rng.uniform(-1, 1) * (reach[1 - axis] - width))
        middle[2] = floor - (rng.uniform(0, 6) if not door else 0) + reach[2] if outside else middle[2]
        self.annexes[k], self.outdoors[k] = (middle, reach), outside
        first = FACES * (1 + k)
        self._paint_shell(first)
        if outside:
            self._paint_outdoors(first)
        if outside and self.next_light < LIGHTS - 1:  # daylight falls in
            spot = middle.copy()
            spot[axis] = centre[axis] + sign * (half[axis] - 0.15)
            spot[1 - axis], spot[2] = along, (self.openings[k, 3] + self.openings[k, 4]) / 2
            daylight = np.array([0.95, 1.0, 1.1]) * rng.uniform(0.6, 1.8) * np.sqrt(width)
            self.lights[self.next_light] = *spot, *daylight
            self.next_light += 1

    def _paint_outdoors(self, first: int) -> None:
        rng = self.rng
        for wall in range(4):  # trees and houses far away
            tint = np.array([0.45, 0.55, 0.4]) * rng.uniform(0.4, 1.3)
            self.paint(first + wall, tint, scale=rng.uniform(0.01, 0.06))
        self.paint(first + 4, rng.choice([[0.35, 0.45, 0.2], [0.5, 0.48, 0.45]]), scale=0.3)

    # what stands in it

    def put(self, x, y, z, hx, hy, hz, yaw, tint, **look) -> None:
        """A box by its centre and half sizes, while there are some left."""
        if self.next_box < BOXES:
            self.boxes[self.next_box] = x, y, z, max(hx, 0.008), max(hy, 0.008), max(hz, 0.008), yaw
            self.paint(FIRST_BOX + self.next_box, tint, **look)
            self.next_box += 1

    def _place(self, x: float, y: float, yaw: float, parts: list[Part]) -> None:
        """Place a piece of furniture, unless it would stand on the camera."""
        reach = max(np.hypot(dx, dy) + np.hypot(h[0], h[1]) for dx, dy, _, h, _, _ in parts)
        if np.hypot(x, y) < reach + 0.35:
            return
        c, s = np.cos(yaw), np.sin(yaw)
        for dx, dy, z, h, tint, look in parts:
            self.put(x + c * dx - s * dy, y + s * dx + c * dy, self.floor + z, *h, yaw, tint, **look)

    def _furnish(self) -> None:
        rng, furniture = self.rng, Furniture(self)
        pieces = [furniture.sofa, furniture.bed, furniture.table, furniture.chair, furniture.cabinet,
                  furniture.bookshelf, furniture.picture, furniture.curtain]  # fmt: skip
        weights = np.array([1.0, 0.5, 1.0, 1.0, 1.2, 0.6, 1.6, 0.8])
        if rng.uniform() < 0.6:
            furniture.put_rug()
        for _ in range(int(rng.integers(2, 11))):
            self._place(*rng.choice(pieces, p=weights / weights.sum())())

    def _draw_lamp(self) -> np.ndarray:
        """The ceiling lamp; the colour of its light."""
        rng, half = self.rng, self.half
        lamp = self.centre + np.array([*rng.uniform(-0.3, 0.3, 2) * half[:2], half[2] - rng.uniform(0.05, 0.5)])
        glow = np.array([1.0, rng.uniform(0.8, 1), rng.uniform(0.6, 1)])
        self.ellipsoids[0] = *lamp, *np.full(2, rng.uniform(0.1, 0.25)), rng.uniform(0.04, 0.2)
        if np.hypot(lamp[0], lamp[1]) < 0.5 and lamp[2] < 0.4:
            self.ellipsoids[0, 2] = self.floor + 2 * half[2] - 0.02
        self.paint(FIRST_BALL, glow, emission=rng.choice([0.0, 1.5]), scale=0.02)
        self.lights[0] = *(lamp - [0, 0, 0.2]), *(glow * rng.uniform(0.4, 1.6))
        return glow

    def _draw_balls(self) -> None:
        """Plants, vases, balls, a standing lamp."""
        rng, floor = self.rng, self.floor
        for k in range(1, ELLIPSOIDS):
            if rng.uniform() < 0.45:
                continue
            x, y = self.centre[:2] + rng.uniform(-1, 1, 2) * (self.half[:2] - 0.3)
            r, z = rng.uniform(0.08, 0.3), rng.uniform(0.1, 1.3)
            if np.hypot(x, y) < r + 0.4:
                continue
            self.ellipsoids[k] = x, y, floor + max(z, r), r, r, r * rng.uniform(0.6, 1.3)
            green = np.array([0.2, 0.4, 0.15]) * rng.uniform(0.6, 1.4)
            leafy = rng.uniform() < 0.5
            self.paint(FIRST_BALL + k, green if leafy else self.any_colour(), gloss=rng.choice([0, 0.2]))
            if z > r + 0.1:
                tint = self.any_colour() * 0.6
                self.put(x, y, floor + (z - r) / 2, 0.02, 0.02, (z - r) / 2, 0, tint, scale=0.02)


class Furniture:
    """Pieces of furniture for a room."""

    def __init__(self, room: RoomDrawing):
        self._room, self._rng = room, room.rng
        self._centre, self._half = room.centre, room.half
        self._any_colour, self._any_look = room.any_colour, room.any_look

    def _against_wall(self, depth: float, width: float) -> tuple[float, float, float]:
        """A place along a wall for a piece `depth` deep whose back looks to the wall: x, y, yaw."""
        rng, centre, half = self._rng, self._centre, self._half
        face = int(rng.integers(4))
        axis, sign = face // 2, 1 if face % 2 else -1
        p = np.zeros(2)
        p[axis] = centre[axis] + sign * (half[axis] - depth - 0.02)
        p[1 - axis] = centre[1 - axis] + rng.uniform(-1, 1) * max(half[1 - axis] - width - 0.05, 0)
        return p[0], p[1], [np.pi / 2, -np.pi / 2, np.pi, 0][face]  # local +y is the wall side

    def sofa(self) -> Piece:
        rng = self._rng
        w, d = rng.uniform(0.45, 1.1), rng.uniform(0.38, 0.5)
        colour, look = self._any_colour(), self._any_look()
        parts: list[Part] = [(0, 0, 0.22, (w, d, 0.2), colour, look), (0, d - 0.1, 0.55, (w, 0.1, 0.28), colour, look)]
        parts += [(s * (w - 0.08), 0, 0.42, (0.08, d, 0.18), colour * 0.95, look) for s in (-1, 1)]
        if rng.uniform() < 0.6:
            across = rng.uniform(-0.5, 0.5) * w
            parts.append((across, d - 0.28, 0.57, (0.2, 0.07, 0.17), self._any_colour(), self._any_look()))
        return *self._against_wall(d, w), parts

    def bed(self) -> Piece:
        rng = self._rng
        w, d, frame = rng.uniform(0.5, 0.95), rng.uniform(0.95, 1.05), self._any_colour()
        cover, look = self._any_colour(), self._any_look()
        parts: list[Part] = [
            (0, 0, 0.15, (w, d, 0.15), frame, self._any_look()),
            (0, -0.1, 0.4, (w, d - 0.12, 0.13), cover, look),
            (0, d - 0.04, 0.55, (w + 0.05, 0.04, 0.5), frame, self._any_look()),
        ]
        for s in (-1, 1):
            parts.append((s * w * 0.5, d - 0.35, 0.58, (w * 0.4, 0.2, 0.07), np.full(3, 0.9), self._any_look()))
        return *self._against_wall(d, w), parts

    def table(self) -> Piece:
        rng = self._rng
        w, d, h = rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.5), rng.uniform(0.4, 0.78)
        colour, look = self._any_colour(), self._any_look()
        leg = rng.uniform(0.02, 0.04)
        parts: list[Part] = [(0, 0, h, (w, d, 0.025), colour, look)]
        for a in (-1, 1):
            for b in (-1, 1):
                size = (leg, leg, h / 2)
                parts.append((a * (w - leg), b * (d - leg), h / 2, size, colour * 0.8, {"scale": 0.02}))
        x, y = self._centre[:2] + rng.uniform(-1, 1, 2) * np.maximum(self._half[:2] - np.hypot(w, d), 0)
        return x, y, rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)]), parts

    def chair(self) -> Piece:
        rng = self._rng
        colour, look = self._any_colour(), self._any_look()
        foot = (0.17, 0.17, 0.21) if rng.uniform() < 0.3 else (0.03, 0.03, 0.21)
        parts: list[Part] = [
            (0, 0, 0.45, (0.21, 0.21, 0.03), colour, look),
            (0, 0.2, 0.7, (0.21, 0.02, 0.25), colour, look),
            (0, 0, 0.21, foot, colour * 0.7, look),
        ]
        x, y = self._centre[:2] + rng.uniform(-1, 1, 2) * (self._half[:2] - 0.4)
        return x, y, rng.uniform(0, 2 * np.pi), parts

    def cabinet(self) -> Piece:
        rng = self._rng
        w, d, h = rng.uniform(0.25, 1.0), rng.uniform(0.16, 0.32), rng.uniform(0.3, 1.05)
        colour, look = self._any_colour(), self._any_look()
        parts: list[Part] = [(0, 0, h, (w, d, h), colour, look)]
        doors = rng.integers(1, 4)
        size = (w / doors - 0.015, 0.008, h - 0.04)
        for i in range(doors):
            across = (2 * i + 1 - doors) * w / doors
            parts.append((across, -d - 0.008, h, size, colour * rng.uniform(0.8, 1.1), look))
        return *self._against_wall(d + 0.01, w), parts

    def bookshelf(self) -> Piece:
        rng = self._rng
        w, h, colour = rng.uniform(0.3, 0.8), rng.uniform(0.6, 1.05), self._any_colour()
        parts: list[Part] = [(0, 0.1, h, (w, 0.03, h), colour * 0.7, self._any_look())]
        parts += [(s * w, 0, h, (0.015, 0.14, h), colour, self._any_look()) for s in (-1, 1)]
        shelves = int(rng.integers(2, 5))
        for i in range(shelves):
            z = 2 * h * (i + 0.5) / shelves
            parts.append((0, 0, z - 0.12, (w, 0.14, 0.012), colour, {"scale": 0.02}))
            books = rng.uniform(0.3, 0.95) * w
            parts.append((books - w, 0.02, z, (books, 0.09, 0.1), np.ones(3), {"picture": True, "scale": 1.2}))
        return *self._against_wall(0.15, w), parts

    def picture(self) -> Piece:
        rng = self._rng
        w, h = rng.uniform(0.12, 0.5), rng.uniform(0.12, 0.4)
        z = rng.uniform(1.35, 1.7)
        frame = rng.choice([0.05, 0.4, 0.9]) * np.ones(3)
        parts: list[Part] = [
            (0, 0, z, (w + 0.02, 0.008, h + 0.02), frame, {"scale": 0.02}),
            (0, -0.01, z, (w, 0.008, h), np.ones(3), {"picture": True, "scale": 0.4 / max(w, h)}),
        ]
        return *self._against_wall(0.008, w), parts

    def curtain(self) -> Piece:
        w, h = self._rng.uniform(0.15, 0.5), self._half[2]
        place = self._against_wall(0.05, w)
        parts: list[Part] = [(0, 0, h, (w, 0.05, h - 0.04), self._any_colour(), self._any_look())]
        return *place, parts

    def put_rug(self) -> None:
        """A rug on the floor, which may lie under the camera."""
        rng = self._rng
        w, d = np.minimum(rng.uniform(0.5, 1.5, 2), self._half[:2] - 0.1)
        x, y = self._centre[:2] + rng.uniform(-0.6, 0.6, 2) * (self._half[:2] - (w, d))
        woven = rng.uniform() >= 0.25
        look: Look = {"material": "carpet"} if woven else {"picture": True, "scale": 0.5 / max(w, d)}
        tint = self._any_colour() if woven else np.ones(3)
        self._room.put(x, y, self._room.floor + 0.006, w, d, 0.008, 0, tint, **look)
