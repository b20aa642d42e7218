"""One unit in a worker: runs it, reports its progress and its result."""

import io
import time
import traceback
from collections.abc import Callable, Container

import numpy as np
from PIL import Image

from inference_service.store.store import Store
from inference_service.wire.files import Artifact
from inference_service.work.memory import give_back_memory
from inference_service.work.perform import perform_unit
from inference_service.work.pipeline import Pipeline, Pipelines
from inference_service.work.unit import Unit
from inference_service.workers.messages import FilesFinished, MemoryPlanned, Report, UnitDone, UnitFailed, UnitProgress
from lookbeyond.errors import Cancelled, LookBeyondError, sentence, typed_line

PROGRESS_INTERVAL_S = 0.1
PREVIEW_INTERVAL_S = 0.5
PREVIEW_SIDE = 512
TRACEBACK_CHARS = 8000
"""What an unforeseen error may take of the service's log."""


class UnitRun:
    """Performs a unit and reports its progress through `send`.

    It ends at the first step at which its identity is in `cancelled`.
    """

    def __init__(
        self,
        unit: Unit,
        store: Store,
        pipelines: Pipelines,
        cancelled: Container[str],
        send: Callable[[Report], None],
        previews: bool = True,
    ):
        self._unit, self._store, self._pipelines = unit, store, pipelines
        self._cancelled, self._send, self._previews = cancelled, send, previews
        self._pipeline: Pipeline | None = None
        self._plan = ""
        self._reported = self._previewed = 0.0

    def run(self) -> UnitDone | UnitFailed:
        """Perform the unit; how it ended."""
        identity = self._unit.identity
        begun = time.perf_counter()
        try:
            self._progress(0.0, "")
            perform_unit(self._unit, self._store, self._load, self._progress)
            self._report_plan()  # it may have changed for frames of another size
            return UnitDone(identity=identity, seconds=round(time.perf_counter() - begun, 3))
        except LookBeyondError as error:
            return UnitFailed(identity=identity, code=error.code, message=sentence(str(error)))
        except Exception as error:
            detail = typed_line(error)
            message = f"The {self._unit.kind} could not be made ({detail}); see the log and report it."
            return UnitFailed(identity=identity, code="failed", message=message, traceback=traceback_of(error))
        finally:
            give_back_memory()

    def announce(self, folder: str, files: tuple[Artifact, ...]) -> None:
        """Report finished files in this temporary folder of the store, from any thread."""
        self._send(FilesFinished(identity=self._unit.identity, folder=folder, files=files))

    def _load(self, preset: str) -> Pipeline:
        self._pipeline = self._pipelines(preset)
        self._report_plan()
        return self._pipeline

    def _report_plan(self) -> None:
        plan = self._pipeline and self._pipeline.memory_plan
        if plan and (text := sentence(f"Preset {self._unit.preset}. {plan}")) != self._plan:
            self._plan = text
            self._send(MemoryPlanned(identity=self._unit.identity, plan=text))

    def _progress(self, fraction: float, message: str, preview: np.ndarray | None = None) -> None:
        if self._unit.identity in self._cancelled:
            raise Cancelled("The work was cancelled.")
        now = time.monotonic()
        if now - self._reported < PROGRESS_INTERVAL_S and fraction < 1:
            return
        self._reported, jpeg = now, b""
        if self._previews and preview is not None and now - self._previewed >= PREVIEW_INTERVAL_S:
            self._previewed, jpeg = now, preview_jpeg(preview)
        self._send(
            UnitProgress(identity=self._unit.identity, fraction=float(fraction), message=str(message), preview=jpeg)
        )


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
