"""Runs a unit: its files enter the store together, and every failure has a type."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from inference_service.store.store import Store
from inference_service.work.memory import is_out_of_memory, release_caches
from inference_service.work.pipeline import Callback, Pipelines
from inference_service.work.unit import Unit
from lookbeyond.errors import InputError, LookBeyondError, OutOfMemory, sentence
from lookbeyond.geometry.cameras import CameraError, PathError
from lookbeyond.whole import storage_errors


def perform_unit(unit: Unit, store: Store, pipelines: Pipelines, callback: Callback) -> None:
    """Run a unit and put its files into the store, unless they are there.

    Raises LookBeyondError for everything foreseeable: InputError for whatever the user's input can cause,
    OutOfMemory (after releasing caches and one more attempt), StorageError for a full disk.
    """
    if store.has_whole_unit(unit.identity):
        return
    begun = time.perf_counter()
    with store.temporary() as output, _typed_errors(unit):
        try:
            unit.run(store, output, pipelines, callback)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            memory_was_short = True
        else:
            memory_was_short = False
        if memory_was_short:  # outside the handler, so that the failed attempt's tensors are gone
            release_caches()
            for path in sorted(output.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            unit.run(store, output, pipelines, callback)
        store.commit(output, unit.identity, time.perf_counter() - begun, unit.kind)
    if unit.is_shared:
        store.share_unit(unit.identity)


@contextlib.contextmanager
def _typed_errors(unit: Unit) -> Iterator[None]:
    try:
        yield
    except LookBeyondError:
        raise
    except (CameraError, PathError) as error:
        raise InputError(sentence(str(error))) from error
    except OSError as error:
        with storage_errors(Path(error.filename) if error.filename else Path("The store")):
            raise
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemory(
                f"There is too little memory for this {unit.kind}; close other programs, "
                "or choose a smaller size or preset."
            ) from error
        raise
