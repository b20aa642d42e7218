"""Operators of the step World."""

import bpy
from bpy.props import BoolProperty, FloatProperty, IntProperty, StringProperty

from ..list_operators import DeleteOperator, FolderOperator
from ..operator_bases import (
    IMAGE_GLOB,
    NOT_REMEMBERED,
    FileOperator,
    OnPhoto,
    OnWorld,
    PollWithReason,
    ServiceOperator,
    WorldOperator,
    refuse,
    viewport_reason,
)
from ..path import watch
from ..path.checker import path_checker
from ..results import absolute
from . import asset, build, cards, cut, edit, painting, spot, stage, variants
from .nodes import panorama_node, shows_world
from .variants import chosen_reason


class WorldJobOperator(ServiceOperator):
    """Needs a photo."""

    can_queue = True
    takes_panorama = False
    """Whether it also works with a 360° picture."""

    @classmethod
    def reason(cls, context):
        settings = context.scene.look_beyond
        if settings.photo_camera is None and not (cls.takes_panorama and settings.panorama_path):
            return "Place a photo first"
        return super().reason(context)


class BuildWorld(WorldJobOperator, bpy.types.Operator):
    """Extend the photo to a panorama, or use the 360° picture, and make it the scene's world"""

    bl_idname = "lookbeyond.build_world"
    bl_label = "Build World"

    takes_panorama = True

    def prepare(self, context):
        return build.build_world(context)


class UsePanorama(FileOperator, bpy.types.Operator):
    """Build the world from an existing 360° picture; only distances are computed"""

    bl_idname = "lookbeyond.use_panorama"
    bl_label = "Use 360° Picture"

    filepath: StringProperty(subtype="FILE_PATH", options=NOT_REMEMBERED)
    filter_glob: StringProperty(default=IMAGE_GLOB, options={"HIDDEN"})
    height: FloatProperty(
        name="Height (m)",
        description="Height of the camera above the floor, in metres",
        default=1.6,
        min=0.01,
        options=NOT_REMEMBERED,
    )
    heading: FloatProperty(
        name="Heading",
        description="Direction of the picture's centre, counter-clockwise from the X axis",
        subtype="ANGLE",
        options=NOT_REMEMBERED,
    )

    def prepare(self, context):
        return build.use_panorama(context, self.path(), self.height, self.heading)


class RerollWorld(WorldJobOperator, bpy.types.Operator):
    """Build another world from the same photo, with a new seed; the others are kept"""

    bl_idname = "lookbeyond.reroll_world"
    bl_label = "Another World"

    def prepare(self, context):
        context.scene.look_beyond.seed = variants.unused_seed(context.scene)
        return build.build_world(context)


class UseWorld(PollWithReason, bpy.types.Operator):
    """Switch the scene to this world"""

    bl_idname = "lookbeyond.use_world"
    bl_label = "Use World"
    bl_options = {"REGISTER", "UNDO"}

    index: IntProperty(name="Number", description="Index among the scene's worlds, from 0", min=0)

    @classmethod
    def description(cls, context, properties):
        worlds = context.scene.look_beyond.worlds
        if properties.index >= len(worlds):
            return cls.__doc__
        world = worlds[properties.index]
        return f"{cls.__doc__}: {world.name}{f', prompt: {world.prompt}' if world.prompt else ''}"

    def execute(self, context):
        worlds = context.scene.look_beyond.worlds
        if self.index >= len(worlds):
            self.report({"ERROR"}, f"The scene has {len(worlds)} worlds: choose an index below that.")
            return {"CANCELLED"}
        try:
            note = variants.use_world(context.scene, absolute(worlds[self.index].folder))
        except (ValueError, OSError) as error:
            return refuse(self, error)
        if note:
            self.report({"INFO"}, note)
        path_checker.invalidate()
        watch.schedule()
        return {"FINISHED"}


class SeeWorld(PollWithReason, bpy.types.Operator):
    """Show the world in this viewport; press again to return to solid mode"""

    bl_idname = "lookbeyond.see_world"
    bl_label = "See World"

    @classmethod
    def reason(cls, context):
        if reason := viewport_reason(context):
            return reason
        return "" if panorama_node(context.scene.world) else "Build a world first"

    def execute(self, context):
        shading = context.space_data.shading
        shading.type = "SOLID" if shows_world(shading) else "MATERIAL"
        shading.use_scene_world = True
        return {"FINISHED"}


class ForgetWorld(PollWithReason, bpy.types.Operator):
    """Remove the chosen world from the list; its files are kept"""

    bl_idname = "lookbeyond.forget_world"
    bl_label = "Forget World"
    bl_options = {"REGISTER", "UNDO"}

    index: IntProperty(
        name="Number",
        description="Index among the scene's worlds, from 0; -1: the chosen one",
        default=-1,
        min=-1,
        options=NOT_REMEMBERED,
    )

    @classmethod
    def reason(cls, context):
        return chosen_reason(context.scene.look_beyond)

    def execute(self, context):
        settings = context.scene.look_beyond
        settings.worlds.remove(settings.world_index if self.index < 0 else self.index)
        settings.world_index = max(0, min(settings.world_index, len(settings.worlds) - 1))
        return {"FINISHED"}


