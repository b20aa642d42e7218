"""Compositing that puts Blender's objects into the shot, in front of or behind what the frames show.

The scene renders its objects alone (transparent film, lit by the world). A pixel shows an object where it is nearer
than the shot's depth, else the frame. In Cycles the stage catches the objects' shadows.
"""

from pathlib import Path

import bpy

from ..cameras import metres_per_unit
from ..marks import find_marked, has_other_users, is_local, mark_of, set_marks
from ..results import absolute, as_stored, output_folder
from ..tasks import JobError
from ..world.stage import find_stage, make_shadow_catcher

NAME = "Look Beyond"
NODES = ("Objects", "Frames", "Depth", "Frames Size", "Depth Size", "Behind", "Over", "Result")
"""The add-on's nodes, after `NAME`: names are unique in a tree, so that a duplicate of one is the artist's."""
DEPTH_MARGIN = 1.03
"""Factor on the shot's depth, so that shadows on its surfaces are not hidden inside them."""


def composite_shot(scene: bpy.types.Scene) -> str:
    """Set up compositing for the scene's last shot; returns what is left to do. Raises `JobError`."""
    settings = scene.look_beyond
    folder = absolute(settings.shot_folder)
    for file in (
        folder / "frames" / f"{settings.shot_first:04d}.png",
        folder / "depth" / f"{settings.shot_first:04d}.exr",
    ):
        if not file.is_file():
            raise JobError(f"The shot's file {file} is missing: shoot again.")
    return set_up_composite(scene, folder, settings.shot_first, settings.shot_frames)


def set_up_composite(scene: bpy.types.Scene, folder: Path, first_frame: int, frames: int) -> str:
    """Make the scene render its objects into the shot in `folder`; returns what is left to do.

    The artist's nodes and links stay: the add-on's nodes are made once and get the frames, and the output is linked to
    them unless a node of the artist's is linked there.
    """
    tree = compositor_tree(scene)
    scene.render.film_transparent = True
    scene.render.use_compositing = True
    for layer in scene.view_layers:
        layer.use_pass_z = True
    nodes = [tree.nodes.get(f"{NAME} {name}") for name in NODES]
    if None in nodes:
        for node in filter(None, nodes):
            tree.nodes.remove(node)
        _add_nodes(tree)
    combined = tree.nodes[f"{NAME} Result"]
    _show_shot(scene, tree, folder, first_frame, frames)
    notes = []
    output = output_socket(tree)
    linked = source_of(output)
    if linked is None or linked.type == "R_LAYERS":
        tree.links.new(combined.outputs[0], output)
    elif not combined.outputs[0].is_linked:
        notes.append(f"The compositor outputs {linked.name}: link the node {combined.name} to its output.")
    stage = find_stage(scene)
    if stage is None:
        notes.append("Add the stage to let objects cast shadows on it in Cycles.")
    elif scene.render.engine == "CYCLES":
        make_shadow_catcher(stage)
    else:
        notes.append("Shadows on the stage need Cycles.")
    if scene.render.filepath in ("", "/tmp/", "/tmp\\"):
        scene.render.filepath = as_stored(output_folder(scene) / "composites" / folder.name) + "/"
    return f"Render Animation puts the scene's objects into the shot. {' '.join(notes)}".strip()


def _show_shot(scene: bpy.types.Scene, tree: bpy.types.NodeTree, folder: Path, first_frame: int, frames: int) -> None:
    """Let the add-on's nodes show the scene's objects and these frames."""
    objects, shot, depth, behind = (tree.nodes[f"{NAME} {name}"] for name in ("Objects", "Frames", "Depth", "Behind"))
    objects.scene = scene
    show_sequence(shot, folder / "frames" / f"{first_frame:04d}.png", is_data=False)
    show_sequence(depth, folder / "depth" / f"{first_frame:04d}.exr", is_data=True)
    for node in (shot, depth):
        node.frame_start, node.frame_offset = first_frame, first_frame - 1
        node.frame_duration, node.use_auto_refresh = frames, True
    behind.inputs[1].default_value = DEPTH_MARGIN / metres_per_unit(scene)


