"""Imports a camera move from another program's file as an animated camera."""

import json
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import bpy

from ..cameras import metres_per_unit, render_size
from ..kit import Camera, read_transforms
from ..photo.place import add_camera
from ..service.job_scene import JobScene
from ..service.preferences import addon_preferences
from ..tasks import Event, JobError, Succeeded, Task
from ..undo import undoable
from ..viewports import select_only
from .camera_files import TITLES
from .keys import SQUARE, key_camera
from .program import program_command, run_program


def import_camera_move(context: bpy.types.Context, path: Path, unit: str) -> Task:
    """A task that reads a camera move and adds a camera that makes it. Raises `JobError`.

    unit: what the file counts in ("m", "cm", ...), where it does not say so.
    """
    scene = context.scene
    if not path.exists():
        raise JobError(f"There is no file {path}: choose it again.")
    if path.suffix.lower() in TITLES:
        title = TITLES[path.suffix.lower()]
        raise JobError(f"Blender reads {title} itself: use File › Import › {title}.")
    width, height = render_size(scene)
    job_scene, moves = JobScene(scene), []
    program = program_command(addon_preferences().service_command)
    options = ["--size", f"{width}x{height}", "--unit-in", unit]

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "transforms.json"
            command = [*program, "cameras", "convert", str(path), str(target), *options]
            yield from run_program(command, f"Reading {path.name}", cancelled)
            first = json.loads(target.read_text(encoding="utf-8")).get("first_frame", 1)
            moves.append((read_transforms(target), int(first)))
        yield Succeeded()

    def finish(result: Succeeded) -> str:
        scene = job_scene.find()
        if scene is None:
            return "The scene of this camera move is no longer open."
        cameras, first = moves[0]
        add_moving_camera(bpy.context, scene, path.stem, cameras, first)
        return _report(scene, cameras, first)

    return Task("Import Camera Move", steps, undoable("Import Camera Move", finish))


def add_moving_camera(
    context: bpy.types.Context, scene: bpy.types.Scene, name: str, cameras: Sequence[Camera], first_frame: int
) -> bpy.types.Object:
    """A camera with a key on every frame, which becomes the scene's. Its lens is keyed where it changes."""
    placed = add_camera(context, name)
    data = placed.data
    data.sensor_fit, data.sensor_width = "HORIZONTAL", 36.0
    key_camera(placed, cameras, first_frame, metres_per_unit(scene))
    scene.camera = placed
    if scene.frame_start > first_frame or scene.frame_end < first_frame + len(cameras) - 1:
        scene.frame_start, scene.frame_end = first_frame, first_frame + len(cameras) - 1
    select_only(context, placed)
    return placed


def _report(scene: bpy.types.Scene, cameras: Sequence[Camera], first_frame: int) -> str:
    camera = cameras[0]
    report = f"A camera with {len(cameras)} frames from {first_frame} on."
    width, height = render_size(scene)
    if abs(camera.width / camera.height - width / height) > 1e-3:
        report += f" The move was made for {camera.width} x {camera.height} pixels: set the scene's resolution to it."
    ratio = camera.intrinsics[0, 0] / camera.intrinsics[1, 1]
    if abs(ratio - 1) > SQUARE:
        report += f" Its pixels are not square: set the pixel aspect's Y to {ratio:.4f}."
    return report
