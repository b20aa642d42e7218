"""Converts a file's pixels to upright sRGB: embedded profiles, cICP, gAMA, and linear light with its exposure.

NumPy only, so that Blender converts a photo with the very code of the service. What a profile says by tables
(`TableProfile`) takes a colour management library.
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .colour_tags import Chromaticities, ColourTags
from .tags import PhotoTags

Curve = Callable[[NDArray], NDArray]
"""Encoded values -> linear light."""

CONVERTED = "Its colours were converted to sRGB."
REFERENCE_WHITE_NITS = 203.0
"""White of a picture in an HDR signal (ITU-R BT.2408)."""
KNOWN_ALPHA = 128
"""Of 255: what is more transparent is not known."""
MIDDLE_GREY = 0.18
MOST_STOPS = 20.0
_ROLL_OFF = 0.6
"""Linear light from which on highlights are rolled off."""
_BAND_PIXELS = 1 << 20
_LEVELS = 1 << 16

_D50 = (0.3457, 0.3585)
_D65 = (0.3127, 0.3290)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_REC709 = Chromaticities(_D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_ADOBE_RGB = Chromaticities(_D65, (0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
_PRIMARIES = {
    1: _REC709,
    5: Chromaticities(_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: Chromaticities(_D65, (0.63, 0.34), (0.31, 0.595), (0.155, 0.07)),
    7: Chromaticities(_D65, (0.63, 0.34), (0.31, 0.595), (0.155, 0.07)),
    9: Chromaticities(_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: Chromaticities((0.314, 0.351), (0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
    12: Chromaticities(_D65, (0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
}
_PQ, _HLG = 16, 18


class TableProfile(ValueError):
    """A profile that is no matrix and curves: only a colour management library can follow it."""


@dataclass(frozen=True, eq=False)
class ColourSpace:
    """How encoded RGB becomes linear sRGB."""

    decode: tuple[Curve, Curve, Curve]
    """0..1 -> linear light, by channel."""
    matrix: NDArray[np.float64]
    """[3, 3]: its linear RGB -> linear sRGB."""
    hdr: str = ""
    """"PQ" or "HLG" where light goes above 1, the white of a picture."""


def shown(
    colour: NDArray, tags: ColourTags, known: NDArray[np.bool_] | None = None, stops: float | None = None
) -> tuple[NDArray[np.uint8], list[str], float | None]:
    """A file's pixels [h, w, 3], uint8, uint16 or (linear light) float, as sRGB uint8; what was decided on the way; and
    the exposure of linear light.

    known: [h, w], where a picture is not transparent; stops: exposure of linear light, None: found.
    """
    try:
        space, said = colour_space(tags), []
    except TableProfile:
        space, said = None, ["Its colour profile is made of tables, which is not followed; save it as sRGB."]
    if np.issubdtype(colour.dtype, np.floating):
        if space is not None:  # a profile's curves are not for floats, which are light already
            colour = colour @ space.matrix.T.astype(np.float32)
        pixels, used = developed(colour, known, stops)
        found = " (found)" if stops is None else ""
        return pixels, [*said, f"Its light is linear: exposed by {used:+.1f} stops{found}."], used
    if space is not None:
        light = f"Its {space.hdr} light is shown with {REFERENCE_WHITE_NITS:.0f} cd/m² as white."
        return to_srgb(colour, space), [*said, light if space.hdr else CONVERTED], None
    if colour.dtype == np.uint8:
        return colour, said, None
    return np.rint(colour / (np.iinfo(colour.dtype).max / 255)).astype(np.uint8), said, None


def light_of(
    colour: NDArray, tags: ColourTags, known: NDArray[np.bool_] | None = None, stops: float | None = None
) -> tuple[NDArray[np.float32], bool] | None:
    """Linear sRGB light of pixels of more than 8 bits (or of an HDR signal), exposed as `shown` shows it but not rolled
    off, and whether it ends at 1; None for those of 8 bits. Arguments as of `shown`."""
    try:
        space = colour_space(tags)
    except TableProfile:
        space = None
    if np.issubdtype(colour.dtype, np.floating):
        if space is not None:
            colour = colour @ space.matrix.T.astype(np.float32)
        light = np.nan_to_num(np.asarray(colour, np.float32), nan=0.0, posinf=65504.0, neginf=0.0)
        return np.maximum(light, 0) * np.float32(2.0 ** _stops_of(light, known, stops)), False
    if colour.dtype == np.uint8 and not (space and space.hdr):
        return None
    if space is None:
        space = ColourSpace((srgb_to_linear,) * 3, np.eye(3))
    return np.maximum(linear_light(colour, space), 0), not space.hdr


def as_shown(pixels: NDArray[np.float32], tags: PhotoTags, *, levels: int = 65535) -> NDArray[np.uint8]:
    """The upright sRGB picture, uint8 [h, w, 4], of a file's pixels as Blender has them.

    pixels: float32 [h, w, C], top row first, as the file has them ("Non-Color"): its codes over their maximum, `levels`
    (255 or 65535), or its linear light. Alpha is straight, 255 or 0: what `reading` knows and does not know.
    """
    pixels = turn(pixels, tags.orientation)
    colour = np.repeat(pixels[..., :1], 3, -1) if pixels.shape[-1] < 3 else pixels[..., :3]
    known = None
    if pixels.shape[-1] in (2, 4):
        alpha = pixels[..., -1]
        known = alpha >= np.float32(KNOWN_ALPHA / 255)
        if tags.premultiplied:
            colour = colour / np.where(alpha > 0, alpha, 1)[..., None]
    if not tags.linear:
        codes = np.rint(np.clip(colour, 0, 1) * np.float32(levels))
        colour = codes.astype(np.uint8 if levels == 255 else np.uint16)
    rgb, *_ = shown(colour, tags.colours, known)
    alpha = np.full(rgb.shape[:2], 255, np.uint8) if known is None else np.where(known, np.uint8(255), np.uint8(0))
    return np.dstack([rgb, alpha])


def changes_pixels(tags: PhotoTags) -> bool:
    """Whether a file's pixels are to be shown otherwise than they lie."""
    try:
        return tags.orientation > 1 or tags.linear or colour_space(tags.colours) is not None
    except TableProfile:
        return tags.orientation > 1 or tags.linear


