"""The stage's mesh: computed from a world's distances, and created in Blender step by step."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import bpy
import numpy as np

from ..kit import Panorama, Relief, equirectangular_directions
from ..known import HOLE, INVENTED, PHOTO, linear
from .geometry import WorldGeometry

TINT = "Known"
"""The mesh's colours: what is photo, invented and hole."""
FACES_AT_ONCE = 200
"""Faces between two checks of the time."""


@dataclass(frozen=True, eq=False)
class StageSurface:
    """The mesh as arrays, metres, in the panorama's frame: viewpoint at the origin, centre along +X."""

    vertices: np.ndarray
    """[N, 3] float32."""
    quads: np.ndarray
    """[F, 4] int32."""
    uv: np.ndarray
    """[4 F, 2] float32: texture coordinates of the faces' corners."""
    edges: np.ndarray
    """[E, 2] int32; Blender could find them itself, but would block the window."""
    corner_edges: np.ndarray
    """[4 F] int32: the edge from each corner of a face to the next."""
    tint: np.ndarray
    """[N, 4] float32, linear: the colour of what each vertex is, photo or invented or hole."""


def stage_surface(world: WorldGeometry, columns: int, is_plate: bool = False) -> StageSurface:
    """Quads between the centres of the panorama's pixels, except where the surface is torn. No bpy here.

    What the clean plate shows nobody saw: all of it counts as hole.
    """
    distance = world.panorama.distance
    step = max(1, distance.shape[1] // columns)
    distance = np.ascontiguousarray(distance[step // 2 :: step, step // 2 :: step])
    height, width = distance.shape
    blank = np.zeros((1, 2, 3), np.uint8), np.zeros((1, 2), np.uint8)
    torn = Relief(Panorama(blank[0], distance, blank[1])).torn.reshape(height + 1, width + 1)[1:height, 1:]
    vertices = (equirectangular_directions(width, height) * distance[..., None]).reshape(-1, 3)
    row, column = np.nonzero(~torn)
    right = (column + 1) % width
    # Counter-clockwise from inside, so that the normals point to the viewpoint.
    corners = [row * width + column, (row + 1) * width + column, (row + 1) * width + right, row * width + right]
    u = (column + 0.5) / width, (column + 1.5) / width
    v = 1 - (row + 0.5) / height, 1 - (row + 1.5) / height
    uv = np.stack(
        [np.stack([u[0], v[0]], 1), np.stack([u[0], v[1]], 1), np.stack([u[1], v[1]], 1), np.stack([u[1], v[0]], 1)], 1
    )
    quads = np.stack(corners, 1).astype(np.int32)
    edges, corner_edges = quad_edges(quads, len(vertices))
    tint = np.full((height, width, 4), (*linear(HOLE.colour), 1.0), np.float32)
    if not is_plate:
        mask = world.panorama.from_photo
        rows, columns_of = ((np.arange(n) + 0.5) / n for n in (height, width))
        seen = mask[np.ix_((rows * mask.shape[0]).astype(int), (columns_of * mask.shape[1]).astype(int))] > 127
        tint[..., :3] = np.where(seen[..., None], linear(PHOTO.colour), linear(INVENTED.colour))
    return StageSurface(
        vertices.astype(np.float32),
        quads,
        uv.reshape(-1, 2).astype(np.float32),
        edges,
        corner_edges,
        tint.reshape(-1, 4),
    )


def quad_edges(quads: np.ndarray, vertex_count: int) -> tuple[np.ndarray, np.ndarray]:
    """The edges [E, 2] of quads [F, 4], and for each corner [4 F] the index of the edge to the next one."""
    ends = np.stack([quads.ravel(), np.roll(quads, -1, 1).ravel()]).astype(np.int64)
    keys, corner_edges = np.unique(ends.min(0) * vertex_count + ends.max(0), return_inverse=True)
    return np.stack([keys // vertex_count, keys % vertex_count], 1).astype(np.int32), corner_edges.ravel().astype(
        np.int32
    )


class IncrementalMesh:
    """The stage's mesh, made by its attributes, piece by piece, so that the window goes on in between.

    Through `vertices` and `loops` it would take Blender ten times as long. Where the faces begin, Blender takes one by
    one: for half a million of them that alone is 30 ms. Between two pieces an undo may take the mesh away: it is looked
    for anew each time, and batch again.
    """

    SLICE_S = 0.001

    def __init__(self, surface: StageSurface) -> None:
        self._surface = surface
        self._uid = self._faces_started = 0
        self._steps: list[Callable[[bpy.types.Mesh], bool]] = []

    def step(self) -> bpy.types.Mesh | None:
        """Work for one slice; the mesh when it is whole."""
        mesh = next((one for one in bpy.data.meshes if one.session_uid == self._uid), None) if self._uid else None
        if mesh is None:
            mesh = bpy.data.meshes.new("Look Beyond Stage")
            self._uid, self._faces_started, self._steps = mesh.session_uid, 0, self._all_steps()
        ends = time.perf_counter() + self.SLICE_S
        while self._steps and time.perf_counter() < ends:
            if self._steps[0](mesh):
                del self._steps[0]
        if self._steps:
            return None
        mesh.update()
        return mesh

    def _all_steps(self) -> list[Callable[[bpy.types.Mesh], bool]]:
        surface = self._surface
        values = (
            ("position", "vector", surface.vertices),
            (".edge_verts", "value", surface.edges),
            (".corner_vert", "value", surface.quads),
            (".corner_edge", "value", surface.corner_edges),
            ("Panorama", "vector", surface.uv),
            (TINT, "color", surface.tint),
        )
        sizes = {
            "vertices": surface.vertices,
            "edges": surface.edges,
            "loops": surface.corner_edges,
            "polygons": surface.quads,
        }
        return [
            *(partial(self._add, name, len(of)) for name, of in sizes.items()),
            self._start_faces,
            lambda mesh: bool(mesh.uv_layers.new(name="Panorama")),
            self._add_tint,
            *(partial(self._set, *one) for one in values),
        ]

    def _add(self, name: str, number: int, mesh: bpy.types.Mesh) -> bool:
        getattr(mesh, name).add(number)
        return True

    def _add_tint(self, mesh: bpy.types.Mesh) -> bool:
        mesh.color_attributes.active_color = mesh.color_attributes.new(TINT, "FLOAT_COLOR", "POINT")
        return True

    def _set(self, name: str, kind: str, values: np.ndarray, mesh: bpy.types.Mesh) -> bool:
        mesh.attributes[name].data.foreach_set(kind, values.ravel())
        return True

    def _start_faces(self, mesh: bpy.types.Mesh) -> bool:
        faces, ends = mesh.polygons, time.perf_counter() + self.SLICE_S
        while self._faces_started < len(faces) and time.perf_counter() < ends:
            batch = range(self._faces_started, min(self._faces_started + FACES_AT_ONCE, len(faces)))
            for number in batch:
                faces[number].loop_start = 4 * number
            self._faces_started = batch.stop
        return self._faces_started == len(faces)
