"""Compositing: puts Blender's objects into the shot, in front of or behind what the frames show.

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
from .agreement import camera_note

NAME = "Look Beyond"
NODES = ("Objects", "Frames", "Depth", "Frames Size", "Depth Size", "Behind", "Over", "Result")
"""The add-on's nodes, after `NAME`: names are unique in a tree, so that a duplicate of one is the artist's."""
DEPTH_MARGIN = 1.03
"""Factor on the shot's depth, so that shadows on its surfaces are not hidden inside them."""


def composite_shot(scene: bpy.types.Scene) -> str:
    """Set up compositing for the scene's last shot; returns what was changed and is left to do. Raises `JobError`."""
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
    """Make the scene render its objects into the shot in `folder`; returns what was changed and is left to do.

    The artist's nodes and links stay: the add-on's nodes are made once and get the frames, and the output is linked to
    them unless a node of the artist's is linked there.
    """
    notes = render_notes(scene)
    tree = compositor_tree(scene)
    if not scene.render.film_transparent:
        scene.render.film_transparent = True
        notes.append("The film is transparent now.")
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
    output = output_socket(tree)
    linked = source_of(output)
    if linked is None or is_plain_render(linked, scene):
        tree.links.new(combined.outputs[0], output)
    elif not combined.outputs[0].is_linked:
        notes.append(f"The compositor outputs {linked.name}: link the node {combined.name} to its output.")
    if output != output.node.inputs[0]:
        notes.append(
            f"Blender shows only the first output of {tree.name}, {output.node.inputs[0].name}: move {output.name} to"
            " the top of the group's outputs."
        )
    stage = find_stage(scene)
    if stage is None:
        notes.append("Add the stage to let objects cast shadows on it in Cycles.")
    elif scene.render.engine == "CYCLES":
        make_shadow_catcher(stage)
    else:
        notes.append("Shadows on the stage need Cycles.")
    if scene.render.filepath in ("", "/tmp/", "/tmp\\"):
        target = output_folder(scene) / "composites" / folder.name
        scene.render.filepath = as_output(as_stored(target)) + "/"
        notes.append(f"The output goes to {target} now.")
    if (note := camera_note(scene, folder)) not in ("", *notes):
        notes.append(note)
    return f"Render Animation puts the scene's objects into the shot. {' '.join(notes)}".strip()


def render_notes(scene: bpy.types.Scene) -> list[str]:
    """What in a scene's render settings will make the composite another than the artist expects."""
    notes = []
    view, render = scene.view_settings, scene.render
    if view.view_transform != "Standard" or view.look != "None" or view.exposure != 0 or view.gamma != 1:
        notes.append(
            f"The view {view.view_transform} with its look and exposure changes the colours of the photo and of the"
            " frames: Match Photo Colours shows them as they are."
        )
    layers = [layer.name for layer in scene.view_layers if layer.use]
    if len(layers) > 1:
        notes.append(f"Only the objects of the view layer {layers[0]} are put in: link the others' nodes yourself.")
    if render.use_border and render.use_crop_to_border:
        notes.append("The frames are squeezed into the cropped render region: switch off Crop to Render Region.")
    if render.use_multiview:
        notes.append("Stereoscopy is on, but the frames are for one eye: switch it off.")
    tree = compositor_group(scene)
    was_off = not render.use_compositing or (bpy.app.version < (5, 0, 0) and not scene.use_nodes)
    if was_off and tree is not None and any(node.type not in ("COMPOSITE", "R_LAYERS") for node in tree.nodes):
        notes.append(f"The compositor was off: the nodes in {tree.name} take part in the render again.")
    return notes


def is_plain_render(node: bpy.types.Node, scene: bpy.types.Scene) -> bool:
    """Whether a node gives the scene's own render, as Blender's new compositors do."""
    used = [layer.name for layer in scene.view_layers if layer.use]
    return node.type == "R_LAYERS" and node.scene == scene and node.layer in used[:1]


