"""`lookbeyond queue`: change what the service works on."""

from pathlib import Path

import click

from inference_service.cli import options
from inference_service.client import ALL, Client, FileArrived
from lookbeyond.errors import InputError

_all = click.option("--all", "everything", is_flag=True, help="Every job.")
_names = click.argument("jobs", nargs=-1)


@click.group()
def queue() -> None:
    """Change what the service works on: cancel, skip, pause, resume, first, fetch."""


def _chosen(client: Client, names: tuple[str, ...], everything: bool = False) -> list[str]:
    """The ids of the jobs that a user named by their beginnings, or `ALL`."""
    if bool(names) == everything:
        raise InputError("Name one or more jobs, or give --all; `lookbeyond status` shows them.")
    chosen = [ALL] if everything else []
    for name in names:
        found = [job.job for job in client.jobs() if job.job.startswith(name.lower())]
        if len(found) != 1:
            many = "Several jobs begin" if found else "No job begins"
            raise InputError(f"{many} with {name[:70]!r}; `lookbeyond status --json` shows them whole.")
        chosen += found
    return chosen


@queue.command()
@_names
@_all
@options.client
def cancel(client: Client, jobs: tuple[str, ...], everything: bool) -> None:
    """Stop JOBS within one step; what they finished is kept."""
    for job in _chosen(client, jobs, everything):
        client.cancel(job)


@queue.command()
@click.argument("unit")
@options.client
def skip(client: Client, unit: str) -> None:
    """Stop the UNIT that a worker is making, as `status` names it; its job goes on with what does not depend on it."""
    at_work = {device["identity"] for device in client.service_status().devices if "identity" in device}
    found = [identity for identity in at_work if unit and identity.startswith(unit.lower())]
    if len(found) != 1:
        raise InputError(f"No worker is making a unit {unit[:70]!r}; `lookbeyond status` shows them.")
    client.cancel_unit(found[0])


@queue.command()
@_names
@_all
@options.client
def pause(client: Client, jobs: tuple[str, ...], everything: bool) -> None:
    """Start no more units of JOBS; those at work are finished."""
    for job in _chosen(client, jobs, everything):
        client.pause(job, True)


@queue.command()
@_names
@_all
@options.client
def resume(client: Client, jobs: tuple[str, ...], everything: bool) -> None:
    """Resume paused JOBS."""
    for job in _chosen(client, jobs, everything):
        client.pause(job, False)


@queue.command()
@click.argument("job")
@options.client
def first(client: Client, job: str) -> None:
    """Put JOB before all others."""
    client.reorder(_chosen(client, (job,))[0], 0)


@queue.command()
@click.argument("job")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the files.")
@options.client
def fetch(client: Client, job: str, out: Path) -> None:
    """Wait for JOB and fetch those of its files that OUT lacks."""
    events = client.follow(_chosen(client, (job,))[0], out)
    arrived = sum(isinstance(event, FileArrived) for event in events)
    click.echo(f"{out}: {arrived} files.")
