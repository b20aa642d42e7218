"""What the service costs: results pulled through the whole client beside raw pyzmq, and wall time beside the model's.

    python benchmarks/transport.py [--frames 100] [--repeats 5] [--overhead world,shot,sent,clip,small] [--json FILE]

Transport: a shot of 100 frames (1.77 MB each, as PNG files of noise are) is pulled through the socket by the whole
client into a folder: every file is locked while it is written, checked by its CRC-32, and gets its name when it is
whole. In the same run, in turn, the same files go from a bare ROUTER to a bare DEALER of pyzmq in two processes with
the same CURVE encryption, in the same pieces, without a copy on either side: read, sent and written under their own
names, unchecked. Neither flushes them to the disk. Beside it what parts of that cost: as many bytes from one buffer
in memory, written and to nowhere; and what the client does where the service runs on its own machine: it copies the
files from the store, with the same checks. Each round begins with another of them, and ratios are medians of the
rounds' own: what else the machine does changes from one to the next. Fails below `PACE` of those same files' pace.

Overhead: worlds and shots of the built-in preset, warm, previews off, client and service on this machine: the client's
wall time from submit to the last file, over what the worker's own pipeline took, its units: from a photo or a world's
files to files. Files are copied from the store, or, of "sent", sent through the socket. Fails above `OVERHEAD` of it,
and for a small shot, whose frames are drawn in a few milliseconds each, above `SMALL_S`: what units and files cost
whatever is in them. Beside it, over what was spent in the models alone: networks, warps and plans, without reading and
encoding files; what of it came after the last unit; and the processor time of all three.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import psutil
import zmq

from benchmarks.kept_tables import keep_proofs
from benchmarks.own_service import end, start_service
from inference_service.client import Client, Finished
from inference_service.wire import files
from inference_service.wire.address import ServiceAddress
from inference_service.wire.download import PULL_WINDOW
from inference_service.wire.requests import ShotRequest, WorldRequest
from inference_service.workers.models import load_scene_pipeline
from lookbeyond.files import write_png
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.panorama import Panorama, View
from tests.support.double import DoublePipeline, DoublePresets, describe_double
from tests.support.machine import machine
from tests.support.service import shot_request, world_request

ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT = 1024, 576
PACE = 0.8
OVERHEAD = 0.03
SMALL_S = 0.1
KINDS = {
    "world": "a world 4096 x 2048",
    "shot": "24 frames of 1920 x 1080 with depth, all their units",
    "sent": "24 frames of 1920 x 1080 with depth, all their units, sent through the socket",
    "clip": "13 frames of 1920 x 1080 with depth, which are one clip, all their units",
    "small": "13 frames of 384 x 256 with depth, all their units",
}


# --- transport -------------------------------------------------------------------------------------------


class Noise(DoublePipeline):
    """Frames that no encoder makes smaller, made in no time."""

    def fill_anchor(self, panorama: Panorama, camera: Camera, before, *, seed, callback=None, **settings) -> View:
        shape = camera.height, camera.width
        colour = np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)
        return View(camera, colour, np.full(shape, 3, np.float32), np.zeros(shape, np.uint8))

    def shoot_clip(self, panorama, source, target, cameras, *, seed, callback=None, **settings) -> list[View]:
        return [self.fill_anchor(panorama, camera, (), seed=seed + i) for i, camera in enumerate(cameras)]


@dataclass(frozen=True)
class Pull:
    """How long some bytes took, and the processor time of both sides."""

    bytes: int
    seconds: float
    cpu_s: float

    @property
    def pace(self) -> float:
        return self.bytes / self.seconds / 1e6


def cpu_s(process: psutil.Process) -> float:
    """Processor time of this process and of another."""
    return _cpu_of(psutil.Process()) + _cpu_of(process)


def pull_whole(service: ServiceAddress, request: ShotRequest, folder: Path) -> Pull:
    """Fetch a finished shot with the whole client."""
    with Client(service, timeout_s=60) as client:
        job = client.submit(request)
        before, begun = cpu_s(psutil.Process(service.pid)), time.perf_counter()
        files = next(e.files for e in client.follow(job, folder) if isinstance(e, Finished))
        seconds, spent = time.perf_counter() - begun, cpu_s(psutil.Process(service.pid)) - before
    return Pull(sum(path.stat().st_size for path in files.values()), seconds, spent)


def raw_service(arguments: list[str]) -> None:
    """A bare ROUTER in a process of its own, as the service is one: answers with the asked piece of a file.

    A file without a name is so many bytes of memory, the same ones each time.
    """
    keys = json.loads(arguments[0])
    memory = memoryview(os.urandom(files.CHUNK_BYTES))
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.curve_server = True
        router.curve_publickey, router.curve_secretkey = keys["public"].encode(), keys["secret"].encode()
        print(router.bind_to_random_port("tcp://127.0.0.1"), flush=True)
        while True:
            peer, offset, size, name = router.recv_multipart()
            if not int(size):
                return
            data: bytes | memoryview = memory[: int(size)]
            if name:
                with Path(name.decode()).open("rb", buffering=0) as file:
                    file.seek(int(offset))
                    data = file.read(int(size))
            router.send_multipart([peer, data], copy=False)


def pull_raw(paths: list[Path], window: int, folder: Path | None, from_memory: bool = True) -> Pull:
    """Fetch these files, or as many bytes, with a bare DEALER from a bare ROUTER in another process, with CURVE.

    They are written into `folder`, or nowhere.
    """
    public, secret = (key.decode() for key in zmq.curve_keypair())
    own_public, own_secret = zmq.curve_keypair()
    keys = json.dumps({"public": public, "secret": secret})
    process = subprocess.Popen([sys.executable, __file__, "raw", keys], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    port = int(process.stdout.readline())
    sizes = [(path, path.stat().st_size) for path in paths]
    chunk = files.CHUNK_BYTES
    pieces = [(path, at, min(chunk, size - at)) for path, size in sizes for at in range(0, size, chunk)]
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 1000
        dealer.curve_serverkey, dealer.curve_publickey, dealer.curve_secretkey = public.encode(), own_public, own_secret
        dealer.connect(f"tcp://127.0.0.1:{port}")
        dealer.send_multipart([b"0", b"1", b""])
        dealer.recv()  # the handshake is not counted, nor is the client's
        before, begun = cpu_s(psutil.Process(process.pid)), time.perf_counter()
        asked = number = 0
        for index, (_, size) in enumerate(sizes):
            with (folder / str(index)).open("wb") if folder else contextlib.nullcontext() as file:
                for _ in range(0, size, chunk):
                    while asked < len(pieces) and asked - number < window:
                        path, offset, count = pieces[asked]
                        name = b"" if from_memory else os.fsencode(path)
                        dealer.send_multipart([b"%d" % offset, b"%d" % count, name])
                        asked += 1
                    data = dealer.recv(copy=False)
                    assert len(data) == pieces[number][2]
                    number += 1
                    if file:
                        file.write(data.buffer)
        seconds, spent = time.perf_counter() - begun, cpu_s(psutil.Process(process.pid)) - before
        dealer.send_multipart([b"0", b"0", b""])
        process.wait(30)
    return Pull(sum(size for _, size in sizes), seconds, spent)


def transport(folder: Path, frames: int, repeats: int) -> tuple[float, dict[str, str]]:
    """The client's pace over that of raw pyzmq with the same files; and what was found, in words, by what was done."""
    os.environ["LOOKBEYOND_RUNTIME_DIR"] = str(folder / "runtime")
    process, service = start_service([sys.executable, __file__, "service", str(folder / "store")], timeout_s=120)
    pulls: dict[str, list[Pull]] = {"whole": [], "files": [], "written": [], "nowhere": [], "copied": []}
    through_socket = dataclasses.replace(service, store="")
    try:
        with Client(service, timeout_s=60) as client:
            list(client.follow(client.submit(world_request(client, folder)), folder / "W"))
            cameras = [
                placed_camera(WIDTH, HEIGHT, 1.2, heading_rad=0.01 * i, position=(0.005 * i, 0, 1.6)).to_dict()
                for i in range(frames)
            ]
            request = shot_request(client, folder / "W", cameras)
            list(client.follow(client.submit(request), folder / "first"))
        files = sorted((folder / "first").glob("**/*.*"))
        ways: dict[str, Callable[[Path], Pull]] = {
            "whole": lambda out: pull_whole(through_socket, request, out),
            "files": lambda out: pull_raw(files, PULL_WINDOW, out, from_memory=False),
            "written": lambda out: pull_raw(files, PULL_WINDOW, out),
            "nowhere": lambda out: pull_raw(files, PULL_WINDOW, None),
            "copied": lambda out: pull_whole(service, request, out),
        }
        for number in range(repeats):
            # each has its turn to be the first: who writes after something was removed finds free memory
            for name in (list(ways) * 2)[number % len(ways) :][: len(ways)]:
                out = folder / "pulled"
                out.mkdir()
                pulls[name].append(ways[name](out))
                shutil.rmtree(out)
    finally:
        end(process)
    paces = {name: statistics.median(pull.pace for pull in made) for name, made in pulls.items()}
    spent = {name: statistics.median(pull.cpu_s for pull in made) for name, made in pulls.items()}
    print(f"{frames} frames with depth, {pulls['whole'][0].bytes / 1e6:.0f} MB, medians of {repeats}")
    for name, text in (
        ("whole", "the whole client through the socket, checked and written whole"),
        ("files", "raw pyzmq with CURVE, the same files read, sent and written"),
        ("written", "raw pyzmq with CURVE, from one buffer, written"),
        ("nowhere", "raw pyzmq with CURVE, from one buffer to nowhere"),
        ("copied", "the whole client on the service's machine, copied from the store, checked and written whole"),
    ):
        print(f"  {text}: {paces[name]:.0f} MB/s, {spent[name]:.2f} s of processor time on both sides")
    ratios, quarters, of_cpu = {}, {}, {}
    for name in ("files", "written", "nowhere", "copied"):
        rounds = list(zip(pulls["whole"], pulls[name]))
        ratios[name] = statistics.median(whole.pace / raw.pace for whole, raw in rounds)
        quarters[name] = np.percentile([whole.pace / raw.pace for whole, raw in rounds], (25, 75))
        of_cpu[name] = statistics.median(raw.cpu_s / whole.cpu_s for whole, raw in rounds)
        wanted = f" (wanted: {PACE})" if name == "files" else ""
        middle = "the middle half {:.2f} to {:.2f}".format(*quarters[name])
        print(f"  ratio to {name}: {ratios[name]:.2f} ({middle}), of processor time {of_cpu[name]:.2f}{wanted}")
    through, copied = "a shot with depth through the whole client and the socket", "the same copied from the store"
    results = {
        through: f"{frames} frames, {pulls['whole'][0].bytes / 1e6:.0f} MB: {paces['whole']:.0f} MB/s, "
        f"{ratios['files']:.2f} times the pace of raw pyzmq with the same encryption that reads, sends and writes the "
        f"same files ({PACE} is wanted; the middle half of the rounds {quarters['files'][0]:.2f} to "
        f"{quarters['files'][1]:.2f}), {of_cpu['files']:.2f} times by processor time (medians of {repeats})",
        f"{copied}, on the service's machine": f"{paces['copied']:.0f} MB/s, {spent['copied']:.2f} s of processor time "
        f"instead of {spent['whole']:.2f} s (medians of {repeats})",
    }
    return ratios["files"], results


