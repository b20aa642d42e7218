"""`lookbeyond status`: what the service does."""

import json
import sys
import time
from collections.abc import Iterator

import click

from inference_service.cli import options
from inference_service.client import Client, JobStatus, ServiceError, ServiceStatus

WATCH_INTERVAL_S = 1.0


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
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object each time.")
@options.service
def status(watch: bool, as_json: bool, address: str | None, server_key: str | None) -> None:
    """Show the service's workers and jobs, how far they are and when they will be done."""
    client: Client | None = None
    try:
        while True:
            try:
                client = client or options.connect(address, server_key)
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
