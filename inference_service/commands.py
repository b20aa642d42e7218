"""The commands around the service: serve, status, queue, keys, store, fetch, doctor."""

import contextlib
import dataclasses
import functools
import importlib.util
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import click
import zmq

from inference_service.client import Client, FileArrived, ServiceError, find_service
from inference_service.logs import set_up_logs
from inference_service.protocol import JobStatus, ServiceAddress, ServiceStatus, runtime_folder
from inference_service.queue import ACTIVE, JobQueue
from inference_service.security import (
    allow_client,
    allowed_clients_file,
    client_keys_file,
    hex_key,
    load_allowed_clients,
    load_or_make_keys,
    make_private_folder,
    parse_key,
    remove_client,
    server_keys_file,
    write_private_json,
)
from inference_service.server import DRAIN_S, Presets, Server, Settings, serve
from inference_service.store import MAX_AGE_S, QUOTA_BYTES, Entry, Store, default_store
from inference_service.workers.pool import ProcessPool, parse_devices
from inference_service.workers.process import IDLE_S, default_device, describe_torch_devices
from lookbeyond import __version__, presets
from lookbeyond.errors import InputError, LookBeyondError
from lookbeyond.files import require_space

DAY_S = 24 * 3600
WATCH_INTERVAL_S = 1.0

_store_option = click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=True),
    help="Where finished work is kept.  [default: the user's cache]",
)
_quota = click.option(
    "--quota-gb", type=click.FloatRange(0), default=QUOTA_BYTES / 2**30, show_default=True, help="Size of the store."
)
_age = click.option(
    "--max-age-days",
    type=click.FloatRange(0),
    default=MAX_AGE_S / DAY_S,
    show_default=True,
    help="What nobody used for so long is removed.",
)


# --- serve -----------------------------------------------------------------------------------------------


@click.command("serve")
@click.option("--bind", default="tcp://127.0.0.1:0", help="Address; port 0 takes a free one.", show_default=True)
@click.option("--devices", default="auto", show_default=True, help="One worker each: cuda:0,cuda:1 or cpu.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads of each worker.  [default: all, or its share]")
@click.option("--executor", type=click.Choice(["process", "ray"]), default="process", show_default=True)
@click.option("--ray-address", help="A running Ray cluster, for instance auto or ray-head:6379.  [default: a new one]")
@click.option(
    "--idle-min", type=click.FloatRange(0), default=IDLE_S / 60, show_default=True, help="Unload models then."
)
@click.option("--warm", default="", metavar="PRESET", help="Load this preset's models at the start of each worker.")
@click.option("--drain-s", type=click.FloatRange(0), default=DRAIN_S, show_default=True, help="Patience when it ends.")
@click.option("--metrics-port", type=click.IntRange(1, 65535), help="Prometheus metrics on http://127.0.0.1:PORT.")
@click.option("--log-json", is_flag=True, help="Log JSON lines instead of text.")
@_quota
@_age
@_store_option
def serve_command(
    bind: str,
    devices: str,
    threads: int | None,
    executor: str,
    ray_address: str | None,
    idle_min: float,
    warm: str,
    drain_s: float,
    metrics_port: int | None,
    log_json: bool,
    quota_gb: float,
    max_age_days: float,
    store: Path | None,
) -> None:
    """Run the inference service that the Blender add-on talks to, until Ctrl-C."""
    chosen = parse_devices(devices)
    if warm and executor == "ray":
        raise InputError("--warm is for --executor process: Ray starts its workers when there is work; leave it out.")
    if warm:
        presets.get(warm)
    if ray_address and executor != "ray":
        raise InputError("--ray-address is for --executor ray; give both or neither.")
    with contextlib.suppress(ServiceError):
        service = find_service()
        with Client(service, timeout_s=2):
            raise InputError(f"A service already runs at {service.address} (process {service.pid}); use it or end it.")
    store = store or default_store()
    if executor == "ray":
        from inference_service.workers.ray import RayPool, require_ray

        require_ray()
        click.echo(
            "Ray listens on every network interface of this machine: whoever reaches its ports, and has its token "
            "where it asks for one, runs programs as you. Use it on a network that you trust, behind a firewall.",
            err=True,
        )
        make = functools.partial(RayPool, devices=chosen, address=ray_address, threads=threads, idle_s=60 * idle_min)
    else:
        make = functools.partial(ProcessPool, devices=chosen, threads=threads, idle_s=60 * idle_min, warm=warm)
    set_up_logs(log_json, store / "log")

    def announce(server: Server) -> None:
        click.echo(f"Look Beyond {__version__} serves at {server.endpoint}; Ctrl-C ends it.")
        if server.endpoint != server.service.address:
            click.echo(f"Clients elsewhere need its public key: {hex_key(server.service.server_key)}")
        if metrics_port:
            from inference_service.metrics import start_metrics

            start_metrics(server, metrics_port)

    settings = Settings(drain_s, int(quota_gb * 2**30), max_age_days * DAY_S)
    serve(store, bind, announce, models=Presets(), executor=make, settings=settings)


