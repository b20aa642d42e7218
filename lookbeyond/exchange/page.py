"""A page for the client: worlds to look around in and shots to play, as static files that open from a disk.

Browsers let a page that was opened from a disk read scripts, pictures and films, nothing else, and draw only pictures
that came with a script. So each panorama is a script that holds a JPEG; nothing is fetched from elsewhere.
"""

import base64
import html
import json
import math
import shutil
import string
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lookbeyond.errors import InputError
from lookbeyond.files import write_video
from lookbeyond.geometry.cameras import heading_pitch_roll
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.whole import whole_folder

from .camera_move import FPS, fov_y
from .floor_plan import floor_plan, plan_corner
from .gltf import jpeg
from .shots import Shot
from .stage import stage_of

WIDTH = 4096
"""Of the panoramas, at most: what every phone can draw."""
QUALITY = 86
STILL_WIDTH = 2048
"""Of the picture for those without scripts."""
STILL_QUALITY = 80
DOOR_M = 0.3
"""Worlds whose viewpoints are farther apart than this get a mark that leads from one to the other."""
ENTRIES = ("index.html", "viewer.js", "LICENSE-three.txt", "rooms", "shots")


@dataclass(frozen=True)
class Room:
    """A world of the tour."""

    name: str
    world: Panorama


@dataclass(frozen=True)
class Film:
    """A shot of the tour, and the number of the room it was made in."""

    name: str
    shot: Shot
    room: int
    fps: float = FPS


def write_page(out: Path, rooms: Sequence[Room], films: Sequence[Film] = (), title: str = "") -> None:
    """Write the folder `out`: index.html, the viewer, and what it shows; whole or not at all.

    `title` is the page's; by default the first room's name. Raises InputError without a room.
    """
    if not rooms:
        raise InputError("A page needs at least one world; give its folder.")
    with whole_folder(out, ENTRIES) as folder:
        assets = files("lookbeyond.exchange") / "page_assets"
        for name in ("viewer.js", "LICENSE-three.txt"):
            (folder / name).write_bytes((assets / name).read_bytes())
        (folder / "rooms").mkdir()
        for number, room in enumerate(rooms):
            _write_room(folder, number, room.world)
        if films:
            (folder / "shots").mkdir()
        for number, film in enumerate(films):
            _write_film(folder / _film_name(number), film)
        tour = {
            "rooms": [_room(number, rooms) for number in range(len(rooms))],
            "shots": [_shot(number, film, rooms[film.room].world) for number, film in enumerate(films)],
        }
        # "</script>" in a room's name must not end the script
        script = json.dumps(tour, ensure_ascii=False).replace("<", "\\u003c")
        page = string.Template((assets / "index.html").read_text(encoding="utf-8"))
        content = page.substitute(title=html.escape(title or rooms[0].name), still="rooms/1.jpg", tour=script)
        (folder / "index.html").write_text(content, encoding="utf-8")


def _write_room(folder: Path, number: int, world: Panorama) -> None:
    picture = _narrowed(world.colour, WIDTH)
    address = "data:image/jpeg;base64," + base64.b64encode(jpeg(picture, QUALITY)).decode()
    (folder / "rooms" / f"{number + 1}.js").write_text(f'lookBeyondPicture({number}, "{address}");\n', encoding="ascii")
    if number == 0:
        still = jpeg(_narrowed(world.colour, STILL_WIDTH), STILL_QUALITY)
        (folder / "rooms" / "1.jpg").write_bytes(still)


def _narrowed(picture: np.ndarray, width: int) -> np.ndarray:
    if picture.shape[1] <= width:
        return picture
    return cv2.resize(picture, (width, width // 2), interpolation=cv2.INTER_AREA)


def _write_film(path: Path, film: Film) -> None:
    frames = film.shot.frames
    missing = next((frame for frame in frames if not frame.is_file()), None)
    if missing is not None:
        raise InputError(f"The shot in {film.shot.folder} is not whole: {missing} is missing; shoot it again.")
    if sorted(frames[0].parent.glob("*.png")) == list(frames):
        return write_video(path, frames[0].parent, film.fps)
    gathered = path.with_suffix("")
    gathered.mkdir()
    for number, frame in enumerate(frames):
        shutil.copyfile(frame, gathered / f"{number:06d}.png")
    write_video(path, gathered, film.fps)
    shutil.rmtree(gathered)


def _film_name(number: int) -> str:
    return f"shots/{number + 1}.mp4"


def _room(number: int, rooms: Sequence[Room]) -> dict[str, Any]:
    """A room as the viewer wants it: degrees but for `heading`, and the plan's own units."""
    world = rooms[number].world
    yaw, pitch = math.degrees(world.heading_rad), 0.0
    if world.photo_camera is not None:
        heading, tilt, _ = heading_pitch_roll(world.photo_camera)
        yaw, pitch = math.degrees(heading), math.degrees(tilt)
    doors = []
    for other, room in enumerate(rooms):
        way = room.world.position - world.position
        if other != number and np.linalg.norm(way) > DOOR_M:
            direction = _direction(way)
            doors.append({"room": other, **direction})
    plan, at = None, [0.0, 0.0]
    if world.layout is not None:
        plan = floor_plan(world, list(stage_of(world).boxes))
        at = plan_corner(world.layout, world.position)
    return {
        "name": rooms[number].name,
        "script": f"rooms/{number + 1}.js",
        "heading": world.heading_rad,
        "yaw": yaw,
        "pitch": pitch,
        "doors": doors,
        "plan": plan,
        "at": at,
    }


def _shot(number: int, film: Film, world: Panorama) -> dict[str, Any]:
    first = film.shot.cameras[0]
    heading, pitch, _ = heading_pitch_roll(first)
    path = ""
    if world.layout is not None:
        places = [plan_corner(world.layout, camera.position) for camera in film.shot.cameras]
        path = " ".join(f"{x:.3f},{y:.3f}" for x, y in places)
    return {
        "name": film.name,
        "room": film.room,
        "film": _film_name(number),
        "yaw": math.degrees(heading),
        "pitch": math.degrees(pitch),
        "fov": math.degrees(fov_y(first)),
        "aspect": first.width / first.height,
        "path": path,
    }


def _direction(way: np.ndarray) -> dict[str, float]:
    """Degrees; a little down, as one looks at a place on the floor to walk to."""
    level = float(np.hypot(way[0], way[1]))
    pitch = math.degrees(math.atan2(way[2], level)) if level > 1e-6 else math.copysign(80.0, way[2])
    return {"yaw": math.degrees(math.atan2(way[1], way[0])), "pitch": max(-80.0, min(80.0, pitch - 10))}
