"""Two worlds that an opening joins: where the second one is in the first, and how a path goes from one to the other."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .cameras import Camera
from .layout import RoomLayout
from .opening import Opening
from .panorama import Beyond, Panorama

LINK_VERSION = 1
"""Version of the content of a link's file."""
MOST_GAIN = 4.0
"""Of the second world's light to fit the first one's: two stops either way."""
UPRIGHT = 1e-4


@dataclass(frozen=True, eq=False)
class Link:
    """How a second world is joined to a first one.

    Raises `ValueError` for a pose that is not upright, or a gain beyond `MOST_GAIN`.
    """

    opening: Opening
    """In the first world."""
    second_to_first: NDArray[np.float64]
    """[4, 4] rigid, metres: from the second world's frame into the first one's. Both stand upright, so it turns about
    the vertical only."""
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """So many times the second world's linear light, red, green and blue, is the first one's."""

    def __post_init__(self) -> None:
        pose = upright_pose(self.second_to_first)
        if len(self.gain) != 3 or not all(1 / MOST_GAIN <= gain <= MOST_GAIN for gain in self.gain):
            raise ValueError(f"a gain of {self.gain} is out of range; give 1/{MOST_GAIN:g} to {MOST_GAIN:g} each")
        pose.setflags(write=False)
        object.__setattr__(self, "second_to_first", pose)

    def placed(self, second: Panorama) -> Panorama:
        """The second world as it is in the first one's frame, in the first one's light."""
        plate = second.plate
        if plate is not None:
            plate = replace(plate, colour=self._in_first_light(plate.colour))
        lit = replace(second, colour=self._in_first_light(second.colour), plate=plate)
        return moved_panorama(lit, self.second_to_first)

    def joined(self, first: Panorama, second: Panorama) -> Panorama:
        """The first world with the second one beyond the opening."""
        return replace(first, beyond=Beyond(self.placed(second), self.opening))

    def _in_first_light(self, colour: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.gain == (1.0, 1.0, 1.0):
            return colour
        levels = np.arange(256) / 255
        linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        lit = np.clip(linear[:, None] * self.gain, 0, 1)
        shown = np.where(lit <= 0.0031308, lit * 12.92, 1.055 * lit ** (1 / 2.4) - 0.055)
        table = (shown * 255 + 0.5).astype(np.uint8)
        return np.stack([table[colour[..., channel], channel] for channel in range(3)], -1)

    def to_json_dict(self) -> dict[str, Any]:
        return {
            "version": LINK_VERSION,
            "opening": self.opening.to_json_dict(),
            "second_to_first": self.second_to_first.tolist(),
            "gain": list(self.gain),
        }

    @classmethod
    def from_json_dict(cls, values: Mapping[str, Any]) -> "Link":
        """The inverse of `to_json_dict`; `ValueError` for what it did not write."""
        try:
            if values["version"] != LINK_VERSION:
                raise ValueError(f"the link has version {values['version']}, not {LINK_VERSION}; link the worlds again")
            red, green, blue = (float(gain) for gain in values["gain"])
            pose = np.array(values["second_to_first"], np.float64)
            return cls(Opening.from_json_dict(values["opening"]), pose, (red, green, blue))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the link's description is not complete ({error})") from None


def upright_pose(values: ArrayLike) -> NDArray[np.float64]:
    """A second world's pose in a first one [4, 4]; `ValueError` for one that is not rigid, or not upright."""
    pose = np.array(values, np.float64)
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise ValueError("the second world's pose in the first is a matrix of 4 by 4 numbers")
    turn = pose[:3, :3]
    rigid = np.allclose(turn @ turn.T, np.eye(3), atol=UPRIGHT) and np.linalg.det(turn) > 0
    if not rigid or not np.allclose(pose[3], [0, 0, 0, 1], atol=UPRIGHT):
        raise ValueError("the second world's pose in the first is a turn and a shift, without scale or mirroring")
    if not np.allclose(turn[2], [0, 0, 1], atol=UPRIGHT):
        raise ValueError("two worlds are linked upright: the second one may be turned about the vertical only")
    return pose


def moved_panorama(panorama: Panorama, pose: NDArray[np.float64]) -> Panorama:
    """A panorama under an upright pose [4, 4] of its world; nothing is beyond it."""
    camera, layout = panorama.photo_camera, panorama.layout
    return replace(
        panorama,
        heading_rad=panorama.heading_rad + math.atan2(pose[1, 0], pose[0, 0]),
        origin=tuple((pose[:3, :3] @ panorama.position + pose[:3, 3]).tolist()),
        photo_camera=None if camera is None else moved_camera(camera, pose),
        layout=None if layout is None else _moved_layout(layout, pose),
        beyond=None,
    )


def moved_camera(camera: Camera, pose: NDArray[np.float64]) -> Camera:
    """A camera under a rigid transform [4, 4] of the world."""
    return replace(camera, camera_to_world=pose @ camera.camera_to_world)


def _moved_layout(layout: RoomLayout, pose: NDArray[np.float64]) -> RoomLayout:
    corners = layout.corners @ pose[:2, :2].T + pose[:2, 3]
    up = float(pose[2, 3])
    return RoomLayout(corners, layout.floor_z + up, layout.ceiling_z + up, layout.confidence)
