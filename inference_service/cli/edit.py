"""`lookbeyond edit`: a world with a spot changed."""

from pathlib import Path

import click

from inference_service.cli import options
from inference_service.cli.local_run import LocalRun
from inference_service.cli.world import ENTRIES
from inference_service.wire.requests import WORLD_LIGHT, EditRequest
from inference_service.work.requests import check
from inference_service.work.units.edit import MASK_FILE
from lookbeyond.cards.card import load_cards, save_cards
from lookbeyond.editing.edit import read_mask
from lookbeyond.errors import InputError
from lookbeyond.files import check_is_world, world_files
from lookbeyond.whole import check_output_folder


@click.command()
@click.argument("world", type=options.FOLDER)
@click.option(
    "--mask",
    type=click.Path(path_type=Path),
    required=True,
    help="A PNG as large as the panorama, white where it is to change.",
)
@click.option("--remove", is_flag=True, help="Take out what stands there: the clean plate shows.")
@click.option("--repaint", is_flag=True, help="Make the spot anew; another --seed, another spot.")
@click.option("--prompt", default="", help='What is to be there instead, for presets that outpaint: "a plant".')
@options.out
@options.seed
@options.preset
@options.store
def edit(
    world: Path,
    mask: Path,
    remove: bool,
    repaint: bool,
    prompt: str,
    out: Path,
    seed: int,
    preset: str,
    store: Path | None,
) -> None:
    """Change a spot of WORLD into a new world; nothing else changes, and WORLD stays as it is."""
    if remove == repaint:
        raise InputError("Give either --remove or --repaint.")
    if out.resolve() == world.resolve():
        raise InputError(f"The changed world cannot be {out} itself; give another folder, so that both are kept.")
    check_output_folder(out, (*ENTRIES, MASK_FILE))
    check_is_world(world)
    read_mask(mask)  # else what is wrong with it is said of its copy
    run = LocalRun(store)

    def keep_cards(folder: Path) -> None:
        if cards := load_cards(world):
            save_cards(folder, cards)

    def make() -> None:
        files = {name: run.store.add_file(world / name) for name in world_files(world)}
        way = "remove" if remove else "repaint"
        light = run.store.add_file(world / WORLD_LIGHT) if (world / WORLD_LIGHT).is_file() else ""
        asked = EditRequest(files, run.store.add_file(mask), way, seed, preset, prompt, light)
        unit = check(asked).first_unit(run.revision(preset))
        run.perform([unit])
        run.deliver([unit], out, (*ENTRIES, MASK_FILE), keep_cards)

    run.heal(make)
