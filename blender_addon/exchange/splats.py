"""The scene's world as Gaussian splats in the scene: Blender 5.3 and later."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import bpy

from ..cameras import metres_per_unit
from ..made import remember_made
from ..marks import set_marks
from ..moved import present_path
from ..results import absolute
from ..service.job_scene import JobScene
from ..service.preferences import addon_preferences
from ..tasks import Event, JobError, Succeeded, Task
from ..undo import undoable
from .program import program_command, run_program

FIRST_VERSION = (5, 3, 0)
MAKER = "splats"


def missing_reason(scene: bpy.types.Scene) -> str:
    """Why the scene cannot have splats, or nothing."""
    if bpy.app.version < FIRST_VERSION:
        return "Gaussian splats need Blender 5.3: add the stage instead, or export them"
    if scene.camera is not None and scene.camera.data.type == "ORTHO":
        return "Splats are black through an orthographic camera: use a perspective camera, or add the stage instead"
    return ""


def build_splats(context: bpy.types.Context) -> Task:
    """A task that puts the splats of the scene's world into the scene. Raises `JobError`."""
    scene = context.scene
    world = present_path(absolute(scene.look_beyond.world_folder))
    program = program_command(addon_preferences().service_command)
    job_scene, folder = JobScene(scene), tempfile.TemporaryDirectory(prefix="look_beyond_splats_")
    path = Path(folder.name) / "Look Beyond Splats.ply"

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield from run_program([*program, "splats", str(world), "--out", str(path)], "Making splats", cancelled)
        yield Succeeded()

    def finish(result: Succeeded) -> str:
        scene = job_scene.find()
        try:
            if scene is None:
                return "The splats' scene is no longer open."
            return f"{len(import_splats(scene, path).data.points)} splats."
        finally:
            folder.cleanup()

    return Task("Splats", steps, undoable("Add Splats", finish), on_failed=folder.cleanup)


def import_splats(scene: bpy.types.Scene, path: Path) -> bpy.types.Object:
    """The point cloud of a file that `lookbeyond splats` wrote, standing where the world stands. Raises `JobError`."""
    known = set(bpy.data.objects)
    with bpy.context.temp_override(scene=scene, view_layer=scene.view_layers[0]):  # pyright: ignore
        # the file has Y down and Z forward, as captures have
        bpy.ops.wm.ply_import(filepath=str(path), forward_axis="Z", up_axis="NEGATIVE_Y")
    added = [thing for thing in bpy.data.objects if thing not in known]
    if len(added) != 1 or added[0].type != "POINTCLOUD":
        raise JobError("Blender did not read the file as splats: use Blender 5.3 or later.")
    splats = added[0]
    splats.scale = (1 / metres_per_unit(scene),) * 3
    set_marks(splats, {"maker": MAKER})
    remember_made(scene, splats)
    return splats
