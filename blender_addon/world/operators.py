"""The buttons of the world."""

import bpy
from bpy.props import FloatProperty, IntProperty, StringProperty

from ..operator_bases import IMAGES, OF_THIS_PHOTO, AsksService, NeedsWorld, ReasonedPoll
from ..path import watch
from ..path.view import path_view
from ..results import absolute
from ..session import session
from . import build, stage, variants
from .nodes import our_node, shows_world


class NeedsPhoto(AsksService):
    queues = True
    takes_panorama = False
    """Whether a 360° picture will do as well."""

    @classmethod
    def reason(cls, context):
        settings = context.scene.look_beyond
        if settings.photo_camera is None and not (cls.takes_panorama and settings.panorama_path):
            return "Place a photo first"
        return super().reason(context)


class BuildWorld(NeedsPhoto, bpy.types.Operator):
    """Make the panorama that the photo is a part of (or take the 360° picture), and the scene's world of it"""

    bl_idname = "lookbeyond.build_world"
    bl_label = "Build World"

    takes_panorama = True

    def prepare(self, context):
        return build.build_world(context)


class UsePanorama(AsksService, bpy.types.Operator):
    """Make a world of a 360° picture that you have: only its distances are computed"""

    bl_idname = "lookbeyond.use_panorama"
    bl_label = "Use 360° Picture"

    filepath: StringProperty(subtype="FILE_PATH", options=OF_THIS_PHOTO)
    filter_glob: StringProperty(default=IMAGES, options={"HIDDEN"})
    height: FloatProperty(
        name="Height (m)",
        description="Metres from the floor to its camera",
        default=1.6,
        min=0.01,
        options=OF_THIS_PHOTO,
    )
    heading: FloatProperty(
        name="Heading",
        description="Where its centre looks, counter-clockwise from the X axis",
        subtype="ANGLE",
        options=OF_THIS_PHOTO,
    )

    def invoke(self, context, event):
        self.chosen_in_window = True
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context):
        if getattr(self, "chosen_in_window", False):  # the file browser's button: nobody is to wait
            return AsksService.invoke(self, context, None)
        return super().execute(context)

    def prepare(self, context):
        return build.use_panorama(context, absolute(self.filepath), self.height, self.heading)


class RerollWorld(NeedsPhoto, bpy.types.Operator):
    """Make another world of the same photo, with a seed that none has yet; the former ones stay"""

    bl_idname = "lookbeyond.reroll_world"
    bl_label = "Another World"

    def prepare(self, context):
        context.scene.look_beyond.seed = variants.another_seed(context.scene)
        return build.build_world(context)


class UseWorld(ReasonedPoll, bpy.types.Operator):
    """Make this world the scene's again"""

    bl_idname = "lookbeyond.use_world"
    bl_label = "Use World"
    bl_options = {"REGISTER", "UNDO"}

    index: IntProperty(name="Number", description="Among the scene's worlds, from 0", min=0)

    @classmethod
    def description(cls, context, properties):
        worlds = context.scene.look_beyond.worlds
        if properties.index >= len(worlds):
            return cls.__doc__
        world = worlds[properties.index]
        return f"{cls.__doc__}: {world.name}{f', told that it is {world.prompt}' if world.prompt else ''}"

    def execute(self, context):
        worlds = context.scene.look_beyond.worlds
        if self.index >= len(worlds):
            self.report({"ERROR"}, f"The scene has {len(worlds)} worlds: choose one of them.")
            return {"CANCELLED"}
        try:
            said = variants.use_world(context.scene, absolute(worlds[self.index].folder))
        except (ValueError, OSError) as error:
            session.refuse(str(error))
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if said:
            self.report({"INFO"}, said)
        path_view.touch()
        watch.awaken()
        return {"FINISHED"}


class SeeWorld(ReasonedPoll, bpy.types.Operator):
    """Show the world in this viewport; pressed again: the viewport's solid mode"""

    bl_idname = "lookbeyond.see_world"
    bl_label = "See World"

    @classmethod
    def reason(cls, context):
        if context.space_data is None or context.space_data.type != "VIEW_3D":
            return "This is for a 3D viewport: press it in the viewport's sidebar"
        return "" if our_node(context.scene.world) else "Build a world first"

    def execute(self, context):
        shading = context.space_data.shading
        shading.type = "SOLID" if shows_world(shading) else "MATERIAL"
        shading.use_scene_world = True
        return {"FINISHED"}


class ForgetWorld(ReasonedPoll, bpy.types.Operator):
    """Take this world off the list; its files stay"""

    bl_idname = "lookbeyond.forget_world"
    bl_label = "Forget World"
    bl_options = {"REGISTER", "UNDO"}

    index: IntProperty(name="Number", description="Among the scene's worlds, from 0", min=0)

    def execute(self, context):
        context.scene.look_beyond.worlds.remove(self.index)
        return {"FINISHED"}


class AddStage(NeedsWorld, bpy.types.Operator):
    """Make a mesh of the world's distances, with the panorama on it: walk through it, place things on it"""

    bl_idname = "lookbeyond.add_stage"
    bl_label = "Add Stage"

    def prepare(self, context):
        return stage.build_stage(context)


CLASSES = (BuildWorld, RerollWorld, UsePanorama, UseWorld, SeeWorld, ForgetWorld, AddStage)
