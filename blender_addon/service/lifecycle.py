"""Steps that start, ask, empty and end the service. No bpy here."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from ..kit import Client, Progress, ServiceError, launch_service
from ..tasks import Done, Event, Launched, Steps, Stopped, Welcomed
from .jobs import Connect


def has_started(device: Mapping[str, object]) -> bool:
    return device.get("state") != "starting"


def welcomed(
    client: Client,
    cancelled: threading.Event,
    settled: Callable[[Mapping[str, object]], bool] = has_started,
    patience_s: float = 60.0,
) -> Iterator[Event]:
    """What the service says of itself, and again when all its devices are as they are waited for: only their workers,
    once they have started, know them."""
    yield Welcomed(client.welcome)
    devices, ends = client.welcome.devices, time.monotonic() + patience_s
    while not all(map(settled, devices)) and not cancelled.is_set() and time.monotonic() < ends:
        yield Progress(0.5, "Waiting for its workers", None)
        time.sleep(0.2)
        devices = client.service_status().devices
    yield Welcomed(replace(client.welcome, devices=devices))


def start_service(command: Sequence[str]) -> Steps:
    """Steps that launch the service, or find that it runs already."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, "Starting the service", None)
        try:
            with Client() as client:
                yield from welcomed(client, cancelled)
            yield Done("The service runs already.")
            return
        except ServiceError as error:
            if error.code == "version":
                raise
        process, address = launch_service(command)
        yield Launched(process)
        with Client(address) as client:
            yield from welcomed(client, cancelled)
        yield Done("The service runs.")

    return steps


def check_service(connect: Connect) -> Steps:
    """Steps that ask the service who it is."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        with connect() as client:
            yield from welcomed(client, cancelled)
        yield Done("The service answers.")

    return steps


def release_memory(connect: Connect) -> Steps:
    """Steps that have the service unload its models."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        with connect() as client:
            client.release()
            yield from welcomed(client, cancelled, lambda device: not device.get("loaded"), 10.0)
        yield Done("The models are unloaded; they load again when they are needed.")

    return steps


def stop_service(connect: Connect) -> Steps:
    """Steps that end the service; what it has finished stays in its store."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, "Stopping the service", None)
        with connect() as client:
            client.shutdown()
        yield Stopped()
        yield Done("The service has stopped.")

    return steps
