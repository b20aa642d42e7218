"""A finished world as the add-on needs it: how far one may go, and how much of a view is known. No bpy here.

Read in a thread: Blender itself would hold the window for the time that an EXR file takes.
"""

import json
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from lookbeyond_kit.geometry.cameras import Camera
from lookbeyond_kit.geometry.coverage import Coverage
from lookbeyond_kit.geometry.keyframes import plan_shot
from lookbeyond_kit.geometry.panorama import Panorama
from numpy.typing import ArrayLike

LITTLE = 0.6
"""Share of a view below which a frame is mostly invented, and the artist is told."""
MAX_SIDE = 16384
DISTANCE = "distance.exr"


class WorldError(ValueError):
    """A world whose files cannot be used: the message names the file and the remedy."""


@dataclass(frozen=True, eq=False)
class KnownWorld:
    """A world's distances, prepared for questions that are asked often."""

    folder: Path
    panorama: Panorama
    """Distances, heading and origin; its colours are blank."""
    median: float
    """The panorama's median distance, metres."""
    coverage: Coverage
    modified: int
    """When its distances were written (`st_mtime_ns`)."""

    def is_of(self, folder: Path) -> bool:
        """Whether this is what lies in the folder now."""
        try:
            return self.folder == folder and self.modified == (folder / DISTANCE).stat().st_mtime_ns
        except OSError:
            return False

    def behind_surface(self, position: np.ndarray) -> bool:
        """Whether a place [3] lies behind what is seen from the origin: in a wall, or beyond it."""
        offset = np.asarray(position, float) - self.panorama.position
        length = float(np.linalg.norm(offset))
        return length > 1e-6 and length > float(self.panorama.distance_at(offset))


