"""Jobs that the open file has left unfinished."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import bpy

from ..json_files import may_look_at
from ..results import output_folder
from ..session import session
from ..tasks import Steps, Succeeded, Task
from .job_scene import JobScene, open_blend_file, results_folders
from .requests import FILE_NAME, JobOrigin, RequestError, read_request


def unfinished() -> list[Path]:
    """Result folders of the open file's jobs that have not ended."""
    found = []
    running = session.task.job if session.task is not None else ""
    for results_folder in results_folders():
        for file in sorted(results_folder.glob(f"*/*/{FILE_NAME}")):
            with contextlib.suppress(RequestError):
                stored = read_request(file.parent)
                if not stored.ended and stored.job != running and is_of_open_file(stored.origin, results_folder):
                    found.append(file.parent)
    return found


def is_of_open_file(origin: JobOrigin, results_folder: Path) -> bool:
    """Whether a job belongs to the open file. If its own file is unknown or gone, the scene's name decides."""
    if open_blend_file(results_folder) in origin.files:
        return True
    seen = [file for file in origin.files if file and may_look_at(results_folder, file, bpy.data.filepath)]
    if any((results_folder / file).is_file() for file in seen):
        return False
    return any(scene.name == origin.scene and output_folder(scene) == results_folder for scene in bpy.data.scenes)


def offer_unfinished() -> None:
    """Show the unfinished jobs in the panel."""
    session.unfinished = unfinished()


def job_task(
    job_scene: JobScene,
    title: str,
    steps: Steps,
    finish: Callable[[Succeeded], str | None],
    show_files: Callable[[list[Path]], bool] | None = None,
) -> Task:
    """A task that receives the results of a job for a scene; one that fails is offered again."""
    return Task(title, steps, finish, show_files, job_scene.follow_saved_file, offer_unfinished)


def follow_saved_file() -> None:
    """Running, waiting and unfinished jobs belong to the file under its new name as well.

    An unfinished job of a file that was never saved is left alone: it may be another file's.
    """
    session.file_saved()
    for folder in session.unfinished:
        with contextlib.suppress(RequestError):
            files = read_request(folder).origin.files
            if "" not in files:
                JobScene(bpy.context.scene, folder.parents[1], files, folder).follow_saved_file()
