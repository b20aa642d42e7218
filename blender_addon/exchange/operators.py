"""Operators that export to other programs and import from them."""

import bpy
from bpy.props import EnumProperty, StringProperty

from ..operator_bases import NOT_REMEMBERED, FileOperator, WorldOperator
from ..results import file_name
from . import camera_import, export, splats

UNITS = (
    ("m", "Metres", "Most programs"),
    ("cm", "Centimetres", "Maya and Unreal"),
    ("mm", "Millimetres", ""),
    ("ft", "Feet", ""),
    ("in", "Inches", ""),
)


class ExportWorld(FileOperator, WorldOperator, bpy.types.Operator):
    """Write the scene's world for other programs"""

    bl_idname = "lookbeyond.export_world"
    bl_label = "Export World"

    filepath: StringProperty(subtype="FILE_PATH", options=NOT_REMEMBERED)
    kind: EnumProperty(name="Kind", items=[kind[:3] for kind in export.WORLD_KINDS], options=NOT_REMEMBERED)

    @classmethod
    def description(cls, context, properties):
        return next(words for kind, _, words, _ in export.WORLD_KINDS if kind == properties.kind)

    def suggested_name(self, context):
        ending = next(ending for kind, _, _, ending in export.WORLD_KINDS if kind == self.kind)
        return file_name(context.scene.name) + ending

    def prepare(self, context):
        return export.export_world(context.scene, self.kind, self.path())


class ExportCameraMove(FileOperator, bpy.types.Operator):
    """Write the cameras of the scene's frames: .usda, .abc, .fbx, .chan, .jsx, .json, .txt, or a folder for COLMAP"""

    bl_idname = "lookbeyond.export_camera_move"
    bl_label = "Export Camera Move"

    needs_connection = False
    filepath: StringProperty(subtype="FILE_PATH", options=NOT_REMEMBERED)
    unit: EnumProperty(name="Unit", description="The file's unit of length", items=UNITS)
    up: EnumProperty(
        name="Up", description="The up axis, in USD", items=[("z", "Z", "Houdini, Unreal"), ("y", "Y", "Maya")]
    )

    @classmethod
    def reason(cls, context):
        return "" if context.scene.camera else "The scene has no camera"

    def suggested_name(self, context):
        return file_name(context.scene.camera.name) + ".usda"

    def prepare(self, context):
        return export.export_camera_move(context, self.path(), self.unit, self.up)


class ImportCameraMove(FileOperator, bpy.types.Operator):
    """Add a camera with the move from another program's file: transforms.json, USD, .chan, COLMAP, RealEstate10K"""

    bl_idname = "lookbeyond.import_camera_move"
    bl_label = "Import Camera Move"

    needs_connection = False
    filepath: StringProperty(subtype="FILE_PATH", options=NOT_REMEMBERED)
    unit: EnumProperty(name="Unit", description="The file's unit of length; USD files state their own", items=UNITS)

    def prepare(self, context):
        return camera_import.import_camera_move(context, self.path(), self.unit)


class AddSplats(WorldOperator, bpy.types.Operator):
    """Add the world as Gaussian splats, with parallax and with what is hidden behind things"""

    bl_idname = "lookbeyond.add_splats"
    bl_label = "Add Splats"

    @classmethod
    def reason(cls, context):
        return splats.missing_reason(context.scene) or super().reason(context)

    def prepare(self, context):
        return splats.build_splats(context)


class ExportMenu(bpy.types.Menu):
    bl_idname = "LOOKBEYOND_MT_export"
    bl_label = "Look Beyond"

    def draw(self, context):
        for kind, name, _, _ in export.WORLD_KINDS:
            self.layout.operator("lookbeyond.export_world", text=f"{name}…").kind = kind
        self.layout.operator("lookbeyond.export_camera_move", text="Camera Move…")


CLASSES = (ExportWorld, ExportCameraMove, ImportCameraMove, AddSplats, ExportMenu)
