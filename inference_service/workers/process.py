"""A worker process: units in, files in the store out; and the service's handle on it.

Service and worker talk in JSON lines over the worker's standard streams. To the worker: `{"run": {unit},
"names", "previews"}`, `{"cancel": identity}`, `{"release": true}`. From it: `{"ready": ...}` once, then for the
unit at hand `{"planned": identity, "plan"}` (how the models fit into memory, where that was planned), `{"progress":
identity, "fraction", "message"[, "preview": JPEG in base64]}` and one of `{"done": identity, "seconds"}`,
`{"failed": identity, "code", "message"}`; any of them may bring `"about"`, what is loaded and the memory it takes, and
`"traceback"`, of an error that nobody foresaw, for the service's log. A worker whose device has failed for good says
`"ends"` with its unit's failure, and ends.
The end of its input ends the worker, so there are no orphans.
"""

import argparse
import base64
import contextlib
import io
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from inference_service.store import Store
from inference_service.units import Pipeline, Pipelines, Unit, free_memory, is_out_of_memory, perform_unit
from lookbeyond.errors import Cancelled, LookBeyondError, StorageError, sentence

PROGRESS_INTERVAL_S = 0.1
PREVIEW_INTERVAL_S = 0.5
PREVIEW_SIDE = 512
IDLE_S = 600.0
"""Models that nobody has used for so long are unloaded."""
TRACEBACK_CHARS = 8000
"""What an unforeseen error may take of the service's log."""

Loader = Callable[[str, str], Pipeline]
"""Preset name, device -> the loaded pipeline."""


# --- the worker's side -----------------------------------------------------------------------------------


def load_scene_pipeline(preset: str, device: str) -> Pipeline:
    """The pipeline of a preset, on a device ('auto' is the first GPU, or else the CPU)."""
    yield_cores()
    # what draws frames is compiled, or read from where it was kept, while the networks are read
    threading.Thread(target=_compile_drawing, daemon=True).start()
    import diffusers.utils.logging  # imports torch: seconds
    import transformers.utils.logging

    from lookbeyond.pipelines.scene import ScenePipeline

    for library in (diffusers, transformers):  # our own progress is told through the callback
        library.utils.logging.disable_progress_bar()
    with warnings.catch_warnings():  # the name of an argument that diffusers will change is nothing to a user
        warnings.simplefilter("ignore", FutureWarning)
        scene = ScenePipeline.from_preset(preset, device=default_device() if device == "auto" else device)
    if scene.memory_plan is not None:  # before any work; a worker's standard error is the service's
        print(f"Preset {preset}. {scene.memory_plan}", file=sys.stderr, flush=True)
    return scene


def _compile_drawing() -> None:
    from lookbeyond.models.rasterizing_cpu import warm_up

    warm_up()


def yield_cores() -> None:
    """Let threads that wait for each other soon sleep instead of spin: to be called before torch is imported.

    Where Blender or a render takes a core, the threads that have one burn it waiting for those that have none: on two
    cores of which one was taken, a network ran five times as slowly. Threads that sleep at once cost as much on a
    machine that does nothing else. `benchmarks/pipeline.py --waiting` compares. A user's own choice stands.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # GNU's threads, of Linux: some microseconds
        os.environ.setdefault("KMP_BLOCKTIME", "1")  # LLVM's and Intel's: milliseconds


def default_device() -> str:
    """'cuda', 'mps' or 'cpu': what a worker and the command line use unless told otherwise."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def describe_torch_devices() -> list[dict]:
    """What this process can compute on: name, title and memory of each device."""
    yield_cores()
    import torch

    if torch.cuda.is_available():
        properties = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        return [
            {"name": f"cuda:{i}", "title": p.name, "memory_gb": round(p.total_memory / 2**30, 1)}
            for i, p in enumerate(properties)
        ]
    import psutil

    memory_gb = round(psutil.virtual_memory().total / 2**30, 1)
    title = f"{torch.get_num_threads()} CPU threads"
    return [{"name": default_device(), "title": title, "memory_gb": memory_gb}]


ABOUT_DEVICE = ("title", "memory_gb", "presets")
"""What a worker's description of its device says to clients, too."""


def with_presets(device: dict) -> dict:
    """The description of a device, and of every preset in a few words whether it fits into its memory."""
    from lookbeyond import presets
    from lookbeyond.presets.memory import room_for

    room = {}
    for preset in presets.available() if "memory_gb" in device else ():
        with contextlib.suppress(Exception):  # a preset that cannot be reckoned keeps no worker from starting
            room[preset.name] = room_for(preset, device["name"], device["memory_gb"] * 2**30)
    return device | {"presets": room}


