"""The stage: a mesh of the world's distances with the panorama as its texture.

Unlike the panorama alone, which is infinitely far away, it shows parallax: for placing objects and previewing shots.
"""

import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import bpy

from ..cameras import metres_per_unit
from ..kit import Progress
from ..made import made_objects, remember_made
from ..marks import PREFIX, find_marked, mark_of, set_marks, versions
from ..moved import present_path
from ..results import absolute
from ..service.job_scene import JobScene
from ..tasks import Event, Succeeded, Task
from ..undo import undoable
from ..viewports import viewports
from .geometry import PLATE_DISTANCE_FILE, PLATE_FILE, WorldGeometry, has_plate, load_world_geometry
from .materials import add_node, find_material, new_material
from .nodes import panorama_image, panorama_node
from .stage_mesh import TINT, IncrementalMesh, stage_surface

MAKER, CATCHER, PLATE = "stage", "stage_shadows", "stage_plate"
LIT = ("MESH", "SURFACE", "META", "FONT", "CURVES", "POINTCLOUD", "VOLUME")
"""Types of objects whose surfaces light falls on."""
PLATE_SCALE = 1.01
"""The plate stands a little behind the stage: where both show the same wall, neither flickers."""


def build_stage(context: bpy.types.Context, preview: bool = False) -> Task:
    """A task that makes the stage of the scene's world; `preview` shows it through the scene's camera."""
    scene = context.scene
    folder, columns = absolute(scene.look_beyond.world_folder), int(scene.look_beyond.stage_columns)
    job_scene = JobScene(scene)
    computed: list[tuple[WorldGeometry, IncrementalMesh]] = []
    complete: list[bpy.types.Mesh] = []  # the stage's, then the plate's

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, "Reading the world's distances", None)
        worlds = [load_world_geometry(present_path(folder))]
        if has_plate(present_path(folder)):
            worlds.append(load_world_geometry(present_path(folder), PLATE_DISTANCE_FILE))
        yield Progress(0.5, "Computing the stage", None)
        computed.extend(
            (world, IncrementalMesh(stage_surface(world, columns, is_plate=at > 0))) for at, world in enumerate(worlds)
        )
        yield Succeeded()

    def finish(result: Succeeded) -> str | None:
        scene = job_scene.find()
        if scene is None:
            return "The stage's scene is no longer open."
        if len(complete) < len(computed):
            mesh = computed[len(complete)][1].step()
            if mesh is not None:
                complete.append(mesh)
            return None  # placing them gets a separate tick
        record = {"folder": str(folder), "columns": columns, **versions()}
        stage = place_stage(scene, computed[0][0], complete[0], record)
        if len(complete) > 1:
            place_plate(scene, stage, computed[1][0].folder, complete[1])
        else:
            remove_plate(scene)
        set_stage_visible(scene, True)
        for space in viewports():
            show_stage(scene, space)
            if preview and space.region_3d is not None:
                space.region_3d.view_perspective = "CAMERA"
                space.shading.show_backface_culling = False
        return f"The stage has {len(stage.data.polygons)} faces. Renders show it once you set up compositing."

    return Task("Stage", steps, undoable("Add Stage", finish))


