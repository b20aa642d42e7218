"""A world with a spot changed: something taken out, or made anew."""

from pathlib import Path
from typing import Any

import numpy as np

from inference_service.store.store import Store
from inference_service.wire.requests import WORLD_FILES, WORLD_LAYERS
from inference_service.work.inputs import read_world
from inference_service.work.pipeline import Callback, Pipelines
from inference_service.work.unit import ShotUnit
from inference_service.work.units.world import WORLD_WEIGHT
from lookbeyond.editing.edit import points_of, read_mask, remove, repaint, spot_of, with_hole
from lookbeyond.files import read_json, save_panorama, write_png
from lookbeyond.monitors.seam import seam_jump

WAYS = ("remove", "repaint")
MASK_FILE = "mask.png"


class EditWorld(ShotUnit, tag="edit", frozen=True, kw_only=True):
    """Files: those of a world, and the mask. world.json also lists the edits that led to it, each with the files of the
    world before it and some points of what it changed, as it was and as it is."""

    title = "Changed World"
    unasked = ("revision", "beyond")
    optional = ("prompt",)
    is_shared = True

    mask: str
    """SHA-256 of the mask."""
    way: str
    seed: int
    prompt: str = ""

    @property
    def weight(self) -> float:
        return WORLD_WEIGHT if self.way == "repaint" else 1.0

    @property
    def input_files(self) -> set[str]:
        return {self.mask, *self.world.values()}

    @property
    def outputs(self) -> dict[str, str]:
        return {name: name for name in (*WORLD_FILES, *WORLD_LAYERS, MASK_FILE)}

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

    def _edits(self, store: Store, points: list[list[float]]) -> list[dict[str, Any]]:
        """This edit after those that the world had."""
        before = read_json(store.read_file(self.world["world.json"])).get("edits", [])
        own: dict[str, Any] = {"way": self.way, "mask": self.mask, "world": self.world, "points": points}
        if self.way == "repaint":
            own |= {"preset": self.preset, "revision": self.revision, "seed": self.seed}
        if self.prompt:
            own["prompt"] = self.prompt
        return [*(before if isinstance(before, list) else []), own]
