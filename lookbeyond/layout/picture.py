"""A picture of a place and where it shows a point of it: a photo, or a 360° picture."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.projection import equirectangular_directions

from .photo import PlacedPhoto

Located = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]
"""Columns and rows of points, and whether the picture shows them."""


@dataclass(frozen=True, eq=False)
class Picture(ABC):
    """What photos and 360° pictures have in common."""

    pixels: NDArray[np.uint8]
    """[h, w, 3], sRGB."""

    @property
    @abstractmethod
    def position(self) -> NDArray[np.float64]:
        """[3], world, metres: where it was taken."""

    @property
    @abstractmethod
    def pixel_rad(self) -> float:
        """Angle of a pixel near the picture's middle."""

    @abstractmethod
    def rays(self) -> NDArray[np.float64]:
        """[h, w, 3]: unit world directions of the pixels' centres."""

    @abstractmethod
    def locate(self, points: NDArray) -> Located:
        """Where the picture shows world points [..., 3]."""

    @abstractmethod
    def resized(self, width: int, height: int) -> Self:
        """The same picture of another size, averaged where that is smaller."""

    @abstractmethod
    def over(self, beneath: NDArray[np.uint8], share: NDArray[np.float32], heading_rad: float) -> NDArray[np.uint8]:
        """The picture blended over a panorama [H, 2H, 3] by `share` [H, 2H], 0..1."""

    @property
    def shown(self) -> NDArray[np.bool_]:
        """[h, w]: False where nothing is known of what it shows."""
        return np.ones(self.pixels.shape[:2], bool)

    def at_most(self, longest: int) -> Self:
        """The picture, its longer side at most so many pixels."""
        height, width = self.pixels.shape[:2]
        factor = min(1.0, longest / max(height, width))
        return self if factor == 1 else self.resized(max(1, round(width * factor)), max(1, round(height * factor)))

    def border_depth(self) -> NDArray[np.float32]:
        """[h, w]: pixels from each pixel to the border of what the picture shows."""
        depth = cv2.distanceTransform(np.pad(self.shown.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
        return np.asarray(depth, np.float32)


@dataclass(frozen=True, eq=False)
class PhotoPicture(Picture):
    """A photo; `camera` is its own, of its size."""

    camera: Camera
    known: NDArray[np.bool_] | None = None
    """[h, w]: False where the photo is transparent; None where it is known everywhere."""
    _placed: dict[tuple[int, float], PlacedPhoto] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, photo: NDArray[np.uint8], camera: Camera) -> Self:
        """Of a photo uint8 [h, w, 3], or [h, w, 4] whose last channel says what it knows; any camera of its shape."""
        height, width = photo.shape[:2]
        known = None if photo.shape[2] == 3 else photo[..., 3] == 255
        return cls(np.ascontiguousarray(photo[..., :3]), camera.resized(width, height), known)

    @property
    def shown(self) -> NDArray[np.bool_]:
        return super().shown if self.known is None else self.known

    @property
    def with_holes(self) -> NDArray[np.uint8]:
        """[h, w, 3], or with a fourth channel, 255 or 0, that says what is known."""
        if self.known is None:
            return self.pixels
        return np.dstack([self.pixels, np.where(self.known, np.uint8(255), np.uint8(0))])

    def placed(self, width: int, heading_rad: float) -> PlacedPhoto:
        """Where a panorama `width` pixels wide shows it; found once for a size."""
        key = width, heading_rad
        if key not in self._placed:
            self._placed[key] = PlacedPhoto.of(self.with_holes, self.camera, width, heading_rad)
        return self._placed[key]

    def over(self, beneath: NDArray[np.uint8], share: NDArray[np.float32], heading_rad: float) -> NDArray[np.uint8]:
        return self.placed(beneath.shape[1], heading_rad).over(beneath, only=share)

    @property
    def position(self) -> NDArray[np.float64]:
        return self.camera.position

    @property
    def pixel_rad(self) -> float:
        return 1 / float(self.camera.intrinsics[0, 0])

    def rays(self) -> NDArray[np.float64]:
        return self.camera.rays()

    def locate(self, points: NDArray) -> Located:
        local = (points - self.position.astype(np.float32)) @ self.camera.rotation.astype(np.float32)
        depth = np.where(local[..., 2] > 1e-3, local[..., 2], np.float32(np.nan))
        x, y = local[..., 0] / depth, local[..., 1] / depth
        k = self.camera.intrinsics
        with np.errstate(invalid="ignore"):
            columns = (k[0, 0] * x + k[0, 1] * y + k[0, 2]).astype(np.float32)
            rows = (k[1, 1] * y + k[1, 2]).astype(np.float32)
            inside = (columns > 0) & (columns < self.camera.width) & (rows > 0) & (rows < self.camera.height)
        columns, rows = np.nan_to_num(columns, nan=-1.0), np.nan_to_num(rows, nan=-1.0)
        if self.known is not None:
            inside[inside] = self.known[rows[inside].astype(int), columns[inside].astype(int)]
        return columns, rows, inside

    def resized(self, width: int, height: int) -> Self:
        known = None if self.known is None else _wholly(self.known, width, height)
        pixels = _averaged(self.pixels, width, height)
        return replace(self, pixels=pixels, camera=self.camera.resized(width, height), known=known)


@dataclass(frozen=True, eq=False)
class SpherePicture(Picture):
    """An equirectangular picture, twice as wide as high."""

    origin: tuple[float, float, float]
    heading_rad: float
    known: NDArray[np.bool_] | None = None
    """[h, w]: False where nobody saw the place; None where all of it was seen."""

    @property
    def shown(self) -> NDArray[np.bool_]:
        return super().shown if self.known is None else self.known

    def over(self, beneath: NDArray[np.uint8], share: NDArray[np.float32], heading_rad: float) -> NDArray[np.uint8]:
        """`beneath` is of its own size and heading."""
        mixed = beneath + share[..., None] * (self.pixels.astype(np.float32) - beneath)
        return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)

    @property
    def position(self) -> NDArray[np.float64]:
        return np.array(self.origin)

    @property
    def pixel_rad(self) -> float:
        return 2 * math.pi / self.pixels.shape[1]

    def rays(self) -> NDArray[np.float64]:
        height, width = self.pixels.shape[:2]
        return equirectangular_directions(width, height, self.heading_rad).astype(np.float64)

    def locate(self, points: NDArray) -> Located:
        height, width = self.pixels.shape[:2]
        x, y, z = np.moveaxis(points - self.position.astype(np.float32), -1, 0)
        turn = 0.5 + (self.heading_rad - np.arctan2(y, x)) / (2 * math.pi)
        columns = (turn - np.floor(turn)) * width
        rows = (0.5 - np.arctan2(z, np.hypot(x, y)) / math.pi) * height
        inside = np.ones(columns.shape, bool)
        if self.known is not None:
            inside = self.known[np.minimum(rows.astype(int), height - 1), np.minimum(columns.astype(int), width - 1)]
        return columns.astype(np.float32), rows.astype(np.float32), inside

    def resized(self, width: int, height: int) -> Self:
        known = None if self.known is None else _wholly(self.known, width, height)
        return replace(self, pixels=_averaged(self.pixels, width, height), known=known)

    def border_depth(self) -> NDArray[np.float32]:
        if self.known is None or self.known.all():
            return np.full(self.pixels.shape[:2], 1e6, np.float32)  # it has none
        width = self.known.shape[1]  # its left and right border are none, either
        depth = cv2.distanceTransform(np.tile(self.known, 3).astype(np.uint8), cv2.DIST_L2, 5)
        return np.asarray(depth[:, width : 2 * width], np.float32)


def _averaged(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _wholly(known: NDArray[np.bool_], width: int, height: int) -> NDArray[np.bool_]:
    """Which pixels of a smaller picture are known as a whole."""
    return cv2.resize(known.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0.999
