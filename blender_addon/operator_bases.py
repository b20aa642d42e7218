"""What operators have in common: they are thin, each calls a plain function of its step, and says why it cannot run.

Those that ask the service let the window go on when they are pressed (`INVOKE_DEFAULT`), and wait for the
result when a script calls them (`EXEC_DEFAULT`, the default of bpy.ops), like Blender's own render operator.
"""

import time

import bpy

from . import heartbeat
from .service import preferences
from .session import session
from .tasks import Task, Work

OF_THIS_PHOTO = {"SKIP_SAVE"}
"""Blender would offer the former photo's value for the next one."""
IMAGES = "*.jpg;*.jpeg;*.png;*.webp;*.tif;*.tiff;*.bmp"


class ReasonedPoll:
    """Every operator that cannot run says why: `reason` gives the sentence, or nothing."""

    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        return ""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        reason = cls.reason(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason


class AsksService(ReasonedPoll):
    """Runs steps in the session: on its own when invoked, waited for when executed."""

    needs_connection = True
    queues = False
    """Whether it may be asked for while something else runs, and then waits for its turn."""

    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        if session.task is not None and not cls.queues:
            return f"{session.task.title} is still running: wait for it or cancel it"
        return preferences.service_reason() if cls.needs_connection else ""

    def prepare(self, context: bpy.types.Context) -> Work:
        """What is to be done. Raises ValueError with a sentence for the artist."""
        raise NotImplementedError

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        started = self.begin(context)
        if started:
            heartbeat.start()
        return {"FINISHED"} if started else {"CANCELLED"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.run()  # of what runs already, a script waits for the end
        if not self.begin(context):
            return {"CANCELLED"}
        session.run(Narrator() if bpy.app.background else None)
        if session.error:
            self.report({"ERROR"}, session.error)
            return {"CANCELLED"}
        self.report({"INFO"}, session.notice)
        return {"CANCELLED"} if session.error_code == "cancelled" else {"FINISHED"}

    def begin(self, context: bpy.types.Context) -> bool:
        try:
            session.enqueue(self.prepare(context))
        except ValueError as error:
            session.refuse(str(error))
            self.report({"ERROR"}, str(error))
            return False
        return True


class NeedsWorld(AsksService):
    needs_connection = False

    @classmethod
    def reason(cls, context):
        if not context.scene.look_beyond.world_folder:
            return "Build a world first"
        return super().reason(context)


class Narrator:
    """Says on the console how a waited-for task goes: when its words change, and every few seconds."""

    def __init__(self) -> None:
        self.said, self.when = "", 0.0

    def __call__(self, task: Task) -> None:
        now = time.monotonic()
        if task.message != self.said or now - self.when > 5:
            self.said, self.when = task.message, now
            left = f", {task.eta_s:.0f} s left" if task.eta_s is not None else ""
            print(f"{task.title}: {task.fraction:4.0%} {task.message}{left}", flush=True)
