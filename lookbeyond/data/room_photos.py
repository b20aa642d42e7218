"""Photos of procedural rooms for learning layouts, with their ground truth: walls, ceiling, distance.

The rooms of `rooms` are boxes, and every wall of them is bare down to the floor. These begin as such rooms and are
then built over: blocks from floor to ceiling make L-shapes, alcoves, chimney breasts, columns and slanted corners;
counters, wardrobes and curtains hide the feet of walls; doors, skirting and cornices are put on. The photographer
stands anywhere, as often against a wall as in the middle, and may see one wall only, or no floor, or no ceiling.
One photo in twelve is of an open place: ground, sky, and blocks and bushes on the horizon.

Photo `seed` is always the same. `rooms.Rooms` is left as it is: other weights and figures depend on its draws.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lookbeyond.geometry.cameras import Camera, placed_camera

from .built_rooms import built_over, open_place
from .room_drawing import draw_room
from .rooms import HELD_OUT_SEED, Rooms

WALL_COLUMNS = 256
"""Directions around the photographer in which the wall's distance is given."""
RAYS = 15360
"""Approximate pixels of a photo: the same for each shape, so that one compiled ray caster serves all."""
OPEN_SHARE = 1 / 12
_STREAM = 14  # keeps these draws independent of those of `Rooms.from_seeds`
_ASPECTS = (3 / 2, 3 / 2, 4 / 3, 16 / 9, 1.0, 3 / 4, 2 / 3, 9 / 16)

__all__ = ["HELD_OUT_SEED", "RoomPhoto", "column_azimuths", "draw_photos", "trace_walls"]


@dataclass(frozen=True, eq=False)
class RoomPhoto:
    """A photo from the world's origin, heading 0, and the truth. Lengths in units of the camera's height."""

    photo: np.ndarray
    """uint8 [h, w, 3]"""
    camera: Camera
    distance: np.ndarray
    """float32 [h, w], along the ray."""
    walls: np.ndarray
    """float32 [WALL_COLUMNS], log of the level distance of the wall in the directions of `column_azimuths`."""
    wall: np.ndarray
    """uint8 [WALL_COLUMNS], which wall that is: neighbours that differ have a corner between them."""
    normals: np.ndarray
    """float32 [WALL_COLUMNS], direction of the wall's inward normal, radians from +X."""
    ceiling: float
    """log of the ceiling's height above the camera."""
    is_open: bool
    """An open place: `walls`, `wall`, `normals` and `ceiling` mean nothing."""


def column_azimuths(columns: int = WALL_COLUMNS) -> np.ndarray:
    """float64 [columns], radians: as an equirectangular panorama's, from +pi down to -pi, through the centres."""
    return math.pi * (1 - 2 * (np.arange(columns) + 0.5) / columns)


def trace_walls(shell: np.ndarray, blocks: np.ndarray, azimuths: np.ndarray) -> tuple[np.ndarray, ...]:
    """Distance, number and inward normal's direction (radians) of the walls seen from the origin, each [n].

    shell: [2, 2] centre and half size; blocks: [k, 5] centre, half size, yaw of what stands from floor to ceiling.
    """
    rays = np.stack([np.cos(azimuths), np.sin(azimuths)], -1)
    safe = np.where(np.abs(rays) < 1e-9, 1e-9, rays)
    reach = (shell[0] + np.sign(safe) * shell[1]) / safe
    axis = reach.argmin(1)
    distance = reach.min(1)
    positive = np.take_along_axis(safe, axis[:, None], 1)[:, 0] > 0
    number = axis * 2 + positive
    normal = np.where(axis == 0, 0.0, math.pi / 2) + np.where(positive, math.pi, 0.0)
    for k, (x, y, hx, hy, yaw) in enumerate(blocks):
        c, s = math.cos(yaw), math.sin(yaw)
        turn = np.array([[c, s], [-s, c]])
        origin, local = turn @ (-x, -y), rays @ turn.T
        local = np.where(np.abs(local) < 1e-9, 1e-9, local)
        near = (-origin - np.sign(local) * (hx, hy)) / local
        far = (-origin + np.sign(local) * (hx, hy)) / local
        side = near.argmax(1)
        t = near.max(1)
        hit = (t < far.min(1)) & (t > 0) & (t < distance)
        outward = np.where(np.take_along_axis(local, side[:, None], 1)[:, 0] > 0, math.pi, 0.0) + side * math.pi / 2
        face = 4 + 4 * k + 2 * side + (np.take_along_axis(local, side[:, None], 1)[:, 0] > 0)
        distance, number = np.where(hit, t, distance), np.where(hit, face, number)
        normal = np.where(hit, outward + yaw, normal)
    return distance, number, (normal + math.pi) % (2 * math.pi) - math.pi


@dataclass(frozen=True)
class _Site:
    """A room that the photographer stands in, and how they hold the camera."""

    room: dict[str, np.ndarray]
    shell: np.ndarray
    blocks: np.ndarray
    camera: Camera
    is_open: bool
    sky: np.ndarray
    """[2, 3] colour at the horizon and overhead, of open places."""


def draw_photos(seeds: Sequence[int], device: str = "cpu", as_drawn: bool = False, rays: int = RAYS) -> list[RoomPhoto]:
    """The photos of these seeds, rendered together, of about so many pixels.

    as_drawn: of the rooms of `rooms`, nothing built over them.
    """
    draw = _draw_site_as_drawn if as_drawn else _draw_site
    sites = [draw(np.random.default_rng((int(seed), _STREAM)), rays) for seed in seeds]
    rooms = Rooms.of([site.room for site in sites], device)
    wanted = np.zeros((len(sites), rays, 3), np.float32)
    wanted[..., 0] = 1
    for k, site in enumerate(sites):
        own = site.camera.rays().reshape(-1, 3)
        wanted[k, : len(own)] = own
    directions = torch.from_numpy(wanted).to(device)
    colours, distances = rooms.render(torch.zeros_like(directions), directions, 0.008)
    return [
        _as_photo(site, ray, colour.numpy(), distance.numpy())
        for site, ray, colour, distance in zip(sites, wanted, colours.cpu(), distances.cpu(), strict=True)
    ]


