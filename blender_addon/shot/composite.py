"""Blender's objects in the shot: a compositing set-up that puts them before or behind what the frames show.

The scene renders its objects alone (transparent film, lit by the world); each pixel then is the object where it
is nearer than the shot's own depth, else the frame. On Cycles the stage catches their shadows.
"""

from pathlib import Path

import bpy

from ..cameras import metres_per_unit
from ..marks import stamp, stamped
from ..results import absolute, as_stored, output_folder
from ..tasks import JobError
from ..world.stage import catch_shadows, stage_of


def composite_shot(scene: bpy.types.Scene) -> str:
    """Put the scene's objects into its last shot. Raises `JobError` for one whose files are gone."""
    settings = scene.look_beyond
    folder = absolute(settings.shot_folder)
    for file in (
        folder / "frames" / f"{settings.shot_first:04d}.png",
        folder / "depth" / f"{settings.shot_first:04d}.exr",
    ):
        if not file.is_file():
            raise JobError(f"The shot's file {file} is not there any more: shoot again.")
    return set_up_composite(scene, folder, settings.shot_first, settings.shot_frames)


NAME = "Look Beyond"
BEHIND = 1.03
"""How much farther than measured the shot's surfaces count, so that shadows on them are not hidden in them."""


def set_up_composite(scene: bpy.types.Scene, folder: Path, first_frame: int, frames: int) -> str:
    """Make the scene render its objects into the shot in `folder`, and say what is left to do.

    What the artist has in the compositor stays: nodes of ours are replaced by newer ones, and the output is
    linked to ours unless something of the artist's is linked there.
    """
    frame_files = folder / "frames" / f"{first_frame:04d}.png"
    depth_files = folder / "depth" / f"{first_frame:04d}.exr"
    tree = compositor_tree(scene)
    for node in [node for node in tree.nodes if node.name.startswith(NAME)]:
        tree.nodes.remove(node)
    scene.render.film_transparent = True
    scene.render.use_compositing = True
    for layer in scene.view_layers:
        layer.use_pass_z = True

    def add(kind: str, name: str, place: tuple[float, float]) -> bpy.types.Node:
        node = tree.nodes.new(kind)
        node.name = node.label = f"{NAME} {name}"
        node.location = place
        return node

    render = add("CompositorNodeRLayers", "Objects", (-700, 300))
    render.scene = scene
    shot = add("CompositorNodeImage", "Frames", (-700, -100))
    depth = add("CompositorNodeImage", "Depth", (-700, -450))
    for node, file, is_data in ((shot, frame_files, False), (depth, depth_files, True)):
        show_sequence(node, file, is_data)
        node.frame_start, node.frame_offset = first_frame, first_frame - 1
        node.frame_duration, node.use_auto_refresh = frames, True
    sizes = [
        fitted(add("CompositorNodeScale", f"{name} Size", place))
        for name, place in (("Frames", (-420, -100)), ("Depth", (-420, -450)))
    ]
    farther = add("CompositorNodeMath" if bpy.app.version < (5, 0, 0) else "ShaderNodeMath", "Behind", (-200, -450))
    farther.operation = "MULTIPLY"
    farther.inputs[1].default_value = BEHIND / metres_per_unit(scene)
    over = add("CompositorNodeAlphaOver", "Over", (-200, 100))
    nearer = add("CompositorNodeZcombine", "Result", (50, 100))
    if hasattr(nearer, "use_alpha"):
        nearer.use_alpha = False
    else:
        nearer.inputs["Use Alpha"].default_value = False
    link = tree.links.new
    link(shot.outputs["Image"], sizes[0].inputs[0])
    link(depth.outputs["Image"], sizes[1].inputs[0])
    link(sizes[1].outputs[0], farther.inputs[0])
    pictures = [socket for socket in over.inputs if socket.type == "RGBA"]
    link(sizes[0].outputs[0], pictures[0])
    link(render.outputs["Image"], pictures[1])
    link(over.outputs["Image"], nearer.inputs[0])
    link(render.outputs["Depth"], nearer.inputs[1])
    link(sizes[0].outputs[0], nearer.inputs[2])
    link(farther.outputs[0], nearer.inputs[3])

    said = []
    result = output_socket(tree)
    taken = source_of(result)
    if taken is None or taken.type == "R_LAYERS":
        link(nearer.outputs[0], result)
    else:
        said.append(f"The compositor shows {taken.name}: link the node {nearer.name} to its output.")
    stage = stage_of(scene)
    if stage is not None and scene.render.engine == "CYCLES":
        catch_shadows(stage)
    elif stage is None:
        said.append("Add the stage, and Cycles lets objects cast their shadows on it.")
    else:
        said.append("Shadows on the stage need Cycles.")
    if scene.render.filepath in ("", "/tmp/", "/tmp\\"):
        scene.render.filepath = as_stored(output_folder(scene) / "composites" / folder.name) + "/"
    return f"Render Animation puts the scene's objects into the shot. {' '.join(said)}".strip()


def composites(scene: bpy.types.Scene, folder: Path) -> bool:
    """Whether the scene is set up for the shot in `folder` already."""
    tree = scene.node_tree if bpy.app.version < (5, 0, 0) else scene.compositing_node_group
    node = tree.nodes.get(f"{NAME} Frames") if tree is not None else None
    return node is not None and node.image is not None and stamped(node.image, "sequence") == str(folder / "frames")


def compositor_tree(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    """The scene's compositor nodes, wherever this Blender keeps them."""
    if bpy.app.version < (5, 0, 0):
        scene.use_nodes = True
        return scene.node_tree
    if scene.compositing_node_group is None:
        tree = bpy.data.node_groups.new(NAME, "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        scene.compositing_node_group = tree
    return scene.compositing_node_group


def output_socket(tree: bpy.types.NodeTree) -> bpy.types.NodeSocket:
    """Where the picture goes that is rendered."""
    kind = "CompositorNodeComposite" if bpy.app.version < (5, 0, 0) else "NodeGroupOutput"
    node = next((node for node in tree.nodes if node.bl_idname == kind), None)
    if node is None:
        node = tree.nodes.new(kind)
        node.location = (350, 100)
    return node.inputs[0]


def source_of(socket: bpy.types.NodeSocket) -> bpy.types.Node | None:
    """The node that a socket's picture is from, past the reroutes that Blender 4.5 lays by itself."""
    while socket.links:
        node = socket.links[0].from_node
        if node.type != "REROUTE":
            return node
        socket = node.inputs[0]
    return None


def fitted(node: bpy.types.Node) -> bpy.types.Node:
    """A scale node that brings what comes to the render's size."""
    if hasattr(node, "space"):
        node.space = "RENDER_SIZE"
    else:
        node.inputs["Type"].default_value = "Render Size"
    return node


def show_sequence(node: bpy.types.Node, file: Path, is_data: bool) -> None:
    """Have an image node show the image sequence that begins with a file; one image per folder.

    Its colour space is not named, for configurations name theirs as they like: colours are in the one that Blender
    gives to pictures, data in the one that is not colour.

    A node that is given an image reads it at once, and the window waits. So it is given a blank one, which becomes
    the sequence: its files are read when they are needed.
    """
    image = next((one for one in bpy.data.images if stamped(one, "sequence") == str(file.parent)), None)
    if image is None:
        image = bpy.data.images.new(file.parent.name, 1, 1)
        if is_data:
            image.colorspace_settings.is_data = True
        stamp(image, {"sequence": str(file.parent)})
    image.source = "GENERATED"
    image.generated_width = image.generated_height = 1
    node.image = image
    image.source = "SEQUENCE"
    image.filepath_raw = as_stored(file)
