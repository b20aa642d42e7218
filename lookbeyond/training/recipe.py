"""Trains a preset with one command in a given time: rooms, clips, all three trainers, and the preset itself.

    lookbeyond train recipe --out weights --minutes 28
    lookbeyond train recipe --out weights --minutes 28 --at-once 9      # stops after 9 minutes; again, it goes on

Of the time the autoencoder gets 5 parts, the panorama 14 and the views 9. Rooms and clips are rendered beside the
training, which begins with the first of them. OUT/preset is the finished preset, and OUT/parts the same with the
trainers' logs, in pieces of at most 15 MiB for where larger files cannot be carried (`cat OUT/parts/* | tar x`).
"""

import argparse
import contextlib
import io
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from lookbeyond.data.panoramas import SHARDS
from lookbeyond.errors import InputError

from . import loop

PARTS_OF_TIME = {"autoencoder": 5, "panorama": 14, "views": 9}
PIECE_BYTES = 15 << 20
POLL_S = 0.2


class Stopped(Exception):
    """The time of this call is over; the work so far is saved."""


class Work:
    """Programs of this package, run until a moment of `time.monotonic`."""

    def __init__(self, until: float):
        self.until = until
        self.beside: list[subprocess.Popen] = []

    def start(self, name: str, *arguments: str | Path, threads: int = 0) -> subprocess.Popen:
        """threads: processor threads that it may use; 0: its own choice."""
        environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
        return subprocess.Popen([*PROGRAM, f"{__package__}.{name}", *map(str, arguments)], env=environment)

    def run(self, name: str, *arguments: str | Path) -> None:
        """To its end; Stopped when the time is over before, TrainingError when it fails."""
        process = self.start(name, *arguments)
        try:
            while process.poll() is None:
                self._wait()
        finally:  # trainers save when they are asked to end
            process.terminate()
            process.wait()
        if process.returncode:
            raise loop.TrainingError(f"`train {name}` ended with {process.returncode}; its last lines above say why.")

    def first_of(self, folder: Path) -> None:
        """Waits until the rendering beside has made a first shard."""
        while not any(folder.glob(SHARDS)):
            if all(process.poll() is not None for process in self.beside):
                raise loop.TrainingError(f"Nothing was rendered into {folder}; the lines above say why.")
            self._wait()

    def _wait(self) -> None:
        if time.monotonic() > self.until:
            raise Stopped
        time.sleep(POLL_S)

    @contextlib.contextmanager
    def ending_others(self) -> Iterator[None]:
        try:
            yield
        finally:
            for process in self.beside:
                process.terminate()
                process.wait()


PROGRAM = (sys.executable, "-m")


def main(argv: list[str] | None = None) -> None:
    parser = loop.parser_of("recipe", __doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of everything")
    parser.add_argument("--minutes", type=float, default=28, help="of training in all, earlier calls included")
    parser.add_argument("--at-once", type=float, default=float("inf"), help="minutes after which this call ends")
    parser.add_argument("--rooms", type=int, default=18432, help="how many are rendered at most")
    parser.add_argument("--clips", type=int, default=8192, help="the same")
    parser.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 2) // 2), help="that render")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(argv)
    for name in ("minutes", "at_once", "rooms", "clips", "processes"):
        if getattr(options, name) <= 0:
            raise InputError(f"--{name.replace('_', '-')} is {getattr(options, name)}; give a number above 0.")
    work = Work(time.monotonic() + 60 * options.at_once)
    try:
        with work.ending_others():
            _train(work, options)
    except Stopped:
        print(f"{options.out}: the time is over and everything saved; the same command goes on.")
        return
    pieces = pack(options.out, ["preset", *(f"{name}/log.csv" for name in PARTS_OF_TIME)], options.out / "parts")
    print(f"{options.out / 'preset'}: done; the same in {len(pieces)} pieces in {options.out / 'parts'}.")


def _train(work: Work, options: argparse.Namespace) -> None:
    out, rooms, clips = options.out, options.out / "rooms", options.out / "clips"
    share = {name: options.minutes * part / sum(PARTS_OF_TIME.values()) for name, part in PARTS_OF_TIME.items()}

    def render(name: str, count: int, *arguments: str | Path) -> None:
        threads = max(1, (os.cpu_count() or 1) // (2 * count))  # the trainer has the other half
        for k in range(count):
            work.beside.append(work.start(name, *arguments, "--share", f"{k}/{count}", threads=threads))

    def train(name: str, *arguments: str | Path) -> None:
        work.run(name, *arguments, "--out", out / name, "--minutes", str(share[name]), "--device", options.device)

    one = options.device == "cuda"  # a GPU draws faster than a second process would help
    device = ("--device", options.device)
    render("rooms", 1 if one else options.processes, "--out", rooms, "--count", str(options.rooms), *device)
    work.first_of(rooms)
    train("autoencoder", "--rooms", rooms)
    vae = out / "autoencoder/vae"
    render("clips", options.processes, "--rooms", rooms, "--vae", vae, "--out", clips, "--count", str(options.clips))
    train("panorama", "--rooms", rooms, "--vae", vae)
    work.first_of(clips)
    train("views", "--clips", clips)
    work.run("preset", "--weights", *(out / name for name in PARTS_OF_TIME), "--out", out / "preset")


def pack(root: Path, names: Sequence[str], folder: Path) -> list[Path]:
    """Files and folders below `root` as one tar in `folder`, in pieces of at most `PIECE_BYTES`; names are relative."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            archive.add(root / name, arcname=name)
    data = buffer.getvalue()
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("weights.tar.*"):
        old.unlink()
    pieces = []
    for number, start in enumerate(range(0, len(data), PIECE_BYTES)):
        pieces.append(folder / f"weights.tar.{number:02d}")
        pieces[-1].write_bytes(data[start : start + PIECE_BYTES])
    return pieces


if __name__ == "__main__":
    loop.command(main)
