"""A camera move as Alembic or FBX, by Blender's own exporters.

Both write the sensor's width and the lens but not what the sensor is fitted to, so that a camera with a vertical fit
comes back with another picture. What is written here is an equivalent camera: sensor fit Auto, 36 mm along the longer
side, lens and shift as they make the same picture. What even that cannot hold is said with its amount.
"""

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import bpy
import numpy as np

from ..kit import Camera
from ..tasks import JobError
from .keys import SQUARE, key_camera

TITLES = {".abc": "Alembic", ".fbx": "FBX"}
"""By the name's ending: what Blender writes itself."""
SENSOR_MM = 36.0
ALEMBIC_ANIMATES_LENSES = (5, 2, 0)
"""The first Blender whose Alembic exporter writes a lens and shift for every frame, and not only for the first."""
UNITS = {"m": 1.0, "cm": 100.0, "mm": 1000.0, "ft": 1 / 0.3048, "in": 1 / 0.0254}
"""How many make a metre."""
SAME_PX = 0.01
"""A picture that is off by less than this counts as kept."""


def write_camera_file(
    path: Path, name: str, cameras: Sequence[Camera], first_frame: int, fps: tuple[int, float], unit: str
) -> list[str]:
    """Write an .abc or .fbx, whole or not at all; returns sentences on what the reader has to be told and what is lost.

    fps: the scene's `fps` and `fps_base`; unit: what an Alembic file counts in, one of `UNITS`. Raises `JobError`.
    """
    kind = path.suffix.lower()
    if not path.parent.is_dir():
        raise JobError(f"There is no folder {path.parent}: choose another.")
    if kind == ".fbx" and "fbx" not in dir(bpy.ops.export_scene):
        raise JobError("Blender's FBX add-on is switched off: switch it on in Preferences › Add-ons, or write USD.")
    try:
        with (
            _equivalent(name, cameras, first_frame, fps) as scene,
            tempfile.TemporaryDirectory(dir=path.parent) as folder,
        ):
            made = Path(folder) / f"camera{kind}"
            with bpy.context.temp_override(scene=scene, view_layer=scene.view_layers[0]):  # pyright: ignore
                _EXPORTERS[kind](made, scene, UNITS[unit])
            made.replace(path)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise JobError(f"Blender could not write {path} ({reason}): choose another folder.") from None
    return [f"{path.name}: {len(cameras)} frames from {first_frame} on.", *_said(kind, cameras, fps, unit)]


def _export_alembic(path: Path, scene: bpy.types.Scene, scale: float) -> None:
    bpy.ops.wm.alembic_export(
        filepath=str(path), start=scene.frame_start, end=scene.frame_end, global_scale=scale, as_background_job=False
    )


def _export_fbx(path: Path, scene: bpy.types.Scene, scale: float) -> None:
    """The file says its unit itself."""
    bpy.ops.export_scene.fbx(
        filepath=str(path),
        object_types={"CAMERA"},
        bake_anim=True,
        bake_anim_simplify_factor=0.0,
        bake_anim_use_nla_strips=False,
        bake_anim_use_all_actions=False,
    )


_EXPORTERS = {".abc": _export_alembic, ".fbx": _export_fbx}


def losses(kind: str, cameras: Sequence[Camera]) -> list[str]:
    """What a file of this kind cannot store of these cameras, and by how many pixels the picture is off."""
    said = []
    frozen = kind == ".abc" and bpy.app.version < ALEMBIC_ANIMATES_LENSES
    first = cameras[0]
    lens, shift = (max(_off(first, camera, part) for camera in cameras) for part in ("lens", "shift"))
    if frozen and lens > SAME_PX:
        said.append(
            "This Blender's Alembic keeps the first frame's lens alone (from 5.2 on all): the picture's corners would "
            f"lie up to {lens:.0f} pixels off. Write .usda or .fbx instead."
        )
    if (frozen or kind == ".fbx") and shift > SAME_PX:
        said.append(
            f"The shift of the first frame is kept for all: the picture would lie up to {shift:.1f} pixels off. Write "
            ".usda instead."
        )
    ratio = first.intrinsics[0, 0] / first.intrinsics[1, 1]
    if abs(ratio - 1) > SQUARE:
        said.append(f"The pixel aspect is not in the file: set its Y to {ratio:.4f}.")
    return said


def _off(first: Camera, camera: Camera, part: str) -> float:
    """How far off a picture is, pixels, that is drawn with the first camera's lens (at the corners), or its shift."""
    if part == "shift":
        return float(np.hypot(*(camera.intrinsics[:2, 2] - first.intrinsics[:2, 2])))
    ratio = first.intrinsics[0, 0] / camera.intrinsics[0, 0]
    return abs(ratio - 1) * math.hypot(camera.width, camera.height) / 2


def _said(kind: str, cameras: Sequence[Camera], fps: tuple[int, float], unit: str) -> list[str]:
    size = f"{cameras[0].width} x {cameras[0].height} pixels and {fps[0] / fps[1]:g} frames a second"
    if kind == ".abc":
        advice = f"Y is up and 1 unit is 1 {unit}, which Alembic files do not state; set {size}."
    else:
        advice = f"Y is up, and the file states its unit; set {size}, and Animation Offset 0 in Blender's importer."
    return [advice, *losses(kind, cameras)]


@contextmanager
def _equivalent(
    name: str, cameras: Sequence[Camera], first_frame: int, fps: tuple[int, float]
) -> Iterator[bpy.types.Scene]:
    """A temporary scene that holds nothing but a camera with this move."""
    scene = bpy.data.scenes.new("Look Beyond writes a camera")
    data = bpy.data.cameras.new(name)
    placed = bpy.data.objects.new(name, data)
    try:
        first = cameras[0]
        ratio = first.intrinsics[0, 0] / first.intrinsics[1, 1]
        render = scene.render
        render.resolution_x, render.resolution_y, render.resolution_percentage = first.width, first.height, 100
        render.pixel_aspect_x, render.pixel_aspect_y = (1.0, ratio) if ratio >= 1 else (1 / ratio, 1.0)
        render.fps, render.fps_base = fps
        scene.frame_start, scene.frame_end = first_frame, first_frame + len(cameras) - 1
        scene.collection.objects.link(placed)
        data.sensor_fit, data.sensor_width = "AUTO", SENSOR_MM
        # the film's shape is the frame's, or square where that stands upright: programs that fit the film's longer
        # side, as Maya does, then see what Blender sees
        data.sensor_height = SENSOR_MM * min(1.0, first.height * ratio / first.width)
        key_camera(placed, cameras, first_frame, 1.0)
        scene.frame_set(first_frame)  # what is not animated is written with these values
        yield scene
    finally:
        # the same object from Blender 4.4 on
        actions = {owner.animation_data.action for owner in (placed, data) if owner.animation_data} - {None}
        bpy.data.cameras.remove(data)  # its object goes with it
        bpy.data.scenes.remove(scene)
        for action in actions:
            bpy.data.actions.remove(action)
