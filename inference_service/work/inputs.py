"""The inputs shared by the units of a shot, decoded once: its world and its latest anchors."""

import functools
import json
from pathlib import Path

from inference_service.store.store import Store
from inference_service.work.unit import ShotUnit, canonical
from lookbeyond.errors import StorageError
from lookbeyond.files import load_view, read_panorama
from lookbeyond.geometry.keyframes import MAX_BEFORE
from lookbeyond.geometry.linked import Link
from lookbeyond.geometry.panorama import Panorama, View


def read_world(world: dict[str, str], store: Store) -> Panorama:
    """The panorama whose files (name -> SHA-256) lie in the store. Damaged if they are not as they were."""
    return _read_world(tuple((name, store.read_file(sha256)) for name, sha256 in sorted(world.items())))


_Files = tuple[tuple[str, Path], ...]
"""Names and places of a world's files."""


def read_shot_world(unit: ShotUnit, store: Store) -> Panorama:
    """The world of a shot, with the one beyond it. Damaged as `read_world`."""
    if unit.beyond is None:
        return read_world(unit.world, store)
    first, second = (
        tuple((name, store.read_file(sha256)) for name, sha256 in sorted(world.items()))
        for world in (unit.world, unit.beyond.world)
    )
    return _read_joined(first, second, canonical(unit.beyond.link))


@functools.lru_cache(maxsize=1)
def _read_joined(first: _Files, second: _Files, link: bytes) -> Panorama:
    joined = Link.from_json_dict(json.loads(link))
    return joined.joined(_read_world.__wrapped__(first), _read_world.__wrapped__(second))


def read_former_world(world: dict[str, str], store: Store) -> Panorama:
    """The same of a world that only this unit reads: the shot's own stays decoded."""
    return _read_world.__wrapped__(tuple((name, store.read_file(sha256)) for name, sha256 in sorted(world.items())))


@functools.lru_cache(maxsize=1)
def _read_world(files: _Files) -> Panorama:
    try:
        return read_panorama(dict(files), "of this job")
    except FileNotFoundError as error:
        raise StorageError("The world of this job is no longer in the store; start it again.") from error


def read_anchor(identity: str, store: Store) -> View:
    """An anchor, which the clips on both its sides and the anchors after it read. Damaged as `read_world`."""
    return _read_view(store.read_unit(identity))


_read_view = functools.lru_cache(maxsize=MAX_BEFORE + 1)(load_view)


def forget_files() -> None:
    """Release what was read."""
    _read_world.cache_clear()
    _read_joined.cache_clear()
    _read_view.cache_clear()
