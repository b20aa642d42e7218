"""A panorama as the scene's world: a node group of ours; the artist's own worlds stay."""

import math
from collections.abc import Mapping
from pathlib import Path

import bpy

from ..marks import stamp, stamped
from ..results import as_stored

MAKER = "world_nodes"
"""Marks a node group as ours (custom property `look_beyond_maker`)."""


def show_world(scene: bpy.types.Scene, panorama: Path, heading: float, record: Mapping[str, object]) -> str:
    """Make the panorama (a file) the scene's world and say what became of the former one.

    `heading` is where its centre column looks, radians counter-clockwise from +X. If the scene's world has a
    node of ours, only the panorama in it changes: strength and whatever the artist built around it stay. A
    world that is nothing but a colour gets our node; one with nodes of the artist's own stays as it is, in the
    file, and a new one takes its place. `record` is written on group and world.
    """
    group = panorama_group(panorama, heading)
    stamp(group, record)
    node = our_node(scene.world)
    if node is not None:
        strength = node.inputs["Strength"].default_value
        node.node_tree = group
        node.inputs["Strength"].default_value = strength
        node.inputs["Heading"].default_value = heading
        stamp(scene.world, record)
        return ""
    former = scene.world if scene.world is not None and not is_plain(scene.world) else None
    if scene.world is None or former is not None:
        scene.world = bpy.data.worlds.new("Look Beyond")
    world = scene.world
    if bpy.app.version < (5, 0, 0):
        world.use_nodes = True
    nodes = world.node_tree.nodes
    node = nodes.new("ShaderNodeGroup")
    node.node_tree = group
    node.name = node.label = "Look Beyond"
    node.width = 200
    node.inputs["Heading"].default_value = heading
    output = next((one for one in nodes if one.type == "OUTPUT_WORLD"), None) or nodes.new("ShaderNodeOutputWorld")
    node.location = (output.location.x - 260, output.location.y - 180)
    world.node_tree.links.new(node.outputs["Background"], output.inputs["Surface"])
    stamp(world, record)
    if former is None:
        return ""
    former.use_fake_user = True
    return f"The former world, {former.name}, is kept in the file."


def is_plain(world: bpy.types.World) -> bool:
    """Whether a world is nothing but a colour: what Blender gives every new scene."""
    if world.node_tree is None or (bpy.app.version < (5, 0, 0) and not world.use_nodes):
        return True
    nodes = world.node_tree.nodes
    return all(node.type in ("BACKGROUND", "OUTPUT_WORLD") for node in nodes) and not world.node_tree.animation_data


def heading_now(scene: bpy.types.Scene) -> float | None:
    """Where the panorama in the scene's world looks, radians counter-clockwise from +X; None without one of ours."""
    node = our_node(scene.world)
    return None if node is None else float(node.inputs["Heading"].default_value)


def turned_by(scene: bpy.types.Scene, heading: float) -> float:
    """How far the artist has turned the world from where it was made to look, radians."""
    now = heading_now(scene)
    return 0.0 if now is None else now - heading


def our_node(world: bpy.types.World | None) -> bpy.types.Node | None:
    """The node of ours in a world."""
    tree = world.node_tree if world is not None else None
    for node in tree.nodes if tree is not None else ():
        if node.type == "GROUP" and node.node_tree is not None and stamped(node.node_tree, "maker") == MAKER:
            return node
    return None


def shows_world(shading: bpy.types.View3DShading) -> bool:
    """Whether a viewport shows its scene's world."""
    return shading.type == "MATERIAL" and shading.use_scene_world or shading.type == "RENDERED"


def panorama_group(panorama: Path, heading: float) -> bpy.types.NodeTree:
    """The node group of this panorama: Heading and Strength in, Background out. Made once per file."""
    image = panorama_image(panorama)
    for group in bpy.data.node_groups:
        if stamped(group, "maker") == MAKER and any(getattr(node, "image", None) == image for node in group.nodes):
            image.reload()
            return group

    group = bpy.data.node_groups.new(f"Look Beyond {panorama.parent.name}", "ShaderNodeTree")
    group.use_fake_user = True  # the artist may come back to a former variant
    stamp(group, {"maker": MAKER})
    strength = group.interface.new_socket("Strength", in_out="INPUT", socket_type="NodeSocketFloat")
    strength.default_value, strength.min_value = 1.0, 0.0
    turned = group.interface.new_socket("Heading", in_out="INPUT", socket_type="NodeSocketFloat")
    turned.subtype, turned.default_value = "ANGLE", heading
    turned.description = "Where the centre of the panorama looks, counter-clockwise from the X axis"
    group.interface.new_socket("Background", in_out="OUTPUT", socket_type="NodeSocketShader")

    kinds = (
        "NodeGroupInput",
        "ShaderNodeTexCoord",
        "ShaderNodeCombineXYZ",
        "ShaderNodeMapping",
        "ShaderNodeTexEnvironment",
        "ShaderNodeBackground",
        "NodeGroupOutput",
    )
    inputs, coordinates, angle, mapping, texture, background, output = (group.nodes.new(kind) for kind in kinds)
    places = ((-800, -200), (-600, 100), (-600, -200), (-400, 100), (-200, 100), (80, 0), (280, 0))
    for node, place in zip((inputs, coordinates, angle, mapping, texture, background, output), places, strict=True):
        node.location = place
    mapping.vector_type = "TEXTURE"  # turns the picture, not the coordinates: +heading about Z
    texture.image = image
    texture.projection = "EQUIRECTANGULAR"
    texture.interpolation = "Linear"
    link = group.links.new
    link(inputs.outputs["Heading"], angle.inputs["Z"])
    link(angle.outputs["Vector"], mapping.inputs["Rotation"])
    link(coordinates.outputs["Generated"], mapping.inputs["Vector"])
    link(mapping.outputs["Vector"], texture.inputs["Vector"])
    link(texture.outputs["Color"], background.inputs["Color"])
    link(inputs.outputs["Strength"], background.inputs["Strength"])
    link(background.outputs["Background"], output.inputs["Background"])
    return group


def panorama_image(panorama: Path) -> bpy.types.Image:
    """The panorama's file as an image, once per file, its path as the .blend should hold it."""
    image = bpy.data.images.load(str(panorama), check_existing=True)
    stored = as_stored(panorama)
    if image.filepath != stored:
        image.filepath = stored
    return image


def heading_of(about: Mapping[str, object]) -> float:
    """Radians, from the content of world.json; what is less than a camera's single precision tells is noise."""
    return round(math.radians(float(about.get("heading", 0.0))), 6) + 0.0
