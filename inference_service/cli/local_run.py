"""Runs units in this process, with a progress bar, and delivers their results to a folder all at once."""

import contextlib
import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from inference_service.server.presets import Presets
from inference_service.store.housekeeping import sweep
from inference_service.store.record import Damaged
from inference_service.store.store import MIN_FREE_BYTES, Store, default_store
from inference_service.work.perform import perform_unit
from inference_service.work.unit import Unit
from inference_service.workers.models import CachedPipelines, load_scene_pipeline
from lookbeyond.whole import require_space, whole_folder

MAX_REPAIRS = 3
"""How often a run begins again because something in the store was damaged."""
BAR_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"


class LocalRun:
    """A store, and the models that fill it."""

    def __init__(self, store: Path | None):
        self.store = Store(store or default_store())
        sweep(self.store)
        self._pipelines = CachedPipelines(load_scene_pipeline, "auto")

    def heal(self, make: Callable[[], None]) -> None:
        """Call `make`, and again if something in the store turned out to be damaged: it has been removed by then."""
        for _ in range(MAX_REPAIRS):
            try:
                return make()
            except Damaged as damage:
                click.echo(str(damage), err=True)
        make()

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
        records = [self.store.record(unit.identity) for unit in units]
        require_space(out, sum(a.size for record in records for a in record.artifacts) + MIN_FREE_BYTES // 16)
        with whole_folder(out, owned) as folder:
            _note(out, folder)
            for unit, record in zip(units, records):
                files = {artifact.name: artifact for artifact in record.artifacts}
                for name, own_name in unit.outputs.items():
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    self.store.copy_out(unit.identity, files[own_name], folder / name)
            if finish is not None:
                finish(folder)
        click.echo(f"{out}: done.")


@dataclass
class Outcome:
    """What a command was about to deliver when it ended; given to click as its object."""

    out: Path | None = None
    inode: int = 0
    """Of the folder at `out` when the command began."""

    @property
    def text(self) -> str:
        """What became of the output."""
        with contextlib.suppress(OSError):
            if self.out and self.out.stat().st_ino == self.inode:
                return f"{self.out} was written"
        return "no output was written"


def _note(out: Path, folder: Path) -> None:
    context = click.get_current_context(silent=True)
    if context and (outcome := context.find_object(Outcome)):
        outcome.out, outcome.inode = out, folder.stat().st_ino


def _show(bar: tqdm, unit: Unit, done: float, fraction: float, message: str, preview: np.ndarray | None = None) -> None:
    """Show how far a unit is; `done`: the weight of the units before it."""
    bar.set_description_str(message or unit.kind, refresh=False)
    bar.update(max(0.0, done + fraction * unit.weight - bar.n))
