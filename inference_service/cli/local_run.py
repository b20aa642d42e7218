"""Units run in this process, with a progress bar; their results go into a folder all at once."""

import functools
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from inference_service.server.presets import Presets
from inference_service.store.housekeeping import sweep
from inference_service.store.store import MIN_FREE_BYTES, Store, default_store
from inference_service.work.perform import perform_unit
from inference_service.work.unit import Unit
from inference_service.workers.models import CachedPipelines, load_scene_pipeline
from lookbeyond.files import require_space, whole_folder

BAR_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"


class LocalRun:
    """A store, and the models that fill it."""

    def __init__(self, store: Path | None):
        self.store = Store(store or default_store())
        sweep(self.store)
        self._pipelines = CachedPipelines(load_scene_pipeline, "auto")

    def revision(self, preset: str) -> str:
        """The revision of a preset's weights. InputError if it cannot run here."""
        return Presets().revision(preset)

    def perform(self, units: Sequence[Unit]) -> None:
        """Make the units that the store lacks, in order."""
        total = sum(unit.weight for unit in units)
        with tqdm(total=total, bar_format=BAR_FORMAT, disable=None, leave=False, file=sys.stderr) as bar:
            done = 0.0
            for unit in units:
                show = functools.partial(_show, bar, unit, done)
                perform_unit(unit, self.store, self._pipelines, show)
                show(1.0, "")
                done += unit.weight

    def deliver(
        self,
        units: Sequence[Unit],
        out: Path,
        owned: tuple[str, ...],
        finish: Callable[[Path], object] | None = None,
    ) -> None:
        """Copy what the units deliver, and what `finish` adds to their folder, into the output folder, all at once."""
        sizes = {a.name: a.size for unit in units for a in self.store.record(unit.identity).artifacts}
        require_space(out, sum(sizes.values()) + MIN_FREE_BYTES // 16)
        with whole_folder(out, owned) as folder:
            for unit in units:
                for name, own_name in unit.outputs.items():
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(self.store.unit(unit.identity) / own_name, folder / name)
            if finish is not None:
                finish(folder)
        click.echo(f"{out}: done.")


def _show(bar: tqdm, unit: Unit, done: float, fraction: float, message: str, preview: np.ndarray | None = None) -> None:
    """Show how far a unit is; `done`: the weight of the units before it."""
    bar.set_description_str(message or unit.kind, refresh=False)
    bar.update(max(0.0, done + fraction * unit.weight - bar.n))
