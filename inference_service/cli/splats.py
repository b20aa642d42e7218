"""`lookbeyond splats`: worlds and shots as Gaussian splats."""

from pathlib import Path

import click

from inference_service.cli import options


@click.command()
@click.argument("folders", type=options.FOLDER, nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A .ply or .spz file.")
@click.option(
    "--unseen-width",
    type=click.IntRange(256, 16384),
    default=2048,
    show_default=True,
    help="Splats around the sphere where the photo did not look.",
)
def splats(folders: tuple[Path, ...], out: Path, unseen_width: int) -> None:
    """Make Gaussian splats of the worlds and shots in FOLDERS, and join the splats of PLY files among them."""
    from lookbeyond.exchange.given import sorted_out, splats_of
    from lookbeyond.exchange.splat_files import check_name, read_ply, write_splats
    from lookbeyond.exchange.splats import joined

    check_name(out)
    files = [path for path in folders if path.suffix.lower() == ".ply" and not path.is_dir()]
    others = [path for path in folders if path not in files]
    parts = [read_ply(path) for path in files]
    made = joined([*([splats_of(sorted_out(others), unseen_width)] if others else []), *parts])
    write_splats(out, made)
    click.echo(f"{out}: {len(made)} splats, {out.stat().st_size / 1e6:.1f} MB.")
