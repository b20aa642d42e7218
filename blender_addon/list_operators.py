"""Base classes of the operators on lists of worlds and shots."""

from pathlib import Path

import bpy
from bpy.props import StringProperty

from . import listed
from .operator_bases import NOT_REMEMBERED, PollWithReason, refuse
from .results import absolute
from .service.prices import size_text
from .session import session


class FolderOperator(PollWithReason):
    """Loads results from a folder that the artist chooses."""

    directory: StringProperty(name="Folder", subtype="DIR_PATH", options=NOT_REMEMBERED)

    def load(self, context: bpy.types.Context, folder: Path) -> str:
        """Load a folder; returns a sentence. Raises ValueError with a sentence."""
        raise NotImplementedError

    def invoke(self, context, event):
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context):
        try:
            message = self.load(context, absolute(self.directory))
        except (ValueError, OSError) as error:
            return refuse(self, error)
        session.clear()
        session.notice = message
        return {"FINISHED"}


class DeleteOperator(PollWithReason):
    """Deletes the files of the chosen entry, and the entry."""

    kind = ""

    @classmethod
    def entries(cls, settings: bpy.types.PropertyGroup) -> tuple[bpy.types.bpy_prop_collection, str, str]:
        """The list, the property that holds the index of its chosen entry, and the folder that the scene uses now."""
        raise NotImplementedError

    @classmethod
    def chosen(cls, context: bpy.types.Context) -> bpy.types.PropertyGroup | None:
        entries, index, _ = cls.entries(context.scene.look_beyond)
        at = getattr(context.scene.look_beyond, index)
        return entries[at] if at < len(entries) else None

    @classmethod
    def reason(cls, context):
        entry = cls.chosen(context)
        if entry is None:
            return f"There is no {cls.kind} in the list"
        used = [cls.entries(scene.look_beyond)[2] for scene in bpy.data.scenes]
        if any(folder and absolute(folder) == absolute(entry.folder) for folder in used):
            return f"A scene uses this {cls.kind}: switch that scene to another one first"
        if session.task is not None:
            return f"{session.task.title} is still running, and may need it: wait for it or cancel it"
        return ""

    def invoke(self, context, event):
        entry = self.chosen(context)
        freed = size_text(listed.size_of(absolute(entry.folder)))
        return context.window_manager.invoke_confirm(
            self,
            event,
            title=f"Delete {entry.name}?",
            message=f"Frees {freed}. Undo does not restore files",
            confirm_text="Delete",
        )

    def execute(self, context):
        entry = self.chosen(context)
        folder, name = absolute(entry.folder), entry.name
        freed = size_text(listed.size_of(folder))
        try:
            listed.delete_results(folder)
        except (ValueError, OSError) as error:
            return refuse(self, error)
        entries, index, _ = self.entries(context.scene.look_beyond)
        at = getattr(context.scene.look_beyond, index)
        entries.remove(at)
        setattr(context.scene.look_beyond, index, max(0, min(at, len(entries) - 1)))
        self.report({"INFO"}, f"{name} was deleted, which freed {freed}.")
        return {"FINISHED"}
