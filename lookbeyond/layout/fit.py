"""The room that a photo was taken in: the network's walls, put where the photo's lines are.

The network (`lookbeyond.models.layout_network`) tells how far the walls are, all around, and what is floor, wall,
ceiling or a thing before them. The photo's line segments tell the directions of the walls to a quarter of a degree,
and where exactly walls meet floor and ceiling. A room is a rectilinear polygon along these directions: a box, or with
more corners where the walls that are seen ask for it. Of all such rooms that one is taken which costs least:

    cost = deviation from the network's walls (in units of what it is sure of)
         + how unlikely the network finds the kinds of what each part of the photo would then show
         - line segments along the room's edges, where nothing hides them

`prediction`, `rectilinear`, `evidence`, `search` and `gate` are its steps. In them lengths are in units of the camera's
height, the camera is at the origin, and the photo looks along +X; the floor is at z = -1.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera, heading_pitch_roll
from lookbeyond.geometry.layout import RoomLayout
from lookbeyond.geometry.panorama import Place
from lookbeyond.geometry.projection import extract_perspective
from lookbeyond.models.layout_network import THING, LayoutNetwork

from .canvas import ALL_COLUMNS, CELL_ROWS, grid_in_photo, grid_on_canvas, place_on_canvas
from .evidence import Evidence, PictureLines
from .gate import BELIEVED, judge, room_reason, signs_of
from .prediction import all_around, predict
from .rectilinear import AZIMUTHS, RectilinearRoom
from .search import best_rooms
from .sky import SkyEvidence, evidence_of_sky

_HEIGHTS_M = (1.7, 15.0)
"""Lowest and highest plausible room, floor to ceiling."""
INSIDE_SIDE = 96
"""Longer side of the distance inside the photo, pixels."""
CUTS = 8
"""Photos that a panorama is seen in."""


@dataclass(frozen=True, eq=False)
class LayoutFit:
    """What was found out about the place of a photo."""

    candidate: RoomLayout | None
    """The room that fits best, in the world, sure or not; None where none encloses the camera."""
    place: Place
    """What it was taken for, and how often fits like this one were right, on procedural rooms and failures (`gate`): of
    the room, or of its being an open place."""
    distance_inside: NDArray[np.float32]
    """[h, w] metres along the rays of `distance_camera`, by the network alone."""
    things_inside: NDArray[np.float32]
    """[h, w] 0..1: how likely something stands there before floor, walls and ceiling, by the network alone."""
    walls: NDArray[np.float32]
    """[256] log of the walls' level distance in metres, by the network alone; columns as an equirectangular
    panorama's whose middle looks along +X."""
    distance_camera: Camera | None
    """The photo's camera, at the resolution of `distance_inside`; None when that is a panorama's."""

    @property
    def layout(self) -> RoomLayout | None:
        """The candidate, if the place was taken for a room."""
        return self.candidate if self.place.kind == "room" else None


def fit_layout(
    photo: NDArray[np.uint8],
    camera: Camera,
    camera_height: float,
    network: LayoutNetwork,
    *,
    distance: NDArray[np.float32] | None = None,
) -> LayoutFit:
    """The room around a photo.

    photo: uint8 [h, w, 3]; camera: the photo's in the world, at any resolution; camera_height: metres above the floor.
    distance: [h', w'] metres along the photo's rays that a depth model measured, where there is one. (The one that
    comes with a made panorama is worse than the network's own; leave it out.)
    Never raises for a photo of something else: `place`, `confidence` and `reason` then say what it is.
    """
    height, width = photo.shape[:2]
    camera = camera.resized(width, height)
    heading, pitch, roll = heading_pitch_roll(camera)
    level = camera.placed(pitch_rad=pitch, roll_rad=roll)
    canvas = place_on_canvas(photo, level)
    prediction = predict(network, [canvas])[0]
    logs = None if distance is None else grid_on_canvas(np.log(distance / camera_height), level)
    evidence = Evidence(prediction, canvas.known_cells, [PictureLines(photo, level)], logs)
    rooms, contrast = best_rooms(evidence)
    side = INSIDE_SIDE / max(width, height)
    small = camera.resized(max(2, round(width * side)), max(2, round(height * side)))
    inside = np.exp(grid_in_photo(prediction.distance, small, small.width, small.height)) * camera_height
    things = grid_in_photo(prediction.kinds[THING], small, small.width, small.height)
    sky = evidence_of_sky(photo, level)
    return _outcome(evidence, rooms, contrast, sky, camera.position, heading, camera_height, (inside, things), small)


