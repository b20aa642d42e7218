"""The world that the units of a shot read, decoded once for all of them."""

import functools
from pathlib import Path

from inference_service.store.store import Store
from inference_service.wire.requests import WORLD_FILES
from lookbeyond.errors import StorageError
from lookbeyond.files import read_panorama
from lookbeyond.geometry.panorama import Panorama


def read_world(world: dict[str, str], store: Store) -> Panorama:
    """The panorama whose files (name -> SHA-256) lie in the store. StorageError if they do not."""
    return _read(tuple(str(store.file(world[name])) for name in WORLD_FILES))


@functools.lru_cache(maxsize=1)
def _read(paths: tuple[str, ...]) -> Panorama:
    try:
        return read_panorama(dict(zip(WORLD_FILES, map(Path, paths))), "of this shot")
    except FileNotFoundError as error:
        raise StorageError("The world of this shot is no longer in the store; shoot again.") from error


def forget_world() -> None:
    """Release the world that was read last."""
    _read.cache_clear()
