"""Turns a painted panorama into a world with a known layout: straight surfaces, their distances, a clean plate."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera, heading_pitch_roll
from lookbeyond.geometry.layout import RoomLayout
from lookbeyond.geometry.panorama import Panorama, Place, Plate
from lookbeyond.models.layout_network import LayoutNetwork
from lookbeyond.photo.exposure import exposed
from lookbeyond.photo.grain import with_grain

from .draw import DrawnPlace, draw_room
from .fit import fit_layout, fit_layout_panorama
from .open_place import draw_open, ground_distance
from .photo import PlacedPhoto
from .picture import PhotoPicture, Picture, SpherePicture
from .render import map_faces

Room = Literal["auto", "on", "off"]
"""Whether a place's layout is used: where the fit is sure, wherever one was found, or never."""
Unseen = Literal["plain", "dressed", "as-painted"]
"""How the part that nobody saw is shown: bare surfaces; with doors, windows and pictures; as diffusion painted it."""


@dataclass(frozen=True, eq=False)
class FoundPlace:
    """What a photo reveals about its place, before anything is painted around it."""

    place: Place
    layout: RoomLayout | None = None
    """Of a room that is to be drawn."""
    measured: NDArray[np.float32] | None = None
    """[h, w] metres along the photo's rays; of a room that is to be drawn."""
    things: NDArray[np.float32] | None = None
    """[h, w] 0..1: how likely each of these pixels shows something that stands in the room."""

    @property
    def drawn(self) -> bool:
        """Whether the place will be drawn, and its distance with it."""
        return self.layout is not None or self.open

    @property
    def open(self) -> bool:
        """Whether it is drawn as an open place, without using any paint."""
        return self.layout is None and self.place.kind == "open"

    def distance(self, camera: Camera, camera_height: float, width: int) -> NDArray[np.float32] | None:
        """[width / 2, width] metres along the ray, as a panorama's; None where only diffusion can tell."""
        if self.layout is not None:
            return map_faces(self.layout, camera.position, width, heading_pitch_roll(camera)[0]).distance
        return ground_distance(camera_height, width) if self.open else None


def find_place(
    photo: NDArray[np.uint8], camera: Camera, camera_height: float, network: LayoutNetwork, room: Room = "auto"
) -> FoundPlace:
    """A room, an open place or neither, from a photo uint8 [h, w, 3] and its camera (any resolution).

    photo: a fourth channel, 255 or 0, says what it knows, here and in `draw_place`; camera_height: metres above the
    floor.
    """
    if room == "off":
        return FoundPlace(Place())
    fit = fit_layout(np.ascontiguousarray(photo[..., :3]), camera, camera_height, network)
    layout = fit.candidate if room == "on" else fit.layout
    if layout is not None:
        return FoundPlace(replace(fit.place, kind="room"), layout, fit.distance_inside, fit.things_inside)
    return FoundPlace(replace(fit.place, kind="neither") if room == "on" else fit.place)


def draw_place(
    photo: NDArray[np.uint8],
    painted: Panorama,
    found: FoundPlace,
    unseen: Unseen = "dressed",
    width: int | None = None,
) -> Panorama:
    """The world around a photo: its place as it was found, in the light of the painted panorama.

    width: of the world, pixels; None: the painted panorama's, as it must be where its own pixels are shown.
    Where it is neither a room nor an open place, everything is as it was painted.
    """
    camera = painted.photo_camera
    if camera is None:
        raise ValueError("a place is drawn around its photo: this panorama has none")
    picture = PhotoPicture.of(photo, camera)
    if found.layout is not None:
        return with_room(
            picture,
            painted,
            found.layout,
            found.place,
            unseen,
            width=width,
            measured=found.measured,
            things=found.things,
        )
    if found.open:
        return _with_place(picture, painted, draw_open(picture, painted, width), found.place, unseen)
    return replace(painted, place=found.place)


def as_taken(world: Panorama, photo: NDArray[np.uint8], clean: NDArray[np.uint8], stops: float, seed: int) -> Panorama:
    """A world that was drawn from a photo without its noise and so many stops brighter: in the photo's own light, with
    noise like its own around it, and with the photo itself."""
    if world.photo_camera is None or (not stops and clean is photo):
        return world
    width, camera = world.colour.shape[1], world.photo_camera
    placed = PlacedPhoto.of(photo, camera, width, world.heading_rad)
    drawn = PlacedPhoto.of(exposed(clean, -stops), camera, width, world.heading_rad)
    taken_away = (placed.colour.astype(np.float32) - drawn.colour)[placed.alpha == 1]
    # by its median: what was clipped when it was made brighter is no noise
    deviation = np.median(np.abs(taken_away), 0) / 0.6745 if taken_away.size else np.zeros(3)

    def developed(colour: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return with_grain(exposed(colour, -stops), deviation, seed) if deviation.max() >= 1 else exposed(colour, -stops)

    plate = None if world.plate is None else replace(world.plate, colour=developed(world.plate.colour))
    return replace(world, colour=placed.over(developed(world.colour)), plate=plate)


def understand_panorama(
    panorama: Panorama,
    network: LayoutNetwork,
    room: Room = "auto",
    unseen: Unseen = "dressed",
    known: NDArray[np.bool_] | None = None,
) -> Panorama:
    """Finds the place in an existing 360° picture: if it surely is a room, its planes and its clean plate.

    known: [H, 2H], False where nobody saw the place; None where all of it is the picture's. What it shows keeps its
    colour; what nobody saw is drawn as `unseen` says. Where no room is found, everything stays.
    """
    fit = fit_layout_panorama(
        panorama.colour, panorama.camera_height, network, heading_rad=panorama.heading_rad, origin=panorama.origin
    )
    layout = fit.candidate if room == "on" else fit.layout
    if layout is None:
        return replace(panorama, place=fit.place)
    picture = SpherePicture(panorama.colour, panorama.origin, panorama.heading_rad, known)
    return with_room(picture, panorama, layout, replace(fit.place, kind="room"), unseen)


def with_room(
    picture: Picture,
    painted: Panorama,
    layout: RoomLayout,
    place: Place,
    unseen: Unseen = "dressed",
    *,
    width: int | None = None,
    measured: NDArray[np.float32] | None = None,
    things: NDArray[np.float32] | None = None,
) -> Panorama:
    """The panorama of a room with its surfaces drawn; arguments as of `draw_room`."""
    drawn = draw_room(
        picture, painted, layout, width=width, measured=measured, things=things, dressed=unseen != "plain"
    )
    return replace(_with_place(picture, painted, drawn, place, unseen), layout=layout)


def _with_place(picture: Picture, painted: Panorama, drawn: DrawnPlace, place: Place, unseen: Unseen) -> Panorama:
    """The painted panorama with a drawn place's distance and clean plate and, unless "as-painted", its colour."""
    colour, from_photo = painted.colour, painted.from_photo
    if unseen != "as-painted" and isinstance(picture, PhotoPicture):
        placed = picture.placed(drawn.colour.shape[1], painted.heading_rad)
        colour, from_photo = placed.over(drawn.colour), placed.from_photo
    elif unseen != "as-painted" and not picture.shown.all():
        colour = picture.over(drawn.colour, from_photo / np.float32(255), painted.heading_rad)
    plate = Plate(drawn.plate, drawn.plate_distance)
    return replace(painted, colour=colour, from_photo=from_photo, distance=drawn.distance, plate=plate, place=place)
