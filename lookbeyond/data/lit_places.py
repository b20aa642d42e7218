"""Procedural places whose radiance is known: what `rooms` clips at white goes on to that of lamps, windows and sun.

Rooms. The renderer's shading has no sources, only what they would do to the surfaces. So the sources get the radiance
that keeps the books of a closed room: where surfaces of mean albedo rho have the mean radiance L, the light that falls
on them is L / rho, and what does not come from surfaces, L / rho - L, comes from lamps and windows: so much they give
in the mean of all directions. rho is drawn from `ALBEDO`, the lamps' part of it, too, and each source then strays from
its share by `SPREAD_STOPS`, since no room is evenly lit; `BRIGHTEST` bounds them. A globe comes to some 100 times a
white wall, a window to some 20 times, as one measures them (a lit globe 2 000 cd/m² beside walls of 20; a window 4 000
beside 200). Beside the ceiling's lamp there may be standing ones, panels and rows of downlights; windows have bars.

Open places. Skies of CIE S 011 (clear, hazy, overcast) with clouds drawn over them and a sun whose normal illuminance
is up to 8 times the sky's, less when it is low or behind haze; the ground is lit by both. Before some skies there is
foliage. Or night, with lamps.

Everything is seen through a lens that spreads a few per cent of the light (`_through_a_lens`).

Radiance is in units of a white surface in the place's usual light.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch

from lookbeyond.light.sources import solid_angles
from lookbeyond.photo.exposure import LUMINANCE

from .built_rooms import built_over, open_place
from .room_drawing import ELLIPSOIDS, FACES, FIRST_BALL, FIRST_BOX, LIGHTS, OPENINGS, draw_room
from .rooms import Rooms, equirectangular_rays
from .textures import fractal_noise

_STREAM = 21  # keeps these draws apart from those of other modules
OPEN_SHARE = 0.4
ALBEDO = 0.12, 0.5
"""Mean of a furnished room's surfaces, least and most: low where things hide light and doors let it out."""
BRIGHTEST = {"lamp": 4000.0, "window": 150.0}
"""In units of a white surface in the room's light."""
_NOWHERE = (0, 0, -1000.0, 0.01, 0.01, 0.01, 0)
SPREAD_STOPS = 1.0
_OUTDOORS = 1.6
"""What the renderer gives the sky outside of windows."""

PlaceKind = Literal["room", "open"]


@dataclass(frozen=True, eq=False)
class LitPlace:
    """A place seen from one point, in all directions."""

    kind: PlaceKind
    radiance: np.ndarray
    """float32 [H, 2H, 3], linear, the heading of column W / 2 is +X."""
    camera_height: float
    """Metres above the floor."""


def draw_lit_places(seeds: Sequence[int], height: int = 256) -> list[LitPlace]:
    """The places of these seeds; each is the same whatever it is drawn with."""
    return [
        _draw_open(rng, height) if rng.uniform() < OPEN_SHARE else _draw_room(rng, height)
        for rng in (np.random.default_rng((int(seed), _STREAM)) for seed in seeds)
    ]


def _rendered(room: dict[str, np.ndarray], height: int) -> tuple[np.ndarray, np.ndarray]:
    """Linear light [H, 2H, 3] and surfaces [H, 2H] around the origin."""
    rays = equirectangular_rays(height, 2 * height)[None]
    light, surface = Rooms.of([room]).radiance(torch.zeros_like(rays), rays, math.pi / height)
    return light[0].numpy().reshape(height, 2 * height, 3), surface[0].numpy().reshape(height, 2 * height)


# --- rooms ------------------------------------------------------------------------------------------------


