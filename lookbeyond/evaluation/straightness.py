"""Straightness and seams: what pixel-wise figures miss and previsualisation needs.

Each is a share of the truth's own, or relative to it. None sees whether a line stands where the truth's does: that is
what distance and PSNR are for.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.layout import RoomLayout
from lookbeyond.geometry.panorama import View
from lookbeyond.geometry.projection import extract_perspective, sample_equirectangular
from lookbeyond.layout.segments import find_segments, segment_normals

VIEW_PX = 256
LEAST_LINE_DEG = 1.5
TOLERANCE_DEG = 2.0
"""Angle between a line and one of the room's directions up to which it runs along it."""
SEARCH_PX = 6.0
"""Across an edge, how far it is looked for on either side of where it truly is."""
BORDER_DEG = 1.5
"""Distance of the bands that are compared across the photo's border."""


def line_length(picture: NDArray[np.uint8], mask: NDArray[np.bool_], directions: NDArray) -> float:
    """Radians of straight lines along some directions in the masked part of a panorama [H, 2H, 3] of heading 0.

    directions: [n, 3] unit, world. Twelve views of 60° are searched with OpenCV's line segment detector; a segment
    counts where its middle lies in the mask [H, 2H] and in the view that is nearest to it.
    """
    views = [(azimuth, pitch) for pitch in (-35, 20) for azimuth in range(0, 360, 60)]
    axes = np.stack([_camera(azimuth, pitch).forward for azimuth, pitch in views])
    total = 0.0
    for number, (azimuth, pitch) in enumerate(views):
        camera = _camera(azimuth, pitch)
        view = extract_perspective(picture, camera, interpolation="cubic")
        segments = find_segments(view, 4.0)
        if not len(segments):
            continue
        normals, lengths = segment_normals(segments, camera)
        middles = segments.reshape(-1, 2, 2).mean(1)
        rays = (np.c_[middles, np.ones(len(middles))] @ np.linalg.inv(camera.intrinsics).T) @ camera.rotation.T
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        own = (rays @ axes.T).argmax(1) == number
        inside = sample_equirectangular(mask.astype(np.float32), rays) > 0.5
        along = (np.abs(normals @ directions.T) < math.sin(math.radians(TOLERANCE_DEG))).any(1)
        long = lengths > math.radians(LEAST_LINE_DEG)
        total += float(lengths[own & inside & along & long].sum())
    return total


def _camera(azimuth_deg: float, pitch_deg: float) -> Camera:
    heading_rad, pitch_rad = math.radians(azimuth_deg), math.radians(pitch_deg)
    return placed_camera(VIEW_PX, VIEW_PX, math.radians(80), heading_rad=heading_rad, pitch_rad=pitch_rad)


def room_directions(heading_rad: float) -> NDArray[np.float64]:
    """[3, 3]: along the walls and up."""
    c, s = math.cos(heading_rad), math.sin(heading_rad)
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])


def border_jump(picture: NDArray[np.uint8], camera: Camera, layout: RoomLayout) -> float:
    """Jump of lightness across a photo's border on one surface, relative to that between neighbours inside the photo.

    Bands BORDER_DEG wide just outside, just inside, and one further in are compared where all three lie on one face of
    the room; medians over the border, so that things which the border cuts count little. 1: the border cannot be seen.
    """
    borders = []
    for u, v, inwards in _border(camera):
        ray = camera.rotation @ np.linalg.inv(camera.intrinsics) @ [u, v, 1.0]
        inner = camera.rotation @ np.linalg.inv(camera.intrinsics) @ [u + inwards[0], v + inwards[1], 1.0]
        borders.append((ray, inner))
    return jump_across(picture, borders, layout, camera.position)


def jump_across(
    picture: NDArray[np.uint8], borders: Sequence[tuple[NDArray, NDArray]], layout: RoomLayout, origin: NDArray
) -> float:
    """The jump across a border in a panorama seen from `origin` [3], of heading 0; see `border_jump`.

    borders: rays [3] on it, each with one beside it on the side that is known.
    """
    _, width = picture.shape[:2]
    lightness = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0]
    blurred = _blurred(lightness, width)
    across, before = [], []
    step = math.radians(BORDER_DEG)
    for ray, inner in borders:
        ray, inner = ray / np.linalg.norm(ray), inner / np.linalg.norm(inner)
        aside = inner - ray * (inner @ ray)
        aside /= max(float(np.linalg.norm(aside)), 1e-9)
        # three places on each side of the border's feather: out, in, further in
        rays = np.stack([math.cos(a) * ray + math.sin(a) * aside for a in (-step, step, 3 * step)])
        faces = layout.cast(origin, rays)[1]
        if (faces != faces[0]).any():
            continue
        out, near, far = sample_equirectangular(blurred, rays)
        across.append(abs(float(out - near)))
        before.append(abs(float(near - far)))
    if len(across) < 8:
        return float("nan")
    return float((np.median(across) + 0.25) / (np.median(before) + 0.25))


def _blurred(lightness: NDArray, width: int) -> NDArray:
    return cv2.GaussianBlur(lightness, (0, 0), max(0.5, 0.5 * BORDER_DEG / 360 * width))


