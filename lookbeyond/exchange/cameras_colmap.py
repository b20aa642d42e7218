"""Camera moves as COLMAP models, text and binary, by COLMAP's own package (pycolmap).

A model holds pinhole cameras and where they stood, in OpenCV axes; neither metres nor which way is up. What we write
keeps our world: Z up, one unit a metre.
"""

from pathlib import Path

import numpy as np

from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera, CameraError, PathError
from lookbeyond.whole import whole_folder

from .camera_move import CameraMove
from .extras import optional

MODEL_FILES = tuple(
    f"{name}.{suffix}" for name in ("cameras", "images", "points3D", "rigs", "frames") for suffix in ("txt", "bin")
)
_PINHOLE = {"PINHOLE": (0, 1, 2, 3), "SIMPLE_PINHOLE": (0, 0, 1, 2)}


def write_colmap(folder: Path, move: CameraMove, text: bool) -> None:
    """Write cameras, images, points3D (empty), rigs and frames into `folder`, as .txt or .bin."""
    pycolmap = _pycolmap()
    model = pycolmap.Reconstruction()
    known: dict[tuple[float, ...], int] = {}
    for number, (camera, name) in enumerate(zip(move.cameras, move.file_names(), strict=True), 1):
        (fx, _, cx), (_, fy, cy), _ = camera.intrinsics.tolist()
        parameters = (fx, fy, cx, cy)
        if parameters not in known:
            known[parameters] = len(known) + 1
            lens = pycolmap.Camera(
                model="PINHOLE",
                width=camera.width,
                height=camera.height,
                params=parameters,
                camera_id=known[parameters],
            )
            model.add_camera_with_trivial_rig(lens)
        world_to_camera = np.linalg.inv(camera.camera_to_world)[:3]
        image = pycolmap.Image(name=Path(name).name, camera_id=known[parameters], image_id=number)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(world_to_camera))
    with whole_folder(folder, MODEL_FILES) as temporary:
        (model.write_text if text else model.write_binary)(str(temporary))


def read_colmap(folder: Path) -> CameraMove:
    """The cameras of a model, by their pictures' names. Raises `PathError` where a camera is not a pinhole."""
    pycolmap = _pycolmap()
    if not any((Path(folder) / f"cameras.{suffix}").is_file() for suffix in ("bin", "txt")):
        raise PathError(f"{folder} holds no COLMAP model; give the folder with cameras.bin or cameras.txt in it")
    try:
        model = pycolmap.Reconstruction(str(folder))
    except (RuntimeError, ValueError, IndexError, OSError) as error:
        reason = " ".join(str(error).split())
        raise PathError(f"the COLMAP model in {folder} cannot be read ({reason}); export it again") from None
    cameras, names = [], []
    for image in sorted(model.images.values(), key=lambda image: image.name):
        if not image.has_pose:
            continue
        lens = image.camera
        model_name = lens.model.name
        if model_name not in _PINHOLE:
            raise PathError(
                f"the COLMAP model in {folder} has a {model_name} camera ({image.name}), whose lens distorts; "
                "undistort it first (`colmap image_undistorter`) and give the model of the undistorted pictures"
            )
        fx, fy, cx, cy = (lens.params[place] for place in _PINHOLE[model_name])
        pose = np.eye(4)
        pose[:3] = image.cam_from_world().inverse().matrix()
        try:
            cameras.append(Camera(lens.width, lens.height, [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], pose))
        except CameraError as error:
            raise PathError(f"the COLMAP model in {folder}, {image.name}: {error}") from None
        names.append(image.name)
    if not cameras:
        raise PathError(f"the COLMAP model in {folder} has no images with a pose; run the mapper first")
    return CameraMove(cameras, names=names)


def _pycolmap():
    pycolmap = optional("pycolmap", "pycolmap", "Reading and writing COLMAP models")
    if not hasattr(pycolmap.Reconstruction, "add_image_with_trivial_frame"):
        raise InputError("This pycolmap is too old for rigs and frames; run `pip install --upgrade pycolmap`.")
    return pycolmap
