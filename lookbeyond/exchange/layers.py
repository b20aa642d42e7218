"""What a compositor needs of a shot besides its pictures: one multilayer EXR per frame.

Passes and channels are named as Blender names its own (`Combined.R`, `Depth.Z`, `Vector.X` ...), which Nuke shows as
layers of these names. Combined is linear (Rec. 709 primaries), lengths are metres, Position and Normal count in the
world's axes (Z up).

Vector: X and Y are where the surface was in the frame before minus where it is now, Z and W where it is now minus where
it will be in the next frame; pixels, Y up. Where there is no such frame they are 0.

Mask: R where the photo saw it, G where it was invented (the world shows it, the photo did not), B where the move
uncovered what the world cannot show. Confidence: how many of the world's pixels each side of a frame's pixel has, at
most 1; 0 where the frame was filled.
"""

from pathlib import Path

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from lookbeyond.files import exr_errors
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.geometry.warping import Warped, warp_to_view
from lookbeyond.photo.pixels import LIGHT_OF_LEVEL
from lookbeyond.whole import storage_errors, whole_file

from .shots import Shot
from .splats import surface_normals

AGREES = 0.05
"""The world shows the frame's own surface where both distances differ by less than this share."""


def frame_layers(frame: View, world: Panorama, before: Camera | None, after: Camera | None) -> dict[str, NDArray]:
    """Channels [H, W] by their full names, float16 or float32. `before` and `after` are the neighbouring cameras."""
    camera = frame.camera
    rays = camera.rays()
    points = camera.position + rays * frame.distance[..., None].astype(np.float64)
    channels: dict[str, NDArray] = {}

    def add(name: str, letters: str, values: NDArray, kind: type = np.float32) -> None:
        for letter, channel in zip(letters, np.moveaxis(np.atleast_3d(values), -1, 0), strict=True):
            channels[f"{name}.{letter}"] = np.ascontiguousarray(channel, kind)

    colour = LIGHT_OF_LEVEL[frame.colour]
    add("Combined", "RGBA", np.concatenate([colour, np.ones_like(colour[..., :1])], -1), np.float16)
    add("Depth", "Z", frame.distance * (rays @ camera.forward))
    add("Position", "XYZ", points)
    add("Normal", "XYZ", surface_normals(rays.astype(np.float32), frame.distance, wraps=False))
    here = np.stack(np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5), -1)
    motion = [_there(points, here, before) - here, here - _there(points, here, after)]
    add("Vector", "XYZW", np.concatenate(motion, -1) * (1, -1, 1, -1))
    photo, filled, confidence = _sources(frame, world)
    add("Mask", "RGBA", np.stack([photo, 1 - photo - filled, filled, np.ones_like(photo)], -1), np.float16)
    add("Confidence", "X", confidence, np.float16)
    return channels


def _there(points: NDArray, here: NDArray, camera: Camera | None) -> NDArray:
    """Pixels [H, W, 2] of points in another frame; where they are now, if it has none for them."""
    if camera is None:
        return here
    pixels, _ = camera.project(points)
    return np.where(np.isfinite(pixels), pixels, here)


def _sources(frame: View, world: Panorama) -> tuple[NDArray, NDArray, NDArray]:
    """Photo, filled, confidence: [H, W], 0..1."""
    shown = warp_to_view(world, frame.camera)
    agrees = shown.known & (np.abs(shown.distance - frame.distance) < AGREES * frame.distance)
    photo = np.where(agrees, shown.sample(world.from_photo) / 255.0, 0.0)
    return photo, 1.0 - agrees, np.where(agrees, _density(shown), 0.0)


def _density(shown: Warped) -> NDArray:
    """Side of the area of the source that a pixel shows, in the source's pixels, at most 1."""
    width = shown.source_size[0]
    steps = []
    for axis in (1, 0):
        step = np.gradient(shown.source_coords.astype(np.float64), axis=axis)
        step[..., 0] = (step[..., 0] + width / 4) % (width / 2) - width / 4  # over the seam
        steps.append(step)
    area = np.abs(steps[0][..., 0] * steps[1][..., 1] - steps[0][..., 1] * steps[1][..., 0])
    # towards the poles columns crowd: there they are narrower on the sphere than rows
    elevation = (0.5 - shown.source_coords[..., 1] / shown.source_size[1]) * np.pi
    return np.minimum(1.0, np.sqrt(area * np.maximum(np.cos(elevation), 0.02)))


def write_layers(folder: Path, shot: Shot, world: Panorama) -> list[Path]:
    """Write one EXR a frame into the folder, named as the frames are; returns their paths."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, name in enumerate(shot.frames):
        before = shot.cameras[number - 1] if number else None
        after = shot.cameras[number + 1] if number + 1 < len(shot.cameras) else None
        path = folder / f"{Path(name).stem}.exr"
        write_exr(path, frame_layers(shot.view(number), world, before, after))
        written.append(path)
    return written


def write_exr(path: Path, channels: dict[str, NDArray]) -> None:
    """Write channels [H, W] by their names, losslessly; whole or not at all."""
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with whole_file(path) as temporary, exr_errors(path):
        # a copy: OpenEXR puts its own objects into the dictionary that it is given
        OpenEXR.File(header, dict(channels)).write(str(temporary))
