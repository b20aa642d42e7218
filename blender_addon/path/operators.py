"""Operators of the step Path."""

import math

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty

from ..kit import CameraError
from ..operator_bases import PollWithReason, ServiceOperator, viewport_reason
from ..session import session
from ..world import stage
from ..world.distance import WorldError
from . import watch
from .add import add_path
from .checker import path_checker, scene_world_geometry
from .plan import plan_path


class AddPath(PollWithReason, bpy.types.Operator):
    """Add an editable curve and a camera that follows it"""

    bl_idname = "lookbeyond.add_path"
    bl_label = "Add Camera Path"
    bl_options = {"REGISTER", "UNDO"}

    kind: EnumProperty(
        name="Move",
        items=(
            ("PUSH_IN", "Push In", "Straight ahead"),
            ("WALK", "Walk", "Forward on an arc"),
            ("ORBIT", "Orbit", "Around what is ahead, looking at it"),
            ("LOOK_AROUND", "Look Around", "A full turn on a small circle"),
            ("WALK_TO", "Walk to 3D Cursor", "To the 3D cursor, at eye level"),
            ("CRANE", "Crane", "Up and slightly forward, looking at what is ahead"),
        ),
        default="WALK",
    )
    length: FloatProperty(
        name="Length (m)",
        description="Length in metres; 0: as far as the world allows",
        default=0.0,
        min=0.0,
        soft_max=10.0,
    )
    turn: FloatProperty(
        name="Turn",
        description="Angle by which the path turns; positive: left",
        subtype="ANGLE",
        default=math.radians(65),
        min=math.radians(-360),
        max=math.radians(360),
    )
    look: EnumProperty(
        name="Look",
        items=(
            ("DEFAULT", "As the Move Does", "Along the path; Orbit and Crane look at their target"),
            ("ALONG", "Along the Path", "Look in the direction of the curve"),
            ("TARGET", "At a Target", "Look at an empty, which you can move"),
        ),
    )
    level: BoolProperty(
        name="Keep Level",
        description="Keep the horizon level: leave out the photo's roll. Its pitch stays, so that the first frame is"
        " the photo's view",
        default=True,
    )
    ease: BoolProperty(name="Ease", description="Start and stop smoothly", default=False)
    frames: IntProperty(
        name="Frames", description="Number of frames from the scene's first frame; 0: its whole range", min=0
    )

    @classmethod
    def reason(cls, context):
        return "" if context.mode == "OBJECT" else "Go to Object Mode first"

    def execute(self, context):
        turn_rad = self.turn
        if self.kind == "LOOK_AROUND" and not self.properties.is_property_set("turn"):
            turn_rad = math.radians(360)
        try:
            world = scene_world_geometry(context.scene)
        except WorldError as error:
            world = None
            self.report({"WARNING"}, str(error))
        try:
            add_path(
                context,
                kind=self.kind,
                length_m=self.length,
                turn_rad=turn_rad,
                look="" if self.look == "DEFAULT" else self.look,
                level=self.level,
                ease=self.ease,
                frames=self.frames,
                world=world,
            )
        except CameraError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        session.clear()  # what was said of the world is read by now: the strip says what comes next
        path_checker.invalidate()
        watch.schedule()
        return {"FINISHED"}


class PlanPath(ServiceOperator, bpy.types.Operator):
    """Let the service plan a camera move that keeps clear of walls and things and stays where the world is known"""

    bl_idname = "lookbeyond.plan_path"
    bl_label = "Plan Path"
    can_queue = True

    goal: EnumProperty(
        name="Purpose",
        items=(
            ("SHOW_ROOM", "Show the Room", "Past places that show much of the photo"),
            ("GO_TO", "Go to 3D Cursor", "A clear way to the 3D cursor, at the camera's height"),
            ("END_ON", "End on 3D Cursor", "To a good view of the 3D cursor, looking at it at the end"),
        ),
    )
    start: EnumProperty(
        name="Start",
        description="Where the way to the 3D cursor begins",
        items=(
            ("PHOTO", "Photo's Place", "Where the photo was taken"),
            ("CAMERA", "Scene Camera", "Where the scene's camera is now"),
        ),
    )

    @classmethod
    def reason(cls, context):
        if not context.scene.look_beyond.world_folder:
            return "Build a world first"
        if context.mode != "OBJECT":
            return "Go to Object Mode first"
        return super().reason(context)

    @classmethod
    def description(cls, context, properties):
        items = cls.bl_rna.properties["goal"].enum_items
        return items[properties.goal].description

    def prepare(self, context):
        return plan_path(context, self.goal, self.start == "CAMERA")


class CheckPath(PollWithReason, bpy.types.Operator):
    """Check how much of each view along the path the world covers, and where the path goes too far"""

    bl_idname = "lookbeyond.check_path"
    bl_label = "Check Path"

    @classmethod
    def reason(cls, context):
        if not context.scene.look_beyond.world_folder:
            return "Build a world first"
        return "" if context.scene.camera else "The scene has no active camera: add a camera path"

    def execute(self, context):
        context.scene.look_beyond.show_path = True
        warnings = path_checker.check_now(context.scene)
        message = " ".join(warnings) or "The whole path can be shot from this world."
        self.report({"WARNING"} if warnings else {"INFO"}, message)
        watch.redraw()
        return {"FINISHED"}


class ShowKnown(PollWithReason, bpy.types.Operator):
    """Colour the stage in this viewport by what is photo, invented or a hole; press again for its picture"""

    bl_idname = "lookbeyond.show_known"
    bl_label = "Colours on the Stage"

    @classmethod
    def reason(cls, context):
        if reason := viewport_reason(context):
            return reason
        return "" if stage.shows_tint(stage.find_stage(context.scene)) else "Add the stage first"

    def execute(self, context):
        space = context.space_data
        if stage.shows_known(space):
            stage.show_stage(context.scene, space)
        else:
            stage.show_known(space)
        return {"FINISHED"}


CLASSES = (AddPath, PlanPath, CheckPath, ShowKnown)
