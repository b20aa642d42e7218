"""A service with a stand-in for the models, in a thread of the tests."""

import contextlib
import functools
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference_service.cli import main
from inference_service.client import Client, find_service
from inference_service.protocol import ServiceAddress, ShotRequest, WorldRequest
from inference_service.server import MakeExecutor, Server, Settings
from inference_service.workers.pool import ProcessPool
from lookbeyond.geometry.cameras import placed_camera
from tests.inference_service.double import DoublePresets, worker_command

SLOW, DIES_ONCE, DIES, NO_MEMORY, RAISES = 250, 251, 252, 253, 254
"""What the photo's first pixel tells the stand-in to do."""


@dataclass
class Service:
    """A running service and what belongs to it."""

    folder: Path
    server: Server
    thread: threading.Thread
    address: ServiceAddress

    def client(self) -> Client:
        return Client(self.address, timeout_s=10)


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime folder (and keys) of the test's own."""
    folder = tmp_path / "runtime"
    monkeypatch.setenv("LOOKBEYOND_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the tests of a module."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("service")
        patch.setenv("LOOKBEYOND_RUNTIME_DIR", str(folder / "runtime"))
        with running(folder, worker_command()) as service:
            yield service


@contextlib.contextmanager
def running(
    folder: Path,
    command: list[str],
    devices: tuple[str, ...] = ("auto",),
    settings: Settings | None = None,
    bind: str = "tcp://127.0.0.1:0",
    **pool,
) -> Iterator[Service]:
    """A service with worker processes, in a thread."""
    executor = functools.partial(ProcessPool, command=command, devices=devices, **pool)
    with serving(folder, executor, settings, bind) as service:
        yield service


@contextlib.contextmanager
def serving(
    folder: Path, executor: MakeExecutor, settings: Settings | None = None, bind: str = "tcp://127.0.0.1:0"
) -> Iterator[Service]:
    """A service in a thread of its own (in which it is made, too)."""
    made: queue.SimpleQueue[Server] = queue.SimpleQueue()

    def serve() -> None:
        server = Server(folder / "store", bind, models=DoublePresets(), executor=executor, settings=settings)
        made.put(server)
        server.run()

    thread = threading.Thread(target=serve)
    thread.start()
    server = made.get(timeout=30)
    try:
        with Client(server.service, timeout_s=10):  # the runtime file is there once it answers
            address = find_service()
        yield Service(folder, server, thread, address)
    finally:
        server.stop()
        thread.join(60)
        assert not thread.is_alive()


def until(condition, timeout_s=120.0):
    """What the condition says once that is true."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return value


def save_photo(path: Path, steer: int = 0, tint: int = 100) -> Path:
    """A 128 x 96 photo; `tint` makes it another one."""
    pixels = np.full((96, 128, 3), tint, np.uint8)
    pixels[0, 0, 0] = steer
    Image.fromarray(pixels).save(path)
    return path


def photo_camera() -> dict:
    return placed_camera(128, 96, 1.2, position=(0, 0, 1.6)).to_dict()


def path_cameras(frames: int = 9, turn: float = 0.03) -> list[dict]:
    """A walk that turns, within the reach of the stand-in's world."""
    return [
        placed_camera(96, 64, 1.2, heading_rad=turn * i, position=(0.02 * i, 0, 1.6)).to_dict() for i in range(frames)
    ]


def world_request(client: Client, folder: Path, steer: int = 0, tint: int = 100, seed: int = 0) -> WorldRequest:
    photo = client.upload(save_photo(folder / f"photo-{steer}-{tint}.png", steer, tint))
    return WorldRequest(photo=photo, camera=photo_camera(), width=512, seed=seed)


def shot_request(client: Client, world: Path, cameras: list[dict] | None = None, **settings) -> ShotRequest:
    names = ("panorama.png", "distance.exr", "from_photo.png", "world.json")
    files = {name: client.upload(world / name) for name in names}
    return ShotRequest(world=files, cameras=cameras or path_cameras(), **settings)


def contents(folder: Path) -> dict[str, bytes]:
    """The files below a folder, by name."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def lookbeyond(capfd):
    """Run the command in this process: exit code, output, errors."""

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return end.value.code, captured.out, captured.err

    return run
