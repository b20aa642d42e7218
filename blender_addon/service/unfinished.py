"""What the open file has left unfinished."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

import bpy

from ..results import output_folder
from ..session import session
from .job_scene import SceneOf, homes, open_file


def unfinished() -> list[Path]:
    """Folders of worlds and shots of the open file that were begun and not ended: Blender was quit meanwhile."""
    found = []
    running = session.task.job if session.task is not None else ""
    for home in homes():
        for file in sorted(home.glob("*/*/request.json")):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                begun = json.loads(file.read_text(encoding="utf-8"))
                if not begun["ended"] and begun["job"] != running and is_of_open_file(begun["about"], home):
                    found.append(file.parent)
    return found


def is_of_open_file(about: Mapping[str, object], home: Path) -> bool:
    """Whether what was begun belongs to the open file. Where its own is not known, or gone, its scene's name tells."""
    files = about.get("files", ())
    if open_file(home) in files:
        return True
    gone = not any(file == "" or (home / file).is_file() for file in files)
    return gone and any(scene.name == about["scene"] and output_folder(scene) == home for scene in bpy.data.scenes)


def offer_unfinished() -> None:
    session.unfinished = unfinished()


def follow_save() -> None:
    """What runs, waits or was left unfinished belongs to what the open file was saved as, too.

    But not what some other file left that was never saved: whose it is, nobody knows.
    """
    session.saved()
    for folder in session.unfinished:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            files = json.loads((folder / "request.json").read_text(encoding="utf-8"))["about"]["files"]
            if "" not in files:
                where = SceneOf(bpy.context.scene, folder.parents[1], files)
                where.begun = folder
                where.follow()