def _draw_room(rng: np.random.Generator, height: int) -> LitPlace:
    room = built_over(rng)[0] if rng.uniform() < 0.5 else draw_room(rng)
    lamps = _lamps(rng, room)
    _put_bars(rng, room)
    light, surface = _rendered(room, height)
    annex = surface // FACES - 1
    window = np.isin(annex, np.flatnonzero(room["outdoors"] > 0)) & (surface < FIRST_BOX)
    lit = [number for number, _ in lamps if (surface == number).any()]
    angles = np.broadcast_to(solid_angles(height), surface.shape)
    glowing = np.isin(surface, [number for number, _ in lamps])
    rest = angles * ~(window | glowing)
    surfaces = float((rest * (light @ LUMINANCE)).sum() / rest.sum())
    wanted = 4 * math.pi * surfaces * (1 / rng.uniform(*ALBEDO) - 1)
    lamp_share = rng.uniform(0, 1) if lit and window.any() else float(bool(lit))
    radiance = light.copy()
    value = lamp_share * wanted / max(float(angles[glowing].sum()), 1e-3)
    for number in lit:
        of, tint = surface == number, room["surfaces"][number, 2:5]
        own = min(value * 2 ** rng.normal(0, SPREAD_STOPS), BRIGHTEST["lamp"])
        radiance[of] = own * tint / (tint @ LUMINANCE) if lamp_share > 0.02 else light[of]
    value = (1 - lamp_share) * wanted / max(float(angles[window].sum()), 1e-2)
    for k in range(OPENINGS):
        of = (annex == k) & window
        # at night there is a little light outside
        own = np.clip(value * 2 ** rng.normal(0, SPREAD_STOPS), 0.02 * surfaces, BRIGHTEST["window"])
        radiance[of] = light[of] / _OUTDOORS * own * rng.uniform((0.9, 1, 0.9), (1, 1, 1.25))
    return LitPlace("room", _through_a_lens(rng, radiance), float(room["camera_height"]))


def _put_bars(rng: np.random.Generator, room: dict[str, np.ndarray]) -> None:
    """Bars in some of the windows, while there are boxes left."""
    centre, half = room["shell"]
    frame = (0, 0.02, *np.full(3, rng.uniform(0.3, 0.9)), 0, 0)
    for (face, along, reach, bottom, top), out in zip(room["openings"], room["outdoors"], strict=True):
        if face < 0 or not out or rng.uniform() < 0.4:
            continue
        axis, sign = int(face) // 2, 1 if face % 2 else -1
        columns, rows = int(rng.integers(1, 5)), int(rng.integers(0, 3))
        bars = [
            (along - reach + 2 * reach * (i + 1) / (columns + 1), (bottom + top) / 2, 0.02, (top - bottom) / 2)
            for i in range(columns)
        ]
        bars += [(along, bottom + (top - bottom) * (i + 1) / (rows + 1), reach, 0.02) for i in range(rows)]
        for place, z, wide, tall in bars:
            free = np.flatnonzero(room["boxes"][:, 2] < -100)
            if not len(free):
                return
            middle, size = np.empty(2), np.empty(2)
            middle[axis], middle[1 - axis] = centre[axis] + sign * half[axis], place
            size[axis], size[1 - axis] = 0.03, wide
            room["boxes"][free[0]] = *middle, z, *size, tall, 0.0
            room["surfaces"][FIRST_BOX + free[0]] = frame


def _lamps(rng: np.random.Generator, room: dict[str, np.ndarray]) -> list[tuple[int, float]]:
    """The surfaces that glow, some of them put into the room here, and their areas in m²."""
    surfaces, found = room["surfaces"], []
    (centre, half) = room["shell"]
    glow = surfaces[FIRST_BALL, 2:5].clip(0.5, 1)

    def globe(k: int) -> None:
        a, b, c = room["ellipsoids"][k, 3:]
        surfaces[FIRST_BALL + k, 2:6] = *(glow * rng.uniform(0.9, 1)), 1.5
        found.append(
            (FIRST_BALL + k, 4 * math.pi * (((a * b) ** 1.6 + (a * c) ** 1.6 + (b * c) ** 1.6) / 3) ** (1 / 1.6))
        )

    if room["ellipsoids"][0, 2] > -100 and rng.uniform() < 0.55:
        globe(0)
    for k in range(1, ELLIPSOIDS):
        if room["ellipsoids"][k, 2] > -100 and rng.uniform() < 0.3:
            globe(k)
    if rng.uniform() < 0.2:  # a room with little furniture, and many lamps
        room["boxes"][rng.integers(4) :, :] = _NOWHERE
    free = np.flatnonzero(room["boxes"][:, 2] < -100)
    if rng.uniform() < 0.6 and len(free):
        side = rng.uniform(0.03, 0.09) if rng.uniform() < 0.5 else rng.uniform(0.15, 0.35)
        size = np.array([side, side if rng.uniform() < 0.6 else min(4 * side, 0.7)])
        places = rng.uniform(-0.8, 0.8, (int(rng.integers(1, 9)), 2))
        if rng.uniform() < 0.6:
            grid = [np.linspace(-0.8, 0.8, int(rng.integers(2, 7))) for _ in range(2)]
            places = np.stack(np.meshgrid(*grid), -1).reshape(-1, 2)
        for k, share in zip(free, places, strict=False):
            place = centre[:2] + share * half[:2]
            room["boxes"][k] = *place, centre[2] + half[2] - 0.01, *size, 0.02, 0.0
            surfaces[FIRST_BOX + k] = 0, 0.02, *glow, 1.5, 0
            found.append((FIRST_BOX + int(k), 4 * float(size.prod())))
    if not found and not room["outdoors"].any():
        if room["ellipsoids"][0, 2] < -100:
            room["ellipsoids"][0] = *centre[:2], centre[2] + half[2] - 0.2, 0.15, 0.15, 0.1
        globe(0)
    return found


