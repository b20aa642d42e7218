"""What the tests of the add-on play: pictures on disk, and a service that answers at once."""

import json
import math
import shutil
import time
from pathlib import Path


def picture(path: Path, width: int, height: int, pixels=None) -> Path:
    """Write an image file through Blender; `pixels` [H, W, 3] in 0..1, first row on top, or a gradient."""
    import bpy
    import numpy as np

    rgba = np.ones((height, width, 4), np.float32)
    rgba[..., 0] = np.linspace(0, 1, width)
    rgba[..., 1] = np.linspace(0, 1, height)[:, None]
    if pixels is not None:
        rgba[..., :3] = pixels
    image = bpy.data.images.new("picture", width, height)
    image.pixels.foreach_set(np.ascontiguousarray(rgba[::-1]).ravel())
    image.file_format = {".jpg": "JPEG", ".png": "PNG", ".exr": "OPEN_EXR"}[path.suffix]
    image.filepath_raw = str(path)
    image.save()
    bpy.data.images.remove(image)
    return path


class PlayedService:
    """Stands for the client, playing a service that answers at once: what it was asked lies in the lists.

    `fails` is raised instead of a result; while `holds` is set, jobs go on and on, as models do. It is
    used in the I/O thread, so that its files are made beforehand, in `folder`.
    """

    class Welcome:
        service, version, epoch = "0.1.0", 1, "e"
        presets = ({"name": "builtin"},)
        devices = ({"name": "CPU"},)
        limits = {}

    def __init__(self, folder: Path) -> None:
        self.panorama = picture(folder / "panorama.png", 64, 32)
        self.frame = picture(folder / "frame.png", 96, 64)
        self.preview = picture(folder / "preview.jpg", 64, 32).read_bytes()
        self.uploads: list[str] = []
        self.requests: list[object] = []
        self.cancelled: list[str] = []
        self.fails: Exception | None = None
        self.holds = False
        self.open = 0

    def __call__(self) -> "PlayedService":
        return self

    welcome = Welcome()

    def __enter__(self) -> "PlayedService":
        self.open += 1
        return self

    def __exit__(self, *error: object) -> None:
        self.open -= 1

    def upload(self, path: Path) -> str:
        assert path.is_file()
        self.uploads.append(path.name)
        return f"{len(self.uploads):064x}"

    def submit(self, request) -> str:
        self.requests.append(request)
        return f"{len(self.requests):x}" * 64

    def cancel(self, job: str) -> None:
        self.cancelled.append(job)

    def follow(self, job: str, folder: Path):
        from lookbeyond_kit import client

        request = self.requests[-1]
        yield client.Progress(0.25, "Denoising 5 of 20", 12.0)
        yield client.Preview(self.preview)
        ends = time.monotonic() + 20
        while self.holds and time.monotonic() < ends:
            if job in self.cancelled:
                raise client.ServiceError("cancelled", "The job was cancelled.")
            time.sleep(0.002)
            yield client.Progress(0.3, "Denoising 6 of 20", 11.0)
        if self.fails is not None:
            raise self.fails
        files = self.world(request, folder) if hasattr(request, "photo") else self.shot(request, folder)
        for file in files:
            yield client.FileArrived(file.relative_to(folder).as_posix(), file)
        yield client.Finished(tuple(file.relative_to(folder).as_posix() for file in files))

    def world(self, request, folder: Path) -> list[Path]:
        from lookbeyond_kit.geometry.cameras import Camera, heading_pitch_roll

        heading = heading_pitch_roll(Camera.from_dict(request.camera))[0]
        about = {"version": 1, "heading": math.degrees(heading), "revision": "r1", "seed": request.seed}
        (folder / "world.json").write_text(json.dumps(about))
        (folder / "distance.exr").write_bytes(b"distance")
        for name in ("panorama.png", "from_photo.png"):
            shutil.copy(self.panorama, folder / name)
        return [folder / name for name in ("panorama.png", "from_photo.png", "distance.exr", "world.json")]

    def shot(self, request, folder: Path) -> list[Path]:
        (folder / "frames").mkdir(exist_ok=True)
        numbers = range(request.first_frame, request.first_frame + len(request.cameras))
        return [Path(shutil.copy(self.frame, folder / "frames" / f"{number:04d}.png")) for number in numbers]


def turns_until(session, condition, limit_s: float = 10.0) -> None:
    """Tick the session, as Blender's timer does, until the condition holds."""
    ends = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < ends, "the session did not get there"
        session.tick(wait_s=0.05)
