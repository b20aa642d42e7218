"""The stage: a world's distances as a mesh with the panorama on it, to walk through, place things on and
preview a shot, where the panorama alone is infinitely far away."""

import threading
from collections.abc import Iterator, Mapping

import bpy

from ..cameras import metres_per_unit
from ..kit import Progress
from ..marks import stamp, stamped, versions
from ..results import absolute
from ..service.job_scene import SceneOf
from ..tasks import Done, Event, Work
from ..undo import undoable
from ..viewports import viewports
from .known import KnownWorld, load_world
from .nodes import our_node, panorama_image
from .stage_mesh import MeshInPieces, stage_surface


def build_stage(context: bpy.types.Context, preview: bool = False) -> Work:
    """The stage of the scene's world, worked out in the thread; `preview` shows it through the scene's camera.

    Raises `JobError`.
    """
    scene = context.scene
    folder, columns = absolute(scene.look_beyond.world_folder), int(scene.look_beyond.stage_columns)
    where = SceneOf(scene)
    made: list[tuple[KnownWorld, MeshInPieces]] = []
    whole: list[bool] = []

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, "Reading the world's distances", None)
        world = load_world(folder)
        yield Progress(0.5, "Laying out the stage", None)
        made.append((world, MeshInPieces(stage_surface(world, columns))))
        yield Done()

    def finish(done: Done) -> str | None:
        scene = where.find()
        if scene is None:
            return "The stage's scene is not open any more."
        world, pieces = made[0]
        mesh = pieces.step()
        if mesh is None:
            return None
        if not whole:
            whole.append(True)
            return None  # showing it has a tick of its own
        record = {"folder": str(folder), "columns": columns, **versions()}
        stage = show_stage(scene, world, mesh, record)
        shows_stage(scene, True)
        for space in viewports():
            (preview_in if preview else show_in)(space)
        return f"The stage has {len(stage.data.polygons)} faces. Renders see it when you set up compositing."

    return Work("Stage", steps, undoable("Add Stage", finish))


MAKER, CATCHER = "stage", "stage_shadows"


def stage_of(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The scene's stage."""
    return next((thing for thing in scene.objects if stamped(thing, "maker") == MAKER), None)


def shows_stage(scene: bpy.types.Scene, shown: bool) -> bool:
    """Show the stage in the viewports, or hide it as the eye in the outliner does; whether that changed anything."""
    changed, stage = False, stage_of(scene)
    for layer in scene.view_layers if stage is not None else ():
        if stage.name in layer.objects and stage.hide_get(view_layer=layer) == shown:
            stage.hide_set(not shown, view_layer=layer)
            changed = True
    return changed


def show_stage(
    scene: bpy.types.Scene, world: KnownWorld, mesh: bpy.types.Mesh, record: Mapping[str, object]
) -> bpy.types.Object:
    """Put the stage into the scene, or its new mesh (see `MeshInPieces`) in the place of the former one.

    It stands where the panorama was seen from and turns with the world's Heading. Renders do not see it until
    a composite asks for it.
    """
    mesh.materials.append(stage_material(panorama_image(world.folder / "panorama.png")))

    stage = stage_of(scene)
    if stage is None:
        stage = bpy.data.objects.new(mesh.name, mesh)
        scene.collection.objects.link(stage)
        stage.hide_render = True
        stamp(stage, {"maker": MAKER})
    else:
        former, stage.data = stage.data, mesh
        if not former.users:
            bpy.data.meshes.remove(former)
        if stage.is_shadow_catcher:
            catch_shadows(stage)
    unit_m = metres_per_unit(scene)
    stage.location = world.panorama.position / unit_m
    stage.scale = (1 / unit_m,) * 3
    stage.rotation_euler = (0.0, 0.0, world.panorama.heading_rad)
    turn_with_world(stage, scene.world)
    stamp(stage, record)
    return stage


def turn_with_world(stage: bpy.types.Object, world: bpy.types.World | None) -> None:
    """Have the stage turn as the panorama's node in the world is turned."""
    stage.driver_remove("rotation_euler", 2)
    node = our_node(world)
    if node is None:
        return
    driver = stage.driver_add("rotation_euler", 2).driver
    driver.type = "SUM"
    variable = driver.variables.new()
    target = variable.targets[0]
    target.id_type, target.id = "WORLD", world
    index = node.inputs.find("Heading")
    target.data_path = f'node_tree.nodes["{bpy.utils.escape_identifier(node.name)}"].inputs[{index}].default_value'


def catch_shadows(stage: bpy.types.Object) -> None:
    """Have renders see nothing of the stage but the shadows on it (Cycles).

    It only catches: the world's light passes, and the objects do not see it. A surface that shines by itself catches
    none, so that the object gets a dull material of its own over that of its mesh.
    """
    stage.hide_render, stage.is_shadow_catcher = False, True
    stage.visible_shadow = stage.visible_diffuse = stage.visible_glossy = stage.visible_transmission = False
    shining = stage.data.materials[0]
    image = next(node.image for node in shining.node_tree.nodes if node.type == "TEX_IMAGE")
    stage.material_slots[0].link = "OBJECT"
    stage.material_slots[0].material = stage_material(image, CATCHER)


def stage_material(image: bpy.types.Image, maker: str = MAKER) -> bpy.types.Material:
    """Shines with the panorama, looked up exactly by the direction from the stage's own origin; or, as a CATCHER, is
    dull and white. In the viewport's solid mode both show the panorama. Made once for each picture."""
    for material in bpy.data.materials:
        if stamped(material, "maker") == maker and any(
            getattr(node, "image", None) == image for node in material.node_tree.nodes
        ):
            return material
    material = bpy.data.materials.new(f"Look Beyond {'Stage' if maker == MAKER else 'Shadows'} {image.name}")
    stamp(material, {"maker": maker})
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()

    def add(kind: str, place: tuple[float, float]) -> bpy.types.Node:
        node = tree.nodes.new(kind)
        node.location = place
        return node

    flat = add("ShaderNodeTexImage", (-300, -300))
    flat.label, flat.image = "For the viewport's solid mode", image
    surface = add("ShaderNodeEmission" if maker == MAKER else "ShaderNodeBsdfDiffuse", (0, 0))
    if maker == MAKER:
        coordinates, texture = add("ShaderNodeTexCoord", (-500, 0)), add("ShaderNodeTexEnvironment", (-300, 0))
        texture.image = image
        tree.links.new(coordinates.outputs["Object"], texture.inputs["Vector"])
        tree.links.new(texture.outputs["Color"], surface.inputs["Color"])
    tree.links.new(surface.outputs[0], add("ShaderNodeOutputMaterial", (200, 0)).inputs["Surface"])
    tree.nodes.active = flat
    return material


def show_in(space: bpy.types.SpaceView3D) -> None:
    """Have a viewport in solid mode show the panorama on the stage, and let one look into it from outside."""
    shading = space.shading
    if shading.type == "SOLID":
        shading.light, shading.color_type, shading.show_backface_culling = "FLAT", "TEXTURE", True


def preview_in(space: bpy.types.SpaceView3D) -> None:
    """Show a viewport the stage as it is, through the scene's camera."""
    space.shading.type = "SOLID"
    show_in(space)
    space.shading.show_backface_culling = False
    if space.region_3d is not None:
        space.region_3d.view_perspective = "CAMERA"
