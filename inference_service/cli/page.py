"""`lookbeyond page`: worlds and shots as a page for the client."""

from pathlib import Path

import click

from inference_service.cli import options


@click.command()
@click.argument("folders", type=options.FOLDER, nargs=-1, required=True)
@options.out
@click.option("--title", default="", help="The page's.  [default: the first room's name]")
@click.option("--name", "names", multiple=True, help="Of a room, once for each world.  [default: the folders' names]")
@click.option("--fps", type=click.FloatRange(1, 240), default=24, show_default=True, help="Of the shots.")
def page(folders: tuple[Path, ...], out: Path, title: str, names: tuple[str, ...], fps: float) -> None:
    """Make a page of the worlds and shots in FOLDERS, to look around in."""
    from lookbeyond.exchange.given import sorted_out, tour_of
    from lookbeyond.exchange.page import write_page

    rooms, films = tour_of(sorted_out(folders), names, fps)
    write_page(out, rooms, films, title)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    click.echo(f"{out / 'index.html'}: {len(rooms)} rooms, {len(films)} shots, {size / 1e6:.1f} MB.")