# --- status and queue ------------------------------------------------------------------------------------


def _service_options(function: Callable) -> Callable:
    function = click.option("--server-key", help="The public key of the service at --address.")(function)
    return click.option("--address", help="A service elsewhere, host:port.  [default: this machine's]")(function)


def _connect(address: str | None, server_key: str | None) -> Client:
    if bool(address) != bool(server_key):
        raise InputError("A service elsewhere needs --address and --server-key; give both or neither.")
    if not address or not server_key:
        return Client()
    load_or_make_keys(client_keys_file())
    endpoint = address if address.startswith("tcp://") else f"tcp://{address}"
    return Client(ServiceAddress(endpoint, parse_key(server_key), str(client_keys_file())))


def duration(seconds: float | None) -> str:
    """A time for people: 12 s, 3 min, 2 h 05 min; a dash for none."""
    if seconds is None:
        return "-"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def progress_bar(fraction: float, width: int = 24) -> str:
    """A bar of so many characters."""
    full = round(max(0.0, min(1.0, fraction)) * width)
    return "█" * full + "·" * (width - full)


def describe(service: ServiceStatus, jobs: list[JobStatus]) -> Iterator[str]:
    """The lines of `lookbeyond status`: the service, its workers, and the jobs with their progress."""
    ending = ", ending" if service.draining else ""
    yield (
        f"Look Beyond {service.service} ({service.executor}), process {service.pid}, up {duration(service.uptime_s)}, "
        f"{service.sessions} clients, {service.memory_bytes / 1e6:.0f} MB{ending}"
    )
    for device in service.devices:
        at_work = f" on {device['unit']} {device['identity'][:12]}" if "identity" in device else ""
        parts = [f"  {device['name']}: {device['state']}{at_work}"]
        if loaded := device.get("loaded"):
            parts.append(f"{loaded} loaded")
        if "device_gb" in device:
            parts.append(f"{device['device_gb']:.1f} of {device.get('memory_gb', 0):.0f} GB on the device")
        if "resident_gb" in device:
            parts.append(f"{device['resident_gb']:.1f} GB of memory")
        yield ", ".join(parts)
    counts = ", ".join(f"{count} {state}" for state, count in service.states.items() if count)
    yield f"Jobs: {counts or 'none'}" + (f"; all done in {duration(service.eta_s)}" if service.eta_s else "")
    for job in jobs:
        if job.state not in ("done", "cancelled"):
            eta = f", {duration(job.eta_s)} left" if job.eta_s is not None else ""
            text = job.error or job.message
            yield f"  {job.job[:12]} {job.kind:5} {progress_bar(job.fraction)} {job.fraction:4.0%} {text}{eta}"


@click.command()
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object a time.")
@_service_options
def status(watch: bool, as_json: bool, address: str | None, server_key: str | None) -> None:
    """Show what the service does: its workers, its jobs, how far they are and when they will be done."""
    client: Client | None = None
    try:
        while True:
            try:
                client = client or _connect(address, server_key)
                service, jobs = client.service_status(), client.jobs()
                if as_json:
                    lines = [json.dumps({"service": vars(service), "jobs": jobs}, default=vars)]
                else:
                    lines = list(describe(service, jobs))
            except ServiceError as error:
                if not watch or error.code not in ("not_running", "timeout"):
                    raise
                if client:
                    client.close()
                client, lines = None, [str(error)]
            if watch and not as_json and sys.stdout.isatty():
                click.clear()
            click.echo("\n".join(lines))
            if not watch:
                return
            time.sleep(WATCH_INTERVAL_S)
    except KeyboardInterrupt:
        return
    finally:
        if client:
            client.close()


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
@_service_options
def cancel(jobs: tuple[str, ...], everything: bool, address: str | None, server_key: str | None) -> None:
    """Stop JOBS within one step; what they finished is kept."""
    with _connect(address, server_key) as client:
        for job in _chosen(client, jobs, everything):
            client.cancel(job)
        if everything:
            client.cancel_all()


