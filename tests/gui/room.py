"""What the window check looks at: a procedural room as a photo, its panorama and its distances. Run by check.sh.

PYTHON room.py FOLDER      with the Python of the service's environment
"""

import math
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


from lookbeyond.data.rooms import Rooms, render_panoramas, render_views  # noqa: E402
from lookbeyond.files import write_png  # noqa: E402
from lookbeyond.geometry.cameras import placed_camera  # noqa: E402
from tests.support.worlds import distance_file  # noqa: E402

SEED, OTHER = 108, 102
"""Furnished, with windows; and another that it might have been."""


def main(folder: Path) -> None:
    room = Rooms.from_seeds([SEED])
    camera = placed_camera(1200, 800, math.radians(65))  # where the add-on puts a photo that says nothing
    (view,) = render_views(room, [camera])
    write_png(folder / "photo.png", view.colour)
    for name, seed, rows in (("", SEED, 1024), ("other_", OTHER, 256)):
        colour, _ = render_panoramas(Rooms.from_seeds([seed]), rows, 2 * rows)
        _, distance = render_panoramas(Rooms.from_seeds([seed]), 256, 512)
        image = (colour[0] * 255).round().byte().permute(1, 2, 0).numpy()
        write_png(folder / f"{name}panorama.png", np.ascontiguousarray(image))
        height_m = float(Rooms.from_seeds([seed]).camera_height[0])
        # As large as the world of a camera 1.6 m above the floor: that is what the artist is told.
        distance_file(folder / f"{name}distance.exr", distance[0, 0].numpy() * 1.6 / height_m)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
