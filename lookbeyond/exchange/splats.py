"""A world as Gaussian splats: one disc per pixel, as large as the pixel on the surface it shows.

Colours are degree 0. The photo's pixels stand on the photo's own grid, what was made around it on the sphere's. What
stands in front and the clean plate behind it become splats alike, so that a viewer who steps aside sees wall and floor
where the world alone would be torn. Frames of a shot add what only they uncovered.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.geometry.projection import extract_perspective
from lookbeyond.geometry.warping import relief_of, warp_to_view

from .splat_colours import SIGMAS, beforehand, sizes

UNSEEN_WIDTH = 2048
"""Pixels around of what the photo did not see: it holds no finer detail."""
SIGMA = 0.6
"""Standard deviation of a splat, in pixels: the smallest that leaves no gaps between neighbours."""
OPACITY = 0.99
"""What rasterisers cut opacity at."""
THIN = 0.1
"""Thickness of a disc, of its smaller radius."""
GRAZING = 0.12
"""Least cosine between ray and normal that a disc is tilted by: discs get no longer than that."""
BEHIND = 1.03
"""Ratio of distances from which the plate, or a frame, shows something else than the world."""
ROWS_AT_ONCE, THREADS = 64, 2
"""Rows of a sphere worked on at a time: they stay in the cache, and NumPy releases the interpreter lock meanwhile."""
RIM = 1.01
"""Ratio of distances by which the plate must be farther at the rim of what stands in front."""
FRAME_STEP = 6


@dataclass(frozen=True, eq=False)
class Splats:
    """N Gaussians in the world (Z up, metres). Raises `ValueError` when an array's shape is another."""

    position: NDArray[np.float32]
    """[N, 3] metres."""
    scale: NDArray[np.float32]
    """[N, 3] standard deviations along the own axes, metres; the last is the shortest."""
    rotation: NDArray[np.float32]
    """[N, 4] unit quaternions, w first: own axes to the world's."""
    colour: NDArray[np.float32]
    """[N, 3] sRGB; a little outside 0..1 where detail was raised."""
    opacity: NDArray[np.float32]
    """[N] 0..1."""

    def __post_init__(self) -> None:
        count = len(self.position)
        for name, width in (("position", 3), ("scale", 3), ("rotation", 4), ("colour", 3)):
            if getattr(self, name).shape != (count, width):
                raise ValueError(f"the splats' {name} is {getattr(self, name).shape}; give ({count}, {width})")
        if self.opacity.shape != (count,):
            raise ValueError(f"the splats' opacity is {self.opacity.shape}; give ({count},)")

    def __len__(self) -> int:
        return len(self.position)


