"""A world with a spot changed: something taken out, or made anew."""

from pathlib import Path
from typing import Any

import numpy as np

from inference_service.store.store import Store
from inference_service.wire.requests import WORLD_FILES, WORLD_LAYERS, WORLD_LIGHT
from inference_service.work.inputs import read_world
from inference_service.work.pipeline import Callback, Pipelines
from inference_service.work.unit import ShotUnit
from inference_service.work.units.world import WORLD_WEIGHT
from lookbeyond.editing.edit import points_of, read_mask, remove, repaint, spot_of, with_hole
from lookbeyond.errors import InputError
from lookbeyond.files import read_json, read_light_file, save_panorama, write_light, write_png
from lookbeyond.light.radiance import panorama_light
from lookbeyond.monitors.seam import seam_jump

WAYS = ("remove", "repaint")
MASK_FILE = "mask.png"


class EditWorld(ShotUnit, tag="edit", frozen=True, kw_only=True):
    """Files: those of a world, and the mask. world.json also lists the edits that led to it, each with the files of the
    world before it and some points of what it changed, as it was and as it is."""

    title = "Changed World"
    unasked = ("revision", "beyond")
    optional = ("prompt", "light")
    is_shared = True

    mask: str
    """SHA-256 of the mask."""
    way: str
    seed: int
    prompt: str = ""
    light: str = ""
    """SHA-256 of the world's light; empty: it has none."""

    @property
    def weight(self) -> float:
        return WORLD_WEIGHT if self.way == "repaint" else 1.0

    @property
    def input_files(self) -> set[str]:
        return {self.mask, *self.world.values(), *([self.light] if self.light else [])}

    @property
    def outputs(self) -> dict[str, str]:
        light = [WORLD_LIGHT] if self.light else []
        return {name: name for name in (*WORLD_FILES, *WORLD_LAYERS, MASK_FILE, *light)}

    def run(self, store: Store, output: Path, pipelines: Pipelines, callback: Callback) -> None:
        callback(0.0, "Changing the world", None)
        world = read_world(self.world, store)
        spot = spot_of(read_mask(store.read_file(self.mask), store.name(self.mask)), world)
        if self.way == "remove":
            changed = remove(world, spot)
        else:
            made = pipelines(self.preset).measure_world(
                with_hole(world, spot),
                camera_height=world.camera_height,
                heading_rad=world.heading_rad,
                origin=world.origin,
                room="off",
                prompt=self.prompt,
                seed=self.seed,
                callback=callback,
            )
            changed = repaint(world, spot, made)
        points = [*points_of(world, spot), *points_of(changed, spot)]
        about = {"seam_jump": round(seam_jump(changed), 3), "edits": self._edits(store, points)}
        save_panorama(output, changed, about)
        write_png(output / MASK_FILE, spot.astype(np.uint8) * 255)
        if self.light:
            light = read_light_file(store.read_file(self.light))
            if light.shape[:2] != spot.shape:
                raise InputError("The world's light has another size than its picture; build the world again.")
            light[spot] = panorama_light(changed)[spot]
            write_light(output / WORLD_LIGHT, light)

    def _edits(self, store: Store, points: list[list[float]]) -> list[dict[str, Any]]:
        """This edit after those that the world had."""
        before = read_json(store.read_file(self.world["world.json"])).get("edits", [])
        own: dict[str, Any] = {"way": self.way, "mask": self.mask, "world": self.world, "points": points}
        if self.way == "repaint":
            own |= {"preset": self.preset, "revision": self.revision, "seed": self.seed}
        if self.prompt:
            own["prompt"] = self.prompt
        return [*(before if isinstance(before, list) else []), own]
