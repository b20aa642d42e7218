"""`lookbeyond fetch`: download what a preset lacks on this machine."""

import sys

import click

from lookbeyond import presets
from lookbeyond.errors import InputError
from lookbeyond.presets import Preset


@click.command()
@click.argument("preset")
@click.option("--yes", is_flag=True, help="Do not ask: accept the licences and the size of the download.")
@click.option("--check", is_flag=True, help="Download nothing; verify the files here and remove broken ones.")
@click.option("--needed-only", is_flag=True, help="Leave out optional parts of PRESET, if a licence rules them out.")
def fetch(preset: str, yes: bool, check: bool, needed_only: bool) -> None:
    """Download what PRESET lacks on this machine, after showing the size and the licences."""
    chosen = presets.get(preset)
    if check:
        _check(chosen)
    else:
        _download(chosen, yes, needed_only)


def _require_runnable(preset: Preset) -> None:
    if preset.missing:
        raise InputError(f"The preset {preset.name} cannot run here: {preset.missing}.")


def _check(preset: Preset) -> None:
    from lookbeyond.presets import fetching, weights

    broken = []
    for role, owner, component in preset.components():
        folder = weights.locate(owner, component)
        if folder is not None:
            listed = weights.patterns(component)
            broken += fetching.broken_files(folder, listed, lambda path: click.echo(f"reading {path}", err=True))
        if trouble := weights.problem(owner, role, component, preset.name):
            click.echo(trouble + (" (optional)" if component.optional else ""))
    if broken:
        for path in broken:
            fetching.forget(path)
        names = ", ".join(str(path) for path in broken)
        raise InputError(f"Broken, so removed: {names}; run `lookbeyond fetch {preset.name}` to download them again.")
    _require_runnable(preset)
    click.echo(f"{preset.name}: everything that is needed is here and intact.")


def _download(preset: Preset, yes: bool, needed_only: bool) -> None:
    from lookbeyond.presets import fetching

    wanted = fetching.downloads(preset, optional=not needed_only)
    if not wanted:
        _require_runnable(preset)
        click.echo(f"{preset.name}: nothing is missing.")
        return
    for item in wanted:
        click.echo(f"{item.hub} ({item.revision}), for {', '.join(item.roles)}: {item.bytes / 1e9:.2f} GB")
        for licence in item.licences:
            click.echo(f"    licence: {licence}")
        if item.gated:
            click.echo("    only for users who have accepted its terms on the hub and are logged in (`hf auth login`)")
    click.echo(f"{sum(item.bytes for item in wanted) / 1e9:.2f} GB in all, into {fetching.cache_folder()}")
    if not yes:
        if not sys.stdin.isatty():
            raise InputError("There is no terminal to ask for consent; read the licences and add --yes.")
        click.confirm("Download it under these licences?", abort=True)
    for item in wanted:
        fetching.fetch(item)
    _require_runnable(preset)
    click.echo(f"{preset.name}: everything is here. Use it with --preset {preset.name}.")
