"""The file of a link between two worlds' folders."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookbeyond.errors import InputError, one_line
from lookbeyond.files import read_json, write_json
from lookbeyond.geometry.linked import Link
from lookbeyond.whole import whole_file


@dataclass(frozen=True, eq=False)
class LinkRecord:
    """Two worlds' folders and how they are joined."""

    link: Link
    first: Path
    second: Path


def write_link(path: Path, record: LinkRecord, said: list[str]) -> None:
    """Write a link; folders are relative to the file's own where that is possible, so that all can move together."""
    worlds = {
        name: {"folder": _relative(folder, path.parent), "sha256": _hash_of(folder)}
        for name, folder in (("first", record.first), ("second", record.second))
    }
    with whole_file(path) as temporary:
        write_json(temporary, record.link.to_json_dict() | worlds | {"said": said})


def read_link(path: Path, first: Path) -> LinkRecord:
    """The link in a file, for a first world's folder. InputError where it is no link, or links other worlds."""
    if not path.exists():
        raise InputError(f"There is no link {path}; check the path, or make it with `lookbeyond link`.")
    values = read_json(path)
    try:
        link = Link.from_json_dict(values)
        worlds: list[dict[str, Any]] = [values["first"], values["second"]]
        second = Path(os.path.normpath(path.parent / worlds[1]["folder"]))
        hashes = [str(world["sha256"]) for world in worlds]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"The link {path} cannot be used ({one_line(error)}); link the worlds again with `lookbeyond link`."
        ) from error
    for folder, sha256, which in ((first, hashes[0], "first"), (second, hashes[1], "second")):
        if _hash_of(folder) != sha256:
            raise InputError(
                f"{folder} is not the {which} world of the link {path}, or was made anew; link the worlds again."
            )
    return LinkRecord(link, first, second)


def _hash_of(folder: Path) -> str:
    """Of what a world's pixels and place are."""
    digest = hashlib.sha256()
    try:
        for name in ("panorama.png", "distance.exr", "world.json"):
            digest.update((folder / name).read_bytes())
    except OSError as error:
        raise InputError(f"The folder {folder} is not a world; give one that `lookbeyond world` made.") from error
    return digest.hexdigest()


def _relative(folder: Path, beside: Path) -> str:
    try:
        return Path(os.path.relpath(folder.resolve(), beside.resolve())).as_posix()
    except ValueError:  # another drive
        return str(folder.resolve())
