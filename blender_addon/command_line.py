"""`blender -b scene.blend --command lookbeyond world|shot`: the buttons for render farms and scripts.

Starts the service if none runs. Exits with 0 on success, with 2 and a one-line message for errors of the user.
"""

import argparse
import math
import sys
from collections.abc import Sequence

import bpy

from .photo.analysis import analyse_photo
from .results import absolute
from .service import preferences
from .service.presets import takes_prompt
from .session import session

NAME = "lookbeyond"
_command = None


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"blender -b SCENE.blend --command {NAME}", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    world = commands.add_parser(
        "world", help="build the world from the scene's photo, from PHOTO or from a 360° picture"
    )
    world.add_argument("photo", nargs="?", help="photo to place (default: the scene's photo)")
    world.add_argument("--panorama", help="360° picture to use instead of a photo")
    world.add_argument("--fov-x", type=float, default=0.0, help="horizontal field of view of PHOTO, degrees")
    world.add_argument("--pitch", type=float, help="degrees; positive: up (default: found in the photo's lines)")
    world.add_argument("--roll", type=float, help="degrees; positive: clockwise (default: found in the photo's lines)")
    world.add_argument("--camera-height", type=float, default=1.6, help="metres above the floor")
    world.add_argument("--width", type=int, choices=(1024, 2048, 4096, 8192), help="width of the panorama, pixels")
    world.add_argument("--prompt", help="description of the place, for presets that take a prompt")
    world.add_argument("--light", action="store_true", help="its light, too: windows, lamps and sun beyond white")
    shot = commands.add_parser("shot", help="shoot the scene's frames in its world")
    shot.add_argument("--quality", choices=("draft", "normal", "final"))
    shot.add_argument(
        "--steps", type=float, help="denoising steps, percent of the preset's number (draft 50, final 200)"
    )
    for command in (world, shot):
        command.add_argument("--seed", type=int)
        command.add_argument("--preset", help="preset of models (default: the scene's preset)")
        command.add_argument("--output", help="folder for worlds and shots")
        command.add_argument("--save", action="store_true", help="save the .blend file afterwards")
    return parser


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    try:
        options = make_parser().parse_args(list(arguments))
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
                raise RuntimeError("The scene has no file to save to: name a .blend file before --command.")
            bpy.ops.wm.save_mainfile()
    except RuntimeError as error:  # reported by an operator
        # A failed poll reads "Operator bpy.ops.… .poll() its reason".
        message = session.error or str(error).removeprefix("Error: ").rpartition(".poll() ")[2].strip().splitlines()[0]
        print(f"{NAME}: {message}", file=sys.stderr)
        return 2
    print(absolute(settings.world_folder if options.command == "world" else settings.shot_folder))
    return 0


def build(options: argparse.Namespace) -> None:
    """Build a world as the options say. Raises RuntimeError with what an operator reported."""
    settings = bpy.context.scene.look_beyond
    if options.width:
        settings.panorama_width = str(options.width)
    if options.light:
        settings.light = True
    if options.prompt:
        if not takes_prompt(session.service, settings.preset):
            raise RuntimeError(f"The preset {settings.preset} takes no prompt: leave it out or choose another preset.")
        settings.prompt = options.prompt
    if options.panorama:
        bpy.ops.lookbeyond.use_panorama(filepath=options.panorama, height=options.camera_height)
        return
    if options.photo:
        angles = {"fov_x": options.fov_x, "pitch": options.pitch, "roll": options.roll}
        bpy.ops.lookbeyond.place_photo(
            filepath=options.photo,
            height=options.camera_height,
            **{name: math.radians(angle) for name, angle in angles.items() if angle is not None},
        )
        scene = bpy.context.scene
        session.begin(analyse_photo(scene))
        session.run()
        photo = scene.look_beyond.photo_camera.data.look_beyond
        for note in photo.angle_notes.splitlines():
            print(f"{NAME}: {note}")
        for warning in (*photo.warnings.splitlines(), *photo.people.splitlines()):
            print(f"{NAME}: {warning}", file=sys.stderr)
    bpy.ops.lookbeyond.build_world()


def register() -> None:
    global _command
    _command = bpy.utils.register_cli_command(NAME, run)


def unregister() -> None:
    global _command
    if _command is not None:
        bpy.utils.unregister_cli_command(_command)
        _command = None
