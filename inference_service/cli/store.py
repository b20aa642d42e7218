"""`lookbeyond store`: look into the store of finished work, and prune it."""

import contextlib
from datetime import datetime
from pathlib import Path

import click

from inference_service.cli import options
from inference_service.client import Client
from inference_service.jobs.queue import JobQueue
from inference_service.store.housekeeping import DAY_S, Entry, damaged, entries, prune, sweep
from inference_service.store.store import Store, default_store
from inference_service.wire.files import file_sha256
from inference_service.work.units import KINDS
from lookbeyond.errors import InputError


@click.group()
def store() -> None:
    """Inspect the store of finished work: list, show, check, prune."""


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _open(path: Path | None) -> Store:
    return Store(path or default_store())


@store.command("list")
@click.option("--kind", type=click.Choice([*KINDS, "file", "unit"]), help="Only these.")
@options.store
def list_entries(kind: str | None, store: Path | None) -> None:
    """What the store holds, the least recently used first."""
    opened = _open(store)
    found = [entry for entry in entries(opened) if kind in (None, entry.kind)]
    for entry in found:
        used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
        click.echo(
            f"{entry.name[:16]}  {entry.kind:6} {entry.files:4} files {_megabytes(entry.bytes):>12}  used {used}"
        )
    click.echo(f"{opened.root}: {len(found)} entries, {_megabytes(sum(entry.bytes for entry in found))}.")


def _entry(opened: Store, name: str) -> Entry:
    found = [entry for entry in entries(opened) if entry.name.startswith(name.lower())]
    if len(found) != 1:
        many = "Several entries begin" if found else "No entry begins"
        raise InputError(f"{many} with {name[:70]!r} in {opened.root}; `lookbeyond store list` shows them.")
    return found[0]


@store.command("show")
@click.argument("name")
@options.store
def show_entry(name: str, store: Path | None) -> None:
    """The files of one entry, named by the beginning of its identity, and whether each is undamaged."""
    opened = _open(store)
    entry = _entry(opened, name)
    click.echo(f"{entry.kind} {entry.name}\n{entry.path}")
    if entry.kind == "file":
        good = file_sha256(entry.path) == entry.name
        click.echo(f"  {'ok     ' if good else 'DAMAGED'} {_megabytes(entry.bytes)}")
        return
    record = opened.record(entry.name)
    click.echo(f"made in {record.seconds:.1f} s")
    for artifact in record.artifacts:
        path = entry.path / artifact.name
        good = path.is_file() and file_sha256(path) == artifact.sha256
        click.echo(f"  {'ok     ' if good else 'DAMAGED'} {artifact.name:24} {_megabytes(artifact.size):>12}")


@store.command("check")
@click.option("--repair", is_flag=True, help="Remove what is damaged: it is made or sent again when it is needed.")
@options.store
def check_store(repair: bool, store: Path | None) -> int:
    """Hash everything in the store and name what is damaged; exits with 1 if damage remains."""
    opened, count = _open(store), 0
    for entry in damaged(opened, repair):
        count += 1
        click.echo(f"{'removed' if repair else 'DAMAGED'} {entry.kind:6} {entry.name}")
    entries = f"{count or 'no'} damaged {'entry' if count == 1 else 'entries'}"
    left = "" if not count else ", removed" if repair else "; `lookbeyond store check --repair` removes what is damaged"
    click.echo(f"{opened.root}: {entries}{left}.")
    return int(count > 0 and not repair)


@store.command("prune")
@options.quota
@options.max_age
@options.store
def prune_store(quota_gb: float, max_age_days: float, store: Path | None) -> None:
    """Remove the least recently used entries until the rest fits, never what an unfinished job needs."""
    opened = _open(store)
    quota_bytes, max_age_s = int(quota_gb * 2**30), max_age_days * DAY_S
    try:
        jobs = JobQueue(opened)
    except InputError as locked:  # a service uses this store: it knows what its jobs need
        with Client(timeout_s=60) as client:
            if client.service_status().store != str(opened.root):
                raise InputError(str(locked)) from locked
            count, size = client.prune(quota_bytes, max_age_s)
    else:
        with contextlib.closing(jobs):
            sweep(opened)
            removed = prune(opened, jobs.inputs(), quota_bytes, max_age_s, spare_s=0)
        count, size = len(removed), sum(entry.bytes for entry in removed)
    click.echo(f"{opened.root}: {count} entries with {_megabytes(size)} removed.")