def load_world(folder: Path) -> KnownWorld:
    """The world in a folder. Raises `WorldError`."""
    try:
        about = json.loads((folder / "world.json").read_text(encoding="utf-8"))
        heading = math.radians(float(about["heading"]))
        x, y, z = (float(value) for value in about["origin"])
        height_m = float(about["camera_height"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorldError(f"The world in {folder} cannot be read ({error}): build it again.") from None
    file = folder / DISTANCE
    distance = read_distance(file)
    height, width = distance.shape
    if width != 2 * height or not (np.isfinite(distance) & (distance > 0)).all():
        raise WorldError(f"The distances in {file} are damaged: build the world again.")
    blank = np.zeros((1, 2, 3), np.uint8), np.zeros((1, 2), np.uint8)
    panorama = Panorama(blank[0], distance, blank[1], heading, (x, y, z), height_m)
    return KnownWorld(folder, panorama, panorama.median_distance(), Coverage(panorama), file.stat().st_mtime_ns)


def read_distance(path: Path) -> np.ndarray:
    """The one float channel of a world's distance.exr, [H, W] float32: scan lines, raw or ZIP compressed.

    Raises `WorldError` for anything else. Blender offers no reader outside its main thread.
    """
    try:
        data = path.read_bytes()
        return _scan_lines(data, *_header(data))
    except (OSError, ValueError, IndexError, KeyError, struct.error, zlib.error) as error:
        raise WorldError(f"The file {path} cannot be read ({error}): build the world again.") from None


def _header(data: bytes) -> tuple[dict[str, bytes], int]:
    """The attributes of an EXR file, by name, and where they end."""
    if data[:4] != b"\x76\x2f\x31\x01" or data[5] & 0x1A:
        raise ValueError("no single-part scan line OpenEXR file")
    attributes, position = {}, 8
    while data[position]:
        name_end = data.index(b"\0", position)
        kind_end = data.index(b"\0", name_end + 1)
        (size,) = struct.unpack_from("<i", data, kind_end + 1)
        attributes[data[position:name_end].decode()] = data[kind_end + 5 : kind_end + 5 + size]
        position = kind_end + 5 + size
    return attributes, position + 1


def _scan_lines(data: bytes, attributes: dict[str, bytes], position: int) -> np.ndarray:
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    channels, compression = attributes["channels"], attributes["compression"][0]
    name_end = channels.index(b"\0")
    (kind,) = struct.unpack_from("<i", channels, name_end + 1)
    if kind != 2 or len(channels) != name_end + 18 or compression not in (0, 2, 3):
        raise ValueError("not one float channel in scan lines")
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ValueError("an impossible size")
    rows = 16 if compression == 3 else 1
    image = np.empty((height, width), np.float32)
    for offset in struct.unpack_from(f"<{-(-height // rows)}Q", data, position):
        line, size = struct.unpack_from("<ii", data, offset)
        lines = image[line - top : line - top + rows]
        block = data[offset + 8 : offset + 8 + size]
        if size < lines.nbytes:
            deltas = np.frombuffer(zlib.decompress(block), np.uint8).astype(np.int64)
            deltas[1:] -= 128
            halves = (np.cumsum(deltas) & 255).astype(np.uint8)
            whole = np.empty(lines.nbytes, np.uint8)
            middle = (len(whole) + 1) // 2
            whole[::2], whole[1::2] = halves[:middle], halves[middle:]
            block = whole.tobytes()
        lines[:] = np.frombuffer(block, "<f4").reshape(lines.shape)
    return image


@dataclass
class PathCheck:
    """What is known along a path, found out frame by frame so that whoever asks can stop in between."""

    frames: list[int]
    """The scene's frame numbers."""
    cameras: list[Camera]
    known: list[float] = field(default_factory=list)
    """Share of each frame's view that the world shows, 0..1."""
    too_far: list[float] = field(default_factory=list)
    """Metres beyond what may be shot, of each frame; not positive where it may."""
    inside: list[bool] = field(default_factory=list)
    """Whether each frame's camera has gone through a surface."""
    anchors: list[int] = field(default_factory=list)
    """Indices of the frames that are made first."""

    def steps(self, world: KnownWorld, turn: float = 0.0, frames_per_clip: int = 13) -> Iterator[None]:
        """Do the work, in a world that the artist has turned by so many radians; control comes back after every
        frame."""
        for camera in self.cameras:
            camera = turned(camera, -turn, world.panorama.position)
            self.known.append(world.coverage.share(camera))
            self.too_far.append(world.coverage.too_far(camera.position))
            self.inside.append(world.behind_surface(camera.position))
            yield
        self.anchors = anchor_frames(self.cameras, world.median, frames_per_clip)
        yield

    def sentences(self) -> list[str]:
        """What is wrong with the path, for the artist; empty when nothing is."""
        said = []
        walls = ranges(self.frames, self.inside)
        if walls:
            said.append(f"{walls}: the camera goes through a surface of the world. Keep the path in the open.")
        far = [excess > 0 and not inside for excess, inside in zip(self.too_far, self.inside, strict=True)]
        if any(far):
            most = max(excess for excess, beyond in zip(self.too_far, far, strict=True) if beyond)
            said.append(
                f"{ranges(self.frames, far)}: up to {most:.1f} m beyond what can be shot from this world."
                " Move the path nearer to the photo's place."
            )
        little = [share < LITTLE and excess <= 0 for share, excess in zip(self.known, self.too_far, strict=True)]
        if any(little):
            least = min(share for share, few in zip(self.known, little, strict=True) if few)
            said.append(
                f"{ranges(self.frames, little)}: as little as {least:.0%} of the view is known; the rest will be"
                " invented."
            )
        return said


def turned(camera: Camera, angle: float, origin: ArrayLike) -> Camera:
    """The camera turned about the vertical through a point (metres), radians counter-clockwise."""
    if abs(angle) < 1e-6:
        return camera
    turn, pose = np.eye(4), camera.camera_to_world.copy()
    turn[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    pose[:3, 3] -= np.asarray(origin)
    pose = turn @ pose
    pose[:3, 3] += np.asarray(origin)
    return Camera(camera.width, camera.height, camera.intrinsics, pose)


def anchor_frames(cameras: Sequence[Camera], median: float, frames_per_clip: int) -> list[int]:
    """Indices of the anchors that a shot of these cameras gets, wherever they stand."""
    if len(cameras) < 2:
        return []
    # Whether the frames can be shot is another question: this world is so large that any can.
    large = Panorama(np.zeros((1, 2, 3), np.uint8), np.full((1, 2), 1e9, np.float32), np.zeros((1, 2), np.uint8))
    plan = plan_shot(cameras, large, frames_per_clip=frames_per_clip, max_translation=0.25 * median)
    return [anchor.frame for anchor in plan.anchors]


def ranges(frames: Sequence[int], marked: Sequence[bool]) -> str:
    """The marked frames in words: `Frames 3–7, 12`; empty if none is."""
    runs: list[list[int]] = []
    before = False
    for frame, mark in zip(frames, marked, strict=True):
        if mark and before:
            runs[-1][1] = frame
        elif mark:
            runs.append([frame, frame])
        before = bool(mark)
    if not runs:
        return ""
    words = [str(first) if first == last else f"{first}–{last}" for first, last in runs[:4]]
    several = len(runs) > 1 or runs[0][0] != runs[0][1]
    return f"Frame{'s' if several else ''} {', '.join(words)}{', …' if len(runs) > 4 else ''}"