@queue.command()
@click.argument("unit")
@_service_options
def skip(unit: str, address: str | None, server_key: str | None) -> None:
    """Stop the UNIT that a worker is at, as `status` names it; its job goes on with what does not depend on it."""
    with _connect(address, server_key) as client:
        at_work = {device["identity"] for device in client.service_status().devices if "identity" in device}
        found = [identity for identity in at_work if unit and identity.startswith(unit.lower())]
        if len(found) != 1:
            raise InputError(f"No worker is at a unit {unit[:70]!r}; `lookbeyond status` shows them.")
        client.cancel_unit(found[0])


def _pause(jobs: tuple[str, ...], everything: bool, address: str | None, server_key: str | None, paused: bool) -> None:
    with _connect(address, server_key) as client:
        for job in _chosen(client, jobs, everything):
            client.pause(job, paused)
        if everything:
            client.pause_all(paused)


@queue.command()
@_names
@_all
@_service_options
def pause(jobs: tuple[str, ...], everything: bool, address: str | None, server_key: str | None) -> None:
    """Begin no more of JOBS; what is at work is finished."""
    _pause(jobs, everything, address, server_key, True)


@queue.command()
@_names
@_all
@_service_options
def resume(jobs: tuple[str, ...], everything: bool, address: str | None, server_key: str | None) -> None:
    """Go on with paused JOBS."""
    _pause(jobs, everything, address, server_key, False)


@queue.command()
@click.argument("job")
@_service_options
def first(job: str, address: str | None, server_key: str | None) -> None:
    """Put JOB before all others."""
    with _connect(address, server_key) as client:
        client.reorder(_chosen(client, (job,), False)[0], 0)


@queue.command()
@click.argument("job")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the files.")
@_service_options
def fetch(job: str, out: Path, address: str | None, server_key: str | None) -> None:
    """Wait for JOB and fetch its files, those that are not there yet."""
    with _connect(address, server_key) as client:
        arrived = 0
        for event in client.follow(_chosen(client, (job,), False)[0], out):
            arrived += isinstance(event, FileArrived)
    click.echo(f"{out}: {arrived} files.")


# --- keys ------------------------------------------------------------------------------------------------


@click.group(invoke_without_command=True)
@click.pass_context
def keys(context: click.Context) -> None:
    """Show who may use the service from elsewhere; add and remove clients."""
    if context.invoked_subcommand:
        return
    service, own = load_or_make_keys(server_keys_file()), load_or_make_keys(client_keys_file())
    click.echo(f"This service's public key: {hex_key(service.public)}")
    click.echo(f"This user's public key:    {hex_key(own.public)}")
    click.echo(f"Key files: {server_keys_file()} and {client_keys_file()} (never pass these on)")
    clients = load_allowed_clients(allowed_clients_file())
    for name, public in clients.items():
        click.echo(f"allowed: {name:20} {hex_key(public)}")
    if not clients:
        click.echo("No other client is allowed: the service serves this machine only.")


@keys.command("add")
@click.argument("name")
@click.argument("key")
def add_key(name: str, key: str) -> None:
    """Let the client NAME with the public KEY in (from `lookbeyond keys` there); a running service knows at once."""
    allow_client(allowed_clients_file(), name, key)
    click.echo(f"{name} may use the service.")


