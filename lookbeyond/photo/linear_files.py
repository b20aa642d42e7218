"""Pictures of linear light: OpenEXR and Radiance HDR."""

import re
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
from numpy.typing import NDArray

from lookbeyond.errors import InputError

from .checks import MIN_SIDE, check_size, file_errors, head_of
from .colour_tags import Chromaticities
from .pixels import to_linear_srgb
from .quiet import quiet_stderr

EXR_START, HDR_START = b"\x76\x2f\x31\x01", b"#?R"


def read_linear(path: Path, name: str | None = None) -> NDArray[np.float32]:
    """Linear sRGB light [h, w, 3] of an OpenEXR or Radiance HDR file. Raises InputError."""
    name = name or str(path)
    head = head_of(path, name)
    if not head.startswith((EXR_START, HDR_START)):
        raise InputError(f"{name} is no OpenEXR or Radiance HDR picture; export it again.")
    return (read_exr(path, name) if head.startswith(EXR_START) else read_hdr(path, name))[..., :3]


def read_exr(path: Path, name: str) -> NDArray[np.float32]:
    """Linear sRGB with alpha (straight) [h, w, 4] of the first part with colours, in its display window."""
    try:
        with quiet_stderr():
            for header in (part.header for part in OpenEXR.File(str(path), header_only=True).parts):
                check_size(_window_size(header["displayWindow"]), name)
                check_size(tuple(max(side, MIN_SIDE) for side in _window_size(header["dataWindow"])), name)
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
    if (chromaticities := header.get("chromaticities")) is not None:
        xy = np.asarray(chromaticities, np.float64).reshape(4, 2).tolist()
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


def read_hdr(path: Path, name: str) -> NDArray[np.float32]:
    """Linear sRGB [h, w, 3]."""
    with file_errors(name), path.open("rb") as file:
        size = re.search(rb"\n[-+]Y\s+(\d+)\s+[-+]X\s+(\d+)\s*\n", file.read(1 << 16))
    if size:
        check_size((int(size[2]), int(size[1])), name)
    with quiet_stderr():
        try:
            data = np.fromfile(path, np.uint8)  # OpenCV opens no paths beyond ASCII on Windows
            image = cv2.imdecode(data, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR) if size else None
        except cv2.error:
            image = None
    if image is None:
        raise InputError(f"The file {name} cannot be read as a Radiance HDR picture; export it again.")
    return image[..., ::-1].astype(np.float32)
