"""`lookbeyond shot`: the frames of a camera path through a world, or, on one machine of many, some of its clips."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from inference_service.cli import options
from inference_service.cli.local_run import LocalRun
from inference_service.store.store import Store
from inference_service.wire.requests import HASH_PATTERN, ShotRequest
from inference_service.work.requests import check_shot
from inference_service.work.unit import Unit
from inference_service.work.units.plan import read_plan
from lookbeyond.cards.card import load_cards
from lookbeyond.errors import InputError
from lookbeyond.files import load_panorama, read_json, world_files
from lookbeyond.geometry.transforms import read_camera_path, shot_path
from lookbeyond.linking.record import LinkRecord, read_link
from lookbeyond.whole import check_output_folder

SHOT_ENTRIES = ("frames", "depth", "transforms.json", "shot.json", "layers")


class ClipRange(click.ParamType):
    """A-B, or A: clips counted from 1."""

    name = "A-B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> range:
        first, _, last = str(value).partition("-")
        if not (first.isdecimal() and (last or first).isdecimal() and 1 <= int(first) <= int(last or first)):
            self.fail(f"{value!r} is not a range of clips; give two numbers from 1, such as 3-4.", param, ctx)
        return range(int(first), int(last or first) + 1)


@click.command()
@click.argument("world", type=options.FOLDER)
@click.option(
    "--cameras",
    type=click.Path(path_type=Path),
    required=True,
    help="The path: a transforms.json, or the camera_path.json of nerfstudio's viewer.",
)
@click.option("--out", type=options.FOLDER, help="Folder for the result; new, or an earlier result.")
@options.seed
@options.preset
@click.option("--tau-position", type=float, default=0.2, show_default=True, help="Reach of an anchor's noise.")
@click.option("--tau-rotation", type=float, default=0.2, show_default=True, help="The same, for turning.")
@click.option("--steps", type=int, default=0, help="Denoising steps of every view; 0: the preset's own.")
@click.option("--layers", is_flag=True, help="Also write one multilayer EXR per frame: depth, motion, masks.")
@click.option("--cards", is_flag=True, help="Lay the world's cards (`world --cut`) into the frames.")
@click.option(
    "--through",
    "link",
    type=click.Path(path_type=Path),
    help="The path goes on in a second world: a file of `lookbeyond link`.",
)
@click.option("--clips", type=ClipRange(), help="Make only these clips, in the store: for farms, instead of --out.")
@options.store
def shot(
    world: Path,
    cameras: Path,
    out: Path | None,
    store: Path | None,
    layers: bool,
    cards: bool,
    link: Path | None,
    clips: range | None,
    **settings: Any,
) -> None:
    """Make the frames of a camera path through the folder WORLD that `lookbeyond world` made."""
    if (out is None) == (clips is None):
        raise InputError("Give either --out FOLDER for a whole shot, or --clips A-B for a part of it.")
    if clips is not None and (layers or cards):
        raise InputError("Layers and cards belong to whole shots; leave --layers and --cards out with --clips.")
    if link is not None and layers:
        raise InputError("Layers tell of one world only; leave --layers out with --through.")
    standing = load_cards(world) if cards else []
    if cards and not standing:
        raise InputError(f"The world {world} has no cards; build it with --cut, or leave --cards out.")
    if out is not None:
        check_output_folder(out, SHOT_ENTRIES)
    path = shot_path(read_camera_path(cameras), cameras)
    for sentence in path.said:
        click.echo(f"{cameras}: {sentence}")
    panorama = load_panorama(world)
    through = None if link is None else read_link(link, world)
    run = LocalRun(store)

    def make() -> None:
        files = {name: run.store.add_file(world / name) for name in world_files(world)}
        plain = [camera.to_dict() for camera in path.cameras]
        former = [] if through else former_worlds(world, run.store)
        beyond = _beyond(through, run.store) if through else {}
        request = check_shot(ShotRequest(world=files, cameras=plain, former=former, beyond=beyond, **settings))
        revision = run.revision(request.preset)
        plan = request.first_unit(revision)
        run.perform([plan])
        units = request.units(revision, read_plan(run.store, plan.identity, len(path.cameras)))
        if out is None:
            made = [unit for unit in units if unit.kind == "clip"]
            some = [unit for number, unit in enumerate(made, 1) if number in (clips or ())]
            run.perform(_with_needs(some, units))
            click.echo(f"{len(some)} of {len(made)} clips are in {run.store.root}.")
            return
        run.perform(units)
        run.deliver(units, out, SHOT_ENTRIES, finish)

    def finish(folder: Path) -> None:
        from lookbeyond.exchange.layers import write_layers
        from lookbeyond.exchange.shots import lay_cards, load_shot

        if standing:
            lay_cards(load_shot(folder), standing)
        if layers:
            write_layers(folder / "layers", load_shot(folder), panorama)

    run.heal(make)


def _beyond(through: LinkRecord, store: Store) -> dict[str, Any]:
    """The second world of a shot, its files in the store."""
    files = {name: store.add_file(through.second / name) for name in world_files(through.second)}
    return {"world": files, "link": through.link.to_json_dict()}


def _with_needs(wanted: Sequence[Unit], units: Sequence[Unit]) -> list[Unit]:
    """The wanted units and, of all, those that they need, in their order."""
    needed = {unit.identity for unit in wanted}
    for unit in reversed(units):  # a unit comes after all that it needs
        if unit.identity in needed:
            needed.update(unit.needs)
    return [unit for unit in units if unit.identity in needed]


def former_worlds(world: Path, store: Store) -> list[dict[str, str]]:
    """The files of the worlds that the one in a folder was changed from, the latest first, as far as the store has
    them."""
    edits = read_json(world / "world.json").get("edits", [])
    found = []
    for edit in reversed(edits if isinstance(edits, list) else []):
        files = edit.get("world") if isinstance(edit, dict) else None
        if not isinstance(files, dict) or not all(HASH_PATTERN.fullmatch(str(value)) for value in files.values()):
            break
        if not all(store.file(sha256).is_file() for sha256 in files.values()):
            break
        found.append(files)
    return found
