"""Files at the edge: photos in; panoramas, views, frames and videos out, written whole or not at all.

The geometry values (`Panorama`, `View`) know nothing of files; here they become files and back.
"""

import contextlib
import functools
import itertools
import json
import math
import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from lookbeyond.errors import InputError, StorageError
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.layout import LAYOUT_VERSION, RoomLayout
from lookbeyond.geometry.panorama import Panorama, Plate, View
from lookbeyond.whole import storage_errors, whole_file

MIN_SIDE = 64
MAX_SIDE = 16384
MAX_PIXELS = 150_000_000
MAX_JSON_BYTES = 1 << 20
WRITERS = 4
"""Files that are encoded at once: the models wait meanwhile."""
# Pillow also opens EPS, PDF and others through outside programs: a photo is one of these.
PHOTO_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")

WORLD_FILES = ("panorama.png", "distance.exr", "from_photo.png", "world.json")
WORLD_LAYERS = ("plate.png", "plate_distance.exr", "layout.json")
"""The place without what stands in it. Of a place that was not understood the panorama itself, and an empty layout."""


@dataclass(frozen=True)
class Photo:
    """A photo as a person sees it: upright (EXIF orientation applied)."""

    pixels: np.ndarray
    """uint8 [h, w, 3], sRGB."""
    fov_x_rad: float | None
    """Horizontal field of view told by the EXIF data, or None."""


def read_photo(path: Path, name: str | None = None) -> Photo:
    """Read a photo; `name` is what messages call it (default: its path).

    Raises InputError when the file is missing, is no image, has a side under 64 or over 16384 pixels or more
    than 150 million pixels. Sizes are checked before a pixel is decoded.
    """
    path = Path(path)
    name = name or str(path)
    with _opened(path, name) as image:
        _check_size(image.size, name)
        fov_x_rad = _fov_from_exif(image)
        try:
            pixels = _to_rgb(ImageOps.exif_transpose(image))
        except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
            raise InputError(
                f"The image {name} is damaged ({_one_line(error)}); save it again as PNG or JPEG."
            ) from error
    return Photo(pixels, fov_x_rad)


def read_panorama_image(path: Path, name: str | None = None) -> np.ndarray:
    """Read an equirectangular picture, uint8 [H, 2H, 3]. InputError as `read_photo`, or if it is not 2:1."""
    name = name or str(path)
    pixels = read_photo(path, name).pixels
    height, width = pixels.shape[:2]
    if width != 2 * height:
        raise InputError(
            f"The picture {name} is {width}x{height} pixels and so not a 360° panorama; "
            "give one that is exactly twice as wide as high."
        )
    return pixels


@contextlib.contextmanager
def _opened(path: Path, name: str) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is our limit
            image = Image.open(path, formats=PHOTO_FORMATS)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {name}; check the path.") from error
    except IsADirectoryError as error:
        raise InputError(f"{name} is a folder; give the image file itself.") from error
    except PermissionError as error:
        raise InputError(f"The file {name} may not be read; check its permissions.") from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"The image {name} has more than {MAX_PIXELS // 10**6} million pixels; scale it down."
        ) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(
            f"{name} is not an image that can be read; give a PNG, JPEG, WebP, TIFF or BMP file."
        ) from error
    with image:
        yield image


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


def _fov_from_exif(image: Image.Image) -> float | None:
    """Horizontal field of view of the upright photo: on 35 mm film the longer side of the frame is 36 mm."""
    try:
        exif = image.getexif()
        focal_mm = float(exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm, 0))
        turned = int(exif.get(ExifTags.Base.Orientation, 1)) in (5, 6, 7, 8)
    except Exception:  # EXIF comes broken in every way, and never is that a reason to refuse the photo
        return None
    if not (math.isfinite(focal_mm) and 4 <= focal_mm <= 2000):
        return None
    width, height = image.size[::-1] if turned else image.size
    return 2 * math.atan(18 / focal_mm * width / max(width, height))


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16") or image.mode == "I":  # 16-bit grey: Pillow's own conversion would clip
        grey = (np.clip(np.asarray(image).astype(np.float64), 0, 65535) / 257).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.array(image.convert("RGB"))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


