"""Plays a take in a sequencer, and writes it as a movie."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import bpy

from ..service.job_scene import JobScene
from ..tasks import JobError, Succeeded, Task
from .strip import is_own_strip, sequencer_scene_of, strips_of

Codec = Literal["H264", "PRORES"]


def choose_strip(scene: bpy.types.Scene, folder: Path) -> bpy.types.Scene:
    """Let the sequencer of the scene's shots show the take in a folder; returns its scene. Raises `JobError`."""
    editing = sequencer_scene_of(scene)
    strips = [strip for strip in strips_of(editing) if is_own_strip(strip)] if editing is not None else []
    shown = [strip for strip in strips if Path(bpy.path.abspath(strip.directory)).resolve() == folder / "frames"]
    if editing is None or not shown:
        raise JobError("This take has no strip: press Use first.")
    for strip in strips:
        strip.mute = strip != shown[-1]
    first = int(shown[-1].frame_final_start)
    editing.frame_start, editing.frame_end = first, first + len(shown[-1].elements) - 1
    editing.frame_set(first)
    return editing


def play(context: bpy.types.Context, editing: bpy.types.Scene) -> None:
    """Play a scene's sequencer from its first frame, in an open sequencer or else in a new window."""
    manager = context.window_manager
    for window in manager.windows:
        if window.screen.is_animation_playing:
            with context.temp_override(window=window):  # pyright: ignore[reportGeneralTypeIssues]
                bpy.ops.screen.animation_cancel(restore_frame=False)
    areas = [(window, area) for window in manager.windows for area in window.screen.areas]
    place = next((one for one in areas if one[1].type == "SEQUENCE_EDITOR"), None)
    if place is None:
        bpy.ops.wm.window_new()
        window = manager.windows[-1]
        area = max(window.screen.areas, key=lambda area: area.width * area.height)
        area.type = "SEQUENCE_EDITOR"
    else:
        window, area = place
    if hasattr(window.workspace, "sequencer_scene"):  # 5.x: not the window's scene
        window.workspace.sequencer_scene = editing
    elif window.parent is not None:
        window.scene = editing
    space = area.spaces.active
    if place is None:
        space.view_type = "PREVIEW"
        space.show_region_header = True
    editing.frame_set(editing.frame_start)
    with context.temp_override(window=window, area=area):  # pyright: ignore[reportGeneralTypeIssues]
        bpy.ops.screen.animation_play()


def play_in_viewport(scene: bpy.types.Scene) -> bool:
    """Play a scene from its first frame in a viewport that looks through its camera; returns whether one does.

    Not while the artist does something else: while an operator waits for the mouse, in edit modes, during playback.
    """
    for window in bpy.context.window_manager.windows:
        is_free = not window.modal_operators and not window.screen.is_animation_playing
        active = window.view_layer.objects.active
        for area in window.screen.areas if window.scene == scene and is_free else ():
            region = next((region for region in area.regions if region.type == "WINDOW"), None)
            space = area.spaces.active
            if area.type != "VIEW_3D" or space.region_3d.view_perspective != "CAMERA" or region is None:
                continue
            if active is not None and active.mode != "OBJECT":
                return False
            scene.frame_set(scene.frame_start)
            with bpy.context.temp_override(window=window, area=area, region=region):  # pyright: ignore[reportGeneralTypeIssues]
                bpy.ops.screen.animation_play()
            return True
    return False


def played(task: Task, scene: bpy.types.Scene, notice: str = "") -> Task:
    """A task after which its scene plays, where a viewport looks through its camera; `notice` says so, if given.

    In the background nothing plays.
    """
    if bpy.app.background:
        return task
    job_scene, finish = JobScene(scene), task.finish

    def finish_and_play(result: Succeeded) -> str | None:
        message = finish(result) if finish is not None else ""
        shown = job_scene.find() if message is not None else None
        return notice or message if shown is not None and play_in_viewport(shown) else message

    return replace(task, finish=finish_and_play)


def set_movie_output(editing: bpy.types.Scene, path: Path, codec: Codec) -> None:
    """Let a scene render its sequencer into a movie."""
    render = editing.render
    settings = render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "VIDEO"
    settings.file_format = "FFMPEG"
    render.ffmpeg.format = "MPEG4" if codec == "H264" else "QUICKTIME"
    render.ffmpeg.codec = codec
    if codec == "H264":
        render.ffmpeg.constant_rate_factor = "HIGH"
        # H.264 halves the colours' resolution: odd sides are cut by a pixel.
        render.resolution_x -= render.resolution_x % 2
        render.resolution_y -= render.resolution_y % 2
    render.filepath, render.use_file_extension = str(path), False
    render.use_sequencer = True


def codecs() -> tuple[Codec, ...]:
    """What this Blender's ffmpeg offers of the codecs that artists hand on."""
    known = bpy.types.FFmpegSettings.bl_rna.properties["codec"].enum_items.keys()
    return ("H264", "PRORES") if "PRORES" in known else ("H264",)
