"""Figures of the layout: how far the walls are, column by column, and where they meet the floor.

Walls are judged bare, whatever stands before them; whether the gate would have let the room through is a figure of its
own. In panoramas without a true distance, the feet of walls that were marked by hand are compared as angles.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lookbeyond.data.panoramas import read_picture
from lookbeyond.data.room_photos import column_azimuths, trace_walls
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.layout import RoomLayout
from lookbeyond.geometry.projection import extract_perspective, sample_equirectangular
from lookbeyond.layout.fit import LayoutFit, fit_layout
from lookbeyond.models.layout_network import LayoutNetwork

from . import metrics
from .scenes import Scene

LEAST_COLUMNS = 12
"""Marked columns that a photo must show for its floor line to be judged."""


def true_walls(scene: Scene) -> np.ndarray:
    """Level distance of the bare walls of a room in the directions of `column_azimuths`, metres."""
    assert scene.room is not None
    shell = scene.room.shell[0].cpu().numpy()
    return trace_walls(shell[:, :2], np.zeros((0, 5)), column_azimuths() - float(scene.room.yaw[0]))[0]


def walls_of(layout: RoomLayout) -> np.ndarray:
    """The same of a layout, from the origin."""
    azimuths = column_azimuths()
    level = np.stack([np.cos(azimuths), np.sin(azimuths), 0 * azimuths], -1)
    tall = RoomLayout(layout.corners, layout.floor_z - 1e4, layout.ceiling_z + 1e4)
    return tall.cast((0, 0, 0), level)[0].astype(float)


def walls_in_distance(distance: np.ndarray) -> np.ndarray:
    """The walls that a distance map [H, 2H] shows: the median level distance from the horizon to 20° above it."""
    azimuths, elevations = column_azimuths(), np.radians(np.arange(0, 21, 2))
    level = np.cos(elevations)[:, None]
    up = np.sin(elevations)[:, None] + 0 * azimuths
    rays = np.stack([level * np.cos(azimuths), level * np.sin(azimuths), up], -1)
    return np.median(sample_equirectangular(distance, rays) * level, 0)


def columns_in_photo(camera: Camera) -> np.ndarray:
    """bool [256]: the directions that the photo shows somewhere."""
    rays = camera.resized(96, 96).rays()
    azimuth = np.arctan2(rays[..., 1], rays[..., 0])
    column = np.floor((0.5 - azimuth / (2 * math.pi)) * 256).astype(int) % 256
    return np.bincount(column.ravel(), minlength=256) > 0


def judge_walls(scene: Scene, fit: LayoutFit, distance: np.ndarray) -> dict[str, dict[str, float]]:
    """metric -> method -> value, for a room; distance [H, 2H] metres: the panorama's own, without a layout."""
    truth, shown = true_walls(scene), columns_in_photo(scene.camera)
    network = np.exp(fit.walls.astype(float))
    walls = {
        "ours": network if fit.candidate is None else walls_of(fit.candidate),
        "network": network,
        "panorama's distance": walls_in_distance(distance),
    }
    figures: dict[str, dict[str, float]] = {}
    for where, mask in (("seen", shown), ("hidden", ~shown)):
        figures[f"walls, {where} AbsRel"] = {name: metrics.absrel(found, truth, mask) for name, found in walls.items()}
    figures["room: sure"] = {"ours": float(fit.place.kind == "room")}
    assert scene.distance is not None and fit.distance_camera is not None
    rays = fit.distance_camera.rays()
    true_inside = sample_equirectangular(scene.distance, rays)
    inside = {"ours": fit.distance_inside, "panorama's distance": sample_equirectangular(distance, rays)}
    everywhere = np.ones(true_inside.shape, bool)
    for name, metric in (("AbsRel", metrics.absrel), ("δ<1.25", metrics.delta)):
        figures[f"inside the photo {name}"] = {
            method: metric(found, true_inside, everywhere) for method, found in inside.items()
        }
    return figures


def read_wall_bases(path: Path) -> dict[str, list[np.ndarray]]:
    """Name of a panorama -> polylines [n, 2] of (u, v), fractions of its width and height.

    Raises InputError for another file.
    """
    try:
        marked = json.loads(path.read_text("utf-8"))
        return {
            name: [np.array(line, float).reshape(-1, 2) for line in lines]
            for name, lines in marked.items()
            if name != "about"
        }
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path} holds no marked wall bases ({error}); give a file as the tests have one") from error


def judge_floor_lines(
    folder: Path, bases: dict[str, list[np.ndarray]], network: LayoutNetwork, photos: int = 8
) -> Iterator[tuple[str, dict[str, float]]]:
    """Of photos around the marked panoramas in a folder: a name, and method -> the floor line's error in degrees.

    "network" are its bare walls. Photos that show too little of what was marked are left out.
    """
    for path in sorted(path for path in folder.iterdir() if path.stem in bases):
        picture = read_picture(path)
        for photo in range(photos):
            heading = 2 * math.pi * photo / photos
            pitch = math.radians((-8, 0, -14, 4)[photo % 4])
            camera = placed_camera(640, 480, math.radians(78), heading_rad=heading, pitch_rad=pitch)
            fit = fit_layout(extract_perspective(picture, camera), camera, 1.6, network)
            walls = {"network": np.exp(fit.walls.astype(float))}
            walls |= {} if fit.candidate is None else {"ours": walls_of(fit.candidate)}
            errors = {name: floor_line(values / 1.6, camera, bases[path.stem], 0.0) for name, values in walls.items()}
            if np.isfinite(errors["network"]):
                yield f"{path.stem} {photo + 1}", errors | {"sure": float(fit.place.kind == "room")}


def floor_line(walls: np.ndarray, camera: Camera, marked: list[np.ndarray], heading_rad: float) -> float:
    """Mean angle, degrees, between the feet of walls [256] and the marked ones, where the photo shows these.

    walls: level distances in units of the camera's height; heading_rad: azimuth in the same world of
    the marked panorama's middle column. NaN where too little is shown.
    """
    azimuths = column_azimuths()
    u = np.mod(0.5 - (azimuths - heading_rad) / (2 * math.pi), 1.0)
    feet = np.full(len(u), np.nan)
    for line in marked:
        order = np.argsort(line[:, 0])
        within = (u >= line[order[0], 0]) & (u <= line[order[-1], 0])
        feet[within] = np.interp(u[within], line[order, 0], line[order, 1])
    elevation = math.pi * (0.5 - feet)
    rays = np.stack([np.cos(elevation) * np.cos(azimuths), np.cos(elevation) * np.sin(azimuths), np.sin(elevation)], -1)
    pixels, depth = camera.project(camera.position + np.nan_to_num(rays))
    with np.errstate(invalid="ignore"):
        shown = np.isfinite(elevation) & (depth > 0) & (pixels > 0).all(1)
        shown &= (pixels < (camera.width, camera.height)).all(1)
    if shown.sum() < LEAST_COLUMNS:
        return float("nan")
    own = np.arctan(-1 / walls)
    return float(np.degrees(np.abs(own - elevation)[shown]).mean())
