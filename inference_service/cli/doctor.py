"""`lookbeyond doctor`: what this machine can run, what is missing, and what to do."""

import dataclasses
import importlib.util
import os
import platform
import shutil
import sys
import time
from pathlib import Path

import click

from inference_service.client import Client, ServiceError, find_service
from inference_service.jobs.job import ENDED
from inference_service.security.clients import load_allowed_clients
from inference_service.security.keys import (
    allowed_clients_file,
    client_keys_file,
    load_or_make_keys,
    make_private_folder,
    server_keys_file,
)
from inference_service.server.presets import Presets
from inference_service.store.housekeeping import DAY_S, QUOTA_BYTES, entries
from inference_service.store.store import Store, default_store
from inference_service.wire.address import runtime_folder
from inference_service.workers.devices import default_device, describe_torch_devices
from lookbeyond import __version__, presets
from lookbeyond.errors import InputError, LookBeyondError
from lookbeyond.files import require_space


@dataclasses.dataclass
class Findings:
    """What `doctor` reports, and whether anything that is needed is missing."""

    healthy: bool = True

    def say(self, good: bool, text: str, needed: bool = False) -> None:
        self.healthy = self.healthy and (good or not needed)
        click.echo(f"{'ok     ' if good else 'MISSING' if needed else 'note   '} {text}")


@click.command()
def doctor() -> None:
    """Report what this machine can run, what is missing, and what to do."""
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
    """Whether a preset's networks fit into this machine's memory now, and how; None where they always do."""
    from lookbeyond.presets.memory import plan_for

    try:
        how = plan_for(presets.get(name), default_device())
    except InputError as error:
        return False, f"    {error}"
    return None if how is None else (True, f"    {how}")


def _check_store(findings: Findings) -> None:
    try:
        store = Store(default_store())
        require_space(store.root, 2 << 30)
        free_gb = shutil.disk_usage(store.root).free / 1e9
        found = entries(store)
        size_gb = sum(entry.bytes for entry in found) / 1e9
        size = f"{size_gb:.1f} GB of at most {QUOTA_BYTES / 1e9:.0f}, {free_gb:.0f} GB free"
        findings.say(True, f"Finished work is kept in {store.root} ({size})")
        if found and found[-1].used > time.time() + 2 * DAY_S:
            findings.say(False, "Some of it is dated in the future; correct the clock of this machine")
        if (log := store.root / "log" / "service.jsonl").exists():
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
        findings.say(True, f"The keys are in {server_keys_file().parent}, readable by you only")
        others = ", ".join(clients) if clients else "none: the service serves this machine only"
        findings.say(True, f"Other clients that are allowed: {others}")
        make_private_folder(runtime_folder())
        if not os.access(runtime_folder(), os.W_OK):
            findings.say(False, f"{runtime_folder()} cannot be written, so no client finds the service; make it yours")
    except LookBeyondError as error:
        findings.say(False, str(error), needed=True)


def _check_extras(findings: Findings) -> None:
    optional = (
        ("ray", "ray", "workers on several machines"),
        ("prometheus_client", "prometheus", "metrics for Prometheus"),
        ("pillow_heif", "heic", "photos in HEIC"),
    )
    for module, extra, use in optional:
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
        active = sum(job.state not in ENDED for job in jobs)
        text = f"The service runs at {service.address} (process {service.pid}), {len(jobs)} jobs, {active} unfinished"
        findings.say(True, text)
        if Path(about.store) != default_store():
            findings.say(True, f"It uses another store: {about.store}")
        if about.service != __version__:
            text = f"It is version {about.service} and this command {__version__}; restart the service"
            findings.say(False, text)
        for device in about.devices:
            if device["state"] == "stopped":
                text = f"Its worker on {device['name']} cannot be kept running; see the log in {about.store}"
                findings.say(False, text)
    except ServiceError as error:
        findings.say(False, str(error))