@keys.command("make")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def make_key(name: str, file: Path) -> None:
    """Make keys for the client NAME, let it in, and write them to FILE, to be carried there by safe hands.

    For a machine that has the Blender add-on and nothing else: its preferences take the file.
    """
    if file.exists():
        raise InputError(f"There is a file {file} already; choose another name.")
    public, secret = (key.decode() for key in zmq.curve_keypair())
    write_private_json(file.absolute(), {"public": public, "secret": secret})
    try:
        allow_client(allowed_clients_file(), name, public)
    except LookBeyondError:
        file.unlink()
        raise
    click.echo(f"{name} may use the service with the keys in {file}; delete that file here when it is there.")


@keys.command("remove")
@click.argument("name")
def remove_key(name: str) -> None:
    """Shut the client NAME out (or a key); a running service cuts it off within a second."""
    remove_client(allowed_clients_file(), name)
    click.echo(f"{name} may no longer use the service.")


# --- store -----------------------------------------------------------------------------------------------


@click.group("store")
def store_command() -> None:
    """Look into the store of finished work: list, show, prune."""


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


KINDS = ("world", "plan", "anchor", "clip", "shot", "file", "unit")


@store_command.command("list")
@click.option(
    "--kind", type=click.Choice(["world", "plan", "anchor", "clip", "shot", "file", "unit"]), help="Only these."
)
@_store_option
def list_entries(kind: str | None, store: Path | None) -> None:
    """What lies in the store, the longest unused first."""
    keep = Store(store or default_store())
    entries = [entry for entry in keep.entries() if kind in (None, entry.kind)]
    for entry in entries:
        used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
        click.echo(
            f"{entry.name[:16]}  {entry.kind:6} {entry.files:4} files {_megabytes(entry.bytes):>12}  used {used}"
        )
    click.echo(f"{keep.root}: {len(entries)} entries, {_megabytes(sum(entry.bytes for entry in entries))}.")


def _entry(keep: Store, name: str) -> Entry:
    found = [entry for entry in keep.entries() if entry.name.startswith(name.lower())]
    if len(found) != 1:
        many = "Several entries begin" if found else "No entry begins"
        raise InputError(f"{many} with {name[:70]!r} in {keep.root}; `lookbeyond store list` shows them.")
    return found[0]


@store_command.command("show")
@click.argument("name")
@_store_option
def show_entry(name: str, store: Path | None) -> None:
    """The files of one entry, named by the beginning of its identity, and whether each is as it was made."""
    from inference_service.protocol import file_sha256

    keep = Store(store or default_store())
    entry = _entry(keep, name)
    click.echo(f"{entry.kind} {entry.name}\n{entry.path}")
    if entry.kind == "file":
        good = file_sha256(entry.path) == entry.name
        click.echo(f"  {'ok     ' if good else 'DAMAGED'} {_megabytes(entry.bytes)}")
        return
    record = keep.record(entry.name)
    click.echo(f"made in {record.seconds:.1f} s")
    for artifact in record.artifacts:
        path = entry.path / artifact.name
        good = path.is_file() and file_sha256(path) == artifact.sha256
        click.echo(f"  {'ok     ' if good else 'DAMAGED'} {artifact.name:24} {_megabytes(artifact.size):>12}")


@store_command.command("prune")
@_quota
@_age
@_store_option
def prune_store(quota_gb: float, max_age_days: float, store: Path | None) -> None:
    """Remove what was used longest ago until the rest fits, never what an unfinished job needs."""
    keep = Store(store or default_store())
    quota_bytes, max_age_s = int(quota_gb * 2**30), max_age_days * DAY_S
    try:
        jobs = JobQueue(keep.root / "jobs.sqlite", keep)
    except InputError as locked:  # a service is at work on this store: it knows what its jobs need
        with Client(timeout_s=60) as client:
            if client.service_status().store != str(keep.root):
                raise InputError(str(locked)) from locked
            count, size = client.prune(quota_bytes, max_age_s)
    else:
        with contextlib.closing(jobs):
            keep.sweep()
            removed = keep.prune(jobs.inputs(), quota_bytes, max_age_s, spare_s=0)
        count, size = len(removed), sum(entry.bytes for entry in removed)
    click.echo(f"{keep.root}: {count} entries with {_megabytes(size)} removed.")


# --- fetch -----------------------------------------------------------------------------------------------


