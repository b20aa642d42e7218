"""Rooms of kinds that no network was trained on: corridors, halls with columns, open plans.

They are drawn with the surfaces and the furniture of `room_drawing`, but their shells have other proportions and things
stand in them that no room of training has. Sloping ceilings cannot be drawn: the caster knows upright boxes only.
"""

from typing import Literal, get_args

import numpy as np

from .room_drawing import BOXES, RoomDrawing
from .rooms import HELD_OUT_SEED, Rooms

OtherKind = Literal["corridor", "columns", "open plan"]
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
        }[kind]
        self.half = rng.uniform(low, high)
        self.camera_height = min(rng.uniform(1.3, 1.8), 2 * self.half[2] - 0.5)
        self.centre = rng.uniform(-0.6, 0.6, 3) * (self.half - 0.5)
        self.centre[2] = self.half[2] - self.camera_height
        self.floor = -self.camera_height

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
