"""A slow timer that asks for the prices of the scene's next world and shot when what they depend on has changed."""

import bpy

from ..cameras import render_size
from ..kit import Price, PriceQuestion
from ..path.checker import path_checker
from ..path.frames import QUALITIES, scene_frames
from ..session import session
from ..viewports import viewport_areas
from . import preferences
from .presets import step_count
from .prices import Prices

INTERVAL_S = 0.5
FRAMES_PER_CLIP = 13
"""Frames of a clip, as planned where the camera moves little: the assumption until the path is checked."""
prices = Prices()


def world_question(scene: bpy.types.Scene) -> PriceQuestion:
    """What the scene's next world costs."""
    settings = scene.look_beyond
    width = int(settings.panorama_width)
    return PriceQuestion(settings.preset or "builtin", width, width // 2, 0, 0, worlds=1)


def shot_question(scene: bpy.types.Scene, quality: str) -> PriceQuestion:
    """What the scene's next shot costs in a quality."""
    settings, chosen = scene.look_beyond, QUALITIES[quality]
    width, height = (max(1, round(side * chosen.resolution_share)) for side in render_size(scene))
    percent = settings.steps if quality == settings.quality else chosen.steps_percent
    steps = step_count(session.service, settings.preset, percent / 100)
    anchors, frames = planned(scene)
    return PriceQuestion(settings.preset or "builtin", width, height, anchors, frames, steps)


def planned(scene: bpy.types.Scene) -> tuple[int, int]:
    """Anchors of the scene's shot, and frames of its clips: as the path was checked, else as for a calm camera."""
    frames = len(scene_frames(scene))
    if path_checker.check is not None and path_checker.check.anchors and not path_checker.is_outdated(scene):
        anchors = len(path_checker.check.anchors)
    else:
        anchors = 1 + -(-max(1, frames - 1) // (FRAMES_PER_CLIP - 1))
    return anchors, frames + anchors - 2  # an anchor between two clips is in both


def questions(scene: bpy.types.Scene) -> list[PriceQuestion]:
    """All that the panels show."""
    shots = [shot_question(scene, quality) for quality in QUALITIES] if scene.look_beyond.world_folder else []
    return [world_question(scene), *shots]


def shot_price(scene: bpy.types.Scene, quality: str) -> Price | None:
    """What the scene's next shot costs in a quality, if the service has named a price."""
    return prices.known.get(shot_question(scene, quality))


def world_price(scene: bpy.types.Scene) -> Price | None:
    """What the scene's next world costs, if the service has named a price."""
    return prices.known.get(world_question(scene))


def tick() -> bool:
    """Ask what is not known; returns whether there are new answers."""
    if session.busy:
        prices.expire()  # each job is measured
        return False
    if session.service is None or preferences.unavailable_reason():
        return False
    return prices.tick(questions(bpy.context.scene), preferences.connection())


def beat() -> float:
    """One beat of the timer."""
    if bpy.context.scene is not None and tick():
        for region in (region for area in viewport_areas() for region in area.regions):
            if region.type == "UI":
                region.tag_redraw()
    return INTERVAL_S


def register() -> None:
    if not bpy.app.background:
        bpy.app.timers.register(beat, first_interval=INTERVAL_S, persistent=True)


def unregister() -> None:
    if bpy.app.timers.is_registered(beat):
        bpy.app.timers.unregister(beat)
    prices.close()
