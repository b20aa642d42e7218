"""Steps that start, query and stop the service, and free its memory. No bpy here."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from ..kit import Client, Progress, ServiceError, launch_service
from ..tasks import Connected, Event, JobError, ServiceLaunched, ServiceStopped, Steps, Succeeded
from .jobs import Connect


def has_started(device: Mapping[str, object]) -> bool:
    """Whether the worker of a device has started."""
    return device.get("state") != "starting"


def report_service(
    client: Client,
    cancelled: threading.Event,
    settled: Callable[[Mapping[str, object]], bool] = has_started,
    patience_s: float = 60.0,
) -> Iterator[Event]:
    """Report the service's description of itself, and again once all devices are `settled`.

    Only a worker that has started knows its device. Gives up waiting after `patience_s`.
    """
    yield Connected(client.welcome)
    devices, ends = client.welcome.devices, time.monotonic() + patience_s
    while not all(map(settled, devices)) and not cancelled.is_set() and time.monotonic() < ends:
        yield Progress(0.5, "Waiting for the workers to start", None)
        time.sleep(0.2)
        devices = client.service_status().devices
    yield Connected(replace(client.welcome, devices=devices))


def start_service(command: Sequence[str]) -> Steps:
    """Steps that start the service unless it is running."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, "Starting the service", None)
        try:
            with Client() as client:
                yield from report_service(client, cancelled)
            yield Succeeded("The service is already running.")
            return
        except ServiceError as error:
            if error.code == "version":
                raise
        process, address = launch_service(command)
        yield ServiceLaunched(process)
        with Client(address) as client:
            yield from report_service(client, cancelled)
        yield Succeeded("The service is running.")

    return steps


def started_first(connect: Connect, command: Callable[[], Sequence[str]], steps: Steps) -> Steps:
    """The steps, after those that start the service on this machine unless it is running."""

    def started_steps(cancelled: threading.Event) -> Iterator[Event]:
        try:
            with connect() as client:
                yield Connected(client.welcome)
        except ServiceError as error:
            if error.code != "not_running":
                raise
            yield Progress(0.0, "Starting the service", None)
            try:
                process, address = launch_service(command())
            except JobError as missing:
                raise ServiceError("not_running", str(missing)) from None
            yield ServiceLaunched(process)
            with Client(address) as client:
                yield Connected(client.welcome)
        yield from steps(cancelled)

    return started_steps


def check_service(connect: Connect) -> Steps:
    """Steps that query the service."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        with connect() as client:
            yield from report_service(client, cancelled)
        yield Succeeded("The service answers.")

    return steps


def release_memory(connect: Connect) -> Steps:
    """Steps that let the service unload its models."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        with connect() as client:
            client.release()
            yield from report_service(client, cancelled, lambda device: not device.get("loaded"), 10.0)
        yield Succeeded("The models are unloaded. They load again when they are needed.")

    return steps


def stop_service(connect: Connect) -> Steps:
    """Steps that stop the service; its finished results stay in its store."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, "Stopping the service", None)
        with connect() as client:
            client.shutdown()
        yield ServiceStopped()
        yield Succeeded("The service has stopped.")

    return steps
