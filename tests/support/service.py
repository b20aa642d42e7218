"""A service with a double of the models, in a thread of the tests, and what to ask of it."""

import contextlib
import functools
import queue
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from inference_service.client import Client, ServiceAddress, ShotRequest, WorldRequest, find_service
from inference_service.server.server import Server
from inference_service.server.service import MakeExecutor, Settings
from inference_service.store.store import Store
from inference_service.wire.events import Event
from inference_service.work.requests import check
from inference_service.work.units.world import BuildWorld
from inference_service.workers.process_pool import ProcessPool
from lookbeyond.geometry.cameras import placed_camera
from tests.support.double import DoublePresets

ENDLESS, SLOW, DIES_ONCE, DIES, NO_MEMORY, RAISES = 249, 250, 251, 252, 253, 254
"""What the photo's first pixel tells the double to do."""


@dataclass
class Service:
    """A running service and what belongs to it."""

    folder: Path
    server: Server
    thread: threading.Thread
    address: ServiceAddress

    def client(self) -> Client:
        return Client(self.address, timeout_s=10)


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
    """A walk that turns, within the reach of the double's world."""
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


def fetch(client: Client, job: str, folder: Path) -> list[Event]:
    """Follow a job to its end; all events."""
    return list(client.follow(job, folder))


def world_unit(store: Store, folder: Path) -> BuildWorld:
    """A unit whose photo is in the store."""
    photo = store.add_file(save_photo(folder / "photo.png"))
    return check(WorldRequest(photo=photo, camera=photo_camera(), width=512)).first_unit("r")


@contextlib.contextmanager
def slow_line(address: str, bytes_per_s: float) -> Iterator[str]:
    """The address of a line to a service over which its answers come so slowly."""

    def pump(source: socket.socket, target: socket.socket, rate: float) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
                time.sleep(len(data) / rate)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def connect() -> None:
        near, _ = listener.accept()
        with near, socket.socket() as far:
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            host, _, port = address.removeprefix("tcp://").rpartition(":")
            far.connect((host, int(port)))
            ways = [(near, far, float("inf")), (far, near, bytes_per_s)]
            pumps = [threading.Thread(target=pump, args=way, daemon=True) for way in ways]
            for thread in pumps:
                thread.start()
            for thread in pumps:
                thread.join()

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        threading.Thread(target=connect, daemon=True).start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
