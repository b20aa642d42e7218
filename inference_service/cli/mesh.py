"""`lookbeyond mesh`: a world as geometry."""

from pathlib import Path

import click

from inference_service.cli import options
from lookbeyond.files import load_panorama

_file = click.Path(path_type=Path)


@click.command()
@click.argument("world", type=options.FOLDER)
@click.option("--out", type=_file, required=True, help="A .glb, .usd, .usda or .usdc file.")
@click.option("--collider", type=_file, help="A light collision hull, in the same formats.")
@click.option("--plan", type=_file, help="A floor plan with measures, an .svg file.")
def mesh(world: Path, out: Path, collider: Path | None, plan: Path | None) -> None:
    """Make geometry of WORLD: the room's surfaces and what stands out of them, textured, in metres."""
    from lookbeyond.exchange.mesh_files import write_mesh

    stage = write_mesh(out, load_panorama(world), collider, plan)
    triangles = sum(len(part.triangles) for part in stage.parts)
    click.echo(f"{out}: {', '.join(part.name for part in stage.parts)}; {triangles} triangles.")
