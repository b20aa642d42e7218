"""Draws a room: its surfaces in the unseen part, its planes where the photo shows it."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.layout import RoomLayout
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import equirectangular_directions

from .cut import cut_edges, extend_cut
from .faces import Face, faces_of, sample
from .front import draw_fronts, draw_shadow, find_fronts, find_shadow
from .pattern import patterns_of, seen_pattern
from .picture import Picture, SpherePicture
from .render import FaceMap, map_faces, render_faces, soften_edges
from .surfaces import COARSE_M, WORKING_WIDTH, FaceLight, apart_from_face, find_clean, lab, light_of_faces
from .things import box, draw_thing, find_things

TEXEL_M = 0.008
"""Texels of patterns, in units of a room whose camera stands at 1.6 m."""
MOST_TEXELS = 4_000_000
"""Of all faces; larger rooms have larger texels."""
SKIRTING_M = 0.07
SHADE_FADES_M = 0.5
"""Way from what the photo shows of a face over which the shade near other faces comes in."""
THROUGH = 1.12
"""Share of the layout's distance from which on a measured one lies behind its plane."""
RENDERED_WIDTH = 2048
"""Narrower panoramas are drawn at this width and averaged."""


@dataclass(frozen=True, eq=False)
class DrawnPlace:
    """A place in all directions, equirectangular."""

    colour: NDArray[np.uint8]
    """[H, W, 3]: its surfaces, and things in the unseen part; not the photo."""
    distance: NDArray[np.float32]
    """[h, w] metres along the ray, with what stands before the surfaces in the photo."""
    plate: NDArray[np.uint8]
    """[H, W, 3]: the surfaces alone, as the photo shows them where it does."""
    plate_distance: NDArray[np.float32]
    """[h, w] metres along the ray."""


