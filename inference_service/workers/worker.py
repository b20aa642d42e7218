"""A worker process: orders in on its standard input, reports out on its standard output.

The end of its input ends the worker, so there are no orphans.
"""

import argparse
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from inference_service.store.store import Store
from inference_service.work.unit import from_json, to_json
from inference_service.workers import messages
from inference_service.workers.devices import describe_torch_devices, device_error, memory_in_use, with_presets
from inference_service.workers.models import CachedPipelines, Loader, load_scene_pipeline
from inference_service.workers.unit_run import UnitRun, traceback_of

IDLE_S = 600.0
"""Models that nobody has used for so long are unloaded."""


class Worker:
    """Carries out one order after the other."""

    def __init__(self, store: Path, load: Loader, device: str, idle_s: float):
        # only reports may go to the service: whatever else prints, prints to the standard error
        self._lines = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._lock = threading.Lock()
        self._store, self._pipelines = Store(store), CachedPipelines(load, device)
        self._idle_s = idle_s
        self._orders: queue.SimpleQueue[messages.AnyOrder] = queue.SimpleQueue()
        self._cancelled: set[str] = set()

    def run(self, describe_devices: Callable[[], list[dict]], warm: str = "") -> None:
        """Work until the input ends or the device fails permanently. `warm`: a preset to load first."""
        threading.Thread(target=self._read_orders, daemon=True).start()
        try:
            devices = [with_presets(device) for device in describe_devices()]
            self._send(messages.Ready(devices=devices, about=self._about()))
            if warm and self._orders.empty():
                self._pipelines.warm_up(warm)
                self._send(messages.Warmed(about=self._about()))
            while True:
                self._carry_out(self._next_order())
        except Exception as error:  # it ends the worker: the log must say why
            self._send(messages.WorkerFailed(traceback=traceback_of(error)))
            raise

    def _next_order(self) -> messages.AnyOrder:
        if self._orders.empty():  # a first world is made without
            self._pipelines.prepare_frames()
        try:
            return self._orders.get(timeout=self._idle_s if self._pipelines.loaded else None)
        except queue.Empty:
            return messages.ReleaseModels()

    def _carry_out(self, order: messages.AnyOrder) -> None:
        if isinstance(order, messages.RunUnit):
            for sha256, name in order.names.items():
                self._store.give_name(sha256, name)
            run = UnitRun(order.unit, self._store, self._pipelines, self._cancelled, self._send, order.previews)
            if sys.platform != "win32":  # which renames no folder while somebody reads its files
                self._store.announce = run.announce
            ended = run.run()
            if isinstance(ended, messages.UnitFailed) and (lost := device_error()):
                self._send(msgspec.structs.replace(ended, worker_ends=True))
                raise lost
            self._send(msgspec.structs.replace(ended, about=self._about()))
        elif isinstance(order, messages.ReleaseModels):
            self._pipelines.release()
            self._send(messages.Released(about=self._about()))

    def _about(self) -> dict:
        return {"loaded": self._pipelines.loaded, **memory_in_use()}

    def _send(self, report: messages.Report) -> None:
        with self._lock:
            self._lines.write(to_json(report) + b"\n")
            self._lines.flush()

    def _read_orders(self) -> None:
        for line in sys.stdin.buffer:
            order = from_json(line, messages.AnyOrder)
            if isinstance(order, messages.CancelUnit):
                self._cancelled.add(order.identity)
            else:
                if isinstance(order, messages.RunUnit):
                    self._cancelled.discard(order.unit.identity)
                self._orders.put(order)
        os._exit(0)  # the service is gone: nobody waits for what is being made


def main(
    arguments: Sequence[str] | None = None,
    load: Loader = load_scene_pipeline,
    describe_devices: Callable[[], list[dict]] = describe_torch_devices,
) -> None:
    """Run a worker with the command line's options."""
    parser = argparse.ArgumentParser(description="A worker of the Look Beyond service; started by it.")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--idle-s", type=float, default=IDLE_S)
    parser.add_argument("--warm", default="", help="load this preset at the start")
    options = parser.parse_args(arguments)
    # Ctrl-C in the service's terminal reaches the worker too; the service decides what happens to it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Worker(options.store, load, options.device, options.idle_s).run(describe_devices, options.warm)


if __name__ == "__main__":
    main()
