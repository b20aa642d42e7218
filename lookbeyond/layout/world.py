"""A painted panorama becomes a world whose place is understood: straight surfaces, their distance, a clean plate."""

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.layout import RoomLayout
from lookbeyond.geometry.panorama import Panorama, Place, Plate
from lookbeyond.models.layout_network import LayoutNetwork

from .draw import DrawnPlace, draw_room
from .fit import LayoutFit, fit_layout
from .open_place import draw_open
from .photo import lay_photo

Room = Literal["auto", "on", "off"]
"""Whether a place's layout is used: where the fit is sure, wherever one was found, or never."""
Unseen = Literal["plain", "dressed", "as-painted"]
"""How the part that nobody saw is shown: bare surfaces; with doors, windows and pictures; as diffusion painted it."""


def understand_place(
    photo: NDArray[np.uint8],
    painted: Panorama,
    network: LayoutNetwork,
    room: Room = "auto",
    unseen: Unseen = "dressed",
) -> Panorama:
    """The world around a photo: its place found out, and drawn where that is sure.

    photo: uint8 [h, w, 3], as `painted.photo_camera` took it; painted: as diffusion made it. `Panorama.place` says
    what was found and why; where it is neither a room nor an open place, everything else is as it was painted.
    """
    camera = painted.photo_camera
    if camera is None:
        raise ValueError("a place is understood from its photo: this panorama has none")
    fit = fit_layout(photo, camera, painted.camera_height, network)
    place = Place(fit.place, round(fit.confidence, 4), fit.reason)
    if fit.place == "open":
        return with_place(photo, painted, draw_open(photo, painted, painted.colour.shape[1]), place, unseen)
    if fit.layout is not None and (fit.place == "room" or room == "on"):
        return with_room(photo, painted, fit.layout, replace(place, kind="room"), unseen, fit.distance_inside)
    return replace(painted, place=place)


def with_room(
    photo: NDArray[np.uint8],
    painted: Panorama,
    layout: RoomLayout,
    place: Place,
    unseen: Unseen = "dressed",
    measured: NDArray[np.float32] | None = None,
) -> Panorama:
    """The panorama of a room with its surfaces drawn, of the same size.

    measured: [h, w] metres along the photo's rays, of what stands in the room, too.
    """
    width = painted.colour.shape[1]
    drawn = draw_room(photo, painted, layout, width, measured=measured, dressed=unseen != "plain")
    return replace(with_place(photo, painted, drawn, place, unseen), layout=layout)


def with_place(
    photo: NDArray[np.uint8], painted: Panorama, drawn: DrawnPlace, place: Place, unseen: Unseen
) -> Panorama:
    """The painted panorama with a drawn place's distance and clean plate and, unless "as-painted", its colour."""
    colour, from_photo = painted.colour, painted.from_photo
    if unseen != "as-painted":
        assert painted.photo_camera is not None, "what draws a place has asked for it"
        colour, from_photo = lay_photo(photo, painted.photo_camera, painted.heading_rad, drawn.colour.astype(np.float32))
    plate = Plate(drawn.plate, drawn.plate_distance)
    return replace(painted, colour=colour, from_photo=from_photo, distance=drawn.distance, plate=plate, place=place)