class CachedPipelines:
    """Loads a preset when it is first asked for and keeps one loaded at a time.

    Raises StorageError for weights that cannot be read. Where memory was short it raises what said so: `perform_unit`
    frees what it can and tries once more.
    """

    def __init__(self, load: Loader, device: str):
        self._load, self._device = load, device
        self._name = ""
        self._pipeline: Pipeline | None = None

    def __call__(self, preset: str) -> Pipeline:
        if self._pipeline is None or self._name != preset:
            self.release()
            try:
                self._pipeline, self._name = self._load(preset, self._device), preset
            except Exception as error:  # files of weights can be broken in any way
                met = error.__cause__ if isinstance(error, LookBeyondError) else error
                if met is not None and is_out_of_memory(met):  # nothing is wrong with the weights
                    raise met from None
                if isinstance(error, LookBeyondError):
                    raise
                traceback.print_exc()
                detail = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                raise StorageError(
                    f"The weights of the preset {preset} cannot be read ({detail}); install them again."
                ) from error
        return self._pipeline

    @property
    def loaded(self) -> str:
        """The preset that is loaded, or ''."""
        return self._name if self._pipeline is not None else ""

    def release(self) -> None:
        """Forget what is loaded and give its memory back."""
        self._pipeline = None
        free_memory()


def warm_up(pipelines: CachedPipelines, preset: str) -> None:
    """Load a preset before anybody asks for it. What keeps it from that is told when somebody does."""
    try:
        pipelines(preset)
    except (LookBeyondError, MemoryError) as error:
        print(f"The preset {preset} was not loaded ahead: {error}", file=sys.stderr, flush=True)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        pipelines.release()


def memory_in_use() -> dict[str, float]:
    """GB in use by this process: on its GPU if it has one, and in the machine's memory."""
    import psutil

    about = {"resident_gb": round(psutil.Process().memory_info().rss / 2**30, 3)}
    if (torch := sys.modules.get("torch")) and torch.cuda.is_available() and torch.cuda.is_initialized():
        about["device_gb"] = round(torch.cuda.memory_reserved() / 2**30, 3)
    return about


def device_error() -> Exception | None:
    """What CUDA says if this process can compute nothing more: after an illegal access to memory, every call fails."""
    try:
        if (torch := sys.modules.get("torch")) and torch.cuda.is_initialized():
            torch.cuda.synchronize()
    except Exception as error:
        return error
    return None


def main(
    arguments: Sequence[str] | None = None,
    load: Loader = load_scene_pipeline,
    describe_devices: Callable[[], list[dict]] = describe_torch_devices,
) -> None:
    """Work until the input ends."""
    parser = argparse.ArgumentParser(description="A worker of the Look Beyond service; started by it.")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--idle-s", type=float, default=IDLE_S)
    parser.add_argument("--warm", default="", help="load this preset at the start")
    options = parser.parse_args(arguments)
    # Ctrl-C in the service's terminal reaches the worker too; the service decides what happens to it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # only JSON lines may go to the service: whatever else prints, prints to the standard error
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    store, pipelines = Store(options.store), CachedPipelines(load, options.device)
    orders: queue.SimpleQueue[dict] = queue.SimpleQueue()
    cancelled: set[str] = set()
    threading.Thread(target=_read_orders, args=(orders, cancelled), daemon=True).start()
    lock = threading.Lock()

    def send(message: dict) -> None:
        with lock:
            lines.write(json.dumps(message) + "\n")

    def about() -> dict:
        return {"about": {"loaded": pipelines.loaded, **memory_in_use()}}

    try:
        devices = [with_presets(device) for device in describe_devices()]
        send({"ready": {"pid": os.getpid(), "devices": devices}, **about()})
        if options.warm and orders.empty():
            warm_up(pipelines, options.warm)
            send(about())
        while True:
            try:
                order = orders.get(timeout=options.idle_s if pipelines.loaded else None)
            except queue.Empty:
                order = {"release": True}
            if "release" in order:
                pipelines.release()
                send(about())
            elif "run" in order:
                for sha256, name in order.get("names", {}).items():
                    store.give_name(sha256, name)
                unit = Unit(**order["run"])
                ended = run_order(unit, store, pipelines, cancelled, send, order.get("previews", True))
                lost = device_error() if "failed" in ended else None
                send(ended | ({"ends": True} if lost else about()))
                if lost:
                    raise lost
    except Exception as error:  # it ends the worker: the log is to say why
        send({"traceback": traceback_of(error)})
        raise


def _read_orders(orders: queue.SimpleQueue[dict], cancelled: set[str]) -> None:
    for line in sys.stdin.buffer:
        order = json.loads(line)
        if "cancel" in order:
            cancelled.add(order["cancel"])
        else:
            if "run" in order:
                cancelled.discard(Unit(**order["run"]).identity)
            orders.put(order)
    os._exit(0)  # the service is gone: nobody waits for what is being made


