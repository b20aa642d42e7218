"""`lookbeyond cameras`: camera moves from one program's file to another's."""

from pathlib import Path
from typing import Any

import click

from lookbeyond.exchange.camera_move import UNITS
from lookbeyond.exchange.cameras_convert import FORMATS, Reading, Writing, convert, format_of

_format = click.Choice([kind.name for kind in FORMATS])
_unit = click.Choice(list(UNITS))


class Size(click.ParamType):
    """A size in pixels, such as 1920x1080."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        width, _, height = str(value).lower().partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            self.fail(f"{value!r} is not a size; give width and height in pixels, such as 1920x1080.", param, ctx)
        return int(width), int(height)


@click.group()
def cameras() -> None:
    """Camera moves to and from other programs."""


@cameras.command("convert")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--format-in", type=_format, help="Format of SOURCE.  [default: by its name]")
@click.option("--format-out", type=_format, help="Format of TARGET.  [default: by its name]")
@click.option("--size", type=Size(), help="Frame size in pixels, for files that do not state it.")
@click.option("--fps", type=click.FloatRange(0, min_open=True), help="Frames per second, instead of the file's.")
@click.option("--unit-in", type=_unit, default="m", show_default=True, help="Unit of SOURCE; USD states its own.")
@click.option("--unit-out", type=_unit, default="m", show_default=True, help="Unit of TARGET.")
@click.option("--up", type=click.Choice(["z", "y"]), default="z", show_default=True, help="Up axis, in USD.")
def convert_command(
    source: Path,
    target: Path,
    format_in: str | None,
    format_out: str | None,
    size: tuple[int, int] | None,
    fps: float | None,
    unit_in: str,
    unit_out: str,
    up: str,
) -> None:
    """Write the camera move of SOURCE as TARGET, and list what TARGET cannot store of it."""
    kinds = format_of(source, format_in), format_of(target, format_out)
    move, said = convert(source, target, *kinds, Reading(size, unit_in, fps), Writing(unit_out, up))
    click.echo(f"{target}: {len(move.cameras)} cameras as {kinds[1].title}; {kinds[1].axes}.")
    for sentence in said:
        click.echo(f"  {sentence}")
