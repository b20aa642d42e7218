"""The buttons of the path."""

import math

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty

from ..kit import CameraError
from ..operator_bases import ReasonedPoll
from ..world.distance import WorldError
from . import watch
from .add import add_path
from .view import known_world, path_view


class AddPath(ReasonedPoll, bpy.types.Operator):
    """Add a curve to edit as you like, and a camera that runs along it"""

    bl_idname = "lookbeyond.add_path"
    bl_label = "Add Camera Path"
    bl_options = {"REGISTER", "UNDO"}

    kind: EnumProperty(
        name="Move",
        items=(
            ("PUSH_IN", "Push In", "Straight ahead"),
            ("WALK", "Walk", "Forward on an arc"),
            ("ORBIT", "Orbit", "Around what stands ahead, looking at it"),
            ("LOOK_AROUND", "Look Around", "A whole turn on the spot, on a small circle"),
            ("WALK_TO", "Walk to 3D Cursor", "To the 3D cursor, at eye level"),
            ("CRANE", "Crane", "Up and a little ahead, looking at what stands there"),
        ),
        default="WALK",
    )
    length: FloatProperty(
        name="Length (m)",
        description="Metres; 0: as far as the world is known",
        default=0.0,
        min=0.0,
        soft_max=10.0,
    )
    turn: FloatProperty(
        name="Turn",
        description="How far the path turns, positive to the left",
        subtype="ANGLE",
        default=math.radians(65),
        min=math.radians(-360),
        max=math.radians(360),
    )
    look: EnumProperty(
        name="Look",
        items=(
            ("DEFAULT", "As the Move Does", "Along the path; orbits and cranes look at their target"),
            ("ALONG", "Along the Path", "The camera looks where the curve goes"),
            ("TARGET", "At a Target", "The camera looks at an empty that you can move"),
        ),
    )
    level: BoolProperty(
        name="Keep Level",
        description="Level horizon; otherwise the photo's own pitch and roll stay",
        default=True,
    )
    ease: BoolProperty(name="Ease", description="Set off and stop softly", default=False)
    frames: IntProperty(name="Frames", description="From the scene's first frame on; 0: its whole range", min=0)

    @classmethod
    def reason(cls, context):
        return "" if context.mode == "OBJECT" else "Go to Object Mode first"

    def execute(self, context):
        turn = self.turn
        if self.kind == "LOOK_AROUND" and not self.properties.is_property_set("turn"):
            turn = math.radians(360)
        try:
            world = known_world(context.scene)
        except WorldError as error:
            world = None
            self.report({"WARNING"}, str(error))
        try:
            add_path(
                context,
                kind=self.kind,
                length_m=self.length,
                turn=turn,
                look="" if self.look == "DEFAULT" else self.look,
                level=self.level,
                ease=self.ease,
                frames=self.frames,
                world=world,
            )
        except CameraError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        path_view.touch()
        watch.awaken()
        return {"FINISHED"}


class CheckPath(ReasonedPoll, bpy.types.Operator):
    """Say how much of each view along the path is known, and where it goes too far"""

    bl_idname = "lookbeyond.check_path"
    bl_label = "Check Path"

    @classmethod
    def reason(cls, context):
        if not context.scene.look_beyond.world_folder:
            return "Build a world first: there is nothing to compare the path with"
        return "" if context.scene.camera else "The scene has no active camera: add a camera path"

    def execute(self, context):
        context.scene.look_beyond.show_path = True
        said = path_view.check_now(context.scene)
        self.report({"WARNING"} if said else {"INFO"}, " ".join(said) or "The whole path can be shot from this world.")
        watch.redraw()
        return {"FINISHED"}


CLASSES = (AddPath, CheckPath)