def _add_nodes(tree: bpy.types.NodeTree) -> None:
    """Add the nodes that combine the scene's objects with the frames by depth, named by `NODES`."""

    def add(kind: str, name: str, location: tuple[float, float]) -> bpy.types.Node:
        node = tree.nodes.new(kind)
        node.name = node.label = f"{NAME} {name}"
        node.location = location
        return node

    objects = add("CompositorNodeRLayers", "Objects", (-700, 300))
    shot, depth = add("CompositorNodeImage", "Frames", (-700, -100)), add("CompositorNodeImage", "Depth", (-700, -450))
    shot_size = fit_to_render(add("CompositorNodeScale", "Frames Size", (-420, -100)))
    depth_size = fit_to_render(add("CompositorNodeScale", "Depth Size", (-420, -450)))
    behind = add("CompositorNodeMath" if bpy.app.version < (5, 0, 0) else "ShaderNodeMath", "Behind", (-200, -450))
    behind.operation = "MULTIPLY"
    over = add("CompositorNodeAlphaOver", "Over", (-200, 100))
    combined = add("CompositorNodeZcombine", "Result", (50, 100))
    if hasattr(combined, "use_alpha"):
        combined.use_alpha = False
    else:
        combined.inputs["Use Alpha"].default_value = False
    below, above = (socket for socket in over.inputs if socket.type == "RGBA")
    link = tree.links.new
    link(shot.outputs["Image"], shot_size.inputs[0])
    link(depth.outputs["Image"], depth_size.inputs[0])
    link(depth_size.outputs[0], behind.inputs[0])
    link(shot_size.outputs[0], below)
    link(objects.outputs["Image"], above)
    link(over.outputs["Image"], combined.inputs[0])
    link(objects.outputs["Depth"], combined.inputs[1])
    link(shot_size.outputs[0], combined.inputs[2])
    link(behind.outputs[0], combined.inputs[3])


def is_composited(scene: bpy.types.Scene, folder: Path) -> bool:
    """Whether the scene's compositor shows the shot in `folder`."""
    tree = scene.node_tree if bpy.app.version < (5, 0, 0) else scene.compositing_node_group
    node = tree.nodes.get(f"{NAME} Frames") if tree is not None else None
    return node is not None and node.image is not None and mark_of(node.image, "sequence") == str(folder / "frames")


def compositor_tree(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    """The scene's compositor nodes, wherever this Blender stores them."""
    if bpy.app.version < (5, 0, 0):
        scene.use_nodes = True
        return scene.node_tree
    group = scene.compositing_node_group
    if group is not None and (not is_local(group) or has_other_users(group, scene)):
        scene.compositing_node_group = group.copy()  # the other scenes, or the library, keep theirs
    if scene.compositing_node_group is None:
        tree = bpy.data.node_groups.new(NAME, "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        scene.compositing_node_group = tree
    return scene.compositing_node_group


def output_socket(tree: bpy.types.NodeTree) -> bpy.types.NodeSocket:
    """The input of the compositor's output node."""
    kind = "CompositorNodeComposite" if bpy.app.version < (5, 0, 0) else "NodeGroupOutput"
    node = next((node for node in tree.nodes if node.bl_idname == kind), None)
    if node is None:
        node = tree.nodes.new(kind)
        node.location = (350, 100)
    return node.inputs[0]


def source_of(socket: bpy.types.NodeSocket) -> bpy.types.Node | None:
    """The node linked to a socket, past the reroutes that Blender 4.5 adds by itself."""
    while socket.links:
        node = socket.links[0].from_node
        if node.type != "REROUTE":
            return node
        socket = node.inputs[0]
    return None


def fit_to_render(node: bpy.types.Node) -> bpy.types.Node:
    """Let a scale node scale to the size of the render."""
    if hasattr(node, "space"):
        node.space = "RENDER_SIZE"
    else:
        node.inputs["Type"].default_value = "Render Size"
    return node


def show_sequence(node: bpy.types.Node, file: Path, is_data: bool) -> None:
    """Let an image node show the image sequence that starts with a file; one image per folder.

    Colour spaces are not set by name, because configurations name theirs differently: colours keep Blender's default,
    depth is marked as data.

    A node loads its image at once, which blocks the window. So it gets a blank image that then becomes the sequence,
    whose files are loaded when they are needed.
    """
    untouched = (image for image in bpy.data.images if not image.is_dirty)  # the artist may have painted on some
    image = find_marked(untouched, sequence=str(file.parent))
    if image is None:
        image = bpy.data.images.new(file.parent.name, 1, 1)
        if is_data:
            image.colorspace_settings.is_data = True
        set_marks(image, {"sequence": str(file.parent)})
    image.source = "GENERATED"
    image.generated_width = image.generated_height = 1
    node.image = image
    image.source = "SEQUENCE"
    image.filepath_raw = as_stored(file)
