"""Pictures in: photos and 360° pictures of any kind become upright 8-bit sRGB, with what is not known of them.

What had to be decided on the way (an exposure, a tag that is not believed) is said in sentences.
"""

import contextlib
import io
import math
import re
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import LEVEL, placed_camera
from lookbeyond.geometry.projection import equirectangular_directions, sample_pixels

from .pixels import CONVERTED, KNOWN_ALPHA, TableProfile, colour_space, shown, to_linear_srgb, turn
from .quiet import quiet_stderr
from .tags import Chromaticities, PhotoTags, SphereTags, fov_x_of_focal, read_tags, why_no_photo

MIN_SIDE = 64
MAX_SIDE = 16384
MAX_PIXELS = 150_000_000
# Pillow also opens EPS, PDF and others through outside programs: a photo is one of these.
FORMATS = ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "AVIF"]
READABLE = "PNG, JPEG, WebP, TIFF, BMP, AVIF, HEIC, OpenEXR or Radiance HDR"

_EXR, _HDR = b"\x76\x2f\x31\x01", b"#?R"
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_BITS = 258
_FILLED_SIDE = 1024
"""Longer side, in pixels, of the picture in which what is unknown is filled."""
_EDGE_DIFFERENCE, _POLE_DEVIATION = 12.0, 12.0
"""Levels: how far opposite edges of a sphere differ, and how a row that is one point of it may vary, at most."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo as a person sees it: upright, in sRGB."""

    pixels: NDArray[np.uint8]
    """[h, w, 3]. Where it is not known it goes on with the nearest colour that is."""
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


@dataclass(frozen=True, eq=False)
class _Decoded:
    pixels: NDArray[np.uint8]
    known: NDArray[np.bool_] | None
    said: tuple[str, ...]
    stops: float | None


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
    tags = _tags(path, name)
    if reason := why_no_photo(tags):
        raise InputError(f"{name} {reason}.")
    decoded = _decoded(path, name, tags, stops)
    height, width = decoded.pixels.shape[:2]
    fov_x_rad = fov_x_of_focal(tags.focal_35mm, width, height) if tags.focal_35mm else None
    said = [*decoded.said, *([tags.focal_doubt] if tags.focal_doubt else [])]
    if width == 2 * height and fov_x_rad is None and _closes(decoded.pixels) and decoded.known is None:
        said.append("It may be a 360° picture: its sides meet and its top and bottom rows are one point each.")
    return Photo(decoded.pixels, fov_x_rad, decoded.known, tuple(said), decoded.stops)


def read_sphere(path: Path, name: str | None = None, *, stops: float | None = None) -> Sphere:
    """Read an equirectangular picture; what its GPano tags say of crop, heading, pitch and roll is followed.

    InputError as `read_photo`, or if it is neither twice as wide as high nor tagged as a part of a sphere.
    """
    path = Path(path)
    name = name or str(path)
    tags = _tags(path, name)
    decoded = _decoded(path, name, tags, stops)
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
        said.append("Its left and right sides do not meet, or its top row is no single point: is it a 360° picture?")
    pixels, known = decoded.pixels, decoded.known
    heading_rad = None
    if sphere is not None:
        if part or sphere.pitch_deg or sphere.roll_deg:
            pixels, known = _laid_in(pixels, known, sphere, name)
        if part:
            said.append("It is {:.0f}° x {:.0f}° of the sphere; the rest is made.".format(*sphere.spans_deg))
        if sphere.pitch_deg or sphere.roll_deg:
            said.append(f"It was levelled by its tags: pitch {sphere.pitch_deg:g}°, roll {sphere.roll_deg:g}°.")
        if sphere.heading_deg is not None:
            heading_rad = math.remainder(math.radians(90 - sphere.heading_deg), 2 * math.pi)
    if known is not None and not part:
        said.append(f"{100 * (1 - known.mean()):.0f} % of it is transparent and is made.")
    return Sphere(pixels, known, heading_rad, tuple(said), decoded.stops)