def joined(parts: Sequence[Splats]) -> Splats:
    """All the splats of the parts, in their order."""
    names = ("position", "scale", "rotation", "colour", "opacity")
    return Splats(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def world_splats(world: Panorama, unseen_width: int = UNSEEN_WIDTH) -> Splats:
    """The splats of a world: the photo's pixels one each, the rest `unseen_width` around, and the plate behind.

    unseen_width: pixels around the whole sphere, 256 or more. Where the photo is finer than the panorama that holds it,
    the panorama's pixels count.
    """
    step = max(1, world.colour.shape[1] // unseen_width)
    parts = []
    made = np.ones(world.colour.shape[:2], bool)
    if world.photo_camera is not None and world.from_photo.any():
        made = world.from_photo < 255
        parts.append(_photo_splats(world, world.photo_camera))
    parts.append(_sphere_splats(world, made, step))
    if world.plate is not None:
        plate = world.plate_panorama
        seen = cv2.resize(world.distance, plate.distance.shape[::-1], interpolation=cv2.INTER_NEAREST)
        # a rim of what stands in front is needed too: there the edge was smeared
        hidden = cv2.dilate((plate.distance > BEHIND * seen).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        hidden &= plate.distance > RIM * seen  # but nothing that would fight with what the photo shows
        parts.append(_sphere_splats(plate, hidden, step))
    return joined(parts)


def asked_frames(count: int) -> list[int]:
    """Of a shot of `count` frames, those that are asked what they uncovered: every sixth, and the last."""
    return sorted({*range(0, count, FRAME_STEP), count - 1}) if count else []


def add_frames(splats: Splats, world: Panorama, frames: Sequence[View]) -> Splats:
    """The world's splats and those of the pixels that frames (see `asked_frames`) show and the world cannot.

    A pixel is left out where an earlier frame, or the clean plate, shows a surface at the same distance already.
    """
    known: list[View] = []
    parts = [splats]
    for frame in frames:
        new = ~warp_to_view(world, frame.camera).known
        if world.plate is not None and new.any():
            behind = warp_to_view(world.plate_panorama, frame.camera)
            new &= ~(behind.known & _agrees(behind.distance, frame.distance))
        points = frame.camera.position + frame.camera.rays() * frame.distance[..., None]
        for other in known:
            new &= ~_shown_by(other, points)
        if new.any():
            parts.append(_frame_splats(frame, new, frame.colour.astype(np.float32) / 255))
            known.append(frame)
    return joined(parts)


def _agrees(distance: NDArray, other: NDArray) -> NDArray[np.bool_]:
    return np.abs(distance - other) <= (BEHIND - 1) * np.maximum(distance, other)


def _shown_by(frame: View, points: NDArray) -> NDArray[np.bool_]:
    """Which points [..., 3] the frame shows, at its distance there."""
    pixels, depth = frame.camera.project(points)
    inside = (depth > 0) & (pixels >= 0).all(-1) & (pixels < (frame.camera.width, frame.camera.height)).all(-1)
    column, row = np.where(inside[..., None], pixels, 0).astype(int).transpose(2, 0, 1)
    distance = np.linalg.norm(points - frame.camera.position, axis=-1)
    return inside & _agrees(frame.distance[row, column], distance)


# --- from a sphere ----------------------------------------------------------------------------------------


def _sphere_splats(source: Panorama, mask: NDArray[np.bool_], step: int) -> Splats:
    """Splats of blocks of `step` x `step` pixels of which the mask (over the sphere, any size) holds any."""
    height, width = (size // step for size in source.colour.shape[:2])
    image = cv2.resize(source.colour, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    wanted = _covering(mask, width, height)
    normals = _sphere_normals(source)
    elevation = (0.5 - (np.arange(height) + 0.5) / height) * math.pi
    # towards the poles pixels crowd: there one splat stands for 2, 4, 8 of a row
    skipped = np.minimum(2 ** np.floor(np.log2(1 / np.cos(elevation))).astype(int), _power_of_two_in(width))

    def of_rows(skip: int, rows: NDArray) -> Splats:
        row, cell = np.nonzero(wanted[rows].reshape(len(rows), -1, skip).any(-1))
        colour = image[rows].reshape(len(rows), -1, skip, 3).mean(2)[row, cell]
        u, v = (cell + 0.5) * skip / width, (rows[row] + 0.5) / height
        sides = 2 * math.pi * skip / width, math.pi / height
        return _discs_of_sphere(source, normals, u, v, sides, colour)

    relief_of(source)  # once, not in every thread
    bands = [(int(skip), np.flatnonzero(skipped == skip)) for skip in np.unique(skipped)]
    with ThreadPoolExecutor(THREADS) as threads:
        made = [
            threads.submit(of_rows, skip, band[some : some + ROWS_AT_ONCE])
            for skip, band in bands
            for some in range(0, len(band), ROWS_AT_ONCE)
        ]
        return joined([part.result() for part in made])


def _power_of_two_in(width: int) -> int:
    """The largest power of two that divides a row into eight parts or more."""
    return max(1, (width & -width) if width & -width <= width // 8 else width // 8)


def _discs_of_sphere(
    source: Panorama, normals: NDArray, u: NDArray, v: NDArray, sides_rad: tuple[float, float], colour: NDArray
) -> Splats:
    """Splats at shares u, v of the panorama's width and height; each spans `sides_rad` of longitude and latitude."""
    across_rad, down_rad = sides_rad
    azimuth = (source.heading_rad + (0.5 - u) * (2 * math.pi)).astype(np.float32)
    elevation = ((0.5 - v) * math.pi).astype(np.float32)
    ca, sa, ce, se = np.cos(azimuth), np.sin(azimuth), np.cos(elevation), np.sin(elevation)
    ray = np.stack([ce * ca, ce * sa, se], -1)
    right = np.stack([sa, -ca, np.zeros_like(sa)], -1) * (across_rad * ce)[:, None]
    down = np.stack([se * ca, se * sa, -ce], -1) * np.float32(down_rad)
    distance = 1 / relief_of(source).inverse_distance(*ray.T)
    rows, columns = normals.shape[:2]
    normal = normals[(v * rows).astype(int), (u * columns).astype(int)]
    return _discs(source.position, ray, right, down, distance, normal, colour)


def _sphere_normals(source: Panorama) -> NDArray[np.float32]:
    """Unit normals [h, w, 3] of the surfaces that a panorama's distance map shows, towards its origin."""
    height, width = source.distance.shape
    u, v = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5)[:, None] / height
    azimuth, elevation = source.heading_rad + (0.5 - u) * 2 * math.pi, (0.5 - v) * math.pi
    rays = np.stack(
        np.broadcast_arrays(
            np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)
        ),
        -1,
    ).astype(np.float32)
    return surface_normals(rays, source.distance, wraps=True)


def surface_normals(rays: NDArray, distance: NDArray, wraps: bool) -> NDArray[np.float32]:
    """Unit normals [h, w, 3] by differences, each taken on the side where the surface goes on more evenly."""
    points = rays * distance[..., None]
    edges = [
        np.pad(points, ((0, 0), (1, 1), (0, 0)), mode="wrap" if wraps else "edge"),
        np.pad(points, ((1, 1), (0, 0), (0, 0)), mode="edge"),
    ]
    before = [edges[0][:, 1:-1] - edges[0][:, :-2], edges[1][1:-1] - edges[1][:-2]]
    after = [edges[0][:, 2:] - edges[0][:, 1:-1], edges[1][2:] - edges[1][1:-1]]
    tangents = []
    for back, ahead in zip(before, after, strict=True):
        short, long = np.einsum("...i,...i", back, back), np.einsum("...i,...i", ahead, ahead)
        use_back = (short > 0) & ((short < long) | (long == 0))
        tangents.append(np.where(use_back[..., None], back, ahead))
    normal = np.cross(tangents[0], tangents[1])
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    normal = np.where(length > 1e-12, normal / np.maximum(length, 1e-12), -rays)
    facing = np.einsum("...i,...i", normal, rays)
    return np.where(facing[..., None] > 0, -normal, normal).astype(np.float32)


# --- from a frame -----------------------------------------------------------------------------------------


def _photo_splats(world: Panorama, photo_camera: Camera) -> Splats:
    finest = world.colour.shape[1] / (2 * math.pi)  # pixels a radian
    shrink = min(1.0, finest / photo_camera.intrinsics[0, 0])
    camera = photo_camera.resized(
        max(1, round(photo_camera.width * shrink)), max(1, round(photo_camera.height * shrink))
    )
    rays = camera.rays()
    distance = 1 / relief_of(world).inverse_distance(*np.moveaxis(rays.astype(np.float32), -1, 0))
    from_photo = extract_perspective(world.from_photo, camera, world.heading_rad)
    photo = View(camera, extract_perspective(world.colour, camera, world.heading_rad), distance, from_photo)
    picture = photo.colour.astype(np.float32) / 255
    size = sizes(picture)
    colour = beforehand(picture, distance * (rays @ camera.forward), size, OPACITY)
    return _frame_splats(photo, from_photo > 0, colour, np.array(SIGMAS)[size])


def _frame_splats(frame: View, mask: NDArray[np.bool_], colour: NDArray, sigma: NDArray | float = SIGMA) -> Splats:
    """sigma: [H, W] or one number, pixels."""
    camera = frame.camera
    rays = camera.rays().astype(np.float32)
    normal = surface_normals(rays, frame.distance, wraps=False)[mask]
    ray = rays[mask]
    cosine = ray @ camera.forward.astype(np.float32)
    # a pixel's sides on the sphere: what the image plane's are, without the part along the ray
    sides = []
    for axis in range(2):
        side = camera.rotation[:, axis].astype(np.float32) / np.float32(camera.intrinsics[axis, axis])
        sides.append((side - (ray @ side)[:, None] * ray) * cosine[:, None])
    right, down = sides
    sigma = np.broadcast_to(np.float32(sigma), mask.shape)[mask]
    return _discs(camera.position, ray, right, down, frame.distance[mask], normal, colour[mask], sigma[:, None])


# --- discs ------------------------------------------------------------------------------------------------


def _discs(
    origin: NDArray,
    ray: NDArray,
    right: NDArray,
    down: NDArray,
    distance: NDArray,
    normal: NDArray,
    colour: NDArray,
    sigma: NDArray | float = SIGMA,
) -> Splats:
    """Discs on surfaces with `normal` [n, 3] as large as pixels whose sides, on the unit sphere, are right and down.

    The pixel's cone meets the tangent plane: a side e on the sphere becomes r (e - ray (n.e) / (n.ray)).
    """
    facing = np.einsum("ni,ni->n", normal, ray)
    facing = np.minimum(facing, -np.float32(GRAZING))
    tangents = [
        distance[:, None] * (side - ray * (np.einsum("ni,ni->n", normal, side) / facing)[:, None])
        for side in (right, down)
    ]
    # The ellipse of both tangents: its axes are the eigenvectors of their Gram matrix.
    a, b, c = (np.einsum("ni,ni->n", tangents[i], tangents[j]) for i, j in ((0, 0), (0, 1), (1, 1)))
    angle = 0.5 * np.arctan2(2 * b, a - c)
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    first, second = cosine * tangents[0] + sine * tangents[1], cosine * tangents[1] - sine * tangents[0]
    lengths = np.stack([np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)], 1)
    lengths = np.maximum(lengths, 1e-9)
    first, second = first / lengths[:, :1], second / lengths[:, 1:]
    scale = np.float32(sigma) * lengths
    scale = np.concatenate([scale, THIN * scale.min(1, keepdims=True)], 1)
    axes = np.stack([first, second, np.cross(first, second)], -1)
    position = origin + ray * distance[:, None]
    opacity = np.full(len(ray), OPACITY, np.float32)
    return Splats(
        position.astype(np.float32), scale.astype(np.float32), _quaternions(axes), colour.astype(np.float32), opacity
    )


def _quaternions(rotation: NDArray) -> NDArray[np.float32]:
    """Unit quaternions [n, 4], w first and not negative, of rotation matrices [n, 3, 3].

    Of the four rows that are multiples of the quaternion the longest is taken (Shepperd 1978).
    """
    xx, xy, xz, yx, yy, yz, zx, zy, zz = rotation.reshape(-1, 9).T
    rows = np.stack(
        [
            np.stack([1 + xx + yy + zz, zy - yz, xz - zx, yx - xy], -1),
            np.stack([zy - yz, 1 + xx - yy - zz, yx + xy, xz + zx], -1),
            np.stack([xz - zx, yx + xy, 1 - xx + yy - zz, zy + yz], -1),
            np.stack([yx - xy, xz + zx, zy + yz, 1 - xx - yy + zz], -1),
        ]
    )
    longest = np.stack([rows[i, :, i] for i in range(4)]).argmax(0)
    result = rows[longest, np.arange(len(rotation))]
    result /= np.linalg.norm(result, axis=1, keepdims=True)
    return np.where(result[:, :1] < 0, -result, result).astype(np.float32)


def _covering(mask: NDArray[np.bool_], width: int, height: int) -> NDArray[np.bool_]:
    """A mask at another size: whatever a pixel of it touches."""
    _, columns = mask.shape
    if width < columns:
        share = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        return share > 0
    return cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