# --- overhead --------------------------------------------------------------------------------------------


def timed(function: Callable, log: Path) -> Callable:
    """The function; it writes down how long each of its calls took."""

    @functools.wraps(function)
    def call(*arguments, **settings):
        begun = time.perf_counter()
        result = function(*arguments, **settings)
        with log.open("a") as lines:
            lines.write(f"{time.perf_counter() - begun}\n")
        return result

    return call


class Timed:
    """A pipeline that writes down how long each of its calls took."""

    def __init__(self, pipeline, log: Path):
        self._pipeline, self._log = pipeline, log
        self.frames_per_clip = pipeline.frames_per_clip

    def __getattr__(self, name: str):
        return timed(getattr(self._pipeline, name), self._log)


def picture(width: int, height: int) -> np.ndarray:
    """A picture with as much at every scale as photos have."""
    rng = np.random.default_rng(0)
    layers = []
    for scale in (1, 2, 4, 8, 16, 32, 64, 128):
        coarse = rng.normal(size=(height // scale, width // scale, 3))
        layers.append(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    weights = np.linspace(3, 30, len(layers))
    return (128 + sum(weight * layer for weight, layer in zip(weights, layers))).clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Round:
    """One job: wall seconds, and the processor seconds that it took of each process."""

    job: str
    wall: float
    ended: float
    """When its last file was there."""
    models: float
    client_cpu: float
    service_cpu: float
    worker_cpu: float


def overhead(folder: Path, kind: str, repeats: int) -> tuple[float, float, str]:
    """How much longer than their units jobs of one of `KINDS` take, by the client's wall time: a share, and seconds.

    And what was found, in words.
    """
    folder.mkdir()
    os.environ["LOOKBEYOND_RUNTIME_DIR"] = str(folder / "runtime-overhead")
    store = folder / f"store-{kind}"
    process, service = start_service([sys.executable, __file__, "timed-service", str(store)], timeout_s=120)
    try:
        rounds = list(_rounds(folder, kind, repeats, service, store / "pipeline-seconds.txt"))[1:]  # models are loaded
    finally:
        end(process)
    units, last = {each.job: 0.0 for each in rounds}, dict[str, float]()
    for line in (store / "log/service.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "unit done":
            units |= {job: units[job] + event["seconds"] for job in event["jobs"] if job in units}
            last |= dict.fromkeys(event["jobs"], datetime.fromisoformat(event["time"]).timestamp())

    def median(value: Callable[[Round], float]) -> float:
        return statistics.median(map(value, rounds))

    of_unit = median(lambda one: one.wall / units[one.job] - 1)
    seconds_more = median(lambda one: one.wall - units[one.job])
    print(f"{KINDS[kind]}, warm, previews off, medians of {repeats}")
    print(f"  the client's wall time, from submit to the last file on its disk: {median(lambda one: one.wall):.2f} s")
    print(f"  the worker's units, with reading and encoding their files: {median(lambda one: units[one.job]):.2f} s")
    print(f"  of it in the models alone: {median(lambda one: one.models):.2f} s")
    wanted = f"{SMALL_S} s" if kind == "small" else f"{OVERHEAD:.0%}"
    print(f"  wall time over the units: {of_unit:+.1%}, {seconds_more:.3f} s (wanted: at most {wanted})")
    print(f"  after the last unit's end: {median(lambda one: one.ended - last[one.job]):.3f} s")
    print(f"  wall time over the models alone: {median(lambda one: one.wall / one.models - 1):+.1%}")
    parts = (("client", "client_cpu"), ("service", "service_cpu"), ("worker", "worker_cpu"))
    each = (f"{name} {median(lambda one, field=field: getattr(one, field)):.2f} s" for name, field in parts)
    print(f"  processor time: {', '.join(each)}")
    made_s = median(lambda one: units[one.job])
    more = f"{of_unit:+.1%}, {seconds_more:.2f} s (at most {wanted} is wanted)"
    found = f"made in {made_s:.2f} s: {more}, medians of {repeats}"
    return of_unit, seconds_more, found


def _rounds(folder: Path, kind: str, repeats: int, service: ServiceAddress, log: Path) -> Iterator[Round]:
    """The same job with one seed after the other, and a first one, which loads the models."""
    write_png(folder / "photo.png", picture(1024, 768))
    camera = placed_camera(1024, 768, 1.2, position=(0, 0, 1.6)).to_dict()
    own = psutil.Process(service.pid)
    service = dataclasses.replace(service, store="") if kind == "sent" else service
    with Client(service, timeout_s=120, previews=False) as client:
        photo = WorldRequest(photo=client.upload(folder / "photo.png"), camera=camera)
        shot: ShotRequest | None = None
        if kind != "world":
            list(client.follow(client.submit(photo), folder / "overhead-world"))
            frames, size = 24 if kind in ("shot", "sent") else 13, (384, 256) if kind == "small" else (1920, 1080)
            path = [placed_camera(*size, 1.2, heading_rad=0.02 * i, position=(0, 0, 1.6)) for i in range(frames)]
            shot = shot_request(client, folder / "overhead-world", [camera.to_dict() for camera in path])
        for seed in range(repeats + 1):
            spent = [_cpu_of(each) for each in (psutil.Process(), own, _worker_of(own))]
            models, begun = _seconds(log), time.perf_counter()
            job = client.submit(dataclasses.replace(shot or photo, seed=seed))
            list(client.follow(job, folder / f"{kind}{seed}"))
            wall, ended = time.perf_counter() - begun, time.time()
            now = [_cpu_of(each) for each in (psutil.Process(), own, _worker_of(own))]
            yield Round(job, wall, ended, _seconds(log) - models, *(after - was for after, was in zip(now, spent)))


def _worker_of(service: psutil.Process) -> psutil.Process:
    return max(service.children(recursive=True), key=lambda each: each.memory_info().rss)


def _cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _seconds(log: Path) -> float:
    return sum(map(float, log.read_text().split())) if log.exists() else 0.0


# --- the processes ---------------------------------------------------------------------------------------


def worker(arguments: list[str]) -> None:
    from inference_service.workers.worker import main as work

    store = Path(arguments[arguments.index("--store") + 1])
    role = arguments.pop(0)
    if role == "noise":
        work(arguments, load=lambda *_: Noise(), describe_devices=describe_double)
    else:
        from inference_service.work.units import plan

        log = store / "pipeline-seconds.txt"
        plan.plan_shot = timed(plan.plan_shot, log)
        work(arguments, load=lambda preset, device: Timed(load_scene_pipeline(preset, device), log))


def service(role: str, store: Path) -> None:
    from inference_service.server.logs import set_up_logs
    from inference_service.server.presets import Presets
    from inference_service.server.server import serve
    from inference_service.workers.process_pool import ProcessPool

    set_up_logs(json_lines=True, folder=store / "log")
    command = [sys.executable, __file__, "worker", role]
    models = DoublePresets() if role == "noise" else Presets()
    serve(store, models=models, executor=functools.partial(ProcessPool, command=command, devices=["cpu"]))


def main() -> None:
    role, *arguments = sys.argv[1:] or [""]
    if role == "worker":
        return worker(arguments)
    if role == "raw":
        return raw_service(arguments)
    if role in ("service", "timed-service"):
        return service("noise" if role == "service" else "timed", Path(arguments[0]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--overhead", default=",".join(KINDS), help="kinds of jobs, or nothing")
    parser.add_argument("--json", type=Path, help="put the results into this file, beside what is in it")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    print(machine())
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        if options.frames:
            pace, results = transport(Path(name), options.frames, options.repeats)
            keep_proofs(options.json, results)
            if pace < PACE:
                wrong.append(f"the whole client has {pace:.3f} of the pace of raw pyzmq")
        for kind in options.overhead.split(",") if options.overhead else []:
            share, seconds, found = overhead(Path(name) / kind, kind, options.repeats)
            title = f"the client's wall time over its worker's, warm: {KINDS[kind]}"
            keep_proofs(options.json, {title: found})
            if seconds > SMALL_S if kind == "small" else share > OVERHEAD:
                wrong.append(f"the service costs {share:.1%}, {seconds:.3f} s, of {KINDS[kind]}")
    if wrong:
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
