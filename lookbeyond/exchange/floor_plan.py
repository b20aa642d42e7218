"""A floor plan with measures, as SVG: the room from above, what stands in it, and where the photo was taken."""

import math
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from lookbeyond.errors import InputError
from lookbeyond.geometry.layout import RoomLayout, signed_area
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.whole import storage_errors, whole_file

from .stage import Box

PIXELS_PER_METRE = 100
MARGIN_M = 0.7
WALL_M = 0.08
SURE = 0.5
"""Below this confidence the plan says that the walls are a guess."""


def write_floor_plan(path: Path, world: Panorama, boxes: list[Box] | tuple[Box, ...] = ()) -> None:
    """Write an .svg. Raises InputError where no room was found."""
    with whole_file(path) as temporary, storage_errors(path):
        temporary.write_text(floor_plan(world, boxes), encoding="utf-8")


def floor_plan(world: Panorama, boxes: list[Box] | tuple[Box, ...] = ()) -> str:
    """The plan as SVG text; +X to the right, +Y up, 100 pixels a metre."""
    layout = world.layout
    if layout is None:
        raise InputError(
            "No room was found in this world, so there is no floor plan; build it with `lookbeyond world --room on`."
        )
    low, high = layout.corners.min(0) - MARGIN_M, layout.corners.max(0) + MARGIN_M
    width, height = high - low

    def at(point: NDArray) -> str:
        return "{:.3f},{:.3f}".format(*plan_corner(layout, point))

    shapes = [f'<polygon class="room" points="{" ".join(at(corner) for corner in layout.corners)}"/>']
    for box in boxes:
        shapes.append(f'<polygon class="thing" points="{" ".join(at(corner) for corner in box.corners)}"/>')
    shapes += _measures(layout, at)
    shapes += _viewpoint(world, at)
    area = f"{signed_area(layout.corners):.1f} m², {layout.height:.2f} m high"
    if layout.confidence < SURE:  # below the room: above it, it would be wider than a small room's plan
        note = "The photo hardly shows where the walls are"
        shapes.append(f'<text class="note" x="{width / 2:.3f}" y="{height - 0.12:.3f}">{note}</text>')
    shapes.append(f'<text class="title" x="{width / 2:.3f}" y="0.3">{escape(area)}</text>')
    style = (
        f".room{{fill:#fbfaf7;stroke:#333;stroke-width:{WALL_M}}}"
        ".thing{fill:#d9dee3;stroke:#8894a0;stroke-width:.015}"
        ".view{fill:#e8a33d;fill-opacity:.25}.eye{fill:#c77b0a}"
        "text{font-family:sans-serif;font-size:.16px;fill:#333;text-anchor:middle}.title{font-size:.2px}.note{font-size:.13px}"
    )
    pixels = (width * PIXELS_PER_METRE, height * PIXELS_PER_METRE)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{pixels[0]:.0f}" height="{pixels[1]:.0f}" '
        f'viewBox="0 0 {width:.3f} {height:.3f}">\n<title>Floor plan</title>\n<style>{style}</style>\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )


def plan_corner(layout: RoomLayout, position: NDArray) -> list[float]:
    """Where a point [2 or 3] of the world lies in the plan's own units: metres right and down from its corner."""
    low, high = layout.corners.min(0) - MARGIN_M, layout.corners.max(0) + MARGIN_M
    return [float(position[0] - low[0]), float(high[1] - position[1])]


def _measures(layout: RoomLayout, at) -> list[str]:
    """The length of every wall, along it and outside."""
    texts = []
    for start, direction, length, inward in zip(*layout.walls(), strict=True):
        if length < 0.2:
            continue
        place = at(start + direction * length / 2 - inward * 0.22).split(",")
        angle = -math.degrees(math.atan2(direction[1], direction[0]))
        angle = (angle + 90) % 180 - 90  # never upside down
        texts.append(
            f'<text transform="translate({place[0]} {place[1]}) rotate({angle:.1f})" dy=".05">{length:.2f} m</text>'
        )
    return texts


def _viewpoint(world: Panorama, at) -> list[str]:
    """Where the world is seen from, and what the photo spans."""
    position = world.position[:2]
    shapes = []
    if world.photo_camera is not None:
        camera = world.photo_camera
        sides = []
        for column in (0.0, float(camera.width)):
            ray = camera.rotation @ np.linalg.inv(camera.intrinsics) @ [column, camera.intrinsics[1, 2], 1]
            sides.append(position + ray[:2] / np.linalg.norm(ray[:2]) * 0.9)
        shapes.append(f'<path class="view" d="M{at(position)} L{at(sides[0])} A.9,.9 0 0 1 {at(sides[1])} Z"/>')
    x, y = at(position).split(",")
    return [*shapes, f'<circle class="eye" cx="{x}" cy="{y}" r=".07"/>']