def find_stage(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The scene's stage; None if it has none."""
    return find_marked(made_objects(scene), maker=MAKER)


def find_plate(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """What stands behind the scene's stage: the mesh of its world's clean plate; None if it has none."""
    return find_marked(made_objects(scene), maker=PLATE)


def set_stage_visible(scene: bpy.types.Scene, visible: bool) -> bool:
    """Show or hide stage and plate in the viewports, like the eye in the outliner; returns whether that changed
    anything."""
    return _set_eyes(scene, (find_stage(scene), find_plate(scene)), visible)


def _set_eyes(scene: bpy.types.Scene, things: tuple[bpy.types.Object | None, ...], visible: bool) -> bool:
    changed = False
    for thing in filter(None, things):
        for layer in scene.view_layers:
            if thing.name in layer.objects and thing.hide_get(view_layer=layer) == visible:
                thing.hide_set(not visible, view_layer=layer)
                changed = True
    return changed


def is_plate_visible(scene: bpy.types.Scene) -> bool:
    """Whether the eye of the scene's clean plate is open."""
    plate = find_plate(scene)
    return plate is not None and any(
        plate.name in layer.objects and not plate.hide_get(view_layer=layer) for layer in scene.view_layers
    )


def set_plate_visible(scene: bpy.types.Scene, visible: bool) -> None:
    """Show or hide the clean plate alone."""
    _set_eyes(scene, (find_plate(scene),), visible)


def place_plate(scene: bpy.types.Scene, stage: bpy.types.Object, folder: Path, mesh: bpy.types.Mesh) -> None:
    """Put the mesh of the clean plate behind the stage, or give the existing one this mesh. It moves with the stage."""
    mesh.materials.append(stage_material(panorama_image(folder / PLATE_FILE)))
    mesh.name = "Clean Plate"
    plate = _with_mesh(scene, find_plate(scene), mesh, PLATE)
    plate.parent, plate.scale, plate.hide_render = stage, (PLATE_SCALE,) * 3, True


def remove_plate(scene: bpy.types.Scene) -> None:
    """Take the clean plate out of a scene whose world has none; other scenes keep theirs."""
    plate = find_plate(scene)
    if plate is None:
        return
    if len(plate.users_scene) > 1:
        _leave(scene, plate)
    else:
        bpy.data.objects.remove(plate)


def _leave(scene: bpy.types.Scene, thing: bpy.types.Object) -> None:
    """Take an object out of a scene; other scenes keep it."""
    if scene.collection.objects.get(thing.name) == thing:
        scene.collection.objects.unlink(thing)


def _with_mesh(
    scene: bpy.types.Scene, thing: bpy.types.Object | None, mesh: bpy.types.Mesh, maker: str
) -> bpy.types.Object:
    """The object with a new mesh; a new one if there is none yet, or if other scenes use it."""
    set_marks(mesh, {"maker": maker})
    if thing is not None and len(thing.users_scene) > 1:
        _leave(scene, thing)
        thing = None
    if thing is None:
        thing = bpy.data.objects.new(mesh.name, mesh)
        scene.collection.objects.link(thing)
        thing.hide_render = True
        set_marks(thing, {"maker": maker})
        remember_made(scene, thing)
    else:
        former, thing.data = thing.data, mesh
        if not former.users and mark_of(former, "maker") == maker:
            bpy.data.meshes.remove(former)
    return thing


def place_stage(
    scene: bpy.types.Scene, world: WorldGeometry, mesh: bpy.types.Mesh, record: Mapping[str, object]
) -> bpy.types.Object:
    """Put the stage into the scene, or give the existing one a new mesh (see `IncrementalMesh`).

    It stands at the panorama's viewpoint and rotates with the world's Heading. Renders do not show it before
    compositing is set up.
    """
    panorama = panorama_image(world.folder / "panorama.png")
    mesh.materials.append(stage_material(panorama))
    stage = _with_mesh(scene, find_stage(scene), mesh, MAKER)
    stage[PREFIX + "panorama"] = panorama
    if stage.is_shadow_catcher:
        make_shadow_catcher(stage)
    unit_m = metres_per_unit(scene)
    stage.location = world.panorama.position / unit_m
    stage.scale = (1 / unit_m,) * 3
    stage.rotation_euler = (0.0, 0.0, world.panorama.heading_rad)
    follow_world_heading(stage, scene.world)
    set_marks(stage, record)
    return stage


def follow_world_heading(stage: bpy.types.Object, world: bpy.types.World | None) -> None:
    """Rotate the stage with the Heading of the world's panorama node, by a driver."""
    stage.driver_remove("rotation_euler", 2)
    node = panorama_node(world)
    if node is None:
        return
    driver = stage.driver_add("rotation_euler", 2).driver
    driver.type = "SUM"
    variable = driver.variables.new()
    target = variable.targets[0]
    target.id_type, target.id = "WORLD", world
    index = node.inputs.find("Heading")
    target.data_path = f'node_tree.nodes["{bpy.utils.escape_identifier(node.name)}"].inputs[{index}].default_value'


def make_shadow_catcher(stage: bpy.types.Object) -> None:
    """Let Cycles render only the shadows on the stage.

    The stage neither blocks the world's light nor reflects in objects. An emissive surface catches no shadows, so the
    object gets a diffuse material that overrides the mesh's.
    """
    stage.hide_render, stage.is_shadow_catcher = False, True
    stage.visible_shadow = stage.visible_diffuse = stage.visible_glossy = stage.visible_transmission = False
    panorama = mark_of(stage, "panorama")
    if not stage.material_slots:
        stage.data.materials.append(stage_material(panorama))
    stage.material_slots[0].link = "OBJECT"
    stage.material_slots[0].material = stage_material(panorama, CATCHER)


def stage_material(image: bpy.types.Image, maker: str = MAKER) -> bpy.types.Material:
    """The stage's material, one per image: emits the panorama's colour in the direction from the stage's origin.

    For CATCHER it is diffuse white. In the viewport's solid mode both show the panorama.
    """
    material = find_material(maker, image)
    if material is not None:
        return material
    material = new_material(f"Look Beyond {'Stage' if maker == MAKER else 'Shadows'} {image.name}", maker)
    material.use_backface_culling = True  # one looks into the room from outside
    tree, add = material.node_tree, partial(add_node, material)
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


def show_stage(scene: bpy.types.Scene, space: bpy.types.SpaceView3D) -> None:
    """Let a viewport in solid mode show the stage's picture; with objects of the artist, lit by the world.

    Solid mode is quicker, but it would show them as silhouettes: the stage must not be shaded.
    """
    shading = space.shading
    if shading.type != "SOLID":
        return
    if has_lit_objects(scene):
        shading.type, shading.use_scene_world = "MATERIAL", True
    else:
        show_texture(space)


def has_lit_objects(scene: bpy.types.Scene) -> bool:
    """Whether the scene has visible objects with surfaces that the add-on did not make."""
    own = set(made_objects(scene))
    return any(thing.type in LIT and thing not in own and thing.visible_get() for thing in scene.objects)


def show_texture(space: bpy.types.SpaceView3D) -> None:
    """Let a viewport in solid mode show the panorama on the stage, and see into it from outside."""
    shading = space.shading
    shading.light, shading.color_type = "FLAT", "TEXTURE"
    shading.show_backface_culling = True


def show_known(space: bpy.types.SpaceView3D) -> None:
    """Let a viewport show in colours what of the stage is photo, invented and hole (see `known`)."""
    shading = space.shading
    shading.type, shading.light, shading.color_type = "SOLID", "STUDIO", "VERTEX"
    shading.show_backface_culling = True


def shows_known(space: bpy.types.SpaceView3D) -> bool:
    """Whether a viewport shows in colours what is photo, invented and hole."""
    return space.type == "VIEW_3D" and space.shading.type == "SOLID" and space.shading.color_type == "VERTEX"


def shows_tint(stage: bpy.types.Object | None) -> bool:
    """Whether a stage has these colours: those of former versions have none."""
    return stage is not None and stage.data.color_attributes.get(TINT) is not None
