"""What an artist does, in a clean Blender, through the add-on's own operators: photo, path, world, shot.

    python artist_session.py JOB.json      with the Python of an environment that has bpy

JOB.json holds `demo.Settings` and where things are; BLENDER_USER_RESOURCES must point to an empty folder.
Writes the world, the shot, scene.blend and preview.png into `out`, and what it found into session.json.
"""

import json
import math
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy  # reads BLENDER_USER_RESOURCES when it is loaded

EXTENSION = "bl_ext.user_default.look_beyond"


def install(archive: str) -> None:
    """Install and enable the extension's zip, as by dropping it into Blender's window."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    bpy.ops.extensions.package_install_files(repo="user_default", filepath=archive, enable_on_install=True)
    # The operator says FINISHED even when nothing was installed.
    assert EXTENSION in bpy.context.preferences.addons, f"Blender did not install {archive}"


def new_scene(job: dict, file: Path) -> bpy.types.Scene:
    """An empty scene with the shot's frame range and frame size, saved before anything else is done."""
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, job["frames"]
    scene.render.resolution_x, scene.render.resolution_y = job["frame_width"], job["frame_height"]
    scene.render.fps = job["fps"]
    bpy.context.preferences.filepaths.save_version = 0  # no scene.blend1 beside the scene
    bpy.ops.lookbeyond.match_photo_colours()
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    return scene


def place_photo(job: dict) -> None:
    bpy.ops.lookbeyond.place_photo(
        filepath=job["photo"],
        fov_x=math.radians(job["fov_x"]),
        pitch=math.radians(job["pitch"]),
        roll=math.radians(job["roll"]),
        heading=math.radians(job["heading"]),
        height=job["camera_height"],
    )


def lay_path(job: dict) -> None:
    """A Bezier curve that starts at the photo, bent by hand afterwards, and a camera that runs along it."""
    bpy.ops.lookbeyond.add_path(kind="WALK", length=job["walk"], turn=math.radians(-job["turn"]), level=False)
    curve = bpy.context.active_object
    assert curve.type == "CURVE"
    last = curve.data.splines[0].bezier_points[-1]
    last.co.z -= 0.1  # the camera comes down a little on its way
    last.handle_left.z -= 0.1
    last.handle_right.z -= 0.1


def matrices(scene: bpy.types.Scene) -> list[list[list[float]]]:
    """The shot camera's matrix_world at each frame, as Blender evaluates it."""
    found = []
    for frame in range(scene.frame_start, scene.frame_end + 1):
        scene.frame_set(frame)
        evaluated = scene.camera.evaluated_get(bpy.context.evaluated_depsgraph_get())
        found.append([list(row) for row in evaluated.matrix_world])
    scene.frame_set(scene.frame_start)
    return found


def check_world(scene: bpy.types.Scene) -> None:
    """The panorama fills the scene's world, from its file."""
    group = next(node.node_tree for node in scene.world.node_tree.nodes if node.type == "GROUP")
    texture = next(node for node in group.nodes if node.type == "TEX_ENVIRONMENT")
    wanted = Path(bpy.path.abspath(scene.look_beyond.world_folder)) / "panorama.png"
    assert Path(bpy.path.abspath(texture.image.filepath)).samefile(wanted)


def check_shot(scene: bpy.types.Scene, camera: bpy.types.Object, frames: int) -> None:
    """The frames are a strip in a scene of their own, and play behind the camera that shot them."""
    editing = bpy.data.scenes[f"{scene.name} Shot"]
    (strip,) = strips_of(editing)
    assert strip.type == "IMAGE" and len(strip.elements) == frames
    assert strip.frame_final_start == scene.frame_start and strip.frame_final_duration == frames
    background = camera.data.background_images[-1]
    assert background.image.source == "SEQUENCE" and background.image_user.frame_duration == frames
    assert Path(bpy.path.abspath(background.image.filepath)).is_file()
    assert not strips_of(scene), "a strip in the artist's own scene would take over its render"


def strips_of(scene: bpy.types.Scene) -> list:
    """The scene's sequencer strips, under the name that this Blender has for them."""
    editor = scene.sequence_editor
    return list(getattr(editor, "strips", None) or getattr(editor, "sequences", ()))


def render_preview(scene: bpy.types.Scene, path: Path) -> None:
    """What the photo's camera sees in the scene, rendered by Cycles at the photo's size: the world alone."""
    photo_camera = scene.look_beyond.photo_camera
    bpy.ops.lookbeyond.use_photo_resolution()
    scene.camera = photo_camera
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = 16
    scene.cycles.use_denoising = False
    scene.cycles.pixel_filter_type = "BOX"
    scene.cycles.filter_width = 1.0  # a pixel shows its own square and nothing of its neighbours
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


def main() -> None:
    job_file = Path(sys.argv[1])
    job = json.loads(job_file.read_text())
    out = Path(job["out"])
    timings: dict[str, float] = {}

    @contextmanager
    def step(name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        timings[name] = round(time.monotonic() - started, 2)
        print(f"{name}: {timings[name]:.1f} s", flush=True)

    with step("install_extension"):
        install(job["extension"])
    with step("start_service"):
        bpy.context.preferences.addons[EXTENSION].preferences.service_command = job["service_command"]
        bpy.ops.lookbeyond.start_service()
    with step("place_photo_and_path"):
        scene = new_scene(job, out / "scene.blend")
        settings = scene.look_beyond
        settings.panorama_width, settings.seed = str(job["panorama_width"]), job["seed"]
        settings.shot_seed = job["seed"]
        place_photo(job)
        lay_path(job)
        camera = scene.camera
    with step("build_world"):
        bpy.ops.lookbeyond.build_world()
    check_world(scene)
    with step("shoot"):
        bpy.ops.lookbeyond.shoot()
    check_shot(scene, camera, job["frames"])
    with step("stop_service"):
        bpy.ops.lookbeyond.stop_service()

    world, shot = (Path(bpy.path.abspath(path)) for path in (settings.world_folder, settings.shot_folder))
    found = {
        "blender": bpy.app.version_string,
        "world_folder": str(world.relative_to(out)),
        "shot_folder": str(shot.relative_to(out)),
        "matrix_world": matrices(scene),
    }
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "scene.blend"))
    for name in ("panorama.png", "distance.exr"):
        shutil.copy2(world / name, out)
    shutil.copy2(shot / "transforms.json", out)
    for name in ("frames", "depth"):
        shutil.copytree(shot / name, out / name)

    bpy.ops.wm.open_mainfile(filepath=str(out / "scene.blend"))
    with step("render_preview"):
        render_preview(bpy.context.scene, out / "preview.png")
    job_file.with_name("session.json").write_text(json.dumps(found | {"timings_s": timings}))


if __name__ == "__main__":
    main()
