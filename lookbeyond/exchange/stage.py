"""A world as objects to walk among: the room's surfaces, what stands out from them, and a simple collider.

Each wall, the floor and the ceiling is a flat face with a picture of its own, taken from the clean plate. What stands
before them are surfaces of the distance map, cut where it is torn, each an object that shows the panorama itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.layout import RoomLayout
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import equirectangular_directions, sample_equirectangular
from lookbeyond.geometry.warping import Tears

STANDS_OUT = 0.95
"""What is nearer than this share of the distance to the room's surface stands out of it."""
LEAST_SHARE = 2e-4
"""Share of the sphere: anything smaller is not an object."""
TEXEL_M = 0.006
MAX_TEXTURE = 2048
"""Pixels along a side of a face's picture."""
FLOOR_GAP_M = 0.35
"""What ends nearer than this to the floor stands on it: its lower edge was only hidden."""
COLLIDER_COLUMNS, COLLIDER_ROWS = 20, 10
PANORAMA = "panorama"
"""Name of the picture that all things share."""


@dataclass(frozen=True, eq=False)
class MeshPart:
    """A named object: triangles, counter-clockwise from the side that is to be seen, in the world (Z up, metres)."""

    name: str
    vertices: NDArray[np.float32]
    """[V, 3]"""
    triangles: NDArray[np.uint32]
    """[T, 3]"""
    uv: NDArray[np.float32]
    """[V, 2] right and down from the picture's upper left corner, 0..1; a panorama's u goes on beyond 1 at its seam."""
    texture: str | None = None
    """Name of the picture."""


@dataclass(frozen=True, eq=False)
class WorldMeshes:
    parts: Sequence[MeshPart]
    textures: dict[str, NDArray[np.uint8]]
    """By name: [h, w, 3], sRGB."""
    layout: RoomLayout | None
    boxes: Sequence["Box"]
    """Around each thing that stands out."""


@dataclass(frozen=True, eq=False)
class Box:
    """An upright box: around one thing."""

    name: str
    corners: NDArray[np.float64]
    """[4, 2], counter-clockwise seen from above, metres."""
    bottom_z: float
    top_z: float


def stage_of(world: Panorama) -> WorldMeshes:
    """The stage of a world. Where no room was found the whole distance map is one object, and there are no boxes."""
    textures: dict[str, NDArray[np.uint8]] = {PANORAMA: world.colour}
    layout = world.layout
    if layout is None or not layout.contains(world.position):
        world = replace(world, distance=_halved(world.distance), plate=None)
        height, width = world.distance.shape
        rays = equirectangular_directions(width, height, world.heading_rad)
        everything = _relief_parts(world, rays, np.ones((height, width), bool), ["place"])
        return WorldMeshes(everything, textures, None, [])
    height, width = world.distance.shape
    rays = equirectangular_directions(width, height, world.heading_rad)
    parts = []
    source = world.plate_panorama if world.plate is not None else world
    for name, corner, across, down, outline in _faces(layout):
        part, texture = _face_part(source, name, corner, across, down, outline)
        parts.append(part)
        textures[name] = texture
    shell, _ = layout.cast(world.position, rays)
    things = _relief_parts(world, rays, world.distance < STANDS_OUT * shell, None)
    boxes = [_box_around(thing, layout) for thing in things]
    return WorldMeshes([*parts, *things], textures if things else _without(textures, PANORAMA), layout, boxes)


def _halved(distance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Half as many pixels each way; what is averaged is the inverse, which is linear on planes."""
    height, width = distance.shape
    if height % 2 or width % 4:
        return distance
    return (1 / (1 / distance).reshape(height // 2, 2, width // 2, 2).mean((1, 3))).astype(np.float32)


def collider_of(stage: WorldMeshes, world: Panorama) -> MeshPart:
    """A few hundred triangles that keep a walker in: the room's faces and the boxes, or a coarse sphere of surfaces."""
    if stage.layout is None:
        return _coarse(world)
    vertices, triangles = [], []
    for _, corner, across, down, outline in _faces(stage.layout):
        points = corner + outline[:, :1] * across + outline[:, 1:] * down
        _append(vertices, triangles, points, _ears(outline))
    for box in stage.boxes:
        low, high = (np.column_stack([box.corners, np.full(4, z)]) for z in (box.bottom_z, box.top_z))
        sides = [[i, (i + 1) % 4, (i + 1) % 4 + 4, i + 4] for i in range(4)]
        quads = np.array([[3, 2, 1, 0], [4, 5, 6, 7], *sides])
        _append(vertices, triangles, np.concatenate([low, high]), np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]]))
    points = np.concatenate(vertices).astype(np.float32)
    return MeshPart(
        "collider", points, np.concatenate(triangles).astype(np.uint32), np.zeros((len(points), 2), np.float32)
    )