def read_panorama_image(path: Path, name: str | None = None) -> NDArray[np.uint8]:
    """Read a whole equirectangular picture, uint8 [H, 2H, 3]. InputError as `read_sphere`, and for one with holes."""
    sphere = read_sphere(path, name)
    if sphere.known is not None:
        raise InputError(f"The picture {name or path} shows only a part of the sphere; give one without holes.")
    return sphere.pixels


def read_linear(path: Path, name: str | None = None) -> NDArray[np.float32]:
    """Linear sRGB light [h, w, 3] of an OpenEXR or Radiance HDR file. Raises InputError."""
    name = name or str(path)
    head = _head(path, name)
    if not head.startswith((_EXR, _HDR)):
        raise InputError(f"{name} is no OpenEXR or Radiance HDR picture; export it again.")
    return (_read_exr(path, name) if head.startswith(_EXR) else _read_hdr(path, name))[..., :3]


# --- decoding ---------------------------------------------------------------------------------------------


def _tags(path: Path, name: str) -> PhotoTags:
    with _file_errors(name):
        tags = read_tags(path)
    if tags.width and tags.height:
        _check_size((tags.width, tags.height), name)
    return tags


def _head(path: Path, name: str) -> bytes:
    with _file_errors(name), path.open("rb") as file:
        return file.read(64)


def _decoded(path: Path, name: str, tags: PhotoTags, stops: float | None) -> _Decoded:
    """Upright sRGB, what is known, and what was decided."""
    head, said = _head(path, name), []
    if head.startswith((_EXR, _HDR)):
        stored = _read_exr(path, name) if head.startswith(_EXR) else _read_hdr(path, name)
    else:
        stored = _read_stored(path, name, head, tags)
    stored = turn(stored, tags.orientation) if head[4:8] != b"ftyp" else stored
    colour, known = stored[..., :3], None
    if stored.shape[2] == 4:
        known = _known(stored[..., 3], name)
    found = None
    if isinstance(stored, _Converted):
        pixels = np.asarray(colour)
        said.append(CONVERTED)
    else:
        pixels, decided, found = shown(colour, tags.colours, known, stops)
        said += decided
    if tags.gain_map:
        said.append("It is an HDR photo with a gain map: its SDR base is what is read.")
    pixels = np.ascontiguousarray(pixels)
    if known is not None:
        pixels = _without_hidden(pixels, known)
    return _Decoded(pixels, known, tuple(said), found)


class _Converted(np.ndarray):
    """Pixels that are sRGB already, whatever the file's profile says."""


def _read_stored(path: Path, name: str, head: bytes, tags: PhotoTags) -> NDArray:
    """Pixels [h, w, 3 or 4] as the file has them, uint8, uint16 or (linear light) float32."""
    data = _bytes_turned_by_nobody(path, tags)
    deep = _deep(data, head)
    if deep is not None:
        deep = _opened_up(deep, tags)
        if np.issubdtype(deep.dtype, np.integer) and tags.colours.profile and _has_tables(tags):
            plain = Image.fromarray(np.rint(deep / (np.iinfo(deep.dtype).max / 255)).astype(np.uint8))
            converted = _managed(plain, tags.colours.profile)
            return deep if converted is None else converted.view(_Converted)
        return deep
    with _opened(data if data is not None else path, name, head) as image:
        _check_size(image.size, name)
        try:
            return _pillow_pixels(image, tags)
        except (OSError, SyntaxError, ValueError, EOFError, MemoryError, struct.error) as error:
            raise InputError(
                f"The image {name} is damaged ({_one_line(error)}); save it again as PNG or JPEG."
            ) from error


