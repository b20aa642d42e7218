"""Decodes a file's pixels to upright 8-bit sRGB, with a mask of what is known."""

import contextlib
import io
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from lookbeyond.errors import InputError, one_line

from .checks import MAX_PIXELS, check_size, head_of
from .linear_files import EXR_START, HDR_START, read_exr, read_hdr
from .pixels import CONVERTED, KNOWN_ALPHA, TableProfile, colour_space, light_of, shown, turn
from .quiet import quiet_stderr
from .tags import PhotoTags

# Pillow also opens EPS, PDF and others through outside programs: a photo is one of these.
FORMATS = ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "AVIF"]
READABLE = "PNG, JPEG, WebP, TIFF, BMP, AVIF, HEIC, OpenEXR or Radiance HDR"
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_BITS = 258
_FILLED_SIDE = 1024
"""Longer side, in pixels, of the picture in which what is unknown is filled."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """A picture upright in sRGB; fields as those of `Photo`."""

    pixels: NDArray[np.uint8]
    known: NDArray[np.bool_] | None
    said: tuple[str, ...]
    stops: float | None


def decode(path: Path, name: str, tags: PhotoTags, stops: float | None) -> Decoded:
    """Upright sRGB, what is known, and what was decided."""
    said: list[str] = []
    stored = _upright(path, name, tags)
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
        said.append("It is an HDR photo with a gain map: its SDR base is used.")
    pixels = np.ascontiguousarray(pixels)
    if known is not None:
        pixels = without_hidden(pixels, known)
    return Decoded(pixels, known, tuple(said), found)


def decode_light(
    path: Path, name: str, tags: PhotoTags, stops: float | None
) -> tuple[NDArray[np.float32], bool] | None:
    """The linear light of a picture of more than 8 bits, [h, w, 3], as exposed as `decode` shows it, and whether it
    ends at white; None for other pictures."""
    stored = _upright(path, name, tags)
    if isinstance(stored, _Converted):
        return None
    known = _known(stored[..., 3], name) if stored.shape[2] == 4 else None
    return light_of(stored[..., :3], tags.colours, known, stops)


def _upright(path: Path, name: str, tags: PhotoTags) -> NDArray:
    """Pixels [h, w, 3 or 4] as the file has them, turned upright."""
    head = head_of(path, name)
    if head.startswith((EXR_START, HDR_START)):
        stored = read_exr(path, name) if head.startswith(EXR_START) else read_hdr(path, name)
    else:
        stored = _read_stored(path, name, head, tags)
    return turn(stored, tags.orientation) if head[4:8] != b"ftyp" else stored


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
        check_size(image.size, name)
        try:
            return _pillow_pixels(image, tags)
        except (OSError, SyntaxError, ValueError, EOFError, MemoryError, struct.error) as error:
            raise InputError(
                f"The image {name} is damaged ({one_line(error)}); save it again as PNG or JPEG."
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
    with quiet_stderr():
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
            ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if profile
            else ImageCms.createProfile("LAB")
            if image.mode == "LAB"
            else None
        )
        if source is None:
            return None
        converted = ImageCms.profileToProfile(plain, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    pixels = np.array(converted)
    return pixels if alpha is None else np.dstack([pixels, np.array(alpha)])


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


def _known(alpha: NDArray, name: str) -> NDArray[np.bool_] | None:
    """Where a picture is not transparent; None where that is everywhere."""
    most = np.iinfo(alpha.dtype).max if np.issubdtype(alpha.dtype, np.integer) else 1.0
    known = np.asarray(alpha >= most * (KNOWN_ALPHA / 255))
    if known.mean() < 0.01:
        raise InputError(f"The image {name} is transparent all over; save it with its picture visible.")
    return None if known.all() else known


def without_hidden(pixels: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
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
