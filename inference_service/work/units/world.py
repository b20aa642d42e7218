"""A world: the panorama around a photo, or an existing panorama with its distance."""

from pathlib import Path
from typing import Any, Literal, Self

import msgspec
import numpy as np

from inference_service.store.store import Store
from inference_service.wire.requests import CARDS_FILE, WORLD_FILES, WORLD_LAYERS, WORLD_LIGHT
from inference_service.work.pipeline import Callback, Pipelines, Room, Unseen
from inference_service.work.unit import Unit
from lookbeyond.cards.card import Card, behind, save_cards, stand
from lookbeyond.cards.cutting import cut_out, marked_pixels, without
from lookbeyond.editing.edit import read_mask
from lookbeyond.errors import InputError
from lookbeyond.files import save_panorama, write_light
from lookbeyond.geometry.cameras import Camera, heading_pitch_roll
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.layout.camera import camera_from_photo
from lookbeyond.light.radiance import OwnLight, check_not_black, own_light_of_photo, panorama_light
from lookbeyond.monitors.seam import seam_jump
from lookbeyond.photo.join import join_photos
from lookbeyond.photo.reading import Sphere, read_light, read_photo, read_sphere

WORLD_WEIGHT = 10.0
"""A world of the usual width counts for this many frames of a clip."""
USUAL_WIDTH = 4096
LIGHT_SIZE = 1.6
"""So many times the bytes of a world without its light has one with it."""
SHARE_OF_PIXELS = 0.375
"""Of the time of a usual world, what grows with its pixels; the rest is the networks', at a size of their own. As the
built-in preset took it on two cores, 512 to 8192 wide: 2.5, 2.6, 2.5, 4.0 and 8.6 s."""


class BesidePhoto(msgspec.Struct, frozen=True):
    """A further photo from the same standpoint."""

    photo: str
    """SHA-256 of the uploaded picture."""
    camera: Camera


