"""Base classes of the operators. Operators are thin: each calls a plain function of its step.

Operators that use the service return at once when invoked (`INVOKE_DEFAULT`) and wait for the result when a script
calls them (`EXEC_DEFAULT`, the default of bpy.ops), like Blender's own render operator.
"""

import time
from pathlib import Path

import bpy

from . import heartbeat
from .marks import is_local
from .results import absolute
from .service import preferences
from .session import session
from .tasks import RunningTask, Task

NOT_REMEMBERED = {"SKIP_SAVE"}
"""Options of properties whose last value must not be offered for the next photo."""
IMAGE_GLOB = "*.jpg;*.jpeg;*.png;*.webp;*.tif;*.tiff;*.bmp"


def refuse(operator: bpy.types.Operator, error: Exception) -> set[str]:
    """Say in the panel and in Blender's own report why an operator has done nothing; returns what it is to return."""
    session.refuse(str(error))
    operator.report({"ERROR"}, str(error))
    return {"CANCELLED"}


NEEDS_VIEWPORT = "This needs a 3D viewport: press the button in the viewport's sidebar"


def viewport_reason(context: bpy.types.Context) -> str:
    """Why an operator that works in the viewport it is called from cannot run; "" where it can."""
    return "" if context.space_data is not None and context.space_data.type == "VIEW_3D" else NEEDS_VIEWPORT


class PollWithReason:
    """Says why the operator cannot run: `reason` returns a sentence, or nothing."""

    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        return ""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        linked = not is_local(context.scene)
        reason = "This scene is linked from another file: make it local first" if linked else cls.reason(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason


class OnPhoto(PollWithReason):
    """Works on the placed photo."""

    @classmethod
    def reason(cls, context):
        return super().reason(context) if context.scene.look_beyond.photo_camera else "Place a photo first"


class OnWorld(PollWithReason):
    """Works on the scene's world."""

    @classmethod
    def reason(cls, context):
        return super().reason(context) if context.scene.look_beyond.world_folder else "Build a world first"


class ServiceOperator(PollWithReason):
    """Runs a task in the session: in the background when invoked, to the end when executed."""

    needs_connection = True
    starts_service = True
    """Whether the service is started for it, if it needs one that does not run."""
    can_queue = False
    """Whether it may be started while a task runs, and then waits for its turn."""

    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        if session.task is not None and not cls.can_queue:
            return f"{session.task.title} is still running: wait for it or cancel it"
        return preferences.unavailable_reason() if cls.needs_connection else ""

    def prepare(self, context: bpy.types.Context) -> Task:
        """The task to run. Raises ValueError with a sentence for the artist."""
        raise NotImplementedError

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        started = self.begin(context)
        if started:
            heartbeat.start()
        return {"FINISHED"} if started else {"CANCELLED"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.run()  # a script waits for the running task first
        if not self.begin(context):
            return {"CANCELLED"}
        session.run(ConsoleReporter() if bpy.app.background else None)
        if session.error:
            self.report({"ERROR"}, session.error)
            return {"CANCELLED"}
        self.report({"INFO"}, session.notice)
        return {"CANCELLED"} if session.error_code == "cancelled" else {"FINISHED"}

    def begin(self, context: bpy.types.Context) -> bool:
        try:
            task = self.prepare(context)
            if self.needs_connection and self.starts_service:
                task = preferences.with_service(task)
            session.enqueue(task)
        except ValueError as error:
            refuse(self, error)
            return False
        return True


class WorldOperator(OnWorld, ServiceOperator):
    """Works on the scene's world in a task, without the service."""

    needs_connection = False


class FileOperator(ServiceOperator):
    """Asks for a file in the window, then runs in the background."""

    def suggested_name(self, context: bpy.types.Context) -> str:
        """Of the file; empty: the one chosen last."""
        return ""

    def invoke(self, context, event):
        self.chosen_in_window = True
        if name := self.suggested_name(context):
            self.filepath = name
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context):
        if getattr(self, "chosen_in_window", False):  # called by the file browser
            return ServiceOperator.invoke(self, context, None)
        return super().execute(context)

    def path(self) -> Path:
        return absolute(self.filepath)


class ConsoleReporter:
    """Prints the progress of a task: when its message changes, and every few seconds."""

    def __init__(self) -> None:
        self._message, self._printed_s = "", 0.0

    def __call__(self, task: RunningTask) -> None:
        now = time.monotonic()
        if task.message != self._message or now - self._printed_s > 5:
            self._message, self._printed_s = task.message, now
            left = f", {task.eta_s:.0f} s left" if task.eta_s is not None else ""
            print(f"{task.title}: {task.fraction:4.0%} {task.message}{left}", flush=True)