# --- single files -----------------------------------------------------------------------------------------


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 [H, W, 3] (sRGB) or [H, W] (grey). The same pixels always give the same bytes.

    OpenCV's own settings (run lengths, no search for the best filter) take half the time of Pillow's quickest ones
    for a smaller file.
    """
    pixels = np.ascontiguousarray(pixels)
    _, encoded = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels)
    with storage_errors(path):
        Path(path).write_bytes(encoded.data)


def read_png(path: Path) -> np.ndarray:
    """Read a PNG written by `write_png`: uint8 [H, W, 3] or [H, W]."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if max(image.size) > MAX_SIDE:
                raise InputError(f"The image {path} is over {MAX_SIDE} pixels a side; give a smaller one.")
            return np.array(image if image.mode == "L" else image.convert("RGB"))
    except OSError as error:
        raise InputError(f"The file {path} cannot be read as a PNG image; make its folder again.") from error


def write_distance(path: Path, distance: np.ndarray) -> None:
    """Write float32 [H, W] metres as an OpenEXR file of one channel `Y`.

    Uncompressed: ZIP takes five to ten times as long, and finds a twentieth to spare in the last bits of distances.
    """
    header = {"compression": OpenEXR.NO_COMPRESSION, "type": OpenEXR.scanlineimage}
    with storage_errors(path), quiet_stderr():
        try:
            OpenEXR.File(header, {"Y": np.ascontiguousarray(distance, np.float32)}).write(str(path))
        except RuntimeError as error:  # OpenEXR tells of a full disk no other way
            raise StorageError(
                f"The file {path} could not be written ({_one_line(error)}); "
                "free some disk space or choose another folder."
            ) from error


def read_distance(path: Path) -> np.ndarray:
    """Read the channel `Y` of an OpenEXR file: float32 [H, W]. Raises InputError if it cannot be read."""
    try:
        with quiet_stderr():
            first, last = OpenEXR.File(str(path), header_only=True).header()["dataWindow"]
            if max(last - first) >= MAX_SIDE:
                raise ValueError("too large")
            channels = OpenEXR.File(str(path), separate_channels=True).channels()
        return np.asarray(channels["Y"].pixels, np.float32)
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"The file {path} cannot be read as an OpenEXR image with a channel Y; make its folder again."
        ) from error


def write_json(path: Path, value: object) -> None:
    """Write JSON with sorted keys, so that equal values give equal bytes. NaN and infinity are refused."""
    with storage_errors(path):
        path.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path, max_bytes: int = MAX_JSON_BYTES) -> dict:
    """Read a JSON object. Raises InputError that names the file."""
    try:
        if path.stat().st_size > max_bytes:
            raise ValueError("it is too large")
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError("it holds no JSON object")
        return value
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"The file {path} cannot be read ({_one_line(error)}); make its folder again.") from error


def write_video(path: Path, frames: Path, fps: float = 24) -> None:
    """Encode the PNG files of the folder `frames`, in the order of their names, as H.264 (yuv420p)."""
    import imageio.v2 as imageio  # ffmpeg is looked for on import: only those who want a video wait for it

    names = sorted(frames.glob("*.png"))
    if not names:
        raise InputError(f"The folder {frames} holds no PNG frames; shoot first, then make the video.")
    with storage_errors(path), whole_file(path) as temporary:
        encoding = {"codec": "libx264", "pixelformat": "yuv420p", "macro_block_size": 2, "quality": 8}
        with imageio.get_writer(temporary, format="FFMPEG", fps=fps, **encoding) as writer:
            for name in names:
                writer.append_data(read_png(name))


# --- worlds and views -------------------------------------------------------------------------------------


def save_panorama(folder: Path, panorama: Panorama) -> None:
    """Write panorama.png, distance.exr, from_photo.png, world.json and the layers into `folder`."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(WRITERS) as writers:
        writing = [
            writers.submit(write_png, folder / "panorama.png", panorama.colour),
            writers.submit(write_distance, folder / "distance.exr", panorama.distance),
            writers.submit(write_png, folder / "from_photo.png", panorama.from_photo),
            writers.submit(write_json, folder / "world.json", panorama.to_json_dict()),
        ]
        plate = panorama.plate or Plate(panorama.colour, panorama.distance)
        writing += [
            writers.submit(write_png, folder / "plate.png", plate.colour),
            writers.submit(write_distance, folder / "plate_distance.exr", plate.distance),
            writers.submit(write_json, folder / "layout.json", _layout_json(panorama)),
        ]
    for written in writing:
        written.result()


def _layout_json(panorama: Panorama) -> dict:
    if panorama.layout is not None:
        return panorama.layout.to_json_dict()
    return {"version": LAYOUT_VERSION, "corners": []} if panorama.plate is not None else {}


def load_panorama(folder: Path) -> Panorama:
    """Read what `save_panorama` wrote. Raises InputError if a file is missing or does not fit the others."""
    folder = Path(folder)
    missing = [name for name in WORLD_FILES if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"The folder {folder} is not a world: {', '.join(missing)} is missing; "
            "make one with `lookbeyond world PHOTO --out FOLDER`."
        )
    return read_panorama({name: folder / name for name in world_files(folder)}, str(folder))


def world_files(folder: Path) -> list[str]:
    """The names of a world's files in a folder: all of `WORLD_FILES`, and those of `WORLD_LAYERS` that are there."""
    return [*WORLD_FILES, *(name for name in WORLD_LAYERS if (folder / name).is_file())]