def run_order(
    unit: Unit,
    store: Store,
    pipelines: Pipelines,
    cancelled: Container[str],
    send: Callable[[dict], None],
    previews: bool = True,
) -> dict:
    """Perform a unit, telling of its progress through `send`; how it ended, as a message.

    It ends at the first step at which its identity is in `cancelled`.
    """
    identity = unit.identity
    reported = previewed = 0.0

    def callback(fraction: float, message: str, preview: np.ndarray | None = None) -> None:
        nonlocal reported, previewed
        if identity in cancelled:
            raise Cancelled("The work was cancelled.")
        now = time.monotonic()
        if now - reported < PROGRESS_INTERVAL_S and fraction < 1:
            return
        reported = now
        hint = {"progress": identity, "fraction": float(fraction), "message": str(message)}
        if previews and preview is not None and now - previewed >= PREVIEW_INTERVAL_S:
            previewed = now
            hint["preview"] = base64.b64encode(preview_jpeg(preview)).decode()
        send(hint)

    told = ""
    pipeline: Pipeline | None = None

    def tell_plan() -> None:
        nonlocal told
        plan = getattr(pipeline, "memory_plan", None)
        if plan and (text := sentence(f"Preset {unit.description['preset']}. {plan}")) != told:
            told = text
            send({"planned": identity, "plan": text})

    def loaded(preset: str) -> Pipeline:
        nonlocal pipeline
        pipeline = pipelines(preset)
        tell_plan()
        return pipeline

    begun = time.perf_counter()
    try:
        callback(0.0, "")
        perform_unit(unit, store, loaded, callback)
        tell_plan()  # it is another one where the first frames of another size needed it
        return {"done": identity, "seconds": round(time.perf_counter() - begun, 3)}
    except LookBeyondError as error:
        return {"failed": identity, "code": error.code, "message": sentence(str(error))}
    except Exception as error:
        detail = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        message = f"The {unit.kind} could not be made ({detail}); see the log and report it."
        return {"failed": identity, "code": "failed", "message": message, "traceback": traceback_of(error)}


def traceback_of(error: BaseException) -> str:
    """The traceback as text of bounded length."""
    text = "".join(traceback.format_exception(error))
    if len(text) <= TRACEBACK_CHARS:
        return text
    # a deep stack says the most at its end, an error with a long message at its beginning
    return f"{text[: TRACEBACK_CHARS // 2]}\n[...]\n{text[-TRACEBACK_CHARS // 2 :]}"


def preview_jpeg(pixels: np.ndarray) -> bytes:
    """A small JPEG of a picture, uint8 [h, w, 3]."""
    image = Image.fromarray(pixels)
    image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


# --- the service's side ----------------------------------------------------------------------------------


def python_path() -> str:
    """The PYTHONPATH of a Python that is to find this package without looking into its current folder (`-P`)."""
    return os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))


class WorkerProcess:
    """A worker process as the service sees it.

    Its lines reach `on_line(worker, line)` in a thread of their own; an empty line says that it has ended.
    """

    def __init__(
        self,
        command: Sequence[str],
        store: Path,
        on_line: Callable[["WorkerProcess", bytes], None],
        changes: Mapping[str, str] | None = None,
    ):
        environment = {**os.environ, **(changes or {}), "PYTHONPATH": python_path()}
        self._process = subprocess.Popen(
            [*command, "--store", str(store)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        # written in a thread: a stopped worker does not read, and the service must not wait for it
        self._orders: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()
        self._thread = threading.Thread(target=self._read, args=(on_line,), daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    def send(self, message: dict) -> None:
        """Send an order; a worker that has ended says so through `on_line`."""
        self._orders.put(json.dumps(message).encode() + b"\n")

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def end_input(self) -> None:
        """Ask the process to end, by ending its input."""
        self._orders.put(None)

    def close(self, timeout_s: float = 2.0) -> None:
        """End the process by ending its input, by force if it does not listen, and wait for it."""
        self.end_input()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join()
        self._writer.join()

    def _write(self) -> None:
        assert self._process.stdin
        try:
            while (order := self._orders.get()) is not None:
                self._process.stdin.write(order)
                self._process.stdin.flush()
        except OSError:
            pass
        finally:
            try:
                self._process.stdin.close()
            except OSError:
                pass

    def _read(self, on_line: Callable[["WorkerProcess", bytes], None]) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            on_line(self, line)
        self._process.wait()
        on_line(self, b"")


WORKER_COMMAND = (sys.executable, "-P", "-m", "inference_service.workers.process")

if __name__ == "__main__":
    main()
