"""The panorama as the scene's world: a node group in it. The artist's own worlds are kept."""

from collections.abc import Mapping
from pathlib import Path

import bpy

from ..marks import has_other_users, is_local, mark_of, set_marks
from ..results import absolute, as_stored

MAKER = "world_nodes"
"""Marks the add-on's node groups (custom property `look_beyond_maker`)."""
LINEAR_SPACES = ("Linear Rec.709", "lin_rec709_scene", "Linear Rec.709 (sRGB)", "Linear")
"""What colour configurations call the light of an OpenEXR file of Rec. 709: Blender's own, ACES studios', old ones."""


def set_scene_world(scene: bpy.types.Scene, panorama: Path, heading_rad: float, record: Mapping[str, object]) -> str:
    """Make a panorama file the scene's world; returns a note on the previous world.

    `heading_rad` is the direction of its centre, counter-clockwise from +X. If the scene's world has a panorama node,
    only the node group in it changes: its strength and the artist's nodes around it stay. A world that is just a colour
    gets the node. A world with the artist's own nodes stays in the file as it is, and a new one takes its place.
    `record` is written to group and world.
    """
    group = panorama_group(panorama, heading_rad)
    set_marks(group, record)
    if is_local(scene.world) and has_other_users(scene.world, scene):
        scene.world = scene.world.copy()  # the other scenes keep theirs
    node = panorama_node(scene.world) if is_local(scene.world) else None
    if node is not None:
        strength = node.inputs["Strength"].default_value
        node.node_tree = group
        node.inputs["Strength"].default_value = strength
        node.inputs["Heading"].default_value = heading_rad
        set_marks(scene.world, record)
        return override_note(scene)
    former = scene.world if scene.world is not None and not is_plain(scene.world) else None
    if scene.world is not None and not is_local(scene.world):
        former = scene.world
    if scene.world is None or former is not None:
        scene.world = bpy.data.worlds.new("Look Beyond")
    add_panorama_node(scene.world, group, heading_rad)
    set_marks(scene.world, record)
    if former is None:
        return override_note(scene)
    if not is_local(former):
        note = (
            f"The previous world, {former.name}, is linked and stays as it is; this scene has a world of its own now."
        )
    else:
        former.use_fake_user = True
        note = f"The previous world, {former.name}, is kept in the file."
    return f"{note} {override_note(scene)}".strip()


def show_panorama(scene: bpy.types.Scene, panorama: Path) -> bool:
    """Let the scene's panorama node show another picture of its world, strength and turn as they are; False without a
    node that may be changed."""
    node = panorama_node(scene.world) if is_local(scene.world) else None
    if node is None:
        return False
    if has_other_users(scene.world, scene):
        scene.world = scene.world.copy()  # the other scenes keep theirs
        node = panorama_node(scene.world)
    set_group(node, panorama_group(panorama, node.inputs["Heading"].default_value))
    return True


def set_group(node: bpy.types.Node, group: bpy.types.NodeTree) -> None:
    """Give a panorama node another group; what its inputs are set to stays."""
    kept = {name: node.inputs[name].default_value for name in ("Strength", "Heading")}
    record = {key: value for key, value in node.node_tree.items() if str(key).startswith("look_beyond_")}
    node.node_tree = group
    for name, value in kept.items():
        node.inputs[name].default_value = value
    for key, value in record.items():
        group[key] = value


def add_panorama_node(world: bpy.types.World, group: bpy.types.NodeTree, heading_rad: float) -> None:
    """Let a world show a panorama's node group."""
    if bpy.app.version < (5, 0, 0):
        world.use_nodes = True
    nodes = world.node_tree.nodes
    node = nodes.new("ShaderNodeGroup")
    node.node_tree = group
    node.name = node.label = "Look Beyond"
    node.width = 200
    node.inputs["Heading"].default_value = heading_rad
    output = next((one for one in nodes if one.type == "OUTPUT_WORLD"), None) or nodes.new("ShaderNodeOutputWorld")
    node.location = (output.location.x - 260, output.location.y - 180)
    world.node_tree.links.new(node.outputs["Background"], output.inputs["Surface"])


