"""`lookbeyond plan`: a camera move through a world, from what it is for."""

from pathlib import Path

import click

from inference_service.cli import options
from inference_service.cli.cameras import Size
from lookbeyond.errors import InputError
from lookbeyond.exchange.camera_move import CameraMove
from lookbeyond.exchange.cameras_json import write_transforms_move
from lookbeyond.files import load_panorama

_place = {"type": float, "nargs": 2, "metavar": "X Y"}


@click.command()
@click.argument("world", type=options.FOLDER)
@click.option("--show-room", is_flag=True, help="Show the room: past places that see much of the photo.")
@click.option("--to", "end", **_place, help="Go to this place; metres, in the world.")
@click.option("--from", "start", **_place, help="Start of --to.  [default: where the photo was taken]")
@click.option("--end-on", "target", type=float, nargs=3, metavar="X Y Z", help="End on a view of this point.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A transforms.json, for `shot --cameras`.")
@click.option("--clearance", type=float, default=0.3, show_default=True, help="Metres from everything.")
@click.option("--doubt", type=float, default=0.6, show_default=True, help="In the way that nobody saw, 0 to 1.")
@click.option("--speed", type=float, default=0.5, show_default=True, help="Metres a second, at most.")
@click.option("--turn", type=float, default=20.0, show_default=True, help="Degrees a second, at most.")
@click.option("--jerk", type=float, default=1.0, show_default=True, help="Metres per second cubed, at most.")
@click.option("--fps", type=float, default=24.0, show_default=True, help="Frames a second.")
@click.option("--frames", type=int, default=0, help="How many.  [default: as few as the limits allow]")
@click.option("--size", type=Size(), default="1024x576", show_default=True, help="Pixels of a frame.")
@click.option("--fov", type=click.FloatRange(10, 150), help="Degrees across a frame.  [default: the photo's]")
def plan(
    world: Path,
    show_room: bool,
    end: tuple[float, float] | None,
    start: tuple[float, float] | None,
    target: tuple[float, float, float] | None,
    out: Path,
    clearance: float,
    doubt: float,
    speed: float,
    turn: float,
    jerk: float,
    fps: float,
    frames: int,
    size: tuple[int, int],
    fov: float | None,
) -> None:
    """Plan a camera move through WORLD that keeps clear of walls and things and stays where much is known."""
    from lookbeyond.planning.goals import EndOn, FromTo, MoveSettings, ShowRoom, SpeedLimits
    from lookbeyond.planning.plan import first_view, plan_move

    if [show_room, end is not None, target is not None].count(True) != 1:
        raise InputError("Give one thing to plan: --show-room, --to X Y (and --from X Y), or --end-on X Y Z.")
    if start is not None and end is None:
        raise InputError("A move from a place needs one to go to; give --to X Y, too.")
    goal = ShowRoom() if show_room else FromTo(end, start) if end is not None else EndOn(target or (0, 0, 0))
    panorama = load_panorama(world)
    lens = first_view(panorama, *size, fov_x_deg=fov)
    settings = MoveSettings(clearance, doubt, SpeedLimits(speed, turn, jerk), fps, frames)
    move = plan_move(panorama, goal, lens, settings)
    write_transforms_move(out, CameraMove(move.cameras, fps))
    click.echo(f"{out}: {move.said(fps)}")
