"""`lookbeyond shot`: the frames of a camera path through a world."""

from pathlib import Path
from typing import Any

import click

from inference_service.cli import options
from inference_service.cli.local_run import LocalRun
from inference_service.wire.requests import ShotRequest
from inference_service.work.requests import check_shot
from inference_service.work.units.plan import read_plan
from lookbeyond.files import check_output_folder, load_panorama, world_files
from lookbeyond.geometry.transforms import read_camera_path, shot_path

SHOT_ENTRIES = ("frames", "depth", "transforms.json", "shot.json")


@click.command()
@click.argument("world", type=options.FOLDER)
@click.option(
    "--cameras",
    type=click.Path(path_type=Path),
    required=True,
    help="The path: a transforms.json, or the camera_path.json of nerfstudio's viewer.",
)
@options.out
@options.seed
@options.preset
@click.option("--tau-position", type=float, default=0.2, show_default=True, help="Reach of an anchor's noise.")
@click.option("--tau-rotation", type=float, default=0.2, show_default=True, help="The same, for turning.")
@click.option("--steps", type=int, default=0, help="Denoising steps of every view; 0: the preset's own.")
@options.store
def shot(world: Path, cameras: Path, out: Path, store: Path | None, **settings: Any) -> None:
    """Make the frames of a camera path through the folder WORLD that `lookbeyond world` made."""
    check_output_folder(out, SHOT_ENTRIES)
    path = shot_path(read_camera_path(cameras), cameras)
    for sentence in path.said:
        click.echo(f"{cameras}: {sentence}")
    load_panorama(world)
    run = LocalRun(store)
    files = {name: run.store.add_file(world / name) for name in world_files(world)}
    request = check_shot(ShotRequest(world=files, cameras=[camera.to_dict() for camera in path.cameras], **settings))
    revision = run.revision(request.preset)
    plan = request.first_unit(revision)
    run.perform([plan])
    units = request.units(revision, read_plan(run.store, plan.identity))
    run.perform(units)
    run.deliver(units, out, SHOT_ENTRIES)
