"""A link between two worlds: the opening between them, and how the second one fits."""

from pathlib import Path

import msgspec
import numpy as np

from inference_service.store.store import Store
from inference_service.work.inputs import read_former_world
from inference_service.work.pipeline import Callback, Pipelines
from inference_service.work.unit import ShotUnit
from lookbeyond.errors import InputError, sentence
from lookbeyond.files import write_json
from lookbeyond.geometry.linked import upright_pose
from lookbeyond.geometry.opening import Opening

LINK_FILE = "link.json"


class LinkWorlds(ShotUnit, tag="link", frozen=True, kw_only=True):
    """File: link.json, what `Link.to_json_dict` writes, and `said`: sentences for the artist."""

    title = "Link"
    unasked = ("revision", "beyond")
    not_hashed = ("preset", "revision")  # no model takes part in it

    second: dict[str, str]
    """File name -> SHA-256; `world` is the first one."""
    pose: tuple[tuple[float, ...], ...]
    opening: tuple[float, ...]
    """As in `LinkRequest`."""

    @property
    def weight(self) -> float:
        return 0.2

    @property
    def input_files(self) -> set[str]:
        return super().input_files | set(self.second.values())

    @property
    def outputs(self) -> dict[str, str]:
        return {LINK_FILE: LINK_FILE}

    def check(self) -> None:
        """Raises InputError for a pose or an opening that joins no worlds."""
        try:
            _ = self.given_opening
            upright_pose(self.pose)
        except ValueError as error:
            raise InputError(sentence(f"The two worlds cannot be linked: {error}")) from error

    @property
    def given_opening(self) -> Opening | None:
        """None: it is to be found. Raises ValueError."""
        if not self.opening:
            return None
        if len(self.opening) != 6:
            raise ValueError("an opening is x and y of both sides, then the height of its bottom and its top")
        x1, y1, x2, y2, bottom_z, top_z = self.opening
        return Opening((x1, y1), (x2, y2), bottom_z, top_z)

    def run(self, store: Store, output: Path, pipelines: Pipelines, callback: Callback) -> None:
        from lookbeyond.linking.judge import link_worlds

        callback(0.0, "Looking for the opening between the worlds", None)
        first, second = (read_former_world(files, store) for files in (self.world, self.second))
        link, said = link_worlds(first, second, np.array(self.pose), self.given_opening)
        write_json(output / LINK_FILE, msgspec.to_builtins(link.to_json_dict() | {"said": said}))
