"""Times and sizes of what a world becomes for other programs.

    python benchmarks/exchange.py WORLD

WORLD is a folder that `lookbeyond world` made. Each time is the shorter of two, from reading the world on.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lookbeyond.exchange.mesh_files import write_mesh
from lookbeyond.exchange.page import Room, write_page
from lookbeyond.exchange.splat_files import write_splats
from lookbeyond.exchange.splats import world_splats
from lookbeyond.files import load_panorama
from lookbeyond.geometry.panorama import Panorama

KINDS: dict[str, Callable[[Panorama, Path], object]] = {
    "splats.ply": lambda world, path: write_splats(path, world_splats(world)),
    "splats.spz": lambda world, path: write_splats(path, world_splats(world)),
    "stage.glb": lambda world, path: write_mesh(path, world),
    "page": lambda world, path: write_page(path, [Room("A room", world)]),
}


def main() -> None:
    folder = Path(sys.argv[1])
    world = load_panorama(folder)
    print(f"world {world.colour.shape[1]} x {world.colour.shape[0]}: {len(world_splats(world))} splats")
    for name, write in KINDS.items():
        times = []
        for _ in range(2):
            with tempfile.TemporaryDirectory() as temporary:
                path = Path(temporary) / name
                began = time.perf_counter()
                write(load_panorama(folder), path)
                times.append(time.perf_counter() - began)
                files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
                size = sum(file.stat().st_size for file in files)
        print(f"{name}: {min(times):.1f} s, {size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