def _as_photo(site: _Site, rays: np.ndarray, colour: np.ndarray, distance: np.ndarray) -> RoomPhoto:
    height, width = site.camera.height, site.camera.width
    count = height * width
    rays, colour, distance = rays[:count], colour[:count], distance[:count]
    yaw, unit = float(site.room["yaw"]), float(site.room["camera_height"])
    level, number, normal = trace_walls(site.shell, site.blocks, column_azimuths() - yaw)
    above = float(site.room["shell"][0, 2] + site.room["shell"][1, 2])
    if site.is_open:
        floor = unit / np.maximum(-rays[:, 2], 1e-6)
        edge = distance > 0.98 * np.minimum(_level_reach(site, rays, yaw), floor)
        sky = edge & (distance < 0.98 * floor)
        up = np.clip(rays[:, 2:], 0, 1) ** 0.6
        colour = np.where(sky[:, None], (1 - up) * site.sky[0] + up * site.sky[1], colour)
        # distant things fade into haze
        haze = (1 - np.exp(-distance / 120))[:, None] * (~sky)[:, None]
        colour, distance = (1 - haze) * colour + haze * site.sky[0], np.where(sky, 1e4, distance)
    image = (colour.clip(0, 1) * 255).round().astype(np.uint8).reshape(height, width, 3)
    turned = (normal + yaw + math.pi) % (2 * math.pi) - math.pi
    return RoomPhoto(
        image,
        site.camera,
        (distance / unit).astype(np.float32).reshape(height, width),
        np.log(level / unit).astype(np.float32),
        number.astype(np.uint8),
        turned.astype(np.float32),
        math.log(above / unit),
        site.is_open,
    )


def _level_reach(site: _Site, rays: np.ndarray, yaw: float) -> np.ndarray:
    """Distance to the shell's walls or ceiling, along rays of the world."""
    level = np.maximum(np.hypot(rays[:, 0], rays[:, 1]), 1e-6)
    distance, *_ = trace_walls(site.shell, site.blocks[:0], np.arctan2(rays[:, 1], rays[:, 0]) - yaw)
    above = site.room["shell"][0, 2] + site.room["shell"][1, 2]
    return np.minimum(distance / level, above / np.maximum(rays[:, 2], 1e-6))


def _draw_site(rng: np.random.Generator, rays: int) -> _Site:
    is_open = rng.uniform() < OPEN_SHARE
    room, shell, blocks = open_place(rng) if is_open else built_over(rng)
    heading = _heading(rng, shell, blocks)
    room["yaw"] = np.array(-heading)
    long_side = math.radians(rng.uniform(40, 75) if rng.uniform() < 0.55 else rng.uniform(60, 100))
    aspect = float(rng.choice(_ASPECTS))
    tangent = math.tan(long_side / 2) * min(1.0, aspect)
    pitch = rng.normal(-3, 6.5) if rng.uniform() < 0.93 else rng.choice([-1, 1]) * rng.uniform(15, 35)
    width = int(math.sqrt(rays * aspect)) // 2 * 2
    camera = placed_camera(
        width,
        rays // width // 2 * 2,
        2 * math.atan(tangent),
        pitch_rad=math.radians(float(np.clip(pitch, -35, 35))),
        roll_rad=math.radians(rng.normal(0, 1.2)),
    )
    warm = np.array([1.0, rng.uniform(0.96, 1), rng.uniform(0.9, 1)])
    horizon = rng.uniform(0.65, 1.0) * warm
    overhead = horizon * (rng.uniform(0.3, 0.95), rng.uniform(0.5, 0.97), 1.0) * rng.uniform(0.8, 1.05)
    return _Site(room, shell, blocks, camera, is_open, np.stack([horizon, overhead]).clip(0, 1))


def _draw_site_as_drawn(rng: np.random.Generator, rays: int) -> _Site:
    """A room of `rooms` from the place that it was laid around: many of these photos show one wall close up."""
    room = draw_room(rng)
    shell, blocks = room["shell"][:, :2], np.zeros((0, 5))
    room["yaw"] = np.array(-_heading(rng, shell, blocks))
    aspect = float(rng.choice(_ASPECTS[:4]))
    width = int(math.sqrt(rays * aspect)) // 2 * 2
    camera = placed_camera(
        width,
        rays // width // 2 * 2,
        math.radians(rng.uniform(55, 100)),
        pitch_rad=math.radians(rng.uniform(-14, 12)),
        roll_rad=math.radians(rng.uniform(-4, 4)),
    )
    return _Site(room, shell, blocks, camera, False, np.zeros((2, 3)))


def _heading(rng: np.random.Generator, shell: np.ndarray, blocks: np.ndarray) -> float:
    """Where they look, in the room's frame: mostly where it is open, often straight at a wall."""
    kind = rng.uniform()
    if kind < 0.12:
        return rng.uniform(-math.pi, math.pi)
    azimuths = column_azimuths(64)
    distance, *_ = trace_walls(shell, blocks, azimuths)
    chance = distance**1.3
    chosen = float(rng.choice(azimuths, p=chance / chance.sum()) + rng.uniform(-0.05, 0.05))
    if kind < 0.35:
        return round(chosen / (math.pi / 2)) * math.pi / 2 + rng.normal(0, 0.03)
    return chosen
