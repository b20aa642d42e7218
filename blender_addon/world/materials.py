"""Materials that the add-on makes for a picture."""

import bpy

from ..marks import is_local, mark_of, set_marks


def find_material(maker: str, image: bpy.types.Image) -> bpy.types.Material | None:
    """The file's own material of this maker that shows an image."""
    for material in bpy.data.materials:
        if (
            mark_of(material, "maker") == maker
            and is_local(material)
            and any(getattr(node, "image", None) == image for node in material.node_tree.nodes)
        ):
            return material
    return None


def new_material(name: str, maker: str) -> bpy.types.Material:
    """A material of this maker without nodes."""
    material = bpy.data.materials.new(name)
    set_marks(material, {"maker": maker})
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    material.node_tree.nodes.clear()
    return material


def add_node(material: bpy.types.Material, kind: str, place: tuple[float, float]) -> bpy.types.Node:
    """A new node in the material, at a place of its editor."""
    node = material.node_tree.nodes.new(kind)
    node.location = place
    return node
