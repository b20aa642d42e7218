"""The scene that a job was started in, and the files that the job belongs to."""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import bpy

from ..json_files import may_look_at
from ..results import file_name, output_folder, unsaved_folder
from . import requests


class JobScene:
    """The scene that a job was started in; found again after undo or loading a file replaced it.

    Results go into `results_folder`. `files` are the .blend files that the job belongs to, relative to that folder: the
    file that started it, and the names that it was saved under since. `job_folder` holds the job's own results, None
    until it is submitted.
    """

    def __init__(
        self,
        scene: bpy.types.Scene,
        results_folder: Path | None = None,
        files: Sequence[str] = (),
        job_folder: Path | None = None,
    ) -> None:
        self._uid, self._name = scene.session_uid, scene.name
        self.results_folder = results_folder or output_folder(scene)
        self.files = list(files) or [open_blend_file(self.results_folder)]
        self.job_folder = job_folder

    def find(self) -> bpy.types.Scene | None:
        """The scene, if it is open."""
        for scene in bpy.data.scenes:
            if scene.session_uid == self._uid:
                return scene
        file = open_blend_file(self.results_folder)
        return bpy.data.scenes.get(self._name) if file and file in self.files else None

    def folder_of(self, kind: str, name: str) -> Callable[[str], Path]:
        """A function that gives the result folder for a job's id."""

        def folder(job: str) -> Path:
            self.job_folder = self.results_folder / kind / f"{file_name(name)}-{job[:10]}"
            return self.job_folder

        return folder

    def follow_saved_file(self) -> None:
        """Belong to the saved file under its new name as well, if it uses the same results folder."""
        file = open_blend_file(self.results_folder)
        if file not in self.files and self.results_folder in results_folders() and self.find() is not None:
            self.files[:] = [*filter(None, self.files), file]
            if self.job_folder is not None:
                with contextlib.suppress(OSError, ValueError, KeyError):  # not written yet
                    requests.set_owners(self.job_folder, self.files)

    def keep_result(self, kind: str, folder: Path) -> str:
        """Keep a result until the scene's file is opened again; returns a sentence that says so."""
        name = Path(self.files[-1]).name
        if not name:
            return f"The {kind} is finished in {folder}, but its scene is no longer open."
        requests.mark_unfinished(folder)
        return f"The {kind} is finished, but its scene is no longer open. Open {name} to find it there."


def open_blend_file(results_folder: Path) -> str:
    """The open file relative to a results folder, so that both can be moved together; empty if it was never saved."""
    if not bpy.data.filepath:
        return ""
    file = Path(bpy.data.filepath).resolve()
    try:
        return Path(os.path.relpath(file, results_folder)).as_posix()
    except ValueError:  # another drive
        return file.as_posix()


def results_folders() -> list[Path]:
    """Folders that may hold results of the open file."""
    folders = dict.fromkeys([*map(output_folder, bpy.data.scenes), unsaved_folder()])
    return [folder for folder in folders if may_look_at(folder, "", bpy.data.filepath)]
