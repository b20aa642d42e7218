"""The values that everything else passes around: a panorama of the world, and a view of it. No files here."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from .cameras import Camera, heading_pitch_roll
from .layout import RoomLayout
from .opening import Opening
from .projection import sample_equirectangular

WORLD_VERSION = 1
"""Version of the content of world.json."""


PlaceKind = Literal["room", "open", "neither"]


@dataclass(frozen=True)
class Place:
    """What kind of place a photo shows, and how sure that is."""

    kind: PlaceKind = "neither"
    """"room": walls, floor and ceiling were drawn. "open": ground and sky. "neither": the panorama is as painted."""
    confidence: float = 0.0
    """0..1, of the fit that was tried."""
    reason: str = ""
    """One sentence for the artist."""


@dataclass(frozen=True, eq=False)
class Plate:
    """A clean plate: the place without what stands in it, seen from the panorama's origin in all directions."""

    colour: NDArray[np.uint8]
    """[H, W, 3], the panorama's size."""
    distance: NDArray[np.float32]
    """[h, w] along the ray, metres."""


@dataclass(frozen=True, eq=False)
class Panorama:
    """What is seen from one point of the world in all directions, equirectangular (see `projection`).

    Raises `ValueError` when an array has the wrong type or shape, or a distance is not positive and finite.
    """

    colour: NDArray[np.uint8]
    """[H, W, 3], W = 2 H."""
    distance: NDArray[np.float32]
    """[h, w] along the ray, metres; covers the same sphere, may be coarser than the colour."""
    from_photo: NDArray[np.uint8]
    """[H, W]: 255 where the photo saw it, 0 where it was made, feathered between."""
    heading_rad: float = 0.0
    """Where the centre column looks: counter-clockwise from +X, seen from above."""
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where it was seen from, world, metres."""
    camera_height: float = 1.6
    """Height of the origin above the floor, metres."""
    photo_camera: Camera | None = None
    """The photo's camera in the world; None when the panorama was given, not made."""
    preset: str = ""
    seed: int = 0
    revision: str = ""
    """Revision of the weights that made it."""
    distance_model: str = ""
    """What made the distance, when not the preset's own model."""
    place: Place = Place()
    plate: Plate | None = None
    """What is behind the things that stand in the place; None where that is not known."""
    layout: RoomLayout | None = None
    beyond: "Beyond | None" = None
    """A second world that an opening leads to; files have none: see `linked`."""

    def __post_init__(self) -> None:
        height, width = self.colour.shape[:2]
        _check("panorama's colour", self.colour, np.uint8, (height, width, 3))
        _check("panorama's from_photo", self.from_photo, np.uint8, (height, width))
        _check_distance("panorama's distance", self.distance, self.distance.shape)
        for name, shape in (("colour", self.colour.shape), ("distance", self.distance.shape)):
            if len(shape) < 2 or shape[1] != 2 * shape[0]:
                raise ValueError(f"the panorama's {name} is {shape}; an equirectangular image is twice as wide as high")
        if self.plate is not None:
            _check("plate's colour", self.plate.colour, np.uint8, self.colour.shape)
            _check_distance("plate's distance", self.plate.distance, self.plate.distance.shape)
        object.__setattr__(self, "origin", tuple(float(value) for value in self.origin))

    @property
    def position(self) -> NDArray[np.float64]:
        """`origin` as an array [3]."""
        return np.array(self.origin)

    @cached_property
    def plate_panorama(self) -> "Panorama":
        """The clean plate as a separate panorama. Raises `ValueError` if there is none."""
        if self.plate is None:
            raise ValueError("this panorama has no clean plate")
        nothing = np.zeros_like(self.from_photo)
        return replace(
            self,
            colour=self.plate.colour,
            distance=self.plate.distance,
            from_photo=nothing,
            plate=None,
            layout=None,
            beyond=None,
        )

    @cached_property
    def median_distance(self) -> float:
        """Median over the sphere (each row weighted by its area), metres: the world's unit of length."""
        height, width = self.distance.shape
        weight = np.repeat(np.cos((np.arange(height) + 0.5) / height * math.pi - math.pi / 2), width)
        order = np.argsort(self.distance, axis=None)
        share = np.cumsum(weight[order])
        return float(self.distance.ravel()[order[np.searchsorted(share, share[-1] / 2)]])

    def distance_at(self, directions: NDArray) -> NDArray[np.float32]:
        """Distance [...] in metres along world directions [..., 3] from the origin, bilinear."""
        return sample_equirectangular(self.distance, directions, self.heading_rad)

    def shrunk_for(self, camera: Camera) -> "Panorama":
        """The panorama at 1.5 times the resolution that a camera's pixels need, at least."""
        return self.shrunk(max(512, round(1.5 * camera.intrinsics[0, 0] * 2 * math.pi)))

    def shrunk(self, width: int) -> "Panorama":
        """The panorama at most `width` wide (but above half of that), pixels averaged in whole blocks.

        What is warped or extracted into small frames should be shrunk first: sampling does not filter. It is made once
        and kept as long as this panorama lives.
        """
        step = -(-self.colour.shape[1] // width)
        while self.colour.shape[0] % step:
            step += 1
        if step == 1:
            return self
        known = _shrunk.setdefault(self, {})
        if step not in known:
            plate = self.plate and replace(self.plate, colour=_block_mean(self.plate.colour, step))
            colour, from_photo = _block_mean(self.colour, step), _block_mean(self.from_photo, step)
            known[step] = replace(self, colour=colour, from_photo=from_photo, plate=plate)
        return known[step]

    def to_json_dict(self) -> dict[str, Any]:
        """Everything but the arrays, as in world.json; angles in degrees."""
        photo = None
        if self.photo_camera is not None:
            _, pitch, roll = heading_pitch_roll(self.photo_camera)
            photo = self.photo_camera.to_dict() | {"pitch": math.degrees(pitch), "roll": math.degrees(roll)}
        return {
            "version": WORLD_VERSION,
            "photo_camera": photo,
            "heading": math.degrees(self.heading_rad),
            "origin": list(self.origin),
            "camera_height": self.camera_height,
            "preset": self.preset,
            "seed": self.seed,
            "revision": self.revision,
            "distance_model": self.distance_model,
            "place": asdict(self.place),
        }

    @classmethod
    def from_json_dict(
        cls,
        values: Mapping[str, Any],
        colour: NDArray,
        distance: NDArray,
        from_photo: NDArray,
        plate: Plate | None = None,
        layout: RoomLayout | None = None,
    ) -> "Panorama":
        """The inverse of `to_json_dict`; `ValueError` for a content it did not write."""
        try:
            if values["version"] != WORLD_VERSION:
                raise ValueError(f"the world has version {values['version']}, not {WORLD_VERSION}; build it again")
            photo = values["photo_camera"]
            x, y, z = values["origin"]
            return cls(
                colour,
                distance,
                from_photo,
                heading_rad=math.radians(values["heading"]),
                origin=(x, y, z),
                camera_height=float(values["camera_height"]),
                photo_camera=None if photo is None else Camera.from_dict(photo),
                preset=str(values["preset"]),
                seed=int(values["seed"]),
                revision=str(values["revision"]),
                distance_model=str(values.get("distance_model", "")),
                place=Place(**values.get("place", {})),
                plate=plate,
                layout=layout,
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"the world's description is not complete ({error}); build the world again") from None


@dataclass(frozen=True, eq=False)
class Beyond:
    """A second world that is joined to a first one."""

    panorama: Panorama
    """In the first one's frame and light."""
    opening: Opening
    """Between the two."""


_shrunk: "WeakKeyDictionary[Panorama, dict[int, Panorama]]" = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class View:
    """What one camera sees. Raises `ValueError` when an array has the wrong type or shape."""

    camera: Camera
    colour: NDArray[np.uint8]
    """[H, W, 3], the camera's size."""
    distance: NDArray[np.float32]
    """[H, W] along the ray, metres."""
    from_photo: NDArray[np.uint8]
    """[H, W]: 255 where the photo saw it."""

    def __post_init__(self) -> None:
        size = (self.camera.height, self.camera.width)
        _check("view's colour", self.colour, np.uint8, (*size, 3))
        _check("view's from_photo", self.from_photo, np.uint8, size)
        _check_distance("view's distance", self.distance, size)


def _block_mean(image: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    # line by line: one sum over two axes takes five times as long
    rows = sum((image[i::step].astype(np.uint32) for i in range(1, step)), image[::step].astype(np.uint32))
    blocks = sum((rows[:, i::step] for i in range(1, step)), rows[:, ::step])
    return (blocks * (1 / step**2) + 0.5).astype(np.uint8)


def _check(name: str, array: NDArray, dtype: Any, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"the {name} is {array.dtype} {array.shape}; give {np.dtype(dtype)} {shape}")


def _check_distance(name: str, distance: NDArray, shape: tuple[int, ...]) -> None:
    _check(name, distance, np.float32, shape)
    if not (np.isfinite(distance) & (distance > 0)).all():
        raise ValueError(f"the {name} holds values that are not positive metres; make it again")