def override_note(scene: bpy.types.Scene) -> str:
    """A sentence on the view layers that show a world of their own instead of the scene's; empty without."""
    layers = [layer for layer in scene.view_layers if getattr(layer, "world_override", None) not in (None, scene.world)]
    if not layers:
        return ""
    return (
        f"The view layer {layers[0].name} still shows its own world, {layers[0].world_override.name}: clear its World"
        " Override to see this one."
    )


def is_plain(world: bpy.types.World) -> bool:
    """Whether a world is just a colour, as in Blender's new scenes."""
    if world.node_tree is None or (bpy.app.version < (5, 0, 0) and not world.use_nodes):
        return True
    nodes = world.node_tree.nodes
    return all(node.type in ("BACKGROUND", "OUTPUT_WORLD") for node in nodes) and not world.node_tree.animation_data


def current_heading_rad(scene: bpy.types.Scene) -> float | None:
    """Direction of the panorama's centre in the scene's world, counter-clockwise from +X; None without a panorama."""
    node = panorama_node(scene.world)
    return None if node is None else float(node.inputs["Heading"].default_value)


def world_rotation_rad(scene: bpy.types.Scene, built_heading_rad: float) -> float:
    """The angle by which the artist has rotated the world since it was built."""
    heading_rad = current_heading_rad(scene)
    return 0.0 if heading_rad is None else heading_rad - built_heading_rad


def panorama_node(world: bpy.types.World | None) -> bpy.types.Node | None:
    """The add-on's node in a world."""
    tree = world.node_tree if world is not None else None
    for node in tree.nodes if tree is not None else ():
        if node.type == "GROUP" and node.node_tree is not None and mark_of(node.node_tree, "maker") == MAKER:
            return node
    return None


def shows_world(shading: bpy.types.View3DShading) -> bool:
    """Whether a viewport shows the scene's world."""
    return (shading.type == "MATERIAL" and shading.use_scene_world) or shading.type == "RENDERED"


def panorama_group(panorama: Path, heading_rad: float) -> bpy.types.NodeTree:
    """The node group of a panorama file: inputs Heading and Strength, output Background. One per file."""
    image = panorama_image(panorama)
    for group in bpy.data.node_groups:
        shows = any(getattr(node, "image", None) == image for node in group.nodes)
        if shows and mark_of(group, "maker") == MAKER and is_local(group):
            if not image.is_dirty:  # else the artist has painted on it
                image.reload()
            return group

    kind = " Light" if panorama.suffix == ".exr" else ""
    group = bpy.data.node_groups.new(f"Look Beyond {panorama.parent.name}{kind}", "ShaderNodeTree")
    group.use_fake_user = True  # the artist may switch back to it
    set_marks(group, {"maker": MAKER})
    strength = group.interface.new_socket("Strength", in_out="INPUT", socket_type="NodeSocketFloat")
    strength.default_value, strength.min_value = 1.0, 0.0
    angle_socket = group.interface.new_socket("Heading", in_out="INPUT", socket_type="NodeSocketFloat")
    angle_socket.subtype, angle_socket.default_value = "ANGLE", heading_rad
    angle_socket.description = "Direction of the panorama's centre, counter-clockwise from the X axis"
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
    mapping.vector_type = "TEXTURE"  # rotates the picture, not the coordinates: by +heading about Z
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
    """The add-on's own image of a panorama file, one per file; images that the artist has loaded are left alone."""
    for image in bpy.data.images:
        if mark_of(image, "maker") == MAKER and is_local(image) and absolute(image.filepath) == panorama.resolve():
            return image
    image = bpy.data.images.load(str(panorama), check_existing=False)
    image.filepath = as_stored(panorama)
    if panorama.suffix == ".exr":
        set_linear(image)
    set_marks(image, {"maker": MAKER})
    return image


def set_linear(image: bpy.types.Image) -> None:
    """Read an image's numbers as linear light of Rec. 709, wherever the colour configuration has a name for that.

    Else they stay in the configuration's own space for floats.
    """
    spaces = bpy.types.ColorManagedInputColorspaceSettings.bl_rna.properties["name"].enum_items.keys()
    name = next((name for name in LINEAR_SPACES if name in spaces), None)
    if name is not None:
        image.colorspace_settings.name = name
