"""Cameras: intrinsics, poses, and the conversions to and from Blender.

World: right-handed, Z up, metres. Camera axes: OpenCV (x right, y down, z forward). Pixel coordinates are
continuous; the centre of the top left pixel is (0.5, 0.5), the frame spans [0, width] x [0, height].
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_SIZE = 16384
"""Largest width and height of a camera's frame, in pixels."""

MAX_INTRINSIC = 1e7
"""Largest number among a camera's intrinsics, in pixels: a frame of 16384 pixels that spans a tenth of a degree."""
MIN_FOCAL = 1e-3
"""Shortest focal length, in pixels."""
MAX_METRES = 1e6
"""Farthest from the world's origin that a camera may stand, along an axis."""

LEVEL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Rotation of a level camera that looks along +X: columns are its right, down and forward in the world."""

_FLIP_YZ = np.diag([1.0, -1.0, -1.0, 1.0])
_ROTATION_TOLERANCE = 1e-4


class CameraError(ValueError):
    """An impossible camera: the message says what is wrong with it and what to do."""


class PathError(ValueError):
    """A camera path that cannot be read or followed: the message names the frame and the remedy."""


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera. Two cameras are equal if every number agrees when rounded to 1e-6.

    Raises `CameraError` for a size outside 1..16384, numbers that are not finite, a focal length that is not
    positive, or a pose that is not a rotation and a translation.
    """

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    intrinsics: NDArray[np.float64]
    """[3, 3], pixels: [[fx, skew, cx], [0, fy, cy], [0, 0, 1]]."""
    camera_to_world: NDArray[np.float64]
    """[4, 4], OpenCV axes, metres."""

    def __post_init__(self) -> None:
        self._set_frame(self.width, self.height, self.intrinsics)
        object.__setattr__(self, "camera_to_world", _checked_pose(self.camera_to_world))

    def _set_frame(self, width: int, height: int, intrinsics: NDArray[np.float64]) -> None:
        for name, size in (("width", width), ("height", height)):
            if not 1 <= size <= MAX_SIZE or int(size) != size:  # NaN is not within
                raise CameraError(f"the camera's {name} is {_said(size)}; give a whole number from 1 to {MAX_SIZE}")
            object.__setattr__(self, name, int(size))
        intrinsics = _frozen(intrinsics, (3, 3), "intrinsics")
        numbers = intrinsics.ravel().tolist()
        focal = min(numbers[0], numbers[4])
        if focal <= 0:
            raise CameraError("the camera's focal length is not positive; give fx and fy above 0 pixels")
        if max(map(abs, numbers)) > MAX_INTRINSIC or focal < MIN_FOCAL:
            raise CameraError(
                f"the camera's intrinsics are beyond any lens; give focal lengths from {MIN_FOCAL:g} pixels and no "
                f"number over {MAX_INTRINSIC:g}"
            )
        if numbers[3] or numbers[6:] != [0, 0, 1]:
            raise CameraError("the camera's intrinsics are not [[fx, s, cx], [0, fy, cy], [0, 0, 1]]")
        object.__setattr__(self, "intrinsics", intrinsics)

    @classmethod
    def from_blender(cls, matrix_world: ArrayLike, intrinsics: ArrayLike, width: int, height: int) -> "Camera":
        """Camera of a Blender object: `matrix_world` [4, 4] (OpenGL axes), `blender_intrinsics` [3, 3].

        The object's scale is taken out, as Blender does itself when it renders.
        """
        matrix = np.array(matrix_world, np.float64)
        if matrix.shape != (4, 4):
            raise CameraError(f"matrix_world has shape {matrix.shape}; give 4 x 4 numbers")
        lengths = np.linalg.norm(matrix[:3, :3], axis=0)
        if not lengths.all():
            raise CameraError("the camera object's scale is 0; clear its scale (Alt+S)")
        matrix[:3, :3] /= lengths
        return cls(width, height, intrinsics, opengl_to_opencv(matrix))

    @property
    def position(self) -> NDArray[np.float64]:
        """[3], metres, world."""
        return self.camera_to_world[:3, 3]

    @property
    def rotation(self) -> NDArray[np.float64]:
        """[3, 3], camera to world: columns are the camera's right, down and forward in the world."""
        return self.camera_to_world[:3, :3]

    @property
    def forward(self) -> NDArray[np.float64]:
        """[3], unit direction of the optical axis in the world."""
        return self.camera_to_world[:3, 2]

    @property
    def fov_x(self) -> float:
        """Horizontal angle that the frame spans, radians (a shifted lens included)."""
        focal, centre = self.intrinsics[0, 0], self.intrinsics[0, 2]
        return math.atan(centre / focal) + math.atan((self.width - centre) / focal)

    def project(self, points: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixels [..., 2] and depth [...] (along z, metres) of world points [..., 3].

        Points at or behind the camera have no pixel: NaN.
        """
        local = (np.asarray(points, np.float64) - self.position) @ self.rotation
        depth = local[..., 2]
        safe = np.where(depth > 0, depth, np.nan)
        pixels = (local / safe[..., None]) @ self.intrinsics.T
        return pixels[..., :2], depth

    def rays(self) -> NDArray[np.float64]:
        """Unit directions [height, width, 3] in the world through the pixel centres."""
        columns = np.arange(self.width) + 0.5
        rows = np.arange(self.height)[:, None] + 0.5
        to_world = self.rotation @ np.linalg.inv(self.intrinsics)
        directions = columns[:, None] * to_world[:, 0] + rows[..., None] * to_world[:, 1] + to_world[:, 2]
        return directions / np.linalg.norm(directions, axis=-1, keepdims=True)

    def rays_at(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Unit directions [..., 3] in the world through pixel coordinates [..., 2]."""
        pixels = np.asarray(pixels, np.float64)
        to_world = self.rotation @ np.linalg.inv(self.intrinsics)
        directions = pixels @ to_world[:, :2].T + to_world[:, 2]
        return directions / np.linalg.norm(directions, axis=-1, keepdims=True)

    def placed(
        self,
        heading_rad: float = 0.0,
        pitch_rad: float = 0.0,
        roll_rad: float = 0.0,
        position: ArrayLike = (0.0, 0.0, 0.0),
    ) -> "Camera":
        """The same lens by its heading, pitch, roll (radians) and position (metres).

        Heading counts counter-clockwise from +X seen from above, positive pitch looks up, positive roll turns the
        camera clockwise as seen from behind it.
        """
        pose = np.eye(4)
        pose[:3, :3] = (
            _rotation_about(2, heading_rad) @ LEVEL @ _rotation_about(0, pitch_rad) @ _rotation_about(2, roll_rad)
        )
        pose[:3, 3] = position
        return Camera(self.width, self.height, self.intrinsics, pose)

    def resized(self, width: int, height: int) -> "Camera":
        """The same frame at another resolution."""
        return self.scaled(width, height, width / self.width, height / self.height)

    def scaled(self, width: int, height: int, across: float, down: float) -> "Camera":
        """A frame of another size from the same top left corner on, with so many times as many pixels to a length."""
        camera = object.__new__(Camera)
        camera._set_frame(width, height, np.array([[across], [down], [1.0]]) * self.intrinsics)
        object.__setattr__(camera, "camera_to_world", self.camera_to_world)  # it was checked
        return camera

    @cached_property
    def key(self) -> tuple[float, ...]:
        """What the camera is compared and hashed by: size, intrinsics and pose rounded to 1e-6, no -0."""
        numbers = np.concatenate([self.intrinsics.ravel(), self.camera_to_world.ravel()])
        return (self.width, self.height, *(numbers.round(6) + 0.0).tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Camera) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def to_dict(self) -> dict[str, Any]:
        """JSON value: {"width", "height", "intrinsics": 3 lists, "camera_to_world": 4 lists, OpenCV axes}."""
        return {
            "width": self.width,
            "height": self.height,
            "intrinsics": self.intrinsics.tolist(),
            "camera_to_world": self.camera_to_world.tolist(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Camera":
        """The inverse of `to_dict`; `CameraError` for anything else."""
        try:
            return cls(values["width"], values["height"], values["intrinsics"], values["camera_to_world"])
        except KeyError as error:
            raise CameraError(f"the camera has no {error}; give width, height, intrinsics, camera_to_world") from None
        except TypeError:
            raise CameraError("the camera is not a dictionary of numbers; give what Camera.to_dict() makes") from None


def placed_camera(
    width: int,
    height: int,
    fov_x_rad: float,
    *,
    heading_rad: float = 0.0,
    pitch_rad: float = 0.0,
    roll_rad: float = 0.0,
    position: ArrayLike = (0.0, 0.0, 0.0),
) -> Camera:
    """Camera with square pixels and a centred axis whose frame is `fov_x_rad` wide (0 < fov < pi), and its place.

    The place is as in `Camera.placed`. Raises `CameraError`.
    """
    if not 0 < fov_x_rad < math.pi:
        raise CameraError(
            f"a field of view of {math.degrees(fov_x_rad):g} degrees is impossible; give 1 to 179 degrees"
        )
    focal = width / 2 / math.tan(fov_x_rad / 2)
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return Camera(width, height, intrinsics, np.eye(4)).placed(heading_rad, pitch_rad, roll_rad, position)


def heading_pitch_roll(camera: Camera) -> tuple[float, float, float]:
    """Heading, pitch, roll in radians: the inverse of `Camera.placed`.

    A camera that looks straight up or down has no heading of its own: its roll is then called 0.
    """
    right, down, forward = camera.rotation.T
    pitch = math.atan2(forward[2], math.hypot(forward[0], forward[1]))
    if math.hypot(forward[0], forward[1]) < 1e-9:
        return math.atan2(right[0], -right[1]), pitch, 0.0
    return math.atan2(forward[1], forward[0]), pitch, math.atan2(-right[2], -down[2])


def rotation_angle(first: ArrayLike, second: ArrayLike) -> float:
    """Angle between two rotations [3, 3], radians in [0, pi]; by atan2, exact for small angles too."""
    relative = np.asarray(first, np.float64).T @ np.asarray(second, np.float64)
    axis = relative - relative.T
    sine = math.sqrt(axis[2, 1] ** 2 + axis[0, 2] ** 2 + axis[1, 0] ** 2)
    return math.atan2(sine, float(np.trace(relative)) - 1)


def opengl_to_opencv(camera_to_world: ArrayLike) -> NDArray[np.float64]:
    """Pose [..., 4, 4] with OpenGL (Blender) camera axes, x right, y up, z backward -> with OpenCV axes."""
    return np.asarray(camera_to_world, np.float64) @ _FLIP_YZ


def opencv_to_opengl(camera_to_world: ArrayLike) -> NDArray[np.float64]:
    """The inverse of `opengl_to_opencv` (and the same flip)."""
    return opengl_to_opencv(camera_to_world)


def blender_intrinsics(
    lens_mm: float,
    sensor_width_mm: float,
    sensor_height_mm: float,
    sensor_fit: str,
    shift_x: float,
    shift_y: float,
    width: int,
    height: int,
    pixel_aspect_x: float = 1.0,
    pixel_aspect_y: float = 1.0,
) -> NDArray[np.float64]:
    """Intrinsics [3, 3] in pixels of a perspective Blender camera, from the properties of the same names.

    `sensor_fit` is 'AUTO', 'HORIZONTAL' or 'VERTICAL'. The sensor spans the fitted side of the frame (AUTO:
    the longer one, in square units, and always with the sensor's *width*), and shifts are fractions of that
    side. `width` and `height` are the rendered pixels. Raises `CameraError`.
    """
    if sensor_fit not in ("AUTO", "HORIZONTAL", "VERTICAL"):
        raise CameraError(f"sensor fit {sensor_fit!r} is unknown; give 'AUTO', 'HORIZONTAL' or 'VERTICAL'")
    aspect = pixel_aspect_y / pixel_aspect_x
    horizontal = sensor_fit == "HORIZONTAL" or (sensor_fit == "AUTO" and width >= aspect * height)
    side = width if horizontal else aspect * height
    sensor = sensor_height_mm if sensor_fit == "VERTICAL" else sensor_width_mm
    focal = lens_mm / sensor * side
    return np.array(
        [
            [focal, 0.0, width / 2 - shift_x * side],
            [0.0, focal / aspect, height / 2 + shift_y * side / aspect],
            [0.0, 0.0, 1.0],
        ]
    )


def _rotation_about(axis: int, angle_rad: float) -> NDArray[np.float64]:
    """Right-handed rotation [3, 3] about coordinate axis 0, 1 or 2."""
    following, last = (axis + 1) % 3, (axis + 2) % 3
    rotation = np.eye(3)
    rotation[following, following] = rotation[last, last] = math.cos(angle_rad)
    rotation[last, following] = math.sin(angle_rad)
    rotation[following, last] = -math.sin(angle_rad)
    return rotation


def _said(value: object) -> str:
    """A number for a message; Python itself refuses to print integers of thousands of digits."""
    try:
        return f"{value:.6g}" if isinstance(value, float) else str(value)[:40]
    except ValueError:
        return "far too large"


def _checked_pose(camera_to_world: ArrayLike) -> NDArray[np.float64]:
    """A read-only copy of a pose [4, 4]; CameraError if it is none."""
    pose = _frozen(camera_to_world, (4, 4), "camera_to_world")
    if np.abs(pose).max() > MAX_METRES:
        raise CameraError(f"the camera's pose holds numbers over {MAX_METRES:g}; give metres nearer to the photo")
    rotation = pose[:3, :3]
    if (
        np.abs(rotation.T @ rotation - np.eye(3)).max() > _ROTATION_TOLERANCE
        or np.linalg.det(rotation) < 0
        or np.abs(pose[3] - (0, 0, 0, 1)).max() > 1e-5
    ):
        raise CameraError(
            "the camera's pose is not a rotation and a translation; free it of scale, shear and mirroring"
        )
    return pose


def _frozen(values: ArrayLike, shape: tuple[int, ...], name: str) -> NDArray[np.float64]:
    """A read-only float64 copy of the right shape, every number finite."""
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise CameraError(f"the camera's {name} is not made of numbers; give {shape} numbers") from None
    if array.shape != shape:
        raise CameraError(f"the camera's {name} has shape {array.shape}; give {shape}")
    if not np.isfinite(array).all():
        raise CameraError(f"the camera's {name} holds NaN or infinity; give finite numbers")
    array.flags.writeable = False
    return array
