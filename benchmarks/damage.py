"""Damage files of a store and of results at random, ask for the same work again, and count what was delivered wrong.

    python benchmarks/damage.py [--cases 1000] [--seed 0] [--json FILE]

In each case one file (of the service's store, of its results, of the command line's store, or the list of jobs) is cut
short, filled with zeros, emptied or has a bit turned over; then the same world and shot are asked for again, of the
service by a client or of the command line. A third of the service's cases begin with a restart: then nothing is in
anybody's memory. Stand-ins draw the pictures.

Prints what was wrong. Fails if wrong bytes were delivered, if a job could not be had even when asked for twice, or if a
damage that was met is not in the log.
"""

import argparse
import contextlib
import io
import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.kept_tables import keep_proofs
from inference_service.cli import local_run
from inference_service.cli import main as command
from inference_service.client import ServiceError, ShotRequest
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.transforms import write_transforms
from tests.support.damage import KINDS, damage
from tests.support.double import DoublePipeline, DoublePresets, worker_command
from tests.support.service import Service, contents, fetch, path_cameras, running, save_photo, world_request

FRAMES = 5
NONE_ALLOWED = ("wrong files delivered", "jobs that could not be had", "damages removed without a word in the log")
Contents = dict[str, bytes]


class Log(logging.Handler):
    """All that was logged, as one text."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {vars(record)}")


def by_service(service: Service, folder: Path) -> Contents:
    """The world and the shot, fetched into the results of last time."""
    with service.client() as client:
        world = client.submit(world_request(client, folder))
        fetch(client, world, folder / "W")
        fetch(client, client.submit(ShotRequest(world_job=world, cameras=path_cameras(FRAMES))), folder / "S")
    return _delivered(folder)


def by_command(folder: Path) -> Contents:
    """The same by the command line."""
    for arguments in (
        ["world", str(folder / "photo.png"), "--fov-x", "60", "--width", "512", "--out", str(folder / "W")],
        ["shot", str(folder / "W"), "--cameras", str(folder / "path.json"), "--out", str(folder / "S")],
    ):
        with contextlib.redirect_stderr(io.StringIO()) as errors, contextlib.redirect_stdout(io.StringIO()):
            try:
                command([*arguments, "--store", str(folder / "store")])
            except SystemExit as end:
                if end.code:
                    raise ServiceError("failed", errors.getvalue()) from end
    return _delivered(folder)


def _delivered(folder: Path) -> Contents:
    files = {f"{name}/{path}": data for name in "WS" for path, data in contents(folder / name).items()}
    files.pop("S/shot.json")  # holds seconds
    return files


def _victims(folder: Path) -> list[Path]:
    """What can be damaged: everything in the store but locks and logs, and the results of the service."""
    store = [path for part in ("files", "units") for path in (folder / "store" / part).rglob("*") if path.is_file()]
    results = [path for name in "WS" for path in (folder / name).rglob("*") if path.is_file()]
    jobs = folder / "store" / "jobs.sqlite"
    return sorted(store + ([*results, jobs] if jobs.exists() else []))


def cases(root: Path, count: int, rng: random.Random, log: Log) -> Counter[str]:
    """So many cases; what came of them."""
    found: Counter[str] = Counter()
    service_folder, command_folder = root / "service", root / "command"
    for folder in (service_folder, command_folder):
        folder.mkdir()
        save_photo(folder / "photo.png")
    cameras = [Camera.from_dict(plain) for plain in path_cameras(FRAMES)]
    write_transforms(command_folder / "path.json", cameras, ["x"] * FRAMES)
    good_command = by_command(command_folder)
    stack = contextlib.ExitStack()
    with stack:
        service = stack.enter_context(running(service_folder, worker_command()))
        good_service = by_service(service, service_folder)
        for number in range(count):
            folder = (service_folder, command_folder)[number % 2]
            good = (good_service, good_command)[number % 2]
            victim, kind = rng.choice(_victims(folder)), rng.choice(KINDS)
            restart = folder is service_folder and (victim.name == "jobs.sqlite" or rng.random() < 1 / 3)
            if restart:
                stack.close()
            damage(victim, kind, rng)
            damaged = victim.read_bytes()
            log.lines.clear()
            found[f"{kind}, {victim.relative_to(folder).parts[0]}"] += 1
            if restart:
                service = stack.enter_context(running(service_folder, worker_command()))
            for attempt in range(2):
                try:
                    got = by_service(service, folder) if folder is service_folder else by_command(folder)
                except ServiceError as error:
                    found["asked for a second time"] += 1
                    if attempt:
                        found["jobs that could not be had"] += 1
                        print(f"case {number}: {kind} {victim.relative_to(root)}: {error}", file=sys.stderr)
                        got = {}
                    continue
                break
            wrong = [name for name in good if got and got.get(name) != good[name]]
            found["wrong files delivered"] += len(wrong)
            if wrong:
                print(f"case {number}: {kind} {victim.relative_to(root)}: wrong {wrong[:5]}", file=sys.stderr)
            in_store = victim.relative_to(folder).parts[0] == "store"
            if in_store and not (victim.exists() and victim.read_bytes() == damaged):
                said = any("damage" in line or "empty or gone" in line for line in log.lines)
                found["damages that were met"] += 1
                found["damages removed without a word in the log"] += victim.name != "jobs.sqlite" and not said
            found["cases"] += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="put the result into this file, beside what is in it")
    options = parser.parse_args()
    log, begun = Log(), time.monotonic()
    logging.getLogger().addHandler(log)
    local_run.load_scene_pipeline = lambda *_: DoublePipeline()  # pyright: ignore[reportAttributeAccessIssue]
    local_run.Presets = DoublePresets  # pyright: ignore[reportAttributeAccessIssue]
    with tempfile.TemporaryDirectory() as name:
        os.environ["LOOKBEYOND_RUNTIME_DIR"] = str(Path(name) / "runtime")
        found = cases(Path(name), options.cases, random.Random(options.seed), log)
    for text, times in sorted(found.items()):
        print(f"{text}: {times}")
    print(f"seconds: {time.monotonic() - begun:.0f}")
    result = (
        f"{found['cases']} files, {found['damages that were met']} of them in the store and met again: "
        + ", ".join(f"{found[text]} {text}" for text in NONE_ALLOWED)
    )
    title = (
        "one file of store, world or shot at random is cut short, emptied, zeroed, or has one bit turned; "
        "then the same work again"
    )
    keep_proofs(options.json, {title: result})
    if wrong := [f"{found[text]} {text}" for text in NONE_ALLOWED if found[text]]:
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
