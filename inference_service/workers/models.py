"""The models of a worker: loaded when first needed, one preset at a time."""

import sys
import traceback
import warnings
from collections.abc import Callable

from inference_service.work.memory import is_out_of_memory, release_caches
from inference_service.work.pipeline import Pipeline
from inference_service.workers.devices import default_device, yield_cores
from lookbeyond.errors import LookBeyondError, StorageError, typed_line

Loader = Callable[[str, str], Pipeline]
"""Preset name, device -> the loaded pipeline."""


def load_scene_pipeline(preset: str, device: str) -> Pipeline:
    """The pipeline of a preset, on a device ('auto' is the first GPU, or else the CPU)."""
    yield_cores()
    import diffusers.utils.logging  # imports torch: seconds
    import transformers.utils.logging

    from lookbeyond.pipelines.scene import ScenePipeline

    for library in (diffusers, transformers):  # our own progress goes through the callback
        library.utils.logging.disable_progress_bar()
    with warnings.catch_warnings():  # diffusers' plans for an argument's name do not concern users
        warnings.simplefilter("ignore", FutureWarning)
        scene = ScenePipeline.from_preset(preset, device=default_device() if device == "auto" else device)
    if scene.memory_plan is not None:  # before any work; a worker's standard error is the service's
        print(f"Preset {preset}. {scene.memory_plan}", file=sys.stderr, flush=True)
    return scene


class CachedPipelines:
    """Loads a preset when it is first asked for and keeps one loaded at a time.

    Raises StorageError for weights that cannot be read. Where memory ran short it raises the original error:
    `perform_unit` then releases what it can and tries once more.
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
            except Exception as error:  # weight files can be broken in any way
                original = error.__cause__ if isinstance(error, LookBeyondError) else error
                if original is not None and is_out_of_memory(original):  # nothing is wrong with the weights
                    raise original from None
                if isinstance(error, LookBeyondError):
                    raise
                traceback.print_exc()
                detail = typed_line(error)
                raise StorageError(
                    f"The weights of the preset {preset} cannot be read ({detail}); install them again."
                ) from error
        return self._pipeline

    def warm_up(self, preset: str) -> None:
        """Load a preset before it is asked for. If that fails, whoever asks for it gets the error."""
        try:
            self(preset)
        except (LookBeyondError, MemoryError) as error:
            print(f"The preset {preset} could not be loaded in advance: {error}", file=sys.stderr, flush=True)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            self.release()

    def prepare_frames(self) -> None:
        """Make the loaded preset ready to draw frames, beside whatever comes next."""
        if self._pipeline is not None:
            self._pipeline.prepare_frames()

    @property
    def loaded(self) -> str:
        """The preset that is loaded, or ''."""
        return self._name if self._pipeline is not None else ""

    def release(self) -> None:
        """Unload the preset and return its memory."""
        self._pipeline = None
        release_caches()
