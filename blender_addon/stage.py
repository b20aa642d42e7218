"""The stage: a world's distances as a mesh with the panorama on it, to walk through, place things on and
preview a shot, where the panorama alone is infinitely far away."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import bpy
import numpy as np
from lookbeyond_kit.geometry.panorama import Panorama
from lookbeyond_kit.geometry.projection import equirectangular_directions
from lookbeyond_kit.geometry.warping import Relief

from .cameras_from_blender import metres_per_unit
from .known_world import KnownWorld
from .results import stamp, stamped
from .world_nodes import our_node, panorama_image

MAKER, CATCHER = "stage", "stage_shadows"
FACES_AT_ONCE = 200
"""How many are begun between two looks at the clock."""


@dataclass(frozen=True, eq=False)
class StageSurface:
    """The mesh as arrays, seen from the panorama's origin with its centre along +X, metres."""

    vertices: np.ndarray
    """[N, 3] float32."""
    quads: np.ndarray
    """[F, 4] int32."""
    uv: np.ndarray
    """[4 F, 2] float32: where each face's corners lie in the panorama."""
    edges: np.ndarray
    """[E, 2] int32: Blender would find them itself, and hold the window meanwhile."""
    sides: np.ndarray
    """[4 F] int32: the edge from each face's corner to its next."""


def stage_surface(world: KnownWorld, columns: int) -> StageSurface:
    """Quads through the middles of the panorama's pixels, none where the surface is torn. No bpy in here."""
    distance = world.panorama.distance
    step = max(1, distance.shape[1] // columns)
    distance = np.ascontiguousarray(distance[step // 2 :: step, step // 2 :: step])
    height, width = distance.shape
    blank = np.zeros((1, 2, 3), np.uint8), np.zeros((1, 2), np.uint8)
    torn = Relief(Panorama(blank[0], distance, blank[1])).torn.reshape(height + 1, width + 1)[1:height, 1:]
    vertices = (equirectangular_directions(width, height) * distance[..., None]).reshape(-1, 3)
    row, column = np.nonzero(~torn)
    right = (column + 1) % width
    # Seen from inside: counter-clockwise, so that the normals look at the viewer.
    corners = [row * width + column, (row + 1) * width + column, (row + 1) * width + right, row * width + right]
    u = (column + 0.5) / width, (column + 1.5) / width
    v = 1 - (row + 0.5) / height, 1 - (row + 1.5) / height
    uv = np.stack(
        [np.stack([u[0], v[0]], 1), np.stack([u[0], v[1]], 1), np.stack([u[1], v[1]], 1), np.stack([u[1], v[0]], 1)], 1
    )
    quads = np.stack(corners, 1).astype(np.int32)
    edges, sides = edges_of(quads, len(vertices))
    return StageSurface(vertices.astype(np.float32), quads, uv.reshape(-1, 2).astype(np.float32), edges, sides)


def edges_of(quads: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The edges [E, 2] of quads [F, 4] over so many vertices, and which of them [4 F] each corner begins."""
    ends = np.stack([quads.ravel(), np.roll(quads, -1, 1).ravel()]).astype(np.int64)
    names, sides = np.unique(ends.min(0) * number + ends.max(0), return_inverse=True)
    return np.stack([names // number, names % number], 1).astype(np.int32), sides.ravel().astype(np.int32)


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


class MeshInPieces:
    """The stage's mesh, made by its attributes, piece by piece, so that the window goes on in between.

    Through `vertices` and `loops` it would take Blender ten times as long. Where the faces begin, Blender takes one by
    one: for half a million of them that alone is 30 ms. Between two pieces an undo may take the mesh away: it is looked
    for anew each time, and begun again.
    """

    SLICE_S = 0.001

    def __init__(self, surface: StageSurface) -> None:
        self._surface = surface
        self._uid = self._begun = 0
        self._pieces: list[Callable[[bpy.types.Mesh], bool]] = []

    def step(self) -> bpy.types.Mesh | None:
        """Work for one slice; the mesh when it is whole."""
        mesh = next((one for one in bpy.data.meshes if one.session_uid == self._uid), None) if self._uid else None
        if mesh is None:
            mesh = bpy.data.meshes.new("Look Beyond Stage")
            self._uid, self._begun, self._pieces = mesh.session_uid, 0, self._all()
        ends = time.perf_counter() + self.SLICE_S
        while self._pieces and time.perf_counter() < ends:
            if self._pieces[0](mesh):
                del self._pieces[0]
        if self._pieces:
            return None
        mesh.update()
        return mesh

    def _all(self) -> list[Callable[[bpy.types.Mesh], bool]]:
        surface = self._surface
        values = (
            ("position", "vector", surface.vertices),
            (".edge_verts", "value", surface.edges),
            (".corner_vert", "value", surface.quads),
            (".corner_edge", "value", surface.sides),
            ("Panorama", "vector", surface.uv),
        )
        sizes = {
            "vertices": surface.vertices,
            "edges": surface.edges,
            "loops": surface.sides,
            "polygons": surface.quads,
        }
        return [
            *(partial(self._add, name, len(of)) for name, of in sizes.items()),
            self._begin_faces,
            lambda mesh: bool(mesh.uv_layers.new(name="Panorama")),
            *(partial(self._set, *one) for one in values),
        ]

    def _add(self, name: str, number: int, mesh: bpy.types.Mesh) -> bool:
        getattr(mesh, name).add(number)
        return True

    def _set(self, name: str, kind: str, values: np.ndarray, mesh: bpy.types.Mesh) -> bool:
        mesh.attributes[name].data.foreach_set(kind, values.ravel())
        return True

    def _begin_faces(self, mesh: bpy.types.Mesh) -> bool:
        faces, ends = mesh.polygons, time.perf_counter() + self.SLICE_S
        while self._begun < len(faces) and time.perf_counter() < ends:
            begun = range(self._begun, min(self._begun + FACES_AT_ONCE, len(faces)))
            for number in begun:
                faces[number].loop_start = 4 * number
            self._begun = begun.stop
        return self._begun == len(faces)


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
