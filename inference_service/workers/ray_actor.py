"""The Ray actor: a worker with its own store, in a temporary folder on its machine.

A unit travels with the bytes of its inputs and comes back as the bytes of its files, so that no machine needs the
service's store.
"""

import contextlib
import importlib
import queue
import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from inference_service.store.housekeeping import prune
from inference_service.store.marks import is_alive, own_mark
from inference_service.store.store import Store
from inference_service.store.transfer import files_of, import_unit
from inference_service.work.unit import Unit
from inference_service.workers import messages
from inference_service.workers.devices import device_error, memory_in_use, with_presets
from inference_service.workers.models import CachedPipelines
from inference_service.workers.unit_run import UnitRun
from lookbeyond.errors import LookBeyondError

FOLDER_PREFIX = "lookbeyond-ray-"
POLL_S = 0.2
ACTOR_QUOTA_BYTES = 4 << 30


class RayWorker:
    """`load` and `describe` name functions, as module:function."""

    def __init__(self, load: str, describe: str, device: str):
        folder = Path(tempfile.gettempdir())
        for left in folder.glob(f"{FOLDER_PREFIX}*"):  # by actors that were killed
            if not is_alive(left.name.removeprefix(FOLDER_PREFIX)):
                shutil.rmtree(left, ignore_errors=True)
        self._store = Store(folder / f"{FOLDER_PREFIX}{own_mark()}")
        self._pipelines = CachedPipelines(_named(load), device)
        self._describe = _named(describe)
        self._reports: queue.SimpleQueue[messages.Report] = queue.SimpleQueue()
        self._cancelled: set[str] = set()

    def ready(self) -> messages.Ready:
        return messages.Ready(devices=[with_presets(device) for device in self._describe()], about=self._about())

    def run(self, order: messages.RunUnit, inputs: dict[str, Any]) -> tuple[messages.Report, dict[str, bytes]]:
        """How the unit ended, and the files it made. `inputs`: Ray's references to what it reads."""
        unit = order.unit
        try:
            self._take(inputs, unit)
            for sha256, name in order.names.items():
                self._store.give_name(sha256, name)
            run = UnitRun(unit, self._store, self._pipelines, self._cancelled, self._reports.put, order.previews)
            ended = run.run()
        except LookBeyondError as error:
            return messages.UnitFailed(identity=unit.identity, code=error.code, message=str(error)), {}
        finally:
            # Not at the beginning: Ray keeps no order between calls, so a cancel may arrive before its unit. One that
            # arrives after its unit ends that unit's next run at once, which the service then begins again.
            self._cancelled.discard(unit.identity)
        files = files_of(self._store, unit.identity) if isinstance(ended, messages.UnitDone) else {}
        prune(self._store, {unit.identity}, ACTOR_QUOTA_BYTES, spare_s=0)
        if isinstance(ended, messages.UnitFailed) and device_error():
            return msgspec.structs.replace(ended, worker_ends=True), files
        return msgspec.structs.replace(ended, about=self._about()), files

    def _take(self, inputs: dict[str, Any], unit: Unit) -> None:
        import ray

        self._store.has_whole_unit(unit.identity)  # discards a record whose files are gone
        for name, reference in inputs.items():
            if name in unit.input_units:
                if not self._store.has_whole_unit(name):
                    import_unit(self._store, name, ray.get(reference))
            elif not self._store.has_file(name):
                with self._store.temporary() as folder:
                    (folder / "file").write_bytes(ray.get(reference)[""])
                    self._store.adopt_file(folder / "file", name)

    def poll(self) -> list[messages.Report]:
        """What the unit at hand has reported of its progress; waits a moment for something."""
        reports = []
        with contextlib.suppress(queue.Empty):
            reports.append(self._reports.get(timeout=POLL_S))
            while True:
                reports.append(self._reports.get_nowait())
        return reports

    def cancel(self, identity: str) -> None:
        self._cancelled.add(identity)

    def release(self) -> None:
        self._pipelines.release()

    def end(self) -> None:
        shutil.rmtree(self._store.root, ignore_errors=True)

    def _about(self) -> dict:
        return {"loaded": self._pipelines.loaded, **memory_in_use()}


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
