"""The scene that a job was started in, and the file that it belongs to."""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import bpy

from ..results import file_name, output_folder, unsaved_folder
from . import requests


class SceneOf:
    """The scene that a job was started in, found again when undo or a file load has remade it.

    Its results go into `home`; `files` are the .blend files that the job belongs to, as seen from there: the one it
    was begun in, and what that has been saved as since.
    """

    def __init__(self, scene: bpy.types.Scene, home: Path | None = None, files: Sequence[str] = ()) -> None:
        self.uid, self.name = scene.session_uid, scene.name
        self.home = home or output_folder(scene)
        self.files = list(files) or [open_file(self.home)]
        self.begun: Path | None = None

    def find(self) -> bpy.types.Scene | None:
        for scene in bpy.data.scenes:
            if scene.session_uid == self.uid:
                return scene
        file = open_file(self.home)
        return bpy.data.scenes.get(self.name) if file and file in self.files else None

    def folder(self, kind: str, name: str) -> Callable[[str], Path]:
        """Gives, for a job's id, the folder of its results."""

        def begin(job: str) -> Path:
            self.begun = self.home / kind / f"{file_name(name)}-{job[:10]}"
            return self.begun

        return begin

    def follow(self) -> None:
        """The scene's file was saved: belong to it under its new name, too, if it looks where the results lie."""
        file = open_file(self.home)
        if file not in self.files and self.home in homes() and self.find() is not None:
            self.files[:] = [*filter(None, self.files), file]
            if self.begun is not None:
                with contextlib.suppress(OSError, ValueError, KeyError):  # not written yet
                    requests.belongs_to(self.begun, self.files)

    def later(self, what: str, folder: Path) -> str:
        """Keep a result for when the scene's file is opened again, and say so."""
        name = Path(self.files[-1]).name
        if not name:
            return f"The {what} is finished in {folder}; its scene is not open any more."
        requests.keep_for_later(folder)
        return f"The {what} is finished; its scene is not open any more. Open {name} to find it there."


def open_file(home: Path) -> str:
    """The open file as seen from a folder of results, so that both can be moved together; empty: not saved yet."""
    if not bpy.data.filepath:
        return ""
    file = Path(bpy.data.filepath).resolve()
    try:
        return Path(os.path.relpath(file, home)).as_posix()
    except ValueError:  # another drive
        return file.as_posix()


def homes() -> list[Path]:
    """Where results of the open file may lie."""
    return list(dict.fromkeys([*map(output_folder, bpy.data.scenes), unsaved_folder()]))