def colour_space(tags: ColourTags) -> ColourSpace | None:
    """The space of a file's pixels; None for sRGB, and for what is broken or unknown. Raises `TableProfile`."""
    if tags.cicp is not None:
        space = _by_code_points(*tags.cicp)
    elif tags.profile:
        space = _by_profile(tags.profile)
    elif tags.srgb:
        return None
    elif tags.gamma or tags.chromaticities:
        gamma = 1 / tags.gamma if tags.gamma else 0.0
        curve: Curve = srgb_to_linear if not gamma or abs(gamma - 2.2) < 0.01 else lambda values: values**gamma
        space = ColourSpace((curve,) * 3, to_linear_srgb(tags.chromaticities or _REC709))
    elif tags.adobe_rgb:
        space = ColourSpace((lambda values: values ** (563 / 256),) * 3, to_linear_srgb(_ADOBE_RGB))
    else:
        return None
    return None if space is None or _is_srgb(space) else space


def to_srgb(pixels: NDArray, space: ColourSpace) -> NDArray[np.uint8]:
    """Encoded pixels [h, w, 3], uint8, uint16 or float of 0..1, as sRGB uint8 [h, w, 3].

    Colours that sRGB does not have are clipped; light above white (of HDR) is rolled off.
    """
    if space.hdr:
        return encoded(rolled_off(linear_light(pixels, space)))
    result = np.empty(pixels.shape, np.uint8)
    rows = max(1, _BAND_PIXELS // pixels.shape[1])
    for top in range(0, len(pixels), rows):
        result[top : top + rows] = encoded(linear_light(pixels[top : top + rows], space))
    return result


def linear_light(pixels: NDArray, space: ColourSpace) -> NDArray[np.float32]:
    """Encoded pixels [h, w, 3] as linear sRGB, 1 is white; colours that sRGB does not have lie below 0 or above 1."""
    if np.issubdtype(pixels.dtype, np.integer):
        most = np.iinfo(pixels.dtype).max
        levels = np.arange(most + 1) / most
        tables = [np.asarray(curve(levels), np.float32) for curve in space.decode]
        light = np.stack([table[pixels[..., i]] for i, table in enumerate(tables)], -1)
    else:
        clipped = np.clip(pixels, 0, 1)
        light = np.stack([curve(clipped[..., i]) for i, curve in enumerate(space.decode)], -1).astype(np.float32)
    if space.hdr == "HLG":  # the display's system gamma, at its nominal 1000 cd/m²
        luminance = light @ np.float32([0.2627, 0.6780, 0.0593])
        light = light * np.maximum(luminance, 1e-9)[..., None] ** np.float32(0.2) * (1000 / REFERENCE_WHITE_NITS)
    return light @ space.matrix.T.astype(np.float32)


def developed(
    linear: NDArray, known: NDArray[np.bool_] | None = None, stops: float | None = None
) -> tuple[NDArray[np.uint8], float]:
    """Linear sRGB [h, w, 3] as a picture, uint8 sRGB, and its exposure in stops: by default the one, to a tenth, that
    makes the middle of the picture's luminances (of its `known` [h, w] part) a middle grey. Highlights are rolled off.
    """
    linear = np.nan_to_num(np.asarray(linear, np.float32), nan=0.0, posinf=65504.0, neginf=0.0)
    stops = _stops_of(linear, known, stops)
    return encoded(rolled_off(linear * np.float32(2.0**stops))), stops


def _stops_of(linear: NDArray[np.float32], known: NDArray[np.bool_] | None, stops: float | None) -> float:
    """The exposure of linear light [h, w, 3], as `developed` finds it unless it is given."""
    if stops is not None:
        return stops
    luminance = linear @ np.float32([0.2126, 0.7152, 0.0722])
    lit = luminance[(luminance > 0) & (known if known is not None else True)]
    middle = float(np.median(lit)) if lit.size else MIDDLE_GREY
    return round(float(np.clip(math.log2(MIDDLE_GREY / middle), -MOST_STOPS, MOST_STOPS)), 1) + 0.0


def rolled_off(light: NDArray) -> NDArray[np.float32]:
    """Linear light as it is up to `_ROLL_OFF`, and above approaching 1; the channel that is brightest sets the share,
    so that hues stay."""
    light = np.maximum(np.asarray(light, np.float32), 0)
    brightest = light.max(-1, keepdims=True)
    room = np.float32(1 - _ROLL_OFF)
    rolled = _ROLL_OFF + room * (1 - np.exp(-(brightest - np.float32(_ROLL_OFF)) / room))
    return np.where(brightest > _ROLL_OFF, light * (rolled / np.maximum(brightest, 1e-9)), light)


def encoded(light: NDArray) -> NDArray[np.uint8]:
    """Linear sRGB [..., 3], clipped to 0..1, as sRGB uint8."""
    return _ENCODED[(np.clip(light, 0, 1) * np.float32(_LEVELS - 1) + np.float32(0.5)).astype(np.uint16)]


def srgb_to_linear(values: NDArray) -> NDArray:
    """IEC 61966-2-1, 0..1."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(values: NDArray) -> NDArray:
    """The inverse."""
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * np.maximum(values, 0) ** (1 / 2.4) - 0.055)


LIGHT_OF_LEVEL = srgb_to_linear(np.arange(256) / 255).astype(np.float32)
"""[256] linear light of the levels of sRGB bytes."""
_ENCODED = np.rint(255 * linear_to_srgb(np.arange(_LEVELS) / (_LEVELS - 1))).astype(np.uint8)


def turn(pixels: NDArray, orientation: int) -> NDArray:
    """Stored rows, top first, [h, w(, C)] -> upright, by EXIF orientation 1..8."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    mirrored = orientation in (2, 3, 6, 7)
    upside_down = orientation in (3, 4, 7, 8)
    return pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1]


