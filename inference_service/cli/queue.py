"""`lookbeyond queue`: change what the service works on."""

from pathlib import Path

import click

from inference_service.cli import options
from inference_service.client import Client, FileArrived
from lookbeyond.errors import InputError


@click.group()
def queue() -> None:
    """Change what the service works on: cancel, skip, pause, resume, first, fetch."""


def _chosen(client: Client, names: tuple[str, ...], everything: bool) -> list[str]:
    """The ids of the jobs that a user named by their beginnings."""
    if bool(names) == everything:
        raise InputError("Name one or more jobs, or give --all; `lookbeyond status` shows them.")
    chosen = []
    for name in names:
        found = [job.job for job in client.jobs() if job.job.startswith(name.lower())]
        if len(found) != 1:
            many = "several jobs begin" if found else "no job begins"
            raise InputError(f"{many.capitalize()} with {name[:70]!r}; `lookbeyond status --json` shows them whole.")
        chosen += found
    return chosen


_all = click.option("--all", "everything", is_flag=True, help="Every job.")
_names = click.argument("jobs", nargs=-1)


@queue.command()
@_names
@_all
@options.service
def cancel(jobs: tuple[str, ...], everything: bool, address: str | None, server_key: str | None) -> None:
    """Stop JOBS within one step; what they finished is kept."""
    with options.connect(address, server_key) as client:
        for job in _chosen(client, jobs, everything):
            client.cancel(job)
        if everything:
            client.cancel_all()


@queue.command()
@click.argument("unit")
@options.service
def skip(unit: str, address: str | None, server_key: str | None) -> None:
    """Stop the UNIT that a worker is making, as `status` names it; its job goes on with what does not depend on it."""
    with options.connect(address, server_key) as client:
        at_work = {device["identity"] for device in client.service_status().devices if "identity" in device}
        found = [identity for identity in at_work if unit and identity.startswith(unit.lower())]
        if len(found) != 1:
            raise InputError(f"No worker is making a unit {unit[:70]!r}; `lookbeyond status` shows them.")
        client.cancel_unit(found[0])


def _pause(jobs: tuple[str, ...], everything: bool, address: str | None, server_key: str | None, paused: bool) -> None:
    with options.connect(address, server_key) as client:
        for job in _chosen(client, jobs, everything):
            client.pause(job, paused)
        if everything:
            client.pause_all(paused)


@queue.command()
@_names
@_all
@options.service
def pause(jobs: tuple[str, ...], everything: bool, address: str | None, server_key: str | None) -> None:
    """Start no more units of JOBS; those at work are finished."""
    _pause(jobs, everything, address, server_key, True)


@queue.command()
@_names
@_all
@options.service
def resume(jobs: tuple[str, ...], everything: bool, address: str | None, server_key: str | None) -> None:
    """Resume paused JOBS."""
    _pause(jobs, everything, address, server_key, False)


@queue.command()
@click.argument("job")
@options.service
def first(job: str, address: str | None, server_key: str | None) -> None:
    """Put JOB before all others."""
    with options.connect(address, server_key) as client:
        client.reorder(_chosen(client, (job,), False)[0], 0)


@queue.command()
@click.argument("job")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the files.")
@options.service
def fetch(job: str, out: Path, address: str | None, server_key: str | None) -> None:
    """Wait for JOB and fetch those of its files that OUT lacks."""
    with options.connect(address, server_key) as client:
        arrived = 0
        for event in client.follow(_chosen(client, (job,), False)[0], out):
            arrived += isinstance(event, FileArrived)
    click.echo(f"{out}: {arrived} files.")