def _border(camera: Camera, points: int = 48) -> Sequence[tuple[float, float, tuple[float, float]]]:
    width, height, step = camera.width, camera.height, 0.02 * camera.width
    share = (np.arange(points) + 0.5) / points
    return [
        *((width * s, 0.0, (0.0, step)) for s in share),
        *((width * s, float(height), (0.0, -step)) for s in share),
        *((0.0, height * s, (step, 0.0)) for s in share),
        *((float(width), height * s, (-step, 0.0)) for s in share),
    ]


def edge_error(
    frames: Sequence[NDArray[np.uint8]], truth: Sequence[View], photo: View, layout: RoomLayout, points: int = 160
) -> float:
    """RMS distance, in pixels, of a room's straight edges in frames from where they truly are.

    Edges are those between walls, floor and ceiling, sampled where the photo (what truly is seen by its camera) and a
    true frame show them: nothing stands before them, and the frame's picture has a step there. In a frame the edge is
    where brightness changes most within SEARCH_PX across; where it hardly changes it is lost and counts as SEARCH_PX.
    """
    errors = []
    for frame, view in zip(frames, truth, strict=True):
        made, true = (_gradient_source(image) for image in (frame, view.colour))
        for start, end in _room_edges(layout):
            errors += _edge_errors(made, true, view, photo, start, end, points)
    return float(np.sqrt(np.mean(np.square(errors)))) if len(errors) >= 20 else float("nan")


def _gradient_source(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    lightness = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[..., 0].astype(np.float32)
    return np.asarray(cv2.GaussianBlur(lightness, (0, 0), 0.8), np.float32)


def _room_edges(layout: RoomLayout) -> list[tuple[NDArray, NDArray]]:
    edges = []
    corners = layout.corners
    for corner, following in zip(corners, np.roll(corners, -1, 0), strict=True):
        for z in (layout.floor_z, layout.ceiling_z):
            edges.append((np.r_[corner, z], np.r_[following, z]))
        edges.append((np.r_[corner, layout.floor_z], np.r_[corner, layout.ceiling_z]))
    return edges


def _shown(points: NDArray, view: View, margin: float) -> NDArray[np.bool_]:
    """Which points [n, 3] a view shows, `margin` pixels inside its frame and with nothing before them."""
    camera = view.camera
    local = (points - camera.position) @ camera.rotation
    pixel = local @ camera.intrinsics.T
    pixel = pixel[:, :2] / np.where(local[:, 2:] > 0.1, pixel[:, 2:], np.nan)
    with np.errstate(invalid="ignore"):
        inside = ((pixel > margin) & (pixel < (camera.width - margin, camera.height - margin))).all(1)
    columns, rows = np.nan_to_num(pixel).astype(int).T
    found = view.distance[rows.clip(0, camera.height - 1), columns.clip(0, camera.width - 1)]
    return inside & (np.abs(found / np.linalg.norm(local, axis=1) - 1) < 0.03)


def _edge_errors(made, true, view: View, photo: View, start, end, points: int) -> list[float]:
    camera = view.camera
    on_edge = start + (end - start) * np.linspace(0.02, 0.98, points)[:, None]
    on_edge = on_edge[_shown(on_edge, photo, 1)]
    on_edge = on_edge[_shown(on_edge, view, SEARCH_PX + 2)]
    if len(on_edge) < 8:
        return []
    pixel = ((on_edge - camera.position) @ camera.rotation) @ camera.intrinsics.T
    pixel = pixel[:, :2] / pixel[:, 2:]
    way = pixel[-1] - pixel[0]
    aside = np.array([-way[1], way[0]]) / max(float(np.linalg.norm(way)), 1e-9)
    offsets = np.linspace(-SEARCH_PX, SEARCH_PX, 49)
    errors = []
    lines = (pixel[:, None] + offsets[:, None] * aside - 0.5).astype(np.float32)
    profiles = [
        np.abs(np.gradient(cv2.remap(image, lines[..., 0], lines[..., 1], cv2.INTER_LINEAR), axis=1))
        for image in (made, true)
    ]
    for ours, theirs in zip(*profiles, strict=True):
        centre = np.abs(offsets) < 1.5
        if theirs[centre].max() < 0.6 or theirs[centre].max() < 0.8 * theirs.max():
            continue  # the true picture has no step just there
        where = offsets[centre][theirs[centre].argmax()]
        strength = ours.max()
        errors.append(SEARCH_PX if strength < 0.15 * theirs[centre].max() else float(offsets[ours.argmax()] - where))
    return errors


def directions_of(picture: NDArray[np.uint8]) -> float:
    """Heading, radians, of the walls that a level panorama's own lines show: what a truth without a layout is
    judged by. Votes of horizontal lines' great circles, in steps of half a degree."""
    headings = np.radians(np.arange(0, 90, 0.5))
    votes = np.zeros(len(headings))
    for azimuth in range(0, 360, 60):
        camera = _camera(azimuth, -10)
        segments = find_segments(extract_perspective(picture, camera, 0.0, "cubic"), 6.0)
        if not len(segments):
            continue
        normals, lengths = segment_normals(segments, camera)
        for turn in (0, math.pi / 2):
            along = np.stack([np.cos(headings + turn), np.sin(headings + turn), 0 * headings])
            votes += (lengths[:, None] * np.exp(-((np.abs(normals @ along) / math.radians(1.2)) ** 2))).sum(0)
    return float(headings[votes.argmax()])
