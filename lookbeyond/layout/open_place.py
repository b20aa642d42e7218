"""Open places (a street, a courtyard, a garden): ground, sky and horizon are continued all around.

Nothing here comes from diffusion: the built-in weights know only rooms, and would add walls and a ceiling.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.layout import box_layout
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import equirectangular_directions

from .draw import DrawnPlace
from .faces import faces_of, sample
from .pattern import patterns_of, seen_pattern
from .picture import PhotoPicture
from .render import map_faces, render_faces
from .sky import segment_sky
from .surfaces import WORKING_WIDTH, FaceLight, SeenFaces, convolved, find_surface, lab

WIDTH = 1024
"""Of the panorama in which sky and horizon are made: neither has details."""
FAR_M, SKYLINE_M, TEXTURED_M, TEXEL_M, COARSE_M = 60.0, 25.0, 14.0, 0.016, 0.08
"""Distance of the sky; of what stands at the horizon beside the photo; side of the square of ground that has a pattern;
its texels, and those of its light; in units of a camera at 1.6 m."""
LOWEST_SKYLINE = 0.35
"""Share of its height beside the photo that what stands at the horizon keeps behind the camera."""
LEAST_GROUND = 0.25
"""Share of what lies below the horizon that must be one surface to be the ground."""


@dataclass(frozen=True, eq=False)
class OpenPlace:
    """What of an open place the photo shows, at working size."""

    picture: PhotoPicture
    sky: NDArray[np.bool_]
    """[h, w]"""
    ground: NDArray[np.bool_]
    """[h, w]"""


def understand(picture: PhotoPicture) -> OpenPlace:
    """Sky and ground of a photo at working size."""
    sky = segment_sky(picture)
    down = -picture.rays()[..., 2]
    below = (down > math.sin(math.radians(2.5))) & ~sky
    ground = np.zeros(sky.shape, bool)
    if below.sum() > 0.02 * below.size:
        smooth = cv2.bilateralFilter(lab(picture.pixels), 5, 12, 3)
        low = below & (down > np.quantile(down[below], 0.5))
        expected = np.median(smooth[low], 0)
        trust = np.clip(down / math.sin(math.radians(20)), 0.1, 1.5)
        _, ground = find_surface(smooth, below, trust, expected, "floor")
        if ground.sum() < LEAST_GROUND * below.sum():
            ground[:] = False  # a photo from a hill: what lies below the horizon is not ground to stand on
    return OpenPlace(picture, sky, ground)


def draw_open(picture: PhotoPicture, painted: Panorama, width: int | None = None) -> DrawnPlace:
    """Ground to the horizon, sky above, and the photo's horizon around; `width` pixels, or the painted panorama's."""
    width = int(width or painted.colour.shape[1])
    unit = painted.camera_height / 1.6
    small = picture.at_most(WORKING_WIDTH)
    place = understand(small)
    directions = equirectangular_directions(WIDTH, WIDTH // 2, painted.heading_rad)
    columns, rows, inside = small.locate(directions + painted.position.astype(np.float32))
    canvas = sample(lab(small.pixels), columns, rows)
    sky = inside & (sample(place.sky.astype(np.float32), columns, rows) > 0.5)
    ground = inside & (sample(place.ground.astype(np.float32), columns, rows) > 0.5)
    elevation = np.arcsin(np.clip(directions[..., 2], -1, 1))
    above = _sky_colour(canvas, sky, elevation)
    skyline, horizon = _horizon(canvas, inside, sky, ground, elevation, above)
    colour = np.where((elevation < skyline)[..., None], horizon, above)
    rgb = cv2.cvtColor(np.ascontiguousarray(colour, np.float32), cv2.COLOR_LAB2RGB) * 255
    rgb = cv2.resize(rgb, (width, width // 2), interpolation=cv2.INTER_LINEAR)
    _lay_ground(rgb, picture, painted, place, unit)
    distance = _distance(elevation, skyline, inside, sky, ground, unit)
    distance = cv2.resize(distance, painted.distance.shape[::-1], interpolation=cv2.INTER_NEAREST)
    bare = np.clip(rgb + 0.5, 0, 255).astype(np.uint8)
    known = cv2.resize((sky | ground).astype(np.float32), (width, width // 2), interpolation=cv2.INTER_LINEAR)
    plate = picture.placed(width, painted.heading_rad).over(rgb, only=known)
    plane = ground_distance(painted.camera_height, painted.distance.shape[1])
    return DrawnPlace(bare, distance, plate, np.maximum(plane, distance))


def ground_distance(camera_height: float, width: int) -> NDArray[np.float32]:
    """[width / 2, width] metres along the ray to the ground of an open place, and to its sky."""
    far = FAR_M * camera_height / 1.6
    elevation = (0.5 - (np.arange(width // 2) + 0.5) / (width // 2)) * math.pi
    plane = np.minimum(camera_height / np.maximum(np.sin(-elevation), camera_height / far), far)
    return np.broadcast_to(plane[:, None], (width // 2, width)).astype(np.float32)


def _sky_colour(canvas: NDArray, sky: NDArray, elevation: NDArray) -> NDArray[np.float32]:
    """[h, w, 3] Lab all over: the seen sky's gradient by elevation, and near the photo its own differences."""
    if sky.sum() < 50:
        grey = np.float32([88, -1, -4])
        return np.broadcast_to(grey, canvas.shape).copy()
    seen = elevation[sky]
    low, high = np.quantile(seen, [0.02, 0.98])
    # beyond what was seen the gradient goes on, but more and more slowly
    run = np.where(elevation > high, high + 0.35 * np.tanh(elevation - high), np.maximum(elevation, low - 0.02))
    terms = np.stack([np.ones_like(seen), seen], -1)
    slope, *_ = np.linalg.lstsq(terms, canvas[sky], rcond=None)
    middle = float(np.median(seen))
    change = np.float32([14, 4, 12])  # from the middle of what was seen, at most: clouds make any gradient
    smooth = slope[0] + middle * slope[1] + change * np.tanh((run - middle)[..., None] * slope[1] / change)
    rest = convolved(np.where(sky[..., None], canvas - smooth, 0), sky.astype(np.float32), 12)
    away = cv2.distanceTransform((~sky).astype(np.uint8), cv2.DIST_L2, 5) / canvas.shape[1] * 2 * math.pi
    result = smooth + rest * np.exp(-away / math.radians(25))[..., None]
    result[..., 0] = np.clip(result[..., 0], 5, 100)
    return result.astype(np.float32)


