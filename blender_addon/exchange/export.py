"""Exports the scene's world, its shot and its camera move."""

import hashlib
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import bpy

from ..json_files import read_json
from ..kit import write_transforms
from ..moved import present_path
from ..path.frames import scene_frames
from ..path.read import shot_cameras
from ..results import absolute
from ..service.preferences import addon_preferences
from ..tasks import Event, JobError, Succeeded, Task
from . import camera_files
from .program import program_command, run_program

WORLD_KINDS = (
    ("SPLATS", "Gaussian Splats", "The world, and what the shot uncovered, as .ply or .spz", ".ply"),
    ("MESH", "Geometry", "The room's surfaces and the things in front of them, as .glb or .usd", ".glb"),
    ("PAGE", "Page for the Client", "A folder of static files to look around in", ""),
)
"""Identifier, name, description and file ending of each export of a world."""


def export_world(scene: bpy.types.Scene, kind: str, path: Path) -> Task:
    """A task that exports the scene's world; splats and pages include its shot. Raises `JobError`."""
    settings = scene.look_beyond
    folders = [str(present_path(absolute(settings.world_folder)))]
    if kind != "MESH" and settings.shot_folder and _is_of_world(absolute(settings.shot_folder), Path(folders[0])):
        folders.append(str(absolute(settings.shot_folder)))
    words = {"SPLATS": "splats", "MESH": "mesh", "PAGE": "page"}[kind]
    options = []
    if kind == "PAGE":
        options = ["--title", scene.name, "--name", scene.name, "--fps", f"{_fps(scene):g}"]
    command = [*program_command(addon_preferences().service_command), words, *folders, "--out", str(path), *options]

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        output = yield from run_program(command, f"Writing {path.name}", cancelled)
        yield Succeeded(_last_line(output), path if path.is_dir() else path.parent)

    return Task("Export", steps)


def _is_of_world(shot: Path, world: Path) -> bool:
    """Whether the shot lies there, with the panorama of this world; the program says more where it does not fit."""
    try:
        about = read_json(shot / "shot.json")
        panorama = hashlib.sha256((world / "panorama.png").read_bytes()).hexdigest()
        return about["world"]["panorama.png"] == panorama
    except (OSError, ValueError, KeyError, TypeError):
        return False


def export_camera_move(context: bpy.types.Context, path: Path, unit: str, up: str) -> Task:
    """A task that writes the cameras of the scene's frames into the file of another program.

    Raises `JobError`, `CameraError`.
    """
    scene = context.scene
    cameras = shot_cameras(context)
    first, fps = scene_frames(scene).start, _fps(scene)
    if path.suffix.lower() in camera_files.TITLES:
        name, rate = scene.camera.name, (scene.render.fps, scene.render.fps_base)

        def finish(result: Succeeded) -> str:
            return " ".join(camera_files.write_camera_file(path, name, cameras, first, rate, unit))

        return Task("Export Camera Move", lambda cancelled: iter([Succeeded(folder=path.parent)]), finish)
    program = program_command(addon_preferences().service_command)

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "transforms.json"
            names = [f"frames/{first + number:04d}.png" for number in range(len(cameras))]
            write_transforms(source, cameras, names, extra={"fps": fps, "first_frame": first})
            command = [*program, "cameras", "convert", str(source), str(path), "--unit-out", unit, "--up", up]
            output = yield from run_program(command, f"Writing {path.name}", cancelled)
        yield Succeeded(" ".join(line.strip() for line in output.splitlines()), path.parent)

    return Task("Export Camera Move", steps)


def _fps(scene: bpy.types.Scene) -> float:
    return scene.render.fps / scene.render.fps_base


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if not lines:
        raise JobError("The program lookbeyond printed nothing: update the service to the add-on's version.")
    return lines[-1]