def read_panorama(paths: Mapping[str, Path], name: str) -> Panorama:
    """Read the files of a world, wherever each lies; `name` is what messages call the world."""
    layers = [layer in paths for layer in WORLD_LAYERS]
    try:
        if any(layers) and not all(layers):
            raise ValueError(f"of {', '.join(WORLD_LAYERS)} some are missing")
        plate = layout = None
        if all(layers) and (description := read_json(paths["layout.json"])):
            plate = Plate(read_png(paths["plate.png"]), read_distance(paths["plate_distance.exr"]))
            layout = RoomLayout.from_json_dict(description) if description.get("corners") else None
        return Panorama.from_json_dict(
            read_json(paths["world.json"]),
            colour=read_png(paths["panorama.png"]),
            distance=read_distance(paths["distance.exr"]),
            from_photo=read_png(paths["from_photo.png"]),
            plate=plate,
            layout=layout,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"The world {name} is damaged ({_one_line(error)}); build it again.") from error


def save_view(folder: Path, view: View) -> None:
    """Write colour.png, distance.exr, from_photo.png and view.json (the camera) into `folder`."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(WRITERS) as writers:
        writing = [
            writers.submit(write_png, folder / "colour.png", view.colour),
            writers.submit(write_distance, folder / "distance.exr", view.distance),
            writers.submit(write_png, folder / "from_photo.png", view.from_photo),
            writers.submit(write_json, folder / "view.json", {"version": 1, "camera": view.camera.to_dict()}),
        ]
    for written in writing:
        written.result()


def load_view(folder: Path) -> View:
    """Read what `save_view` wrote. Raises InputError when it cannot be read."""
    folder = Path(folder)
    try:
        return View(
            camera=Camera.from_dict(read_json(folder / "view.json")["camera"]),
            colour=read_png(folder / "colour.png"),
            distance=read_distance(folder / "distance.exr"),
            from_photo=read_png(folder / "from_photo.png"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"The view in {folder} is damaged ({_one_line(error)}); shoot again.") from error


def save_frames(folder: Path, views: Sequence[View]) -> None:
    """Write frames/0001.png and depth/0001.exr, and so on, into `folder`."""
    with storage_errors(folder):
        for name in ("frames", "depth"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def save(number: int, view: View) -> None:
        write_png(folder / f"frames/{number:04d}.png", view.colour)
        write_distance(folder / f"depth/{number:04d}.exr", view_depth(view))

    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(save, itertools.count(1), views))


def view_depth(view: View) -> np.ndarray:
    """Depth along the camera's z axis, float32 [H, W] metres: distance times the z part of the unit ray."""
    camera = view.camera
    return (view.distance * _z_of_rays(camera.width, camera.height, *camera.intrinsics.ravel().tolist())).astype(
        np.float32
    )


@functools.lru_cache(maxsize=2)
def _z_of_rays(width: int, height: int, *intrinsics: float) -> np.ndarray:
    # the frames of a shot share it, wherever their camera is
    camera = Camera(width, height, np.reshape(intrinsics, (3, 3)), np.eye(4))
    return camera.rays() @ camera.forward


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """OpenEXR prints its errors to file descriptor 2 as well as raising them: once is enough."""
    with _Stderr.turning:
        if not _Stderr.silent:
            _Stderr.saved = os.dup(2)
            with open(os.devnull, "wb") as null:
                os.dup2(null.fileno(), 2)
        _Stderr.silent += 1
    try:
        yield
    finally:
        with _Stderr.turning:
            _Stderr.silent -= 1
            if not _Stderr.silent:
                os.dup2(_Stderr.saved, 2)
                os.close(_Stderr.saved)


class _Stderr:
    """There is one such descriptor: the first to want it quiet turns it off, the last turns it on again."""

    turning = threading.Lock()
    silent = 0
    saved = -1
