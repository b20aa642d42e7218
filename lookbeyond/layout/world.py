"""A painted panorama becomes a world whose place is understood: straight surfaces, their distance, a clean plate."""

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.layout import RoomLayout
from lookbeyond.geometry.panorama import Panorama, Place, Plate
from lookbeyond.models.layout_network import LayoutNetwork

from .draw import DrawnPlace, draw_room
from .fit import fit_layout, fit_layout_panorama
from .open_place import draw_open
from .photo import lay_photo
from .picture import PhotoPicture, Picture, SpherePicture

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

    photo: uint8 [h, w, 3], or [h, w, 4] whose last channel says what it knows, as `painted.photo_camera` took it;
    painted: as diffusion made it. `Panorama.place` says what was found and why; where it is neither a room nor an open
    place, everything else is as it was painted.
    """
    camera = painted.photo_camera
    if camera is None:
        raise ValueError("a place is understood from its photo: this panorama has none")
    picture = PhotoPicture.of(photo, camera)
    fit = fit_layout(picture.pixels, camera, painted.camera_height, network)
    place = Place(fit.place, round(fit.confidence, 4), fit.reason)
    if fit.place == "open" and room == "auto":
        return _with_place(picture, painted, draw_open(picture, painted), place, unseen)
    layout = fit.candidate if room == "on" else fit.layout
    if layout is not None:
        place = replace(place, kind="room")
        return with_room(picture, painted, layout, place, unseen, measured=fit.distance_inside)
    return replace(painted, place=place)


def understand_panorama(panorama: Panorama, network: LayoutNetwork, room: Room = "auto") -> Panorama:
    """An existing 360° picture's place found out: where it is a room for sure, its planes and its clean plate.

    Its colour stays; where no room is found, everything else does, too.
    """
    fit = fit_layout_panorama(
        panorama.colour, panorama.camera_height, network, heading_rad=panorama.heading_rad, origin=panorama.origin
    )
    place = Place(fit.place, round(fit.confidence, 4), fit.reason)
    layout = fit.candidate if room == "on" else fit.layout
    if layout is None:
        return replace(panorama, place=place)
    picture = SpherePicture(panorama.colour, panorama.origin, panorama.heading_rad)
    return with_room(picture, panorama, layout, replace(place, kind="room"), "as-painted")


def with_room(
    picture: Picture,
    painted: Panorama,
    layout: RoomLayout,
    place: Place,
    unseen: Unseen = "dressed",
    *,
    measured: NDArray[np.float32] | None = None,
) -> Panorama:
    """The panorama of a room with its surfaces drawn; arguments as of `draw_room`."""
    drawn = draw_room(picture, painted, layout, measured=measured, dressed=unseen != "plain")
    return replace(_with_place(picture, painted, drawn, place, unseen), layout=layout)


def _with_place(picture: Picture, painted: Panorama, drawn: DrawnPlace, place: Place, unseen: Unseen) -> Panorama:
    """The painted panorama with a drawn place's distance and clean plate and, unless "as-painted", its colour."""
    colour, from_photo = painted.colour, painted.from_photo
    if unseen != "as-painted" and isinstance(picture, PhotoPicture):
        drawn_colour = drawn.colour.astype(np.float32)
        colour, from_photo = lay_photo(picture.with_holes, picture.camera, painted.heading_rad, drawn_colour)
    plate = Plate(drawn.plate, drawn.plate_distance)
    return replace(painted, colour=colour, from_photo=from_photo, distance=drawn.distance, plate=plate, place=place)