def _by_code_points(primaries: int, transfer: int) -> ColourSpace | None:
    # what BT.709 and BT.2020 encode is meant for a display of BT.1886
    gamma = {4: 2.2, 5: 2.8, 8: 1.0, 1: 2.4, 6: 2.4, 14: 2.4, 15: 2.4}.get(transfer)
    curves: dict[int, Curve] = {13: srgb_to_linear, _PQ: _pq, _HLG: _hlg}
    curve = (lambda values: values**gamma) if gamma else curves.get(transfer)
    if primaries not in _PRIMARIES or curve is None:
        return None
    hdr = {_PQ: "PQ", _HLG: "HLG"}.get(transfer, "")
    return ColourSpace((curve,) * 3, to_linear_srgb(_PRIMARIES[primaries]), hdr)


def _pq(values: NDArray) -> NDArray:
    """SMPTE ST 2084: 1 is `REFERENCE_WHITE_NITS`."""
    power = values ** (32 / 2523)
    light = (np.maximum(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)) ** (16384 / 2610)
    return light * (10000 / REFERENCE_WHITE_NITS)


def _hlg(values: NDArray) -> NDArray:
    """ARIB STD-B67: light of the scene, 0..1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)


def _by_profile(profile: bytes) -> ColourSpace | None:
    """The space of an ICC profile of a matrix and curves, or of one grey curve (ICC.1:2022)."""
    try:
        kind = profile[16:20]
        (count,) = struct.unpack_from(">I", profile, 128)
        entries = [struct.unpack_from(">4sII", profile, 132 + 12 * i) for i in range(min(count, 200))]
        content = {name: profile[start : start + size] for name, start, size in entries}
        if kind == b"GRAY" and b"kTRC" in content:
            return ColourSpace((_curve(content[b"kTRC"]),) * 3, np.eye(3))
        names = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")
        if kind not in (b"RGB ", b"GRAY") or b"A2B0" in content or not all(name in content for name in names):
            raise TableProfile("the profile is made of tables")
        columns = [np.array(struct.unpack_from(">3i", content[name], 8)) / 65536 for name in names[:3]]
        red, green, blue = (_curve(content[name]) for name in names[3:])
        return ColourSpace((red, green, blue), np.linalg.inv(_D50_FROM_SRGB) @ np.stack(columns, 1))
    except (struct.error, IndexError, np.linalg.LinAlgError):
        return None


def _curve(tag: bytes) -> Curve:
    """A tag of the types curv or para."""
    if tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        count = (1, 3, 4, 5, 7)[kind]
        g, *rest = (value / 65536 for value in struct.unpack_from(f">{count}i", tag, 12))
        a, b, c, d, e, f = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0] if not rest else [*rest, *[0.0] * (6 - len(rest))]
        if kind in (1, 2):
            low, shift = -b / a, c if kind == 2 else 0.0
            c, d, e, f = 0.0, low, shift, shift
        return lambda values: np.where(values >= d, np.maximum(a * values + b, 0) ** g + e, c * values + f)
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return lambda values: values
    table = np.array(struct.unpack_from(f">{count}H", tag, 12))
    if count == 1:
        return lambda values: values ** (table[0] / 256)
    return lambda values: np.interp(values, np.linspace(0, 1, count), table / 65535)


def to_linear_srgb(primaries: Chromaticities) -> NDArray[np.float64]:
    """[3, 3]: linear RGB of these primaries -> linear sRGB (white to white, Bradford)."""
    return np.linalg.inv(_to_xyz(_REC709)) @ _adaptation(primaries.white, _D65) @ _to_xyz(primaries)


def _to_xyz(primaries: Chromaticities) -> NDArray[np.float64]:
    """[3, 3]: linear RGB -> XYZ, white has Y = 1."""
    columns = np.stack([_xyz(xy) for xy in primaries[1:]], 1)
    return columns * np.linalg.solve(columns, _xyz(primaries.white))


def _adaptation(white: tuple[float, float], wanted: tuple[float, float]) -> NDArray[np.float64]:
    cones = (_BRADFORD @ _xyz(wanted)) / (_BRADFORD @ _xyz(white))
    return np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD


def _xyz(xy: tuple[float, float]) -> NDArray[np.float64]:
    x, y = xy
    return np.array([x / y, 1.0, (1 - x - y) / y])


_D50_FROM_SRGB = _adaptation(_D65, _D50) @ _to_xyz(_REC709)


def _is_srgb(space: ColourSpace) -> bool:
    """Whether no colour would move by a level."""
    if space.hdr:
        return False
    steps = np.linspace(0, 1, 9)
    cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    return bool(np.abs(linear_to_srgb(np.clip(linear_light(cube, space), 0, 1)) - cube).max() < 1 / 255)