# --- open places ------------------------------------------------------------------------------------------

_SKIES = {
    "clear": (-1.0, -0.32, 10.0, -3.0, 0.45),
    "hazy": (0.0, -1.0, 5.0, -2.5, 0.3),
    "overcast": (4.0, -0.7, 0.0, -1.0, 0.0),
}
"""CIE S 011:2003, types 12, 8 and 1: gradation a, b and indicatrix c, d, e."""


def _draw_open(rng: np.random.Generator, height: int) -> LitPlace:
    room = open_place(rng)[0]
    night = rng.uniform() < 0.15
    sky, sun, sun_direction, sun_light = _sky(rng, height)
    weight = solid_angles(height) * np.maximum(_up(height), 0)
    sky *= math.pi / float((weight * (sky @ LUMINANCE)).sum())  # a level surface gets pi of it
    if night:
        sky, sun, sun_light = sky * rng.uniform(0.003, 0.05), 0 * sun, 0 * sun_light
    room["ambient"] = (weight[..., None] * sky).sum((0, 1)) / math.pi
    room["lights"][:] = 0
    far = 1000.0
    room["lights"][0] = *(far * sun_direction), *(sun_light / math.pi * (far / 1.5) ** 2)
    lamps = {}
    if night:
        for k in range(1, int(rng.integers(2, LIGHTS + 1))):
            ball, size = room["ellipsoids"][k], rng.uniform(0.1, 0.3)
            ball[2:] = rng.uniform(1, 4), size, size, size
            colour = np.array([1.0, rng.uniform(0.6, 0.95), rng.uniform(0.25, 0.8)]) * rng.uniform(0.3, 3)
            room["lights"][k] = *ball[:3], *colour
            lamps[FIRST_BALL + k] = colour * (1.5 / size) ** 2
    light, surface = _rendered(room, height)
    # the shell's walls and ceiling are sky
    above = (surface < FACES) & (surface != 4)
    radiance = np.where(above[..., None], sky + sun, light)
    for number, value in lamps.items():
        radiance[surface == number] = value
    if rng.uniform() < 0.35:
        radiance = _behind_foliage(rng, radiance, above)
    return LitPlace("open", _through_a_lens(rng, radiance), float(room["camera_height"]))