class RebuildWorld(WorldJobOperator, bpy.types.Operator):
    """Build the chosen world again: its seed and prompt, with the photo's camera as it is now"""

    bl_idname = "lookbeyond.rebuild_world"
    bl_label = "Build Again"

    @classmethod
    def reason(cls, context):
        return super().reason(context) or chosen_reason(context.scene.look_beyond)

    def prepare(self, context):
        settings = context.scene.look_beyond
        world = settings.worlds[settings.world_index]
        settings.seed, settings.prompt = int(world.seed or 0), world.prompt
        return build.build_world(context)


class LoadWorld(FolderOperator, bpy.types.Operator):
    """Use a world from its folder, such as one that was built for another file"""

    bl_idname = "lookbeyond.load_world"
    bl_label = "Load World"
    bl_options = {"REGISTER", "UNDO"}

    def load(self, context, folder):
        return variants.load_variant(context.scene, folder)


class DeleteWorld(DeleteOperator, bpy.types.Operator):
    """Delete the chosen world's files and remove it from the list"""

    bl_idname = "lookbeyond.delete_world"
    bl_label = "Delete World"
    kind = "world"

    @classmethod
    def entries(cls, settings):
        return settings.worlds, "world_index", settings.world_folder


class MarkWorld(PollWithReason, bpy.types.Operator):
    """Make the chosen world an asset of this file, with its picture, to drag it into other scenes and files"""

    bl_idname = "lookbeyond.mark_world"
    bl_label = "Mark World as Asset"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def reason(cls, context):
        return chosen_reason(context.scene.look_beyond)

    def execute(self, context):
        settings = context.scene.look_beyond
        entry = settings.worlds[settings.world_index]
        try:
            world = asset.mark_world(absolute(entry.folder), entry.name)
        except (ValueError, OSError) as error:
            return refuse(self, error)
        self.report({"INFO"}, f"{world.name} is in the asset browser, under Current File.")
        return {"FINISHED"}


class PaintSpot(OnWorld, bpy.types.Operator):
    """Open the world's 360° picture in the Image Editor, to paint over what is to change, in any colour"""

    bl_idname = "lookbeyond.paint_spot"
    bl_label = "Paint Spot"
    bl_options = {"REGISTER", "UNDO"}

    clear: BoolProperty(name="Clear", description="Begin with nothing marked", options=NOT_REMEMBERED)

    def execute(self, context):
        world = absolute(context.scene.look_beyond.world_folder)
        try:
            variants.check_world_files(world)
            painting.show_canvas(context, spot.canvas(world, afresh=self.clear))
        except (ValueError, OSError, RuntimeError) as error:
            return refuse(self, error)
        return {"FINISHED"}


class EditOperator(WorldOperator):
    """Changes what is painted over."""

    needs_connection = True
    can_queue = True
    way: edit.Way

    def prepare(self, context):
        return edit.edit_world(context, self.way)


class RemoveSpot(EditOperator, bpy.types.Operator):
    """Take out what is painted over: walls and floor go on there. The changed world is added; this one is kept"""

    bl_idname = "lookbeyond.remove_spot"
    bl_label = "Remove"
    way = "remove"


class RepaintSpot(EditOperator, bpy.types.Operator):
    """Make what is painted over anew, with another seed each time. The changed world is added; this one is kept"""

    bl_idname = "lookbeyond.repaint_spot"
    bl_label = "Repaint"
    way = "repaint"


class AddStage(WorldOperator, bpy.types.Operator):
    """Add a mesh of the world's distances with the panorama as its texture, to place objects on"""

    bl_idname = "lookbeyond.add_stage"
    bl_label = "Add Stage"

    def prepare(self, context):
        return stage.build_stage(context)


class PaintCuts(OnPhoto, bpy.types.Operator):
    """Open the photo in the Image Editor, to paint over people and things: the next world is built without them"""

    bl_idname = "lookbeyond.paint_cuts"
    bl_label = "Paint Cut-Outs"
    bl_options = {"REGISTER", "UNDO"}

    clear: BoolProperty(name="Clear", description="Begin with nothing marked", options=NOT_REMEMBERED)

    def execute(self, context):
        try:
            painting.show_canvas(context, cut.canvas(context.scene.look_beyond.photo_camera, afresh=self.clear))
        except (ValueError, OSError, RuntimeError) as error:
            return refuse(self, error)
        return {"FINISHED"}


class AddCards(OnWorld, bpy.types.Operator):
    """Put what was cut out of the photo into the scene: cards that can be moved, hidden and animated"""

    bl_idname = "lookbeyond.add_cards"
    bl_label = "Add Cards"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def reason(cls, context):
        if reason := super().reason(context):
            return reason
        has_cards = cards.cards_folder(absolute(context.scene.look_beyond.world_folder)) is not None
        return "" if has_cards else "Nothing was cut out of this world's photo"

    def execute(self, context):
        try:
            placed = cards.place_cards(context.scene, absolute(context.scene.look_beyond.world_folder))
        except (cards.CardsError, RuntimeError) as error:  # RuntimeError: Blender cannot load a picture
            return refuse(self, error)
        self.report({"INFO"}, f"{len(placed)} cards stand in the scene; move or animate them as any object.")
        return {"FINISHED"}


CLASSES = (
    BuildWorld,
    RerollWorld,
    UsePanorama,
    UseWorld,
    SeeWorld,
    ForgetWorld,
    RebuildWorld,
    LoadWorld,
    DeleteWorld,
    MarkWorld,
    PaintSpot,
    RemoveSpot,
    RepaintSpot,
    AddStage,
    AddCards,
    PaintCuts,
)
