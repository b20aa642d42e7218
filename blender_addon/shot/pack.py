"""Copies all files that worlds and shots need beside the .blend file, so that the project can be moved."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import bpy

from ..kit import Progress
from ..paths import Redirection, referenced_paths, unused_path
from ..tasks import Event, JobError, Succeeded, Task


def pack(context: bpy.types.Context) -> Task:
    """A task that copies what lies elsewhere and redirects the add-on's paths to the copies. Raises `JobError`."""
    home = Path(bpy.data.filepath).parent
    folders, files = referenced_paths()
    missing = [path for path in (*folders, *files) if not path.exists()]
    if missing:
        raise JobError(f"{missing[0]} is missing: build or shoot it again, or remove it from the list.")
    copies: dict[Path, Path] = {}
    for path, kind in (folders | files).items():
        if not path.is_relative_to(home):
            copies[path] = unused_path(home / "look_beyond" / kind / path.name, set(copies.values()))
    already_beside = len(folders) + len(files) - len(copies)

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        for number, (source, target) in enumerate(copies.items()):
            yield Progress(number / len(copies), f"Copying {source.name}", None)
            if cancelled.is_set():
                break
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}.part")
            if source.is_dir():
                shutil.rmtree(partial, ignore_errors=True)
                shutil.copytree(source, partial)
            else:
                shutil.copy2(source, partial)
            partial.rename(target)
        yield Succeeded()

    def finish(result: Succeeded) -> str:
        copied = {source: target for source, target in copies.items() if target.exists()}
        Redirection(copied, home).redirect_own()
        packed = [image for image in bpy.data.images if image.packed_file is not None]
        return (
            f"{len(copied)} of {len(copies)} items were copied to {home / 'look_beyond'}; {already_beside} were already"
            f" beside the file; {len(packed)} images are packed in the file. Save the file to keep the new paths."
        )

    return Task("Pack for Moving", steps, finish)