@click.command("fetch")
@click.argument("preset")
@click.option("--yes", is_flag=True, help="Do not ask: the licences are accepted, the size is fine.")
@click.option("--check", is_flag=True, help="Load nothing; read what is here and remove what is not what the hub said.")
@click.option(
    "--needed-only", is_flag=True, help="Leave out what PRESET can do without: if its licence is not for you."
)
def fetch_command(preset: str, yes: bool, check: bool, needed_only: bool) -> None:
    """Download what PRESET lacks on this machine; the size and the licences are said first."""
    from lookbeyond.presets import fetching, weights

    chosen = presets.get(preset)
    if check:
        wrong = []
        for role, owner, component in chosen.components():
            folder = weights.locate(owner, component)
            if folder is not None:
                listed = weights.patterns(component)
                wrong += fetching.broken_files(folder, listed, lambda path: click.echo(f"reading {path}", err=True))
            if trouble := weights.problem(owner, role, component, preset):
                click.echo(trouble + (" (optional)" if component.optional else ""))
        if wrong:
            for path in wrong:
                fetching.forget(path)
            names = ", ".join(str(path) for path in wrong)
            raise InputError(f"Broken, so removed: {names}; run `lookbeyond fetch {preset}` to load them again.")
        if chosen.missing:
            raise InputError(f"The preset {preset} cannot run here: {chosen.missing}.")
        click.echo(f"{preset}: everything that is needed is here and whole.")
        return
    wanted = fetching.downloads(chosen, optional=not needed_only)
    if not wanted:
        if chosen.missing:
            raise InputError(f"The preset {preset} cannot run here: {chosen.missing}.")
        click.echo(f"{preset}: nothing is missing.")
        return
    for item in wanted:
        click.echo(f"{item.hub} ({item.revision}), for {', '.join(item.roles)}: {item.bytes / 1e9:.2f} GB")
        for licence in item.licences:
            click.echo(f"    licence: {licence}")
        if item.gated:
            click.echo("    only for who has accepted its terms on the hub and is logged in (`hf auth login`)")
    click.echo(f"{sum(item.bytes for item in wanted) / 1e9:.2f} GB in all, into {fetching.cache_folder()}")
    if not yes:
        if not sys.stdin.isatty():
            raise InputError("Nobody can be asked here; read the licences and add --yes.")
        click.confirm("Download it under these licences?", abort=True)
    for item in wanted:
        fetching.fetch(item)
    if chosen.missing:
        raise InputError(f"The preset {preset} cannot run here: {chosen.missing}.")
    click.echo(f"{preset}: everything is here. Use it with --preset {preset}.")


# --- doctor ----------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Findings:
    """What `doctor` says, and whether anything that is needed is missing."""

    healthy: bool = True

    def say(self, good: bool, text: str, needed: bool = False) -> None:
        self.healthy = self.healthy and (good or not needed)
        click.echo(f"{'ok     ' if good else 'MISSING' if needed else 'note   '} {text}")


@click.command()
def doctor() -> None:
    """Say what this machine can run, what is missing, and what to do."""
    findings = Findings()
    findings.say(True, f"Python {platform.python_version()} on {platform.platform()}")
    for check in (_check_torch, _check_presets, _check_store, _check_keys, _check_extras, _check_service):
        check(findings)
    click.echo("The built-in preset can run here." if findings.healthy else "The built-in preset cannot run here yet.")
    if not findings.healthy:
        raise click.exceptions.Exit(1)


def _check_torch(findings: Findings) -> None:
    try:
        import torch

        findings.say(True, f"PyTorch {torch.__version__}")
        for device in describe_torch_devices():
            findings.say(True, f"Device {device['name']}: {device['title']}, {device['memory_gb']} GB of memory")
        if default_device() == "cpu":
            findings.say(False, "PyTorch finds no GPU: the built-in preset runs, slowly; larger ones need a GPU")
    except Exception as error:  # a broken installation fails in many ways
        findings.say(False, f"PyTorch does not load ({error}); run `pip install torch==2.13.0`", needed=True)