def _append(vertices: list, triangles: list, points: NDArray, faces: NDArray) -> None:
    triangles.append(np.asarray(faces) + sum(len(some) for some in vertices))
    vertices.append(points)


def _without(textures: dict, name: str) -> dict:
    return {key: value for key, value in textures.items() if key != name}


# --- the room's faces -------------------------------------------------------------------------------------


def _faces(layout: RoomLayout) -> list[tuple[str, NDArray, NDArray, NDArray, NDArray]]:
    """Name, corner [3], unit axes across and down [3] as seen from inside, outline [n, 2] in metres along them.

    Outlines are counter-clockwise as seen from inside: in axes of which one points down that is clockwise in numbers.
    """
    faces = []
    for number, (start, direction, length, _) in enumerate(zip(*layout.walls(), strict=True), 1):
        # seen from inside, a wall's end is on its left: corners run counter-clockwise seen from above
        end = start + length * direction
        corner, across = np.array([*end, layout.ceiling_z]), np.array([*-direction, 0.0])
        outline = np.array([[0, 0], [0, layout.height], [length, layout.height], [length, 0]])
        faces.append((f"wall {number}", corner, across, np.array([0.0, 0, -1]), outline))
    low, high = layout.corners.min(0), layout.corners.max(0)
    # looking down at the floor, x to the right, y is up: down is -y; looking up at the ceiling y is down
    floor = layout.corners - (low[0], high[1])
    faces.append(
        (
            "floor",
            np.array([low[0], high[1], layout.floor_z]),
            np.array([1.0, 0, 0]),
            np.array([0, -1.0, 0]),
            floor * (1, -1),
        )
    )
    ceiling = (layout.corners - low)[::-1]
    faces.append(("ceiling", np.array([*low, layout.ceiling_z]), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), ceiling))
    return faces


def _face_part(
    source: Panorama, name: str, corner: NDArray, across: NDArray, down: NDArray, outline: NDArray
) -> tuple[MeshPart, NDArray[np.uint8]]:
    size = np.maximum(outline.max(0), 1e-3)
    width, height = (int(np.clip(math.ceil(side / TEXEL_M), 8, MAX_TEXTURE)) for side in size)
    u, v = (np.arange(width) + 0.5) / width * size[0], (np.arange(height)[:, None] + 0.5) / height * size[1]
    points = corner + u[..., None] * across + v[..., None] * down
    texture = sample_equirectangular(source.colour, points - source.position, source.heading_rad)
    vertices = corner + outline[:, :1] * across + outline[:, 1:] * down
    part = MeshPart(name, vertices.astype(np.float32), _ears(outline), (outline / size).astype(np.float32), name)
    return part, texture


def _ears(outline: NDArray) -> NDArray[np.uint32]:
    """Triangles [n - 2, 3] of a simple polygon [n, 2], in its own sense, by cutting ears."""
    turn = np.sign(_cross(outline, np.roll(outline, -1, 0)).sum())
    left = list(range(len(outline)))
    triangles = []
    while len(left) > 3:
        for place in range(len(left)):
            a, b, c = (left[(place + k) % len(left)] for k in (-1, 0, 1))
            corner = outline[[a, b, c]]
            others = outline[[k for k in left if k not in (a, b, c)]]
            if turn * _cross(corner[1] - corner[0], corner[2] - corner[1]) > 0 and not _holds(corner, others, turn):
                break
        else:  # only touching points are left: any corner will do
            place = 0
            a, b, c = left[-1], left[0], left[1]
        triangles.append((a, b, c))
        del left[place]
    return np.array([*triangles, tuple(left)], np.uint32)


def _cross(first: NDArray, second: NDArray) -> NDArray:
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


def _holds(corner: NDArray, points: NDArray, turn: float) -> bool:
    """Whether any point lies in a triangle [3, 2] or on its rim."""
    sides = [turn * _cross(corner[(k + 1) % 3] - corner[k], points - corner[k]) for k in range(3)]
    return bool((np.min(sides, 0) >= -1e-12).any()) if len(points) else False


# --- what stands out from them ------------------------------------------------------------------------------


