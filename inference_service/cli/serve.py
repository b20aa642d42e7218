"""`lookbeyond serve`: run the service."""

import contextlib
import functools
from pathlib import Path

import click

from inference_service.cli import options
from inference_service.client import Client, ServiceError, find_service
from inference_service.security.clients import hex_key
from inference_service.server.logs import set_up_logs
from inference_service.server.presets import Presets
from inference_service.server.server import Server, serve
from inference_service.server.service import DRAIN_S, MakeExecutor, Settings
from inference_service.store.housekeeping import DAY_S
from inference_service.store.store import default_store
from inference_service.workers.devices import parse_devices
from inference_service.workers.process_pool import ProcessPool
from inference_service.workers.worker import IDLE_S
from lookbeyond import __version__, presets
from lookbeyond.errors import InputError


@click.command("serve")
@click.option("--bind", default="tcp://127.0.0.1:0", help="Address; port 0 takes a free one.", show_default=True)
@click.option("--devices", default="auto", show_default=True, help="One worker each: cuda:0,cuda:1 or cpu.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads of each worker.  [default: all, or its share]")
@click.option("--executor", type=click.Choice(["process", "ray"]), default="process", show_default=True)
@click.option("--ray-address", help="A running Ray cluster, for instance auto or ray-head:6379.  [default: a new one]")
@click.option(
    "--idle-min", type=click.FloatRange(0), default=IDLE_S / 60, show_default=True, help="Unload models idle so long."
)
@click.option("--warm", metavar="PRESET", help="Load this preset's models at the start.  [default: builtin]")
@click.option("--no-warm", is_flag=True, help="Load models only when they are first needed.")
@click.option("--drain-s", type=click.FloatRange(0), default=DRAIN_S, show_default=True, help="Grace time at its end.")
@click.option("--metrics-port", type=click.IntRange(1, 65535), help="Prometheus metrics on http://127.0.0.1:PORT.")
@click.option("--log-json", is_flag=True, help="Log JSON lines instead of text.")
@options.quota
@options.max_age
@options.store
def serve_command(
    bind: str,
    devices: str,
    threads: int | None,
    executor: str,
    ray_address: str | None,
    idle_min: float,
    warm: str | None,
    no_warm: bool,
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
    if warm and no_warm:
        raise InputError("--warm loads models and --no-warm does not; give one of them.")
    warmed = "" if no_warm else warm or "builtin"
    if warmed:
        presets.get(warmed)
    if ray_address and executor != "ray":
        raise InputError("--ray-address is for --executor ray; give both or neither.")
    _require_no_other()
    store = store or default_store()
    make: MakeExecutor
    if executor == "ray":
        make = _ray_executor(chosen, ray_address, threads, 60 * idle_min)
    else:
        make = functools.partial(ProcessPool, devices=chosen, threads=threads, idle_s=60 * idle_min, warm=warmed)
    set_up_logs(log_json, store / "log")
    announce = functools.partial(_announce, metrics_port=metrics_port)
    settings = Settings(drain_s, int(quota_gb * 2**30), max_age_days * DAY_S)
    serve(store, bind, announce, models=Presets(), executor=make, settings=settings)


def _require_no_other() -> None:
    with contextlib.suppress(ServiceError):
        service = find_service()
        with Client(service, timeout_s=2):
            raise InputError(f"A service already runs at {service.address} (process {service.pid}); use it or end it.")


def _ray_executor(devices: list[str], address: str | None, threads: int | None, idle_s: float) -> MakeExecutor:
    from inference_service.workers.ray_pool import RayPool, require_ray

    require_ray()
    click.echo(
        "Ray listens on every network interface of this machine: whoever reaches its ports (and has its token, if it "
        "asks for one) can run programs as you. Use it on a network that you trust, behind a firewall.",
        err=True,
    )
    return functools.partial(RayPool, devices=devices, address=address, threads=threads, idle_s=idle_s)


def _announce(server: Server, metrics_port: int | None) -> None:
    click.echo(f"Look Beyond {__version__} serves at {server.endpoint}; Ctrl-C ends it.")
    if server.endpoint != server.service.address:
        click.echo(f"Clients elsewhere need its public key: {hex_key(server.service.server_key)}")
    if metrics_port:
        from inference_service.server.metrics import start_metrics

        start_metrics(server, metrics_port)
