"""Reads photos and 360° pictures of any kind as upright 8-bit sRGB, with a mask of what is known.

Decisions made on the way (an exposure, a tag that is not trusted) are reported in sentences.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import LEVEL, placed_camera
from lookbeyond.geometry.projection import equirectangular_directions, sample_pixels

from .checks import MAX_SIDE, check_size, tags_of
from .decoding import decode, decode_light, without_hidden
from .tags import SphereTags, fov_x_of_focal, why_no_photo

_EDGE_DIFFERENCE, _POLE_DEVIATION = 12.0, 12.0
"""Levels: how far opposite edges of a sphere differ, and how a row that is one point of it may vary, at most."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo as a person sees it: upright, in sRGB."""

    pixels: NDArray[np.uint8]
    """[h, w, 3]. Unknown pixels have the colour of the nearest known one."""
    fov_x_rad: float | None
    """Horizontal field of view told by the file, or None."""
    known: NDArray[np.bool_] | None = None
    """[h, w]: False where it is transparent; None where it is known everywhere."""
    said: tuple[str, ...] = ()
    """What was decided in reading it: sentences for people."""
    stops: float | None = None
    """Exposure of linear light; None for pictures that have none."""

    @property
    def with_holes(self) -> NDArray[np.uint8]:
        """[h, w, 3], or with a fourth channel, 255 or 0, that says what is known."""
        return _with_holes(self.pixels, self.known)


@dataclass(frozen=True, eq=False)
class Light:
    """The light of a picture whose file tells more of it than 8 bits can."""

    pixels: NDArray[np.float32]
    """[h, w, 3], linear sRGB, upright, exposed as the picture is shown: 1 is its white."""
    bounded: bool
    """Whether it ends at white: 16 bits of sRGB do, OpenEXR and Radiance HDR do not."""


@dataclass(frozen=True, eq=False)
class Sphere:
    """A 360° picture, level, in sRGB."""

    pixels: NDArray[np.uint8]
    """[H, 2H, 3]"""
    known: NDArray[np.bool_] | None = None
    """[H, 2H]: False where it is transparent or was never taken; None where it is known everywhere."""
    heading_rad: float | None = None
    """Where the centre column looks by the file's compass, counter-clockwise from +X (+Y is north); None: not said."""
    said: tuple[str, ...] = ()
    """What was decided in reading it: sentences for people."""
    stops: float | None = None
    """Exposure of linear light; None for pictures that have none."""

    @property
    def with_holes(self) -> NDArray[np.uint8]:
        """[H, 2H, 3], or with a fourth channel, 255 or 0, that says what is known."""
        return _with_holes(self.pixels, self.known)


