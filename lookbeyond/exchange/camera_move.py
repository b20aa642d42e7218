"""A camera move as exchanged between programs, and their axis conventions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera, PathError

FPS = 24.0
UNITS = {"m": 1.0, "cm": 100.0, "mm": 1000.0, "ft": 1 / 0.3048, "in": 1 / 0.0254}
"""Units per metre. Maya and Unreal use centimetres."""
FAR_M = 200.0
"""A longer move is probably in another unit."""
STILL_M = 1e-4

Z_UP_TO_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""Our world's axes to those of Maya, Nuke and glTF: (x, y, z) -> (x, z, -y)."""
Z_UP_TO_Y_DOWN = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""To those of After Effects and of captures: (x, y, z) -> (x, -z, y)."""


@dataclass(frozen=True)
class CameraMove:
    """Cameras in the world (Z up, metres), one a frame, all of one frame size. Raises `PathError` otherwise."""

    cameras: Sequence[Camera]
    fps: float = FPS
    first_frame: int = 1
    names: Sequence[str] = ()
    """The pictures' file names, one per camera, or none."""
    said: Sequence[str] = ()
    """Notes about the file that it was read from."""

    def __post_init__(self) -> None:
        if not self.cameras:
            raise PathError("the camera move has no frames; give at least one camera")
        sizes = {(camera.width, camera.height) for camera in self.cameras}
        if len(sizes) > 1:
            listed = ", ".join(f"{width} x {height}" for width, height in sorted(sizes))
            raise PathError(f"the camera move has frames of different sizes ({listed}); give one path for each size")
        if self.names and len(self.names) != len(self.cameras):
            raise PathError(f"there are {len(self.names)} file names for {len(self.cameras)} cameras; give one each")
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise PathError(f"the frame rate is {self.fps}; give frames a second above 0")

    @property
    def width(self) -> int:
        """Pixels."""
        return self.cameras[0].width

    @property
    def height(self) -> int:
        return self.cameras[0].height

    def file_names(self) -> list[str]:
        """The pictures' names; `frames/0001.png` and so on by default."""
        if self.names:
            return list(self.names)
        return [f"frames/{number:04d}.png" for number in range(self.first_frame, self.first_frame + len(self.cameras))]

    def span(self) -> float:
        """Length of the box's diagonal that holds all positions, metres."""
        positions = np.array([camera.position for camera in self.cameras])
        return float(np.linalg.norm(np.ptp(positions, axis=0)))

    def scaled(self, factor: float) -> "CameraMove":
        """Positions times `factor`."""
        poses = [camera.camera_to_world.copy() for camera in self.cameras]
        for pose in poses:
            pose[:3, 3] *= factor
        return replace(self, cameras=[reposed(c, pose) for c, pose in zip(self.cameras, poses, strict=True)])


def reposed(camera: Camera, pose: NDArray) -> Camera:
    """The camera at another pose [4, 4] (OpenCV axes)."""
    return Camera(camera.width, camera.height, camera.intrinsics, pose)


def turned(axes: NDArray, pose: NDArray) -> NDArray[np.float64]:
    """A pose [4, 4] in a world whose axes [3, 3] are turned; the camera's own axes stay."""
    result = np.eye(4)
    result[:3] = axes @ pose[:3]
    return result


def centred(camera: Camera) -> tuple[float, float]:
    """How far the axis lies from the frame's middle: to the right and down, pixels."""
    return camera.intrinsics[0, 2] - camera.width / 2, camera.intrinsics[1, 2] - camera.height / 2


def simple_intrinsics(width: int, height: int, fov_y_rad: float) -> NDArray[np.float64]:
    """Square pixels, a centred axis, and this vertical field of view."""
    focal = height / 2 / math.tan(fov_y_rad / 2)
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])


def fov_y(camera: Camera) -> float:
    """Vertical field of view of a centred frame of this focal length, radians."""
    return 2 * math.atan(camera.height / 2 / camera.intrinsics[1, 1])