def _bytes_turned_by_nobody(path: Path, tags: PhotoTags) -> bytes | None:
    """A TIFF's bytes with its orientation said to be upright, and those of a deep PNG; None for other files."""
    with path.open("rb") as file:
        head = file.read(32)
        tiff = head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
        if not tiff and not (head[:8] == b"\x89PNG\r\n\x1a\n" and head[24:25] == b"\x10"):
            return None
        file.seek(0)
        data = bytearray(file.read())
    if tags.orientation_at:
        struct.pack_into(f"{tags.byte_order}H", data, tags.orientation_at, 1)
    return bytes(data)


def _deep(data: bytes | None, head: bytes) -> NDArray | None:
    """Pixels of a TIFF or PNG of more than 8 bits, RGB(A) order, by OpenCV: Pillow has no such modes."""
    if data is None:
        return None
    if head[:4] != b"\x89PNG":
        try:
            with Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
                bits = image.tag_v2.get(_BITS, (1,))
                if max(bits if isinstance(bits, tuple) else (bits,)) <= 8 or image.mode in ("CMYK", "LAB"):
                    return None
        except Exception:
            pass  # of which modes Pillow knows nothing: just what OpenCV is for
    with _quiet_opencv():
        try:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            return None
    if pixels is None:
        return None
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, 2)
    order = [2, 1, 0] if pixels.shape[2] == 3 else [2, 1, 0, 3]
    return pixels[..., order] if pixels.shape[2] in (3, 4) else None


def _opened_up(pixels: NDArray, tags: PhotoTags) -> NDArray:
    """Premultiplied colours divided by their alpha; whole numbers of 32 bits as 16."""
    if pixels.dtype in (np.int32, np.uint32):
        most = np.iinfo(pixels.dtype).max
        pixels = (np.clip(pixels, 0, None).astype(np.float64) / most * 65535).round().astype(np.uint16)
    if np.issubdtype(pixels.dtype, np.floating):
        pixels = pixels.astype(np.float32)
    return _straight(pixels) if tags.premultiplied and pixels.shape[2] == 4 else pixels


def _straight(pixels: NDArray) -> NDArray:
    most = np.iinfo(pixels.dtype).max if np.issubdtype(pixels.dtype, np.integer) else 1.0
    alpha = pixels[..., 3:].astype(np.float32) / most
    colour = pixels[..., :3] / np.where(alpha > 0, alpha, 1)
    colour = np.rint(np.clip(colour, 0, most)) if most != 1 else colour
    return np.concatenate([colour.astype(pixels.dtype), pixels[..., 3:]], 2)


def _pillow_pixels(image: Image.Image, tags: PhotoTags) -> NDArray:
    if image.format in ("AVIF", "HEIF"):
        image = ImageOps.exif_transpose(image)  # as its decoder tells which way is up, and not by the file's EXIF
    if image.mode in ("CMYK", "LAB") or (tags.colours.profile and _has_tables(tags)):
        converted = _managed(image, tags.colours.profile)
        if converted is not None:
            return converted.view(_Converted)
    if image.mode.startswith("I;16") or image.mode == "I":  # 16-bit grey: Pillow's own conversion would clip
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535).astype(np.uint16)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "F":
        return np.repeat(np.asarray(image, np.float32)[..., None], 3, axis=2)
    transparent = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    return np.array(image.convert("RGBA" if transparent else "RGB"))  # Pillow divides premultiplied colours itself


def _has_tables(tags: PhotoTags) -> bool:
    try:
        colour_space(tags.colours)
    except TableProfile:
        return True
    return False


