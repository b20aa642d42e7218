"""What the store knows about a finished unit, in a file that can tell whether the unit is intact."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from inference_service.wire.files import Artifact
from lookbeyond.errors import InputError, StorageError
from lookbeyond.files import read_json, write_json

RECORD = "unit.json"
CHECK = "check"
"""The field that holds the checksum of all others."""


class Damaged(StorageError):
    """Something in the store is not what it was (or gone); it has been removed, so that it is made or sent again."""

    code = "damaged"


@dataclass(frozen=True)
class Record:
    """What is known about a finished unit."""

    seconds: float
    """Wall time that making it took."""
    artifacts: tuple[Artifact, ...]
    kind: str

    def file(self, name: str) -> Artifact:
        """The file of this name; ValueError if the unit has none."""
        for artifact in self.artifacts:
            if artifact.name == name:
                return artifact
        raise ValueError(f"there is no {name}")

    def write(self, folder: Path, identity: str) -> None:
        """Write it into the folder of the unit of this identity."""
        artifacts = [vars(artifact) for artifact in self.artifacts]
        plain = {"unit": identity, "seconds": self.seconds, "kind": self.kind, "artifacts": artifacts}
        write_json(folder / RECORD, plain | {CHECK: _checksum(plain)})


def read_record(folder: Path, identity: str) -> Record:
    """The record of a unit. ValueError if it is not what was written; records of old had no checksum yet."""
    try:
        plain = read_json(folder / RECORD)
        check = plain.pop(CHECK, None)
        if check is not None and (check != _checksum(plain) or plain["unit"] != identity):
            raise ValueError("its record is damaged")
        artifacts = tuple(Artifact(**artifact) for artifact in plain["artifacts"])
        return Record(plain["seconds"], artifacts, plain["kind"])
    except (InputError, KeyError, TypeError) as error:
        raise ValueError("its record cannot be read") from error


def _checksum(plain: dict) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