def draw_room(
    picture: Picture,
    painted: Panorama,
    layout: RoomLayout,
    *,
    width: int | None = None,
    measured: NDArray[np.float32] | None = None,
    things: NDArray[np.float32] | None = None,
    dressed: bool = True,
) -> DrawnPlace:
    """Draws a room with a picture's surfaces, in the light that diffusion painted.

    painted: what diffusion made of the picture (or the picture itself, where that is a panorama); its seed tells what
    is drawn by chance. width: of what is drawn, pixels; None: the painted panorama's.
    measured: [h', w'] metres along the picture's rays, which tells what stands before the walls;
    the painted panorama's own distance where it is not given. things: [h', w'] 0..1, how likely each of the picture's
    pixels shows something that stands in the room. dressed: with doors, windows and pictures where
    diffusion painted them.
    """
    width = int(width or painted.colour.shape[1])
    unit = (painted.origin[2] - layout.floor_z) / 1.6
    faces = faces_of(layout)
    texel = max(TEXEL_M * unit, math.sqrt(sum(face.width_m * face.height_m for face in faces) / MOST_TEXELS))
    coarse = COARSE_M * unit * max(1.0, texel / (TEXEL_M * unit))
    small = picture.at_most(WORKING_WIDTH * (2 if isinstance(picture, SpherePicture) else 1))
    size = small.pixels.shape[1::-1]
    if measured is None:
        measured = painted.distance_at(small.rays())
    else:
        measured = np.exp(cv2.resize(np.log(measured), size, interpolation=cv2.INTER_LINEAR))
    if things is not None:
        things = np.asarray(cv2.resize(things, size, interpolation=cv2.INTER_LINEAR), np.float32)
    seen = find_clean(small, layout, faces, measured, _believed_colours(painted, layout), things)
    lights = light_of_faces(faces, layout, painted, seen, coarse, unit)
    shown = [seen_pattern(face, light, picture, seen, texel, unit) for face, light in zip(faces, lights, strict=True)]
    patterns = patterns_of(faces, shown, lights, texel, unit, painted.seed)
    view = map_faces(layout, painted.position, max(width, RENDERED_WIDTH), painted.heading_rad)
    textures = [
        _texture(face, light, pattern, _Grain(texel / unit, coarse / unit, _pixel_m(face, view) / unit), dressed)
        for face, light, pattern in zip(faces, lights, patterns, strict=True)
    ]
    colour = soften_edges(render_faces(faces, textures, texel, view), view.face)
    if view.face.shape[1] != width:
        colour = cv2.resize(colour, (width, width // 2), interpolation=cv2.INTER_AREA)
    distance = map_faces(layout, painted.position, painted.distance.shape[1], painted.heading_rad).distance
    standing = _on_sphere(seen.standing, small, painted) > 0.5
    own = _on_sphere(measured, small, painted)
    apart = _on_sphere(apart_from_face(seen), small, painted)
    before = np.log(distance / np.clip(own, 0.05 * unit, distance))
    furnished = np.where(standing, distance * np.exp(-apart * before), distance).astype(np.float32)
    bare = cv2.GaussianBlur(seen.bare.astype(np.float32), (0, 0), 1.5)
    bare = cv2.resize(_on_sphere(bare, small, painted), (width, width // 2), interpolation=cv2.INTER_LINEAR)
    plate = picture.over(colour, bare, painted.heading_rad)
    if isinstance(picture, SpherePicture):
        open_ = _openings(own, distance) & (own > 0)
        furnished, distance = np.where(open_, own, furnished), np.where(open_, own, distance)
        share = cv2.resize(open_.astype(np.float32), (width, width // 2), interpolation=cv2.INTER_LINEAR)
        plate = picture.over(plate, share, painted.heading_rad)
    else:
        edges = cut_edges(seen, layout, faces, measured, unit)
        shadow = find_shadow(seen, layout)
        if shadow is not None:
            draw_shadow(shadow, painted.heading_rad, colour, unit)
        extend_cut(edges, painted.position, painted.heading_rad, colour, furnished)
        draw_fronts(find_fronts(seen, layout, measured, unit), painted.heading_rad, colour, furnished, unit)
    return DrawnPlace(colour, furnished, plate, distance)


def _openings(measured: NDArray, planes: NDArray) -> NDArray[np.bool_]:
    """Where one looks through doors and windows, which the wall's plane must not close."""
    return cv2.dilate((measured > THROUGH * planes).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0


def _on_sphere(values: NDArray, picture: Picture, painted: Panorama) -> NDArray[np.float32]:
    """Values [h, w] of a picture's pixels where the panorama's distance map shows them; 0 outside."""
    height, width = painted.distance.shape
    directions = equirectangular_directions(width, height, painted.heading_rad)
    columns, rows, inside = picture.locate(directions + painted.position.astype(np.float32))
    return np.where(inside, sample(values.astype(np.float32), columns, rows), np.float32(0))


def _believed_colours(painted: Panorama, layout: RoomLayout) -> list[NDArray]:
    """By face, the median colour [3] in Lab of what nobody saw of it; walls are taken together."""
    small = painted.shrunk(512)
    view = map_faces(layout, painted.position, small.colour.shape[1], painted.heading_rad)
    colours, hidden = lab(small.colour), small.from_photo == 0
    walls = view.face < layout.floor_face

    def median(mask: NDArray) -> NDArray:
        return np.median(colours[mask if mask.any() else np.ones_like(mask)], 0)

    wall = median(walls & hidden)
    flat = [median((view.face == number) & hidden) for number in (layout.floor_face, layout.ceiling_face)]
    return [wall] * layout.floor_face + flat


@dataclass(frozen=True)
class _Grain:
    """Sizes on a face, metres of a room whose camera stands at 1.6 m."""

    texel_m: float
    """Of its pattern."""
    coarse_m: float
    """Of its light."""
    pixel_m: float
    """Of the panorama, on the face: what is finer would come out as dashes."""


def _pixel_m(face: Face, view: FaceMap) -> float:
    """The middle width of the panorama's pixels on a wall, metres; 0 on other faces, which have nothing fine drawn."""
    if face.kind != "wall":
        return 0.0
    shown = view.distance[view.face == face.number]
    return float(np.median(shown)) * 2 * math.pi / view.face.shape[1] if shown.size else 0.0


def _texture(face: Face, light: FaceLight, pattern: NDArray, grain: _Grain, dressed: bool) -> NDArray[np.uint8]:
    """A face's colours [rows, columns, 3]; with the things that stand at a wall, if it is dressed."""
    rows, columns = pattern.shape[:2]
    base = cv2.resize(light.colour, (columns, rows), interpolation=cv2.INTER_CUBIC)
    colour = cv2.cvtColor(base, cv2.COLOR_LAB2RGB) * np.exp(pattern)
    u, v = (np.arange(columns) + 0.5) * grain.texel_m, (np.arange(rows) + 0.5) * grain.texel_m
    side = np.minimum(u, u[::-1])[None]
    top, bottom = v[:, None], v[::-1, None]
    if face.kind == "wall":
        shade = _contact(side) * _contact(top) * _contact(bottom)
    else:
        shade = _contact(side) * _contact(np.minimum(top, bottom))
    away_m = cv2.distanceTransform((light.seen < 0.5).astype(np.uint8), cv2.DIST_L2, 5) * grain.coarse_m
    # the photo has its own shade: beginning at once where it ends, this one would show its border
    fading = cv2.resize(1 - np.exp(-away_m / SHADE_FADES_M), (columns, rows), interpolation=cv2.INTER_LINEAR)
    colour *= (1 + fading * (shade / shade.mean() - 1))[..., None]
    if face.kind == "wall":
        unseen = 1 - cv2.resize(light.seen, (columns, rows), interpolation=cv2.INTER_LINEAR)
        board, softness_m = _board_colour(colour, unseen), 1.5 * max(grain.texel_m, grain.pixel_m)
        bare = colour.mean(-1, keepdims=True)
        _draw_skirting(colour, unseen, board, bottom, softness_m)
        for thing in find_things(face, light, grain.coarse_m) if dressed else ():
            draw_thing(colour, bare, thing, grain.texel_m, softness_m, board)
    return np.clip(colour * 255 + 0.5, 0, 255).astype(np.uint8)


def _contact(away_m: NDArray) -> NDArray:
    """How much light is left so near to another face."""
    return 1 - 0.10 * np.exp(-away_m / 0.1) - 0.06 * np.exp(-away_m / 0.5)


def _board_colour(colour: NDArray, unseen: NDArray) -> NDArray:
    """Of a wall's skirting and frames: its own light, greyer and lighter."""
    mean = colour[unseen > 0.5].mean(0) if (unseen > 0.5).any() else colour.mean((0, 1))
    grey = mean.mean() + 0.4 * (mean - mean.mean())
    return grey + 0.35 * (1 - grey)


def _draw_skirting(colour: NDArray, unseen: NDArray, board: NDArray, high_m: NDArray, softness_m: float) -> None:
    """A board along a wall's foot, with a thin shadow above and below; high_m: [rows, 1] above the floor."""
    first = len(colour) - np.count_nonzero(high_m < SKIRTING_M + 2 * softness_m + 0.02)
    if first < 2:
        return
    strip, share, high_m = colour[first:], unseen[first:, :, None], high_m[first:, :, None]
    light = strip.mean(-1, keepdims=True)
    drawn = board * np.clip(light / max(float(light.mean()), 1e-3), 0.5, 1.5)
    strip += share**2 * box(high_m, -1.0, SKIRTING_M, softness_m) * (drawn - strip)
    strip *= 1 - 0.15 * share * box(high_m, SKIRTING_M, SKIRTING_M + 0.008, 2 * softness_m)
    strip *= 1 - 0.35 * share * box(high_m, -1.0, 0.008, softness_m)