def _horizon(canvas, inside, sky, ground, elevation, above) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Elevation [1, w] up to which something stands at the horizon, and its colour [h, w, 3] Lab."""
    height, width = inside.shape
    seen = np.flatnonzero(inside[int(height * 0.5)] | inside.any(0))
    stands = inside & ~sky & ~ground & (elevation > math.radians(-3))
    top = np.where(stands, elevation, 0).max(0)
    top = cv2.blur(np.where(np.isin(np.arange(width), seen), top, 0)[None].astype(np.float32), (3, 1))[0]
    first, last = seen.min(), seen.max()
    span = last - first
    column = np.arange(width)
    # beside the photo its own columns in the mirror, from its nearer side
    to_left, to_right = (first - column) % width, (column - last) % width
    outside = ~((column >= first) & (column <= last))
    right = to_right <= to_left
    away = np.where(outside, np.minimum(to_left, to_right), 0)
    period = np.maximum(2 * span, 1)
    mirrored = np.abs((away + span) % period - span)
    source = np.where(outside, np.where(right, last - mirrored, first + mirrored), column)
    shrink = 1 - (1 - LOWEST_SKYLINE) * np.clip(away / (width / 3), 0, 1) ** 0.7
    # a second copy of the photo's house would catch the eye: away from the photo only masses are left
    masses = cv2.GaussianBlur(np.minimum(top, np.quantile(top[first : last + 1], 0.6))[None], (0, 0), width / 40)[0]
    single = np.clip(1 - away / (width / 30), 0, 1)
    skyline = ((masses[source] + (top[source] - masses[source]) * single) * shrink)[None]
    rows = (0.5 - elevation / (shrink * math.pi)) * height
    filled = np.where(inside[..., None], canvas, 0)
    weight = (inside & ~sky).astype(np.float32)
    levels = [convolved(filled, weight, sigma) for sigma in (0.6, 6.0, 24.0)]
    maps = np.broadcast_to(source[None].astype(np.float32), rows.shape), rows.astype(np.float32) - 0.5
    near, mid, far = (cv2.remap(level, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for level in levels)
    turn = np.clip(away / (width / 30), 0, 2)[None, :, None]
    colour = np.where(turn < 1, near + (mid - near) * turn, mid + (far - mid) * (turn - 1))
    haze = above[height // 2 - 2][None]
    share = 0.55 * (1 - np.exp(-away / (width / 5)))[None, :, None]
    return skyline.astype(np.float32), (colour + share * (haze - colour)).astype(np.float32)


def _lay_ground(rgb, picture: PhotoPicture, painted: Panorama, place: OpenPlace, unit: float) -> None:
    """The ground's colour and pattern into a panorama [H, W, 3] 0..255, in place."""
    origin, colours = painted.position, lab(place.picture.pixels)
    floor = float(origin[2] - painted.camera_height)
    square = box_layout(origin[:2], (TEXTURED_M * unit,) * 2, painted.heading_rad, floor, origin[2] + unit)
    face = faces_of(square)[square.floor_face]
    texel, coarse = TEXEL_M * unit, COARSE_M * unit
    number = np.where(place.ground, square.floor_face, -1).astype(np.int16)
    seen = SeenFaces(place.picture, number, place.ground, np.zeros_like(place.ground))
    points = face.points(coarse)
    columns, rows, inside = place.picture.locate(points)
    weights = np.dstack([colours * place.ground[..., None], place.ground.astype(np.float32)])
    taken = sample(cv2.GaussianBlur(weights, (0, 0), 1.5), columns, rows) * inside[..., None]
    cover = np.clip(2 * taken[..., 3] - 1, 0, 1)
    if place.ground.any():
        shown = taken[..., :3] / np.maximum(taken[..., 3:], 1e-3)
        everywhere = np.median(colours[place.ground], 0)
        colour = convolved(shown, cover + 1e-6, 0.5 * unit / coarse) if cover.sum() > 4 else 0 * shown + everywhere
    else:
        low = place.picture.rays()[..., 2] < 0
        everywhere = colours[low].mean(0) if low.sum() > 50 else np.float32([45, 0, 6])
        colour = np.broadcast_to(everywhere, points.shape).astype(np.float32)
    light = FaceLight(colour, colour, colour, np.ones(cover.shape, bool), cover, cover > 0.5)
    pattern = seen_pattern(face, light, picture, seen, texel, unit)
    pattern = patterns_of([face], [pattern], [light], texel, unit, painted.seed)[0]
    base = cv2.resize(colour, pattern.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    texture = np.clip(cv2.cvtColor(base, cv2.COLOR_LAB2RGB) * np.exp(pattern) * 255, 0, 255).astype(np.float32)
    width = rgb.shape[1]
    view = map_faces(square, origin, width, painted.heading_rad)
    drawn = render_faces([face], [texture], texel, view)
    tangent = np.maximum(-view.tangent, 1e-3)
    reach = painted.camera_height / tangent
    near = np.clip((0.48 * TEXTURED_M * unit - reach) / (0.18 * TEXTURED_M * unit), 0, 1)[:, None, None]
    far = cv2.cvtColor(np.float32([[everywhere]]), cv2.COLOR_LAB2RGB)[0, 0] * 255
    share = near * (view.face == square.floor_face)[..., None]
    # from the far end of the pattern on: one colour, which at the horizon becomes what stands there
    fade = np.clip((-np.arctan(view.tangent) - math.radians(0.5)) / math.radians(4), 0, 1)[:, None, None]
    below = (view.tangent < 0)[:, None, None]
    rgb[:] = np.where(below, rgb + fade * (far - rgb), rgb)
    rgb += np.where(below, share * (drawn - rgb), 0)


def _distance(elevation, skyline, inside, sky, ground, unit) -> NDArray[np.float32]:
    """[h, w] metres: the ground's plane, what stands on it upright from its foot, what stands at the horizon, sky."""
    height, width = inside.shape
    camera_height = 1.6 * unit
    with np.errstate(divide="ignore"):
        plane = np.where(elevation < 0, camera_height / np.sin(np.maximum(-elevation, 1e-4)), np.inf)
    # beside the photo things stand at one distance; in it, where their foot meets the ground
    reach = np.full(width, SKYLINE_M * unit)
    rows = np.arange(height)[:, None]
    foot = np.where(ground, rows, height).min(0)  # the uppermost ground in each column
    found = (foot < height) & (foot > height // 2)
    slope = np.tan((np.maximum(foot, height // 2 + 1) - height / 2) / height * math.pi)
    reach[found] = np.clip(camera_height / slope[found], unit, FAR_M * unit)
    reach = cv2.medianBlur(reach.astype(np.float32)[None].repeat(3, 0), 5)[1]
    upright = reach / np.cos(elevation)
    distance = np.where(elevation < skyline, np.minimum(plane, upright), FAR_M * unit)
    distance = np.where(inside & ~sky & ~ground, np.minimum(plane, upright), distance)
    distance = np.where(sky, FAR_M * unit, np.where(ground, plane, distance))
    return np.clip(distance, 0.05 * unit, FAR_M * unit).astype(np.float32)
