"""Files of panoramas, views, frames and videos. (Photos: `photo.reading`.)

The geometry values (`Panorama`, `View`) know nothing of files; here they become files and back.
"""

import contextlib
import functools
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenEXR
from PIL import Image

from lookbeyond.errors import InputError, StorageError, one_line
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.layout import LAYOUT_VERSION, RoomLayout
from lookbeyond.geometry.panorama import Panorama, Plate, View
from lookbeyond.geometry.transforms import in_numbers_order
from lookbeyond.photo.checks import MAX_SIDE
from lookbeyond.photo.quiet import quiet_stderr
from lookbeyond.whole import storage_errors, whole_file

MAX_JSON_BYTES = 1 << 20
DEPTH_PNG_UNIT_M = 1e-3
"""Metres of one step of a depth PNG: nerfstudio's `depth_unit_scale_factor`."""
WRITERS = 4
"""Files that are encoded at once: the models wait meanwhile."""
WORLD_FILES = ("panorama.png", "distance.exr", "from_photo.png", "world.json")
WORLD_LAYERS = ("plate.png", "plate_distance.exr", "layout.json")
"""The place without what stands in it. Of a place that was not understood the panorama itself, and an empty layout."""


# --- single files -----------------------------------------------------------------------------------------


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 [H, W, 3] (sRGB), [H, W, 4] (with straight alpha) or [H, W] (grey). The same pixels always give the
    same bytes.

    OpenCV's own settings (run lengths, no search for the best filter) take half the time of Pillow's quickest ones
    for a smaller file.
    """
    pixels = np.ascontiguousarray(pixels)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    _, encoded = cv2.imencode(".png", pixels)
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
    with exr_errors(path):
        OpenEXR.File(header, {"Y": np.ascontiguousarray(distance, np.float32)}).write(str(path))


def write_light(path: Path, light: np.ndarray) -> None:
    """Write linear light, float32 [H, W, 3] of Rec. 709, as an OpenEXR file of half floats R, G and B, without loss."""
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "chromaticities": (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290),
    }
    with exr_errors(path):
        OpenEXR.File(header, {"RGB": np.ascontiguousarray(light, np.float16)}).write(str(path))


def read_light_file(path: Path) -> np.ndarray:
    """The light that `write_light` wrote, float32 [H, W, 3]. Raises InputError that names the file."""
    try:
        with quiet_stderr():
            return np.array(OpenEXR.File(str(path)).channels()["RGB"].pixels, np.float32)
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise InputError(f"The light {path} cannot be read ({one_line(error)}); build the world again.") from error


@contextlib.contextmanager
def exr_errors(path: Path) -> Iterator[None]:
    """Turn what OpenEXR reports of a file that it writes into `StorageError`."""
    with storage_errors(path), quiet_stderr():
        try:
            yield
        except RuntimeError as error:  # OpenEXR has no other way to report a full disk
            raise StorageError(
                f"The file {path} could not be written ({one_line(error)}); "
                "free some disk space or choose another folder."
            ) from error


def write_depth_png(path: Path, depth: np.ndarray) -> None:
    """Write depth along z, float32 [H, W] metres, as a grey PNG of 16 bits in steps of `DEPTH_PNG_UNIT_M`.

    0, which tools take for "not known", where it is more than 65.535 m. This is what nerfstudio reads: its own readers
    of depth know no OpenEXR.
    """
    steps = np.rint(depth / DEPTH_PNG_UNIT_M)
    _, encoded = cv2.imencode(".png", np.where(steps <= 65535, np.maximum(steps, 1), 0).astype(np.uint16))
    with storage_errors(path):
        Path(path).write_bytes(encoded.data)


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
        raise InputError(f"The file {path} cannot be read ({one_line(error)}); make its folder again.") from error


@contextlib.contextmanager
def open_video(path: Path, fps: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Give what appends a frame, uint8 [H, W, 3] (sRGB), to the H.264 video (yuv420p) `path`."""
    import imageio.v2 as imageio  # ffmpeg is looked for on import: only those who want a video wait for it

    encoding = {"codec": "libx264", "pixelformat": "yuv420p", "macro_block_size": 2, "quality": 8}
    with (
        storage_errors(path),
        whole_file(path) as temporary,
        imageio.get_writer(temporary, format="FFMPEG", fps=fps, **encoding) as writer,
    ):
        yield writer.append_data


def write_video(path: Path, frames: Path, fps: float = 24) -> None:
    """Encode the PNG files of the folder `frames`, in the order of their numbers."""
    names = sorted(frames.glob("*.png"), key=lambda frame: in_numbers_order(frame.name))
    if not names:
        raise InputError(f"The folder {frames} holds no PNG frames; shoot first, then make the video.")
    with open_video(path, fps) as append:
        for name in names:
            append(read_png(name))


# --- worlds and views -------------------------------------------------------------------------------------


def save_panorama(folder: Path, panorama: Panorama, extra: Mapping[str, Any] | None = None) -> None:
    """Write panorama.png, distance.exr, from_photo.png, world.json and the layers into `folder`.

    `extra` is put into world.json.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(WRITERS) as writers:
        writing = [
            writers.submit(write_png, folder / "panorama.png", panorama.colour),
            writers.submit(write_distance, folder / "distance.exr", panorama.distance),
            writers.submit(write_png, folder / "from_photo.png", panorama.from_photo),
            writers.submit(write_json, folder / "world.json", panorama.to_json_dict() | dict(extra or {})),
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
    check_is_world(folder)
    return read_panorama({name: folder / name for name in world_files(folder)}, str(folder))


def check_is_world(folder: Path) -> None:
    """InputError where one of the files is missing that every world has."""
    missing = [name for name in WORLD_FILES if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"The folder {folder} is not a world: {', '.join(missing)} is missing; "
            "make one with `lookbeyond world PHOTO --out FOLDER`."
        )


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
        raise InputError(f"The world {name} is damaged ({one_line(error)}); build it again.") from error


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
        raise InputError(f"The view in {folder} is damaged ({one_line(error)}); shoot again.") from error


def save_frames(
    folder: Path, views: Sequence[View], written: Callable[[Sequence[str]], None] = lambda names: None
) -> None:
    """Write frames/0001.png, depth/0001.exr (metres) and depth/0001.png (millimetres), and so on, into `folder`.

    `written` is called with the three names of each frame once its files are whole, from several threads.
    """
    with storage_errors(folder):
        for name in ("frames", "depth"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def save(number: int, view: View) -> None:
        names = [f"frames/{number:04d}.png", f"depth/{number:04d}.exr", f"depth/{number:04d}.png"]
        depth = view_depth(view)
        write_png(folder / names[0], view.colour)
        write_distance(folder / names[1], depth)
        write_depth_png(folder / names[2], depth)
        written(names)

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
    columns, rows = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    to_camera = np.linalg.inv(np.reshape(intrinsics, (3, 3)))
    x, y, z = (column * columns + row * rows + offset for column, row, offset in to_camera)
    return z / np.sqrt(x * x + y * y + z * z)
