"""Things cut off by the photo's left or right border: they continue, in the plane of their wall, to an upright edge."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.layout import RoomLayout

from .faces import Face
from .surfaces import SeenFaces

MOST_M = 0.45
"""How far a thing goes on at most, in units of a room whose camera stands at 1.6 m."""
LEAST_RUN = 0.02
"""Share of the border that a cut thing must take up."""


@dataclass(frozen=True, eq=False)
class CutEdge:
    """One side border of the photo, from top to bottom, in the plane of the wall that it crosses."""

    face: Face
    outwards: int
    """1 where columns of the face grow away from the photo, -1 where they shrink."""
    down_m: NDArray[np.float32]
    """[n], increasing: along the face's `down`."""
    border_m: NDArray[np.float32]
    """[n]: the border, along the face's `across`."""
    end_m: NDArray[np.float32]
    """[n]: where what is cut there ends; equal to the border where nothing is cut."""
    colour: NDArray[np.float32]
    """[n, 3] 0..255."""
    nearness: NDArray[np.float32]
    """[n]: the thing's distance as a share of the wall plane's."""


def cut_edges(
    seen: SeenFaces,
    layout: RoomLayout,
    faces: list[Face],
    measured: NDArray[np.float32],
    unit: float,
) -> list[CutEdge]:
    """Both side borders of a photo, where they cross one wall. measured: as for `find_clean`."""
    edges = []
    rays_of_photo, photo = seen.picture.rays(), seen.picture.pixels
    height, width = seen.face.shape
    origin = seen.picture.position
    for column, inner in ((0, slice(1, 5)), (width - 1, slice(width - 5, width - 1))):
        labels = seen.face[:, column]
        walls = labels[labels < layout.floor_face]
        if walls.size < 0.2 * height:
            continue
        face = faces[int(np.bincount(walls).argmax())]
        rays = rays_of_photo[:, column]
        normal = np.cross(face.across, face.down)
        reach = ((face.corner - origin) @ normal) / (rays @ normal)
        if not ((reach > 0) & np.isfinite(reach)).all() or reach.max() > 20 * unit:
            continue  # the border looks along the wall, or past it
        points = (origin + rays * reach[:, None]).astype(np.float32)
        u, v = face.coordinates(points)
        # seen from inside, a wall's columns run to the right
        outwards = 1 if column else -1
        if np.any(np.diff(v) <= 0):
            continue
        cut = ~seen.clean[:, inner].any(1) & ((labels == face.number) | (labels == layout.floor_face))
        cut = cv2.morphologyEx(cut.astype(np.uint8)[:, None], cv2.MORPH_CLOSE, np.ones((9, 1), np.uint8))[:, 0] > 0
        end = u.copy()
        for first, last in runs(cut):
            if last - first < LEAST_RUN * height:
                continue
            tip = outwards * float((outwards * u[first:last]).max())
            end[first:last] = outwards * np.minimum(outwards * tip, outwards * u[first:last] + MOST_M * unit)
        nearness = np.clip(measured[:, inner].mean(1) / reach, 0.1, 1.0)
        nearness = np.where(seen.standing[:, inner].any(1), nearness, 1.0)
        colour = photo[:, inner].astype(np.float32).mean(1)
        edges.append(CutEdge(face, outwards, v, u, end, colour, nearness.astype(np.float32)))
    return edges


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    change = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(change[::2].tolist(), change[1::2].tolist(), strict=True))


def extend_cut(
    edges: list[CutEdge], origin: NDArray, heading_rad: float, colour: NDArray[np.uint8], distance: NDArray[np.float32]
) -> None:
    """Draw what goes on beyond the borders into a panorama's colour [H, W, 3] and distance [h, w], in place."""
    for image in (colour, distance):
        height, width = image.shape[:2]
        for edge in edges:
            if (edge.end_m == edge.border_m).all():
                continue
            window, points_u, points_v, along = _around(edge, origin, heading_rad, width, height)
            v = np.clip(points_v, edge.down_m[0], edge.down_m[-1])
            inside = (points_v >= edge.down_m[0]) & (points_v <= edge.down_m[-1]) & (along > 0)
            border, end = (np.interp(v, edge.down_m, values) for values in (edge.border_m, edge.end_m))
            # under the photo, too, so that its feathered border fades into the thing
            start = border - 0.15 * edge.outwards
            inside &= edge.outwards * (points_u - start) >= 0
            inside &= (edge.outwards * (end - points_u) >= 0) & (edge.outwards * (end - border) > 1e-4)
            target = image[window]
            if image.ndim == 3:
                made = np.stack([np.interp(v[inside], edge.down_m, edge.colour[:, band]) for band in range(3)], -1)
            else:
                made = np.minimum(target[inside], along[inside] * np.interp(v[inside], edge.down_m, edge.nearness))
            target[inside] = made
            image[window] = target


def _around(edge: CutEdge, origin: NDArray, heading_rad: float, width: int, height: int):
    """Rows and columns around an edge (open mesh), and where their rays meet the wall's plane."""
    face = edge.face
    ends = [
        face.corner + face.across * u + face.down * v - origin
        for u, v in zip(
            np.r_[edge.border_m[[0, -1]], edge.end_m[[0, -1]], edge.end_m.min(), edge.end_m.max()],
            np.r_[edge.down_m[[0, -1]], edge.down_m[[0, -1]], edge.down_m[[0, -1]]],
            strict=True,
        )
    ]
    azimuths = np.array([math.atan2(end[1], end[0]) for end in ends])
    middle = math.atan2(np.sin(azimuths).mean(), np.cos(azimuths).mean())
    spread = np.abs((azimuths - middle + math.pi) % (2 * math.pi) - math.pi).max() + 0.1
    centre = (0.5 - (middle - heading_rad) / (2 * math.pi)) * width
    half = math.ceil(spread / (2 * math.pi) * width) + 2
    columns = np.arange(math.floor(centre) - half, math.ceil(centre) + half + 1)
    if len(columns) > width:
        columns = np.arange(width)
    azimuth = heading_rad + (0.5 - (columns + 0.5) / width) * 2 * math.pi
    elevation = (0.5 - (np.arange(height) + 0.5) / height) * math.pi
    normal = np.cross(face.across, face.down)
    level = np.cos(elevation)[:, None]
    rays = np.stack(
        np.broadcast_arrays(level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)[:, None]), -1
    )
    facing = rays @ normal
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.where(np.abs(facing) > 1e-3, ((face.corner - origin) @ normal) / facing, -1.0)
    points = origin + rays * np.maximum(along, 0)[..., None] - face.corner
    return np.ix_(np.arange(height), columns % width), points @ face.across, points @ face.down, along
