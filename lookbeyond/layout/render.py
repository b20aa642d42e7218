"""A room's faces as a panorama: which face every pixel shows, how far it is, and its texture there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lookbeyond.geometry.layout import RoomLayout

from .faces import Face


@dataclass(frozen=True, eq=False)
class FaceMap:
    """What an equirectangular picture shows of a room from a point inside it."""

    face: NDArray[np.int16]
    """[h, w]"""
    distance: NDArray[np.float32]
    """[h, w], metres along the ray."""
    origin: NDArray[np.float64]
    azimuth: NDArray[np.float64]
    """[w] radians, of the columns."""
    tangent: NDArray[np.float64]
    """[h], of the rows' elevations."""
    reach: NDArray[np.float64]
    """[w] metres along the floor to the wall."""
    wall: NDArray[np.int16]
    """[w]: the wall of each column."""


def map_faces(layout: RoomLayout, origin: ArrayLike, width: int, heading_rad: float) -> FaceMap:
    """The faces of a panorama `width` wide. All rays of a column meet one wall: only the columns are cast."""
    origin = np.asarray(origin, np.float64)
    height = width // 2
    azimuth = heading_rad + (0.5 - (np.arange(width) + 0.5) / width) * 2 * math.pi
    elevation = (0.5 - (np.arange(height) + 0.5) / height) * math.pi
    level = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(width)], -1)
    reach, wall = layout.cast(origin, level)
    reach = reach.astype(np.float64)
    tangent = np.tan(elevation)
    rise = (tangent[:, None].astype(np.float32)) * reach.astype(np.float32)
    above, below = np.float32(layout.ceiling_z - origin[2]), np.float32(layout.floor_z - origin[2])
    face = np.broadcast_to(wall, rise.shape).copy()
    face[rise > above] = layout.ceiling_face
    face[rise < below] = layout.floor_face
    with np.errstate(divide="ignore"):
        bound = np.where(tangent > 0, above / tangent, below / np.minimum(tangent, -1e-12)).astype(np.float32)
    along = np.minimum(reach.astype(np.float32), bound[:, None])
    distance = along / np.cos(elevation)[:, None].astype(np.float32)
    return FaceMap(face, distance, origin, azimuth, tangent, reach, wall)


def render_faces(faces: Sequence[Face], textures: Sequence[NDArray], texel_m: float, view: FaceMap) -> NDArray:
    """The textures [rows, columns, C] of all faces as a panorama [h, w, C], bilinear."""
    height, width = view.face.shape
    result = np.zeros((height, width, *textures[0].shape[2:]), textures[0].dtype)
    cos, sin = np.cos(view.azimuth), np.sin(view.azimuth)
    for face, texture in zip(faces, textures, strict=True):
        shown = view.face == face.number
        rows = np.flatnonzero(shown.any(1))
        if not rows.size:
            continue
        first, last = rows[0], rows[-1] + 1
        origin = view.origin - face.corner
        tangent = view.tangent[first:last, None]
        if face.kind == "wall":
            columns = np.flatnonzero(view.wall == face.number)
            points = origin[:2] + view.reach[columns, None] * np.stack([cos[columns], sin[columns]], -1)
            u = np.broadcast_to(points @ face.across[:2], (last - first, len(columns)))
            v = -(origin[2] + tangent * view.reach[columns])
        else:
            columns = np.arange(width)
            with np.errstate(divide="ignore", invalid="ignore"):
                along = -origin[2] / tangent
            along = np.where(np.isfinite(along) & (along > 0), along, 0)
            u = origin @ face.across + along * (cos * face.across[0] + sin * face.across[1])
            v = origin @ face.down + along * (cos * face.down[0] + sin * face.down[1])
        mask = shown[first:last][:, columns]
        for start in range(0, len(columns), 8192):
            some = np.s_[:, start : start + 8192]
            maps = [(part[some] / texel_m - 0.5).astype(np.float32) for part in (u, v)]
            values = cv2.remap(texture, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            values = values.reshape(*maps[0].shape, *texture.shape[2:])
            target = result[first:last, columns[start] : columns[min(start + 8192, len(columns)) - 1] + 1]
            if target.shape[1] == maps[0].shape[1]:
                np.copyto(target, values, where=mask[some][(...,) + (None,) * (values.ndim - 2)])
            else:  # a wall that others hide in the middle, or that lies across the seam
                inside = np.nonzero(mask[some])
                result[inside[0] + first, columns[start + inside[1]]] = values[inside]
    return result


def soften_edges(image: NDArray[np.uint8], face: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Steps of whole pixels along the faces' edges, smoothed."""
    wrapped = np.concatenate([face[:, -1:], face, face[:, :1]], 1).astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    edge = (cv2.dilate(wrapped, kernel) != cv2.erode(wrapped, kernel))[:, 1:-1]
    edge = cv2.dilate(edge.astype(np.uint8), kernel) > 0
    rows = np.flatnonzero(edge.any(1))
    if not rows.size:
        return image
    result = image.copy()
    first, last = max(0, rows[0] - 4), rows[-1] + 5
    part = image[first:last]
    blurred = cv2.GaussianBlur(np.concatenate([part[:, -4:], part, part[:, :4]], 1), (0, 0), 1.0)[:, 4:-4]
    result[first:last][edge[first:last]] = blurred[edge[first:last]]
    return result
