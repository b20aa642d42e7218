"""A painted panorama becomes a world whose place is understood: straight surfaces, their distance, a clean plate."""

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.layout import RoomLayout
from lookbeyond.geometry.panorama import Panorama, Place, Plate

from .draw import draw_room
from .photo import lay_photo

Room = Literal["auto", "on", "off"]
"""Whether a place's layout is used: where the fit is sure, always, or never."""
Unseen = Literal["plain", "dressed", "as-painted"]
"""How the part that nobody saw is shown: bare surfaces; with doors, windows and pictures; as diffusion painted it."""


def with_room(
    photo: NDArray[np.uint8], painted: Panorama, layout: RoomLayout, place: Place, unseen: Unseen = "dressed"
) -> Panorama:
    """The panorama of a room with its surfaces drawn, of the same size.

    photo: uint8 [h, w, 3], as `painted.photo_camera` took it; painted: as diffusion made it.
    """
    camera, width = painted.photo_camera, painted.colour.shape[1]
    if camera is None:
        raise ValueError("a room is drawn around a photo: this panorama has none")
    room = draw_room(photo, painted, layout, width, dressed=unseen == "dressed")
    colour, from_photo = painted.colour, painted.from_photo
    if unseen != "as-painted":
        colour, from_photo = lay_photo(photo, camera, painted.heading_rad, room.colour.astype(np.float32))
    plate = Plate(room.plate, room.plate_distance)
    return replace(
        painted, colour=colour, from_photo=from_photo, distance=room.distance, plate=plate, layout=layout, place=place
    )