def _behind_foliage(rng: np.random.Generator, radiance: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Leaves before a part of the sky."""
    height, width = above.shape
    noise = fractal_noise(rng, 256, rng.uniform(0.8, 1.8))
    noise = cv2.resize((noise - noise.mean()) / max(noise.std(), 1e-6), (width, width))[:height]
    coarse = cv2.resize(fractal_noise(rng, 64, 2.0), (width, height))
    coarse = (coarse - coarse.mean()) / max(coarse.std(), 1e-6)
    leaves = above & (noise + coarse > rng.uniform(-1.2, 1.0))
    green = np.array([0.1, 0.14, 0.05]) * rng.uniform(0.3, 1.5) * (1 + 0.4 * noise[..., None]).clip(0.3, 3)
    return np.where(leaves[..., None], green, radiance)


def _up(height: int) -> np.ndarray:
    """[H, 1] sine of each row's elevation."""
    return np.sin((0.5 - (np.arange(height) + 0.5) / height) * math.pi)[:, None].astype(np.float32)


def _sky(rng: np.random.Generator, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Radiance of sky and of sun [H, 2H, 3], the sun's direction [3], and the light [3] it gives a surface that faces
    it, if the sky gives a level one pi."""
    kind = str(rng.choice(list(_SKIES), p=[0.45, 0.3, 0.25]))
    a, b, c, d, e = _SKIES[kind]
    elevation, azimuth = math.radians(rng.uniform(3, 65)), rng.uniform(-math.pi, math.pi)
    towards = np.array(
        [math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)]
    )
    rays = equirectangular_rays(height, 2 * height).numpy().reshape(height, 2 * height, 3)
    apart = np.arccos(np.clip(rays @ towards.astype(np.float32), -1, 1))
    up = np.maximum(_up(height), 0.02)
    relative = (1 + a * np.exp(b / up)) * (
        1 + c * (np.exp(d * apart) - math.exp(d * math.pi / 2)) + e * np.cos(apart) ** 2
    )
    relative = np.maximum(relative, 0.02)
    blue = {"clear": 1.0, "hazy": 0.4, "overcast": 0.1}[kind] * np.exp(-1.2 * apart) * 0.5 + {
        "clear": 0.5,
        "hazy": 0.2,
        "overcast": 0.05,
    }[kind] * up**0.5
    colour = 1 + np.clip(blue, 0, 1)[..., None] * np.float32([-0.45, -0.2, 0.35])
    sky = relative[..., None] * colour
    if (
        kind != "overcast" or rng.uniform() < 0.5
    ):  # clouds: brighter and whiter than the blue, darker than the sun's glow
        noise = fractal_noise(rng, 256, rng.uniform(1.6, 2.4))
        noise = (noise - noise.mean()) / max(noise.std(), 1e-6)
        x, y = np.meshgrid(
            np.arange(2 * height) / height * 128 * rng.uniform(0.7, 1.5), 64 / np.maximum(up[:, 0], 0.12)
        )
        cloud = cv2.remap(
            noise.astype(np.float32), (x % 255).astype(np.float32), (y % 255).astype(np.float32), cv2.INTER_LINEAR
        )
        cover = np.clip((cloud - rng.uniform(-0.5, 1.5)) / 0.7, 0, 1)[..., None]
        mean = float((sky @ LUMINANCE).mean())
        sky = sky + cover * (mean * rng.uniform(1, 3.5) * (0.5 + np.exp(-2 * apart))[..., None] - 0.6 * sky)
    strength = {"clear": 1.0, "hazy": rng.uniform(0, 0.6), "overcast": 0.0}[kind]
    normal = math.pi * 8 * (1 - math.exp(-elevation / math.radians(8))) * strength * 2 ** rng.normal(0, 0.6)
    warm = np.array(
        [1.0, 0.7 + 0.28 * (1 - math.exp(-elevation / 0.25)), 0.4 + 0.55 * (1 - math.exp(-elevation / 0.35))]
    )
    light = normal * warm / (warm @ LUMINANCE)
    # the disc as wide as lenses make it, and the glow around it
    disc = np.exp(-((apart / math.radians(rng.uniform(0.5, 1.2))) ** 4)) + 1e-9
    aureole = np.exp(-apart / math.radians(rng.uniform(2, 15)))
    stray = rng.uniform(0.05, 0.4)
    shape = (1 - stray) * disc / float((solid_angles(height) * disc).sum())
    shape = shape + stray * aureole / float((solid_angles(height) * aureole).sum())
    return sky.astype(np.float32), (shape[..., None] * light).astype(np.float32), towards, light


def _through_a_lens(rng: np.random.Generator, radiance: np.ndarray) -> np.ndarray:
    """What a lens makes of it, [H, 2H, 3] float32: a little of the light goes astray."""
    scale, result = len(radiance) / 128, radiance.astype(np.float32)
    wide = np.concatenate([result[:, -32:], result, result[:, :32]], 1)
    for sigma, share in ((0.6 * scale, rng.uniform(0.1, 0.3)), (4 * scale, rng.uniform(0, 0.04))):
        spread = cv2.GaussianBlur(wide, (0, 0), sigma)[:, 32:-32]
        result = result + np.float32(share) * (spread - result)
    return result


# --- photographs ------------------------------------------------------------------------------------------


def usual_exposure(radiance: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The factor by which a camera's own exposure makes the (geometric) mean luminance of a picture [..., 3] a middle
    grey of 0.18; weight: [...]."""
    luminance = np.maximum(radiance @ LUMINANCE, 1e-6)
    return 0.18 / math.exp(float(np.average(np.log(luminance), weights=weight)))


def sphere_exposure(radiance: np.ndarray) -> float:
    """The same of a panorama [H, 2H, 3], each direction counting alike."""
    height = len(radiance)
    return usual_exposure(radiance, np.broadcast_to(solid_angles(height), radiance.shape[:2]))