def _relief_parts(
    world: Panorama, rays: NDArray, mask: NDArray[np.bool_], names: Sequence[str] | None
) -> list[MeshPart]:
    """Parts of the distance map where the mask holds, one for each piece that hangs together (or all as one, named)."""
    height, width = mask.shape
    tears = Tears.of(world)
    torn_right, torn_down = tears.right[1:-1, 1:], tears.down[1:-1, 1:-1]  # [h, w] to the next column, [h - 1, w] row
    around = np.roll(torn_down, -1, 1)
    torn = torn_right[:-1] | torn_right[1:] | torn_down | around
    next_column = np.roll(mask, -1, 1)
    cells = mask[:-1] & mask[1:] & next_column[:-1] & next_column[1:] & ~torn
    labels = np.ones(cells.shape, np.int32) * cells if names else _pieces(cells)
    share = np.cos((0.5 - np.arange(1, height) / height) * math.pi) * (math.pi / height / 2 / width)
    size = np.bincount(labels.ravel(), np.repeat(share, width), labels.max() + 1)
    wanted = [number for number in np.argsort(-size) if number and size[number] >= LEAST_SHARE]
    points = (world.position + rays * world.distance[..., None]).astype(np.float32)
    parts = []
    for count, label in enumerate(wanted, 1):
        row, column = np.nonzero(labels == label)
        upper, lower, after = row * width, (row + 1) * width, (column + 1) % width
        corners = np.stack([upper + column, lower + column, lower + after, upper + after], 1)
        # at the seam the last column's neighbour is the first, whose u is then a whole turn on
        beyond = np.zeros(corners.shape, bool)
        beyond[:, 2:] = (column == width - 1)[:, None]
        used, place = np.unique(corners + beyond * height * width, return_inverse=True)
        place = place.reshape(corners.shape)
        triangles = np.concatenate([place[:, [0, 1, 2]], place[:, [0, 2, 3]]]).astype(np.uint32)
        seam, index = np.divmod(used, height * width)
        uv = np.stack([(index % width + 0.5) / width + seam, (index // width + 0.5) / height], 1)
        name = names[count - 1] if names else f"thing {count}"
        parts.append(MeshPart(name, points.reshape(-1, 3)[index], triangles, uv.astype(np.float32), PANORAMA))
    return parts


def _pieces(cells: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Labels [h, w] from 1 of the pieces of a mask whose right side goes on at its left."""
    _, labels = cv2.connectedComponents(cells.astype(np.uint8), connectivity=4)
    labels = labels.astype(np.int32)
    for last, first in {(int(a), int(b)) for a, b in zip(labels[:, -1], labels[:, 0], strict=True) if a and b}:
        if (now := labels[:, 0][labels[:, 0] == first]).size and last != first:
            labels[labels == last] = now[0]
    return labels


def _box_around(thing: MeshPart, layout: RoomLayout) -> Box:
    """Along the room's longest wall; without the farthest points, which are often a smeared edge."""
    _, directions, lengths, _ = layout.walls()
    along = directions[lengths.argmax()]
    axes = np.stack([along, [-along[1], along[0]]])
    low, high = np.percentile(thing.vertices[:, :2] @ axes.T, (2, 98), axis=0)
    bottom, top = np.percentile(thing.vertices[:, 2], (1, 99))
    if bottom - layout.floor_z < FLOOR_GAP_M:
        bottom = layout.floor_z
    square = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
    return Box(thing.name, square @ axes, float(bottom), float(top))


def _coarse(world: Panorama) -> MeshPart:
    """The nearest surface in each of `COLLIDER_COLUMNS` x `COLLIDER_ROWS` directions."""
    nearest = cv2.erode(world.distance, np.ones((5, 5), np.uint8))
    rows = np.linspace(-math.pi / 2, math.pi / 2, COLLIDER_ROWS + 1)
    columns = np.arange(COLLIDER_COLUMNS) / COLLIDER_COLUMNS * 2 * math.pi
    rays = np.stack(
        [
            np.cos(rows)[:, None] * np.cos(columns),
            np.cos(rows)[:, None] * np.sin(columns),
            np.broadcast_to(np.sin(rows)[:, None], (len(rows), len(columns))),
        ],
        -1,
    )
    distance = sample_equirectangular(nearest, rays, world.heading_rad)
    points = (world.position + rays * distance[..., None]).reshape(-1, 3)
    row, column = (index.ravel() for index in np.indices((COLLIDER_ROWS, COLLIDER_COLUMNS)))
    other = (column + 1) % COLLIDER_COLUMNS
    # seen from inside, columns of growing azimuth run to the left
    quad = np.stack([row, row, row + 1, row + 1]) * COLLIDER_COLUMNS + np.stack([other, column, column, other])
    triangles = np.concatenate([quad[[0, 1, 2]].T, quad[[0, 2, 3]].T])
    corners = points[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    triangles = triangles[area > 1e-9]  # at the poles a side is a point
    return MeshPart(
        "collider", points.astype(np.float32), triangles.astype(np.uint32), np.zeros((len(points), 2), np.float32)
    )
