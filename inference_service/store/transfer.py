"""Units as bytes, between the stores of two machines."""

import hashlib
import json
from collections.abc import Collection, Mapping

from inference_service.store.record import RECORD
from inference_service.store.store import Store
from lookbeyond.errors import StorageError
from lookbeyond.whole import storage_errors


def files_of(store: Store, identity: str, wanted: Collection[str] | None = None) -> dict[str, bytes]:
    """The files of a unit that is there by name, all or those wanted, and its record: what `import_unit` takes."""
    folder = store.unit(identity)
    names = [file.name for file in store.record(identity).artifacts if wanted is None or file.name in wanted]
    with storage_errors(folder):
        return {name: (folder / name).read_bytes() for name in [*names, RECORD]}


def import_unit(store: Store, identity: str, files: Mapping[str, bytes]) -> None:
    """Import a unit that was made elsewhere. StorageError if a file is damaged."""
    try:
        artifacts = json.loads(files[RECORD])["artifacts"]
        hashes = {artifact["name"]: artifact["sha256"] for artifact in artifacts}
        given = [name for name in files if name != RECORD]
        whole = all(hashlib.sha256(files[name]).hexdigest() == hashes[name] for name in given)
    except (KeyError, ValueError, TypeError):
        whole, given = False, []
    if not whole:
        raise StorageError("A worker's results arrived damaged; submit the job again.")
    with store.temporary() as folder, storage_errors(store.unit(identity)):
        for name in [*given, RECORD]:
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                raise StorageError("A worker named a file outside its folder; update the workers.")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[name])
        store.place_unit(folder, identity)
