"""A photo becomes a world, and three views of it, without a service.

    python examples/python_api.py photo.jpg out

`out/world` holds what `lookbeyond world` writes, `out/frames` and `out/depth` the views.
"""

import math
import sys
from pathlib import Path

from lookbeyond.files import save_frames, save_panorama
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.photo.reading import read_photo
from lookbeyond.pipelines.scene import ScenePipeline


def main(photo: Path, out: Path, width: int = 4096) -> None:
    pixels = read_photo(photo).pixels
    height, across = pixels.shape[:2]
    camera = placed_camera(across, height, math.radians(65), pitch_rad=math.radians(-5))
    scene = ScenePipeline.from_preset("builtin")

    world = scene.build_world(pixels, camera, camera_height=1.6, width=width)
    save_panorama(out / "world", world)

    views = []
    for turn_deg in (0, -20, -40):  # to the right; each view is told what the ones before it show, the nearest first
        look = placed_camera(192, 128, math.radians(60), heading_rad=math.radians(turn_deg))
        views.append(scene.fill_anchor(world, look, views[::-1]))
    save_frames(out, views)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
