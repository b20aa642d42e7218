"""A camera move, planned from what it is for."""

from pathlib import Path

import msgspec

from inference_service.store.store import Store
from inference_service.work.inputs import read_world
from inference_service.work.pipeline import Callback, Pipelines
from inference_service.work.unit import ShotUnit
from lookbeyond.errors import InputError
from lookbeyond.exchange.camera_move import CameraMove
from lookbeyond.exchange.cameras_json import write_transforms_move
from lookbeyond.files import write_json
from lookbeyond.geometry.cameras import Camera
from lookbeyond.planning.goals import EndOn, FromTo, Goal, MoveSettings, ShowRoom, SpeedLimits

MOVE_FILE = "move.json"
MOVE_VERSION = 1
PLACES = {"show-room": (0,), "go-to": (2,), "end-on": (3,)}
"""How many numbers each goal's target has."""


class PlanMove(ShotUnit, tag="move", frozen=True, kw_only=True):
    """Files: transforms.json, for `lookbeyond shot`; move.json: the curve, the way along it, and what is looked at."""

    title = "Camera Move"
    unasked = ("revision", "beyond")
    not_hashed = ("preset", "revision")  # no model takes part in it

    goal: str
    start: tuple[float, ...]
    target: tuple[float, ...]
    lens: Camera
    clearance: float
    doubt: float
    speed: float
    turn: float
    jerk: float
    fps: float
    frames: int
    """As in `MoveRequest`."""

    @property
    def weight(self) -> float:
        return 0.2

    @property
    def outputs(self) -> dict[str, str]:
        return {name: name for name in (MOVE_FILE, "transforms.json")}

    def check(self) -> None:
        """Raises InputError for a goal or a setting that no world allows."""
        _ = goal_of(self), self.settings

    @property
    def settings(self) -> MoveSettings:
        """Raises InputError for impossible settings."""
        return MoveSettings(
            self.clearance, self.doubt, SpeedLimits(self.speed, self.turn, self.jerk), self.fps, self.frames
        )

    def run(self, store: Store, output: Path, pipelines: Pipelines, callback: Callback) -> None:
        from lookbeyond.planning.plan import plan_move  # SciPy and scikit-image, which the service does without

        callback(0.0, "Planning the camera move", None)
        move = plan_move(read_world(self.world, store), goal_of(self), self.lens, self.settings)
        write_transforms_move(output / "transforms.json", CameraMove(move.cameras, self.fps))
        about = {
            "version": MOVE_VERSION,
            "fps": self.fps,
            "curve": move.curve.round(6).tolist(),
            "way": move.way.round(6).tolist(),
            "targets": move.targets.round(6).tolist(),
            "said": move.said(self.fps),
        }
        write_json(output / MOVE_FILE, msgspec.to_builtins(about))


def goal_of(unit: PlanMove) -> Goal:
    """The goal of a move. Raises InputError for an unknown goal."""
    if unit.goal not in PLACES:
        raise InputError(f"A camera move cannot be for {unit.goal!r}; choose {', '.join(PLACES)}.")
    if (
        len(unit.target) not in PLACES[unit.goal]
        or len(unit.start) not in (0, 2)
        or (unit.start and unit.goal != "go-to")
    ):
        raise InputError(
            "A camera move goes to a place (x, y), perhaps from another, or ends on a point (x, y, z); give these "
            "numbers."
        )
    if unit.goal == "go-to":
        return FromTo((unit.target[0], unit.target[1]), (unit.start[0], unit.start[1]) if unit.start else None)
    return EndOn((unit.target[0], unit.target[1], unit.target[2])) if unit.goal == "end-on" else ShowRoom()