def _check_presets(findings: Findings) -> None:
    try:
        known = Presets().available()
        if "builtin" not in {info["name"] for info in known}:
            findings.say(False, "The built-in preset is missing; install Look Beyond again", needed=True)
        for info in known:
            title = f"Preset {info['name']} ({info['title']}, {info['licence']}, {info['memory_gb']} GB)"
            if info["installed"]:
                findings.say(True, f"{title} is installed")
            else:
                text = f"{title} is not installed: {info['missing']}"
                findings.say(False, text, needed=info["name"] == "builtin")
            if fits := _fits(info["name"]):
                findings.say(*fits)
        for trouble in presets.unreadable():
            findings.say(False, trouble)
    except Exception as error:
        findings.say(False, f"The presets cannot be read ({error}); install Look Beyond again", needed=True)


def _fits(name: str) -> tuple[bool, str] | None:
    """Whether a preset's networks fit into this machine's memory now, and how; None where that is no question."""
    from lookbeyond.presets.memory import plan_for

    try:
        how = plan_for(presets.get(name), default_device())
    except InputError as error:
        return False, f"    {error}"
    return None if how is None else (True, f"    {how}")


def _check_store(findings: Findings) -> None:
    try:
        keep = Store(default_store())
        require_space(keep.root, 2 << 30)
        free_gb = shutil.disk_usage(keep.root).free / 1e9
        entries = keep.entries()
        size_gb = sum(entry.bytes for entry in entries) / 1e9
        size = f"{size_gb:.1f} GB of at most {QUOTA_BYTES / 1e9:.0f}, {free_gb:.0f} GB free"
        findings.say(True, f"Finished work is kept in {keep.root} ({size})")
        if entries and entries[-1].used > time.time() + 2 * DAY_S:
            findings.say(False, "Some of it is dated in the future; set the clock of this machine right")
        if (log := keep.root / "log" / "service.jsonl").exists():
            findings.say(True, f"The service's log: {log}")
    except LookBeyondError as error:
        findings.say(False, str(error))
    try:
        import imageio_ffmpeg

        findings.say(True, f"ffmpeg for videos: {imageio_ffmpeg.get_ffmpeg_exe()}")
    except Exception:
        findings.say(False, "No ffmpeg: frames can be made, videos not; run `pip install imageio[ffmpeg]`")


def _check_keys(findings: Findings) -> None:
    try:
        for path in (server_keys_file(), client_keys_file()):
            load_or_make_keys(path)
        clients = load_allowed_clients(allowed_clients_file())
        findings.say(True, f"Keys lie in {server_keys_file().parent}, readable by you only")
        others = ", ".join(clients) if clients else "none: the service serves this machine only"
        findings.say(True, f"Other clients that are allowed: {others}")
        make_private_folder(runtime_folder())
        if not os.access(runtime_folder(), os.W_OK):
            findings.say(False, f"{runtime_folder()} cannot be written, so no client finds the service; make it yours")
    except LookBeyondError as error:
        findings.say(False, str(error), needed=True)


def _check_extras(findings: Findings) -> None:
    for module, use in (("ray", "workers on several machines"), ("prometheus_client", "metrics for Prometheus")):
        extra = module.replace("_client", "")
        if importlib.util.find_spec(module):
            findings.say(True, f"For {use}: {module} is installed")
        else:
            findings.say(False, f"For {use} (optional): run `pip install lookbeyond[{extra}]`")
    if sys.platform != "win32":
        import resource

        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if 0 <= limit < 512:
            findings.say(False, f"Only {limit} files may be open at once; raise it with `ulimit -n 4096`")


def _check_service(findings: Findings) -> None:
    try:
        service = find_service()
        with Client(service, timeout_s=2) as client:
            about, jobs = client.service_status(), client.jobs()
        active = sum(job.state in (*ACTIVE, "running") for job in jobs)
        text = f"The service runs at {service.address} (process {service.pid}), {len(jobs)} jobs, {active} to be done"
        findings.say(True, text)
        if Path(about.store) != default_store():
            findings.say(True, f"Its store is another one: {about.store}")
        if about.service != __version__:
            text = f"It is version {about.service} and this command {__version__}; start the service again"
            findings.say(False, text)
        for device in about.devices:
            if device["state"] == "stopped":
                text = f"Its worker on {device['name']} cannot be kept running; see the log in {about.store}"
                findings.say(False, text)
    except ServiceError as error:
        findings.say(False, str(error))


COMMANDS = (serve_command, status, queue, keys, store_command, fetch_command, doctor)