def as_output(path: str) -> str:
    """A path as a render's output path: from Blender 4.5 on, braces mean variables there unless they are doubled."""
    return path if bpy.app.version < (4, 5, 0) else path.replace("{", "{{").replace("}", "}}")


def _show_shot(scene: bpy.types.Scene, tree: bpy.types.NodeTree, folder: Path, first_frame: int, frames: int) -> None:
    """Let the add-on's nodes show the scene's objects and these frames."""
    objects, shot, depth, behind = (tree.nodes[f"{NAME} {name}"] for name in ("Objects", "Frames", "Depth", "Behind"))
    objects.scene = scene
    objects.layer = next((layer for layer in scene.view_layers if layer.use), scene.view_layers[0]).name
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
    return composited_frames(scene) == str(folder / "frames")


def composited_frames(scene: bpy.types.Scene) -> str:
    """The folder of the frames that the scene's compositor shows; empty without compositing."""
    tree = compositor_group(scene)
    node = tree.nodes.get(f"{NAME} Frames") if tree is not None else None
    return str(mark_of(node.image, "sequence", "")) if node is not None and node.image is not None else ""


def other_shot_note(scene: bpy.types.Scene, folder: Path) -> str:
    """A sentence if the compositor shows another shot than the one in `folder`."""
    shown = composited_frames(scene)
    if not shown or shown == str(folder / "frames"):
        return ""
    return "The compositor still shows an earlier shot: press Set Up Compositing to show this one."


def compositor_group(scene: bpy.types.Scene) -> bpy.types.NodeTree | None:
    """The nodes that make a scene's output, wherever this Blender stores them; None if there are none."""
    if bpy.app.version < (5, 0, 0):
        return scene.node_tree
    if bpy.app.version < (5, 3, 0):
        return scene.compositing_node_group
    effect = compositor_effect(scene)
    return None if effect is None else effect.node_group


def compositor_effect(scene: bpy.types.Scene):
    """The compositor effect (Blender 5.3 on) with the add-on's nodes, else the last one that renders; or None."""
    effects = [effect for effect in scene.compositor_effects if effect.node_group is not None]
    own = [effect for effect in effects if effect.node_group.nodes.get(f"{NAME} Result") is not None]
    rendering = [effect for effect in effects if effect.enable_for_render]
    return next(iter([*own, *reversed(rendering)]), None)


def set_compositor_group(scene: bpy.types.Scene, tree: bpy.types.NodeTree) -> None:
    """Let a scene's output be made by these nodes (Blender 5.0 on)."""
    if bpy.app.version < (5, 3, 0):
        scene.compositing_node_group = tree
        return
    effect = compositor_effect(scene) or scene.compositor_effects.new(NAME)
    effect.node_group = tree


def compositor_tree(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    """The scene's compositor nodes, made if there are none; a copy if others use them too."""
    if bpy.app.version < (5, 0, 0):
        scene.use_nodes = True
        return scene.node_tree
    group = compositor_group(scene)
    if group is not None and (not is_local(group) or has_other_users(group, scene)):
        group = group.copy()  # the other scenes, or the library, keep theirs
        set_compositor_group(scene, group)
    if group is None:
        group = bpy.data.node_groups.new(NAME, "CompositorNodeTree")
        group.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        set_compositor_group(scene, group)
    return group


def output_socket(tree: bpy.types.NodeTree) -> bpy.types.NodeSocket:
    """The compositor's output for the image: the first of that type on the active output node."""
    kind = "CompositorNodeComposite" if bpy.app.version < (5, 0, 0) else "NodeGroupOutput"
    nodes = [node for node in tree.nodes if node.bl_idname == kind]
    node = next((node for node in nodes if getattr(node, "is_active_output", True)), None) or next(iter(nodes), None)
    if node is None:
        node = tree.nodes.new(kind)
        node.location = (350, 100)
    sockets = [socket for socket in node.inputs if socket.type == "RGBA"]
    if not sockets:
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        sockets = [socket for socket in node.inputs if socket.type == "RGBA"]
    return sockets[0]


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