def _managed(image: Image.Image, profile: bytes) -> NDArray[np.uint8] | None:
    """sRGB by LittleCMS, where the profile is made of tables (print, scanners); None where it is none."""
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
    plain = image.convert("RGB") if image.mode not in ("CMYK", "LAB", "L") else image
    try:
        source = (
            ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile
            else ImageCms.createProfile("LAB") if image.mode == "LAB"
            else None
        )  # fmt: skip
        if source is None:
            return None
        converted = ImageCms.profileToProfile(plain, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    pixels = np.array(converted)
    return pixels if alpha is None else np.dstack([pixels, np.array(alpha)])


def _read_exr(path: Path, name: str) -> NDArray[np.float32]:
    """Linear sRGB with alpha (straight) [h, w, 4] of the first part with colours, in its display window."""
    try:
        with quiet_stderr():
            for header in (part.header for part in OpenEXR.File(str(path), header_only=True).parts):
                _check_size(_window_size(header["displayWindow"]), name)
                _check_size(tuple(max(side, MIN_SIDE) for side in _window_size(header["dataWindow"])), name)
            for part in OpenEXR.File(str(path), separate_channels=True).parts:
                if (names := _colour_channels(list(part.channels))) is not None:
                    return _exr_pixels(part, names, name)
    except (RuntimeError, KeyError, ValueError, TypeError, OSError) as error:
        raise InputError(f"The file {name} cannot be read as an OpenEXR picture; export it again.") from error
    raise InputError(f"The file {name} has no channels R, G and B; export the picture itself as OpenEXR.")


def _window_size(window: tuple) -> tuple[int, int]:
    first, last = np.asarray(window[0]), np.asarray(window[1])
    width, height = (last - first + 1).tolist()
    return width, height


def _colour_channels(names: list[str]) -> list[str] | None:
    """R, G, B and perhaps A: the plain ones, else of the layer that comes first, "Combined" before others; or Y."""
    layers = {name.rpartition(".")[0] for name in names if name.rpartition(".")[2] == "R"}
    for layer in sorted(layers, key=lambda layer: (layer != "", not layer.endswith("Combined"), layer)):
        prefix = layer + "." if layer else ""
        if all(prefix + channel in names for channel in "RGB"):
            return [prefix + channel for channel in "RGBA" if prefix + channel in names]
    return ["Y"] if "Y" in names else None


def _exr_pixels(part, names: list[str], name: str) -> NDArray[np.float32]:
    header = part.header
    if abs(float(header.get("pixelAspectRatio", 1.0)) - 1) > 1e-3:
        raise InputError(f"The picture {name} has pixels that are not square; export it with square ones.")
    channels = [np.asarray(part.channels[channel].pixels, np.float32) for channel in names]
    if len(channels) == 1:
        channels *= 3
    if len(channels) == 3:
        channels.append(np.ones_like(channels[0]))
    pixels = np.nan_to_num(np.stack(channels, -1), nan=0.0, posinf=65504.0, neginf=-65504.0)
    alpha = pixels[..., 3:]
    pixels[..., :3] /= np.where(alpha > 0, alpha, 1)  # EXR's colours are multiplied by their alpha
    if (told := header.get("chromaticities")) is not None:
        xy = np.asarray(told, np.float64).reshape(4, 2).tolist()
        red, green, blue, white = (tuple(pair) for pair in xy)
        matrix = to_linear_srgb(Chromaticities(white, red, green, blue)).astype(np.float32)
        pixels[..., :3] = pixels[..., :3] @ matrix.T
    (left, top), (right, bottom) = (np.asarray(corner).tolist() for corner in header["dataWindow"])
    first, _ = (np.asarray(corner).tolist() for corner in header["displayWindow"])
    width, height = _window_size(header["displayWindow"])
    if (right - left + 1, bottom - top + 1) == (width, height):
        return pixels
    whole = np.zeros((height, width, 4), np.float32)  # what lies outside of the data is not known
    x, y = left - first[0], top - first[1]
    data = pixels[max(0, -y) :, max(0, -x) :]
    target = whole[max(0, y) : max(0, y + len(pixels)), max(0, x) : max(0, right + 1 - first[0])]
    target[:] = data[: target.shape[0], : target.shape[1]]
    return whole


def _read_hdr(path: Path, name: str) -> NDArray[np.float32]:
    with _file_errors(name), path.open("rb") as file:
        size = re.search(rb"\n[-+]Y\s+(\d+)\s+[-+]X\s+(\d+)\s*\n", file.read(1 << 16))
    if size:
        _check_size((int(size[2]), int(size[1])), name)
    with _quiet_opencv():
        try:
            data = np.fromfile(path, np.uint8)  # OpenCV opens no paths beyond ASCII on Windows
            image = cv2.imdecode(data, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR) if size else None
        except cv2.error:
            image = None
    if image is None:
        raise InputError(f"The file {name} cannot be read as a Radiance HDR picture; export it again.")
    return image[..., ::-1].astype(np.float32)


@contextlib.contextmanager
def _quiet_opencv() -> Iterator[None]:
    with quiet_stderr():
        yield


@contextlib.contextmanager
def _opened(source: Path | bytes, name: str, head: bytes) -> Iterator[Image.Image]:
    formats = FORMATS + (["HEIF"] if _heic_reader() else [])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is our limit
            image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats)
    except Image.DecompressionBombError as error:
        raise InputError(
            f"The image {name} has more than {MAX_PIXELS // 10**6} million pixels; scale it down."
        ) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS and not _heic_reader():
            raise InputError(
                f"{name} is a HEIC photo, for which no reader is installed; run `pip install pillow-heif`,"
                " or save it as JPEG or PNG."
            ) from error
        raise InputError(f"{name} is not an image that can be read; give a {READABLE} file.") from error
    with image:
        yield image