def fit_signs(
    photo: NDArray[np.uint8], camera: Camera, network: LayoutNetwork
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]] | None:
    """What the gate judges a photo's fit by, for calibrating it; None where no room could be fitted.

    Returns the signs (`SIGNS`), the level distance [256] of the fitted walls in units of the camera's height, columns
    as `data.room_photos.column_azimuths`, and which of them the photo shows. The camera looks along heading 0.
    """
    canvas = place_on_canvas(photo, camera)
    evidence = Evidence(predict(network, [canvas])[0], canvas.known_cells, [PictureLines(photo, camera)])
    rooms, contrast = best_rooms(evidence)
    if not rooms:
        return None
    return signs_of(evidence, rooms[0], contrast), rooms[0].trace(AZIMUTHS)[0], evidence.seen


def fit_layout_panorama(
    colour: NDArray[np.uint8],
    camera_height: float,
    network: LayoutNetwork,
    *,
    heading_rad: float = 0.0,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> LayoutFit:
    """The room around a 360° picture [H, 2H, 3] that was taken at `origin`, its middle looking along the heading.

    The network sees it in `CUTS` photos around, and uses the middle of each. `distance_inside` is the picture's own
    grid here, [128, 256]; its camera is None.
    """
    span = 2 * math.pi / CUTS
    tall = math.tan(math.radians(48))
    pictures, canvases, skies = [], [], []
    focal = min(max(colour.shape[1] / (2 * math.pi), 160.0), 400.0)
    for fov in (math.radians(80), span):
        width = 2 * round(focal * math.tan(fov / 2))
        size = width, 2 * round(focal * tall)
        lens = Camera(*size, np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1]]), np.eye(4))
        for cut in range(CUTS):
            camera = lens.placed(cut * span)
            picture = extract_perspective(_shrunk(colour, focal), camera)
            if fov == span:
                pictures.append(PictureLines(picture, camera))
                skies.append(evidence_of_sky(picture, camera))
            else:
                canvases.append(place_on_canvas(picture, camera))
    prediction = all_around(predict(network, canvases))
    evidence = Evidence(prediction, np.ones((CELL_ROWS, ALL_COLUMNS), bool), pictures)
    rooms, contrast = best_rooms(evidence)
    inside = np.exp(prediction.distance) * camera_height
    sky = SkyEvidence(float(np.median([one.blue for one in skies])), float(np.median([one.white for one in skies])))
    things = prediction.kinds[THING]
    place = np.array(origin, float)
    return _outcome(evidence, rooms, contrast, sky, place, heading_rad, camera_height, (inside, things), None)


def _outcome(
    evidence: Evidence,
    rooms: list[RectilinearRoom],
    contrast: float,
    sky: SkyEvidence,
    position: NDArray,
    heading: float,
    unit: float,
    inside: tuple[NDArray, NDArray],
    camera: Camera | None,
) -> LayoutFit:
    room = rooms[0] if rooms else None
    place = judge(evidence, room, contrast, sky)
    if place.kind == "room" and place.confidence < BELIEVED:
        room = rooms[-1]  # a supposed room has no corners that are not seen
        place = replace(place, reason=room_reason(len(room.offsets), place.confidence))
    if place.kind == "room" and room is not None and not _HEIGHTS_M[0] <= (1 + room.ceiling) * unit <= _HEIGHTS_M[1]:
        place = Place(
            reason=f"Not sure of a room: it would be {(1 + room.ceiling) * unit:.1f} m high with the camera {unit:g} m "
            "above the floor; correct the camera's height."
        )
    candidate = None
    if room is not None:
        turned = replace(room, heading=room.heading + heading)
        floor = float(position[2]) - unit
        candidate = RoomLayout(
            position[:2] + unit * turned.corners(),
            floor,
            floor + unit * (1 + room.ceiling),
            place.confidence if place.kind == "room" else 0.0,
        )
    columns = (0.5 - (AZIMUTHS - heading) / (2 * math.pi)) * ALL_COLUMNS - 0.5
    walls = np.interp(columns, np.arange(ALL_COLUMNS), evidence.prediction.walls, period=ALL_COLUMNS) + math.log(unit)
    return LayoutFit(
        candidate,
        place,
        *(values.astype(np.float32) for values in inside),
        walls.astype(np.float32),
        camera,
    )


def _shrunk(colour: NDArray[np.uint8], focal: float) -> NDArray[np.uint8]:
    width = round(2 * math.pi * focal)
    if colour.shape[1] <= 1.5 * width:
        return colour
    return cv2.resize(colour, (width, width // 2), interpolation=cv2.INTER_AREA).astype(np.uint8)
