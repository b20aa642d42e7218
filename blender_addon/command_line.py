"""`blender -b scene.blend --command lookbeyond world|shot`: the buttons, for render farms and scripts.

The service is started if none runs. Exit code 0 on success, 2 for what the artist can mend, with one line.
"""

import argparse
import math
import sys
from collections.abc import Sequence

import bpy

from .photo.faces import look_at_photo
from .results import absolute
from .service import preferences
from .service.presets import takes_prompt
from .session import session

NAME = "lookbeyond"
_command = None


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=f"blender -b SCENE.blend --command {NAME}", description=__doc__.splitlines()[0])
    commands = made.add_subparsers(dest="command", required=True)
    world = commands.add_parser("world", help="build the world of the scene's photo, of a PHOTO or of a 360° picture")
    world.add_argument("photo", nargs="?", help="a photo to place; without one, the scene's own")
    world.add_argument("--panorama", help="a 360° picture instead of a photo")
    world.add_argument("--fov-x", type=float, default=0.0, help="horizontal field of view of PHOTO, degrees")
    world.add_argument("--pitch", type=float, default=0.0, help="degrees; positive looks up")
    world.add_argument("--roll", type=float, default=0.0, help="degrees; positive turns clockwise")
    world.add_argument("--camera-height", type=float, default=1.6, help="metres above the floor")
    world.add_argument("--width", type=int, choices=(1024, 2048, 4096, 8192), help="of the panorama")
    world.add_argument("--prompt", help="what the place is, for presets that understand words")
    shot = commands.add_parser("shot", help="shoot the scene's frames in its world")
    shot.add_argument("--quality", choices=("draft", "normal", "final"))
    shot.add_argument("--steps", type=float, help="denoising steps, percent of the preset's own (draft 50, final 200)")
    for command in (world, shot):
        command.add_argument("--seed", type=int)
        command.add_argument("--preset", help="which models; without it, the scene's own")
        command.add_argument("--output", help="folder for worlds and shots")
        command.add_argument("--save", action="store_true", help="save the .blend file afterwards")
    return made


def run(arguments: Sequence[str]) -> int:
    """The command's exit code."""
    try:
        options = parser().parse_args(list(arguments))
    except SystemExit as ending:
        return int(ending.code or 0)
    settings = bpy.context.scene.look_beyond
    if options.seed is not None:
        setattr(settings, "seed" if options.command == "world" else "shot_seed", options.seed)
    if options.output:
        settings.output_folder = options.output
    if options.preset:
        settings.preset = options.preset
    try:
        if not preferences.addon_preferences().address.strip():
            bpy.ops.lookbeyond.start_service()
        if options.command == "world":
            build(options)
        else:
            if options.quality:
                settings.quality = options.quality.upper()
            if options.steps is not None:
                settings.steps = options.steps
            bpy.ops.lookbeyond.shoot()
        if options.save:
            if not bpy.data.filepath:
                raise RuntimeError("The scene has no file yet: open one before --command.")
            bpy.ops.wm.save_mainfile()
    except RuntimeError as error:  # what an operator reported
        # An operator that may not run says so as "Operator bpy.ops.… .poll() its reason".
        words = session.error or str(error).removeprefix("Error: ").rpartition(".poll() ")[2].strip().splitlines()[0]
        print(f"{NAME}: {words}", file=sys.stderr)
        return 2
    print(absolute(settings.world_folder if options.command == "world" else settings.shot_folder))
    return 0


def build(options: argparse.Namespace) -> None:
    settings = bpy.context.scene.look_beyond
    if options.width:
        settings.panorama_width = str(options.width)
    if options.prompt:
        if not takes_prompt(session.service, settings.preset):
            raise RuntimeError(f"The preset {settings.preset} takes no prompt: leave it out, or choose another preset.")
        settings.prompt = options.prompt
    if options.panorama:
        bpy.ops.lookbeyond.use_panorama(filepath=options.panorama, height=options.camera_height)
        return
    if options.photo:
        bpy.ops.lookbeyond.place_photo(
            filepath=options.photo,
            fov_x=math.radians(options.fov_x),
            pitch=math.radians(options.pitch),
            roll=math.radians(options.roll),
            height=options.camera_height,
        )
        scene = bpy.context.scene
        session.begin(look_at_photo(scene))
        session.run()
        told = scene.look_beyond.photo_camera.data.look_beyond
        for sentence in (*told.warnings.splitlines(), *told.people.splitlines()):
            print(f"{NAME}: {sentence}", file=sys.stderr)
    bpy.ops.lookbeyond.build_world()


def register() -> None:
    global _command
    _command = bpy.utils.register_cli_command(NAME, run)


def unregister() -> None:
    global _command
    if _command is not None:
        bpy.utils.unregister_cli_command(_command)
        _command = None