def _heic_reader() -> bool:
    """Whether HEIC can be read here; Pillow then knows how."""
    try:
        import pillow_heif
    except ImportError:
        return False
    if "HEIF" not in Image.OPEN:
        pillow_heif.register_heif_opener()
    return True


@contextlib.contextmanager
def _file_errors(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"There is no file {name}; check the path.") from error
    except IsADirectoryError as error:
        raise InputError(f"{name} is a folder; give the image file itself.") from error
    except PermissionError as error:
        raise InputError(f"The file {name} may not be read; check its permissions.") from error
    except OSError as error:
        raise InputError(f"The file {name} cannot be read ({error.strerror}); check the disk.") from error


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if min(size) < MIN_SIDE:
        raise InputError(
            f"The image {name} is only {width}x{height} pixels; give one of at least {MIN_SIDE}x{MIN_SIDE} pixels."
        )
    if max(size) > MAX_SIDE or width * height > MAX_PIXELS:
        raise InputError(
            f"The image {name} is {width}x{height} pixels; scale it down to at most {MAX_SIDE} pixels a side "
            f"and {MAX_PIXELS // 10**6} million pixels in all."
        )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


# --- what is known ----------------------------------------------------------------------------------------


def _known(alpha: NDArray, name: str) -> NDArray[np.bool_] | None:
    """Where a picture is not transparent; None where that is everywhere."""
    most = np.iinfo(alpha.dtype).max if np.issubdtype(alpha.dtype, np.integer) else 1.0
    known = np.asarray(alpha >= most * (KNOWN_ALPHA / 255))
    if known.mean() < 0.01:
        raise InputError(f"The image {name} is transparent all over; save it with its picture visible.")
    return None if known.all() else known


def _without_hidden(pixels: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Unknown pixels take the colour of what is known nearest: what hides under alpha 0 is nobody's picture.

    Large pictures: of the nearest block of pixels, in which only the known ones count.
    """
    height, width = known.shape
    step = max(1, round(max(height, width) / _FILLED_SIDE))
    size = -(-width // step), -(-height // step)
    share = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    light = cv2.resize((pixels * known[..., None]).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    some = share > 1e-3
    _, labels = cv2.distanceTransformWithLabels(
        (~some).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values = np.zeros((labels.max() + 1, 3), np.float32)
    values[labels[some]] = light[some] / share[some, None]
    filled = np.clip(values[labels] + 0.5, 0, 255).astype(np.uint8)
    filled = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(known[..., None], pixels, filled)


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
    _check_size((full_width, full_width // 2), name)
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
    return _without_hidden(result, known_there), known_there