class BuildWorld(Unit, tag="world", frozen=True, kw_only=True):
    """Files: panorama.png, distance.exr, from_photo.png, world.json, the layers of `WORLD_LAYERS`, and its light.

    world.json also says how large the jump at the panorama's seam is.
    """

    title = "World"
    optional = ("prompt", "room", "unseen", "beside", "cut", "hdr")
    is_shared = True

    photo: str = ""
    panorama: str = ""
    """One of the two: SHA-256 of the uploaded picture."""
    camera: Camera | None
    camera_height: float
    """Metres."""
    width: int
    """Pixels; 0 with `panorama`, which has its own (as asked for, it may be any)."""
    seed: int
    prompt: str = ""
    room: Room = "auto"
    unseen: Unseen | Literal[""] = ""
    """As in `WorldRequest`."""
    beside: tuple[BesidePhoto, ...] = ()
    """What `photo` is joined with."""
    cut: tuple[str, ...] = ()
    """Masks of what is taken out of the photo and becomes a card: SHA-256."""
    hdr: bool = False
    """Whether its light is made, too."""

    def first_unit(self, revision: str) -> Self:
        return msgspec.structs.replace(self, revision=revision, width=self.width if self.photo else 0)

    @property
    def weight(self) -> float:
        return world_weight(self.width)

    @property
    def stored_size(self) -> float:
        return world_stored_size(self.width) * (LIGHT_SIZE if self.hdr else 1)

    @property
    def input_files(self) -> set[str]:
        return {self.photo or self.panorama, *(each.photo for each in self.beside), *self.cut}

    @property
    def outputs(self) -> dict[str, str]:
        cards = [CARDS_FILE, *(f"cards/{number}.png" for number in range(1, len(self.cut) + 1))] if self.cut else []
        light = [WORLD_LIGHT] if self.hdr else []
        return {name: name for name in (*WORLD_FILES, *WORLD_LAYERS, *cards, *light)}

    def run(self, store: Store, output: Path, pipelines: Pipelines, callback: Callback) -> None:
        settings = {
            "camera_height": self.camera_height,
            "room": self.room,
            "seed": self.seed,
            "callback": callback,
        }
        notes: dict[str, Any] = {}
        cards: list[Card] = []
        if self.beside:
            world, notes["joined"] = self._joined(store, pipelines, settings)
        elif self.panorama:
            world = self._measured(store, pipelines, settings)
        else:
            world, cards = self._built(store, pipelines, settings)
        save_panorama(output, world, {"seam_jump": round(seam_jump(world), 3), **notes})
        if cards:
            save_cards(output, cards)
        if self.hdr:
            callback(0.95, "Finding its light", None)
            write_light(output / WORLD_LIGHT, panorama_light(world, self._own_light(store, world)))

    def _own_light(self, store: Store, world: Panorama) -> OwnLight | None:
        """What the picture's own file tells of light beyond 8 bits; none of photos that were joined or cut."""
        if self.beside or self.cut:
            return None
        sha256 = self.photo or self.panorama
        light = read_light(store.read_file(sha256), store.name(sha256))
        if light is None:
            return None
        if self.photo:
            return own_light_of_photo(light.pixels, light.bounded, world)
        share = np.ones(world.colour.shape[:2], np.float32)
        if world.from_photo.any():  # the rest was made
            share = world.from_photo.astype(np.float32) / 255
        return OwnLight(light.pixels, share, light.bounded)

    def _measured(self, store: Store, pipelines: Pipelines, settings: dict[str, Any]) -> Panorama:
        sphere = read_sphere(store.read_file(self.panorama), store.name(self.panorama))
        if self.hdr:
            check_not_black(sphere.pixels, store.name(self.panorama))
        heading_rad = heading_pitch_roll(self.camera)[0] if self.camera else sphere.heading_rad or 0.0
        origin = tuple(self.camera.position.tolist()) if self.camera else (0.0, 0.0, 0.0)
        measure = pipelines(self.preset).measure_world
        return measure(sphere.with_holes, heading_rad=heading_rad, origin=origin, **settings)

    def _joined(self, store: Store, pipelines: Pipelines, settings: dict[str, Any]) -> tuple[Panorama, tuple[str, ...]]:
        """The world around several photos, and what was decided when they were joined: sentences."""
        assert self.camera is not None
        hashes = self.photo, *(each.photo for each in self.beside)
        names = [store.name(sha256) for sha256 in hashes]
        photos = [
            read_photo(store.read_file(sha256), name).with_holes for sha256, name in zip(hashes, names, strict=True)
        ]
        if self.hdr:
            check_not_black(photos[0], names[0])
        cameras = [self.camera, *(each.camera for each in self.beside)]
        for photo, camera, name in zip(photos, cameras, names, strict=True):
            _check_shape(camera, photo, name)
        heading_rad = heading_pitch_roll(self.camera)[0]
        joined = join_photos(photos, cameras, self.width, heading_rad, names)
        sphere = Sphere(joined.colour, joined.known, heading_rad, stops=0.0)
        measure = pipelines(self.preset).measure_world
        origin = tuple(self.camera.position.tolist())
        return measure(sphere.with_holes, heading_rad=heading_rad, origin=origin, **settings), joined.said

    def _built(self, store: Store, pipelines: Pipelines, settings: dict[str, Any]) -> tuple[Panorama, list[Card]]:
        """The world around the photo without what is cut out of it, and the cards of that."""
        name = store.name(self.photo)
        photo = read_photo(store.read_file(self.photo), name)
        if self.hdr:
            check_not_black(photo.pixels, name)
        height, width = photo.pixels.shape[:2]
        camera = self.camera or camera_from_photo(photo.pixels, photo.fov_x_rad).camera()
        _check_shape(camera, photo.pixels, name)
        camera = camera.resized(width, height)
        pixels = photo.with_holes
        cut = [
            cut_out(pixels, marked_pixels(read_mask(store.read_file(sha256)), pixels, store.name(sha256)))
            for sha256 in self.cut
        ]
        world = pipelines(self.preset).build_world(
            without(pixels, cut) if cut else pixels,
            camera,
            width=self.width,
            prompt=self.prompt,
            unseen=self.unseen or None,
            **settings,
        )
        cards = [
            stand(each, camera, (width, height), self.camera_height, behind(each, camera, (width, height), world))
            for each in cut
        ]
        return world, cards


def world_weight(width: int) -> float:
    """How much work a world of this width is, in frames of a clip; 0: the usual width."""
    return WORLD_WEIGHT * (1 - SHARE_OF_PIXELS) + SHARE_OF_PIXELS * world_stored_size(width)


def world_stored_size(width: int) -> float:
    """What the bytes of a world are measured in: its pixels, `WORLD_WEIGHT` for those of the usual width."""
    return WORLD_WEIGHT * ((width or USUAL_WIDTH) / USUAL_WIDTH) ** 2


def _check_shape(camera: Camera, photo: np.ndarray, name: str) -> None:
    """InputError for a camera whose frame has another shape than the photo [H, W, ...]."""
    height, width = photo.shape[:2]
    if abs(camera.width * height - camera.height * width) > max(width, height, camera.width):
        raise InputError(
            f"The photo's camera has {camera.width}x{camera.height} pixels but {name} {width}x{height}; "
            "give the camera the photo's shape."
        )
