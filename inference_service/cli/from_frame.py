"""A frame of a shot as the photo of a second world: its camera is known, and so is its height above the floor."""

from dataclasses import dataclass
from pathlib import Path

from inference_service.store.store import Store
from lookbeyond.errors import InputError
from lookbeyond.files import read_json
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.transforms import read_camera_path


@dataclass(frozen=True)
class TakenFrame:
    """Where a frame was taken."""

    camera: Camera
    """In the frame of the world that the shot was made in."""
    camera_height: float
    """Metres above that world's floor."""


def check_is_frame(frame: Path) -> None:
    """InputError for what is no frame of a shot."""
    if not frame.is_file() or not (frame.absolute().parent.parent / "transforms.json").is_file():
        raise InputError(f"{frame} is not a frame of a shot; give one such as SHOT/frames/0042.png.")


def taken_frame(frame: Path, store: Store, usual_height: float) -> TakenFrame:
    """Where a frame of a shot, SHOT/frames/0042.png, was taken.

    usual_height: of the first world's viewpoint, metres, where the store no longer has that world. InputError where the
    shot does not know the frame.
    """
    shot = frame.absolute().parent.parent
    name = f"{frame.absolute().parent.name}/{frame.name}"
    cameras = [each.camera for each in read_camera_path(shot / "transforms.json").frames if each.file_path == name]
    if len(cameras) != 1:
        raise InputError(f"{shot / 'transforms.json'} has no camera of {name}; give a frame as the shot has it.")
    height = float(cameras[0].position[2]) - _floor_z(shot, store, usual_height)
    if not 0.05 <= height <= 100:
        raise InputError(f"{frame} was taken {height:.2f} m above the floor; give one between 0.05 and 100 m.")
    return TakenFrame(cameras[0], round(height, 6))


def _floor_z(shot: Path, store: Store, usual_height: float) -> float:
    """Of the world that a shot was made in."""
    try:
        world = read_json(shot / "shot.json")["world"]["world.json"]
        about = read_json(store.read_file(str(world)))
        return float(about["origin"][2]) - float(about["camera_height"])
    except (InputError, OSError, KeyError, TypeError, ValueError):
        return -usual_height  # the command line's worlds are seen from z = 0
