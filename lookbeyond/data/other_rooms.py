"""Rooms of kinds that no network was trained on: corridors, halls with columns, open plans, attics.

They are drawn with the surfaces and the furniture of `room_drawing`, but their shells have other proportions or sloping
ceilings, and things stand in them that no room of training has.
"""

from typing import Literal, get_args

import numpy as np

from .room_drawing import BOXES, RoomDrawing
from .rooms import HELD_OUT_SEED, Rooms

OtherKind = Literal["corridor", "columns", "open plan", "attic"]
OTHER_KINDS: tuple[OtherKind, ...] = get_args(OtherKind)


class _OtherRoom(RoomDrawing):
    """A room whose shell is redrawn after the usual one."""

    def __init__(self, rng: np.random.Generator, kind: OtherKind):
        super().__init__(rng)
        self.kind = kind
        low, high = {
            "corridor": ((4.5, 0.6, 1.15), (8.0, 0.95, 1.5)),
            "columns": ((5.0, 4.0, 1.7), (8.0, 6.0, 2.6)),
            "open plan": ((5.0, 4.0, 1.2), (8.5, 7.0, 1.7)),
            "attic": ((2.5, 1.8, 1.2), (4.5, 2.8, 1.5)),
        }[kind]
        self.half = rng.uniform(low, high)
        self.camera_height = min(rng.uniform(1.3, 1.8), 2 * self.half[2] - 0.5)
        self.centre = rng.uniform(-0.6, 0.6, 3) * (self.half - 0.5)
        self.centre[2] = self.half[2] - self.camera_height
        self.floor = -self.camera_height
        if kind == "attic":
            self._put_slopes()

    def _put_slopes(self) -> None:
        """A roof over both long walls; between the slopes a strip of the ceiling is left."""
        knee, strip = self.rng.uniform(0.6, 1.2), self.rng.uniform(0.15, 0.6)
        run, rise = self.half[1] - strip, 2 * self.half[2] - knee
        normal = np.array([rise, -run]) / np.hypot(rise, run)
        # whoever takes a photo there stands where they can stand upright
        upright = self.half[1] - run * max(0.0, self.camera_height + 0.35 - knee) / rise
        self.centre[1] = self.rng.uniform(-1, 1) * max(0.0, upright - 0.2)
        for slope, side in zip(self.slopes, (-1.0, 1.0), strict=True):
            wall, top_of_wall = self.centre[1] + side * self.half[1], self.floor + knee
            across, up = -side * normal[0], normal[1]
            slope[:] = 0.0, across, up, -(across * wall + up * top_of_wall)

    def _draw_opening(self, k: int, taken: list[list[tuple[float, float]]]) -> None:
        lights = self.next_light
        super()._draw_opening(k, taken)
        if self.kind == "attic" and self.openings[k, 0] in (2, 3):  # the roof would cut it
            self.openings[k, 0] = -1
            self.lights[lights:], self.next_light = 0, lights

    def _draw_lamp(self) -> np.ndarray:
        glow = super()._draw_lamp()
        if self.kind == "attic":
            self.ellipsoids[0, 1] = self.lights[0, 1] = self.centre[1]
        return glow

    def _furnish(self) -> None:
        if self.kind == "columns":
            self._put_columns()
        elif self.kind == "open plan":
            self._put_partitions()
        if self.kind != "corridor":
            super()._furnish()

    def _put_columns(self) -> None:
        half = self.rng.uniform(0.12, 0.28)
        tint, look = self.paint_colour * self.rng.uniform(0.8, 1.0), self.any_look()
        for across in (-0.45, 0.45):
            for along in np.linspace(-0.8, 0.8, 4):
                x, y = self.centre[:2] + np.array([along, across]) * self.half[:2]
                if np.hypot(x, y) > 1.0:  # nobody photographs a column from beside it
                    self.put(x, y, self.centre[2], half, half, self.half[2], 0.0, tint, **look)

    def _put_partitions(self) -> None:
        for _ in range(int(self.rng.integers(2, 5))):
            x, y = self.centre[:2] + self.rng.uniform(-0.8, 0.8, 2) * self.half[:2]
            length, height = self.rng.uniform(0.8, 1.8), self.rng.uniform(0.5, 0.9) * self.half[2]
            yaw = float(self.rng.choice([0.0, np.pi / 2]))
            if np.hypot(x, y) > length + 0.6:
                self.put(x, y, self.floor + height, length, 0.05, height, yaw, self.paint_colour, **self.any_look())


def other_room(kind: OtherKind, seed: int) -> Rooms:
    """Room number `seed` of a kind, a batch of one."""
    rng = np.random.default_rng([HELD_OUT_SEED + seed, OTHER_KINDS.index(kind)])
    drawn = _OtherRoom(rng, kind).draw()
    assert len(drawn["boxes"]) == BOXES
    return Rooms.of([drawn])