def _with_holes(pixels: NDArray[np.uint8], known: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    return pixels if known is None else np.dstack([pixels, np.where(known, np.uint8(255), np.uint8(0))])


def read_photo(path: Path, name: str | None = None, *, stops: float | None = None) -> Photo:
    """Read a photo; `name` is what messages call it (default: its path).

    stops: exposure of pictures of linear light (EXR, HDR, float TIFF), 0 leaves 1 white; None: found, and said.
    Raises InputError when the file is missing, is no image, is a sphere or a sweep, has a side under 64 or over 16384
    pixels or more than 150 million pixels. Sizes are checked before a pixel is decoded.
    """
    path = Path(path)
    name = name or str(path)
    tags = tags_of(path, name)
    if reason := why_no_photo(tags):
        raise InputError(f"{name} {reason}.")
    decoded = decode(path, name, tags, stops)
    height, width = decoded.pixels.shape[:2]
    fov_x_rad = fov_x_of_focal(tags.focal_35mm, width, height) if tags.focal_35mm else None
    said = [*decoded.said, *([tags.focal_doubt] if tags.focal_doubt else [])]
    if width == 2 * height and fov_x_rad is None and _closes(decoded.pixels) and decoded.known is None:
        said.append("It may be a 360° picture: its sides meet, and its top and bottom rows are one point each.")
    return Photo(decoded.pixels, fov_x_rad, decoded.known, tuple(said), decoded.stops)


def read_light(path: Path, name: str | None = None, *, stops: float | None = None) -> Light | None:
    """The light of a photo, or of a whole level 360° picture, of more than 8 bits; None for other files.

    A 360° picture that shows a part of the sphere, or whose tags tilt it, has none. InputError as `read_photo`.
    """
    path = Path(path)
    name = name or str(path)
    tags = tags_of(path, name)
    if tags.sphere is not None and (not tags.sphere.whole or tags.sphere.pitch_deg or tags.sphere.roll_deg):
        return None
    decoded = decode_light(path, name, tags, stops)
    return None if decoded is None else Light(*decoded)


def read_sphere(path: Path, name: str | None = None, *, stops: float | None = None) -> Sphere:
    """Read an equirectangular picture; what its GPano tags say of crop, heading, pitch and roll is followed.

    InputError as `read_photo`, or if it is neither twice as wide as high nor tagged as a part of a sphere.
    """
    path = Path(path)
    name = name or str(path)
    tags = tags_of(path, name)
    decoded = decode(path, name, tags, stops)
    height, width = decoded.pixels.shape[:2]
    sphere, said = tags.sphere, list(decoded.said)
    if sphere is not None and sphere.projection != "equirectangular":
        raise InputError(
            f"{name} is a {sphere.projection} panorama by its tags; export it as an equirectangular (360°) picture."
        )
    part = sphere is not None and not sphere.whole
    if width != 2 * height and not part:
        raise InputError(
            f"The picture {name} is {width}x{height} pixels and so not a 360° panorama; "
            "give one that is exactly twice as wide as high."
        )
    if sphere is None and not _closes(decoded.pixels):
        if tags.focal_35mm:
            raise InputError(
                f"{name} is a photo that a lens of {tags.focal_35mm:g} mm took, no 360° panorama: its left and right"
                " sides do not meet; give it as the photo."
            )
        said.append("Its left and right sides do not meet, or its top row is not a single point: is it a 360° picture?")
    pixels, known = decoded.pixels, decoded.known
    heading_rad = None
    if sphere is not None:
        if part or sphere.pitch_deg or sphere.roll_deg:
            pixels, known = _laid_in(pixels, known, sphere, name)
        if part:
            said.append("It is {:.0f}° x {:.0f}° of the sphere; the rest is generated.".format(*sphere.spans_deg))
        if sphere.pitch_deg or sphere.roll_deg:
            said.append(f"It was levelled by its tags: pitch {sphere.pitch_deg:g}°, roll {sphere.roll_deg:g}°.")
        if sphere.heading_deg is not None:
            heading_rad = math.remainder(math.radians(90 - sphere.heading_deg), 2 * math.pi)
    if known is not None and not part:
        said.append(f"{100 * (1 - known.mean()):.0f} % of it is transparent and will be generated.")
    return Sphere(pixels, known, heading_rad, tuple(said), decoded.stops)


def read_panorama_image(path: Path) -> NDArray[np.uint8]:
    """Read a whole equirectangular picture, uint8 [H, 2H, 3]. InputError as `read_sphere`, and for one with holes."""
    sphere = read_sphere(path)
    if sphere.known is not None:
        raise InputError(f"The picture {path} shows only a part of the sphere; give one without holes.")
    return sphere.pixels


# --- what is known ----------------------------------------------------------------------------------------


def _closes(pixels: NDArray[np.uint8]) -> bool:
    """Whether a picture's left and right sides meet, and its top or bottom row could be one point."""
    small = pixels.astype(np.float32)
    seam = np.abs(small[:, 0] - small[:, -1]).mean()
    beside = (np.abs(small[:, 0] - small[:, 1]).mean() + np.abs(small[:, -1] - small[:, -2]).mean()) / 2
    poles = min(small[row].std(0).max() for row in (0, -1))
    inner = np.abs(np.diff(small[[0, -1]], axis=1)).mean()
    return bool(seam <= max(_EDGE_DIFFERENCE, 3 * beside) and poles <= max(_POLE_DEVIATION, 3 * inner))


def _laid_in(
    pixels: NDArray[np.uint8], known: NDArray[np.bool_] | None, sphere: SphereTags, name: str
) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """A part of a sphere, or one whose camera was tilted, as a whole level sphere, and what of it is known."""
    height, width = pixels.shape[:2]
    across, down = width / sphere.width, height / sphere.height  # the file may have been resized since
    full_width = 2 * min(round(sphere.full_width * across / 2), MAX_SIDE // 2)
    check_size((full_width, full_width // 2), name)
    rotation = (
        placed_camera(
            64, 64, 1.0, pitch_rad=math.radians(sphere.pitch_deg), roll_rad=math.radians(sphere.roll_deg)
        ).rotation
        @ LEVEL.T
    )
    result = np.zeros((full_width // 2, full_width, 3), np.uint8)
    known_there = np.zeros(result.shape[:2], bool)
    x, y, z = np.moveaxis(equirectangular_directions(full_width, full_width // 2) @ rotation.astype(np.float32), -1, 0)
    # columns and rows of the whole sphere, then of the file
    columns = (0.5 - np.arctan2(y, x) / (2 * math.pi)) * sphere.full_width
    columns = ((columns - sphere.left) % sphere.full_width * across).astype(np.float32)
    rows = ((0.5 - np.arctan2(z, np.hypot(x, y)) / math.pi) * sphere.full_height - sphere.top) * down
    inside = (columns >= 0) & (columns <= width) & (rows >= 0) & (rows <= height)
    rows = rows.astype(np.float32)
    around = sphere.width == sphere.full_width and sphere.height == sphere.full_height
    step = max(1, (1 << 20) // full_width)
    for top in range(0, len(result), step):
        band = np.s_[top : top + step]
        seen = inside[band]
        sampled = sample_pixels(pixels, columns[band][seen], rows[band][seen], "cubic", sphere=around)
        result[band][seen] = sampled
    known_there[inside] = True
    if known is not None:
        sampled = sample_pixels(known.astype(np.float32), columns[inside], rows[inside], "bilinear", sphere=around)
        known_there[inside] = sampled > 0.999
    if known_there.all():
        return result, None
    return without_hidden(result, known_there), known_there
