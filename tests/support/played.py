"""A service that answers at once, for the tests of the add-on."""

import dataclasses
import json
import math
import shutil
import threading
import time
import types
from pathlib import Path

from tests.support.pictures import picture
from tests.support.worlds import distance_file, room_distance


@dataclasses.dataclass
class Welcome:
    """What the played service says of itself; of its devices it knows more when their workers have started."""

    service: str = "0.1.0"
    version: int = 1
    epoch: str = "e"
    presets: tuple[dict, ...] = ({"name": "builtin", "views_steps": 8},)
    devices: tuple[dict, ...] = ({"name": "CPU", "state": "starting"},)
    limits: dict = dataclasses.field(default_factory=dict)


class PlayedService:
    """Stands for the client, playing a service that answers at once: what it was asked lies in the lists.

    `fails` is raised instead of a result; while `holds` is set, jobs go on and on, as models do, for `holds_s` at
    most; while `go_on` is cleared, no file arrives, and every file takes `pace_s` to. It is used in the I/O thread,
    so that its files are made beforehand, in `folder`.
    """

    def __init__(self, folder: Path) -> None:
        self.panorama = picture(folder / "panorama.png", 64, 32)
        self.frame = picture(folder / "frame.png", 96, 64)
        self.preview = picture(folder / "preview.jpg", 64, 32).read_bytes()
        self.depth = distance_file(folder / "depth.exr", room_distance(96)[:64])
        self.uploads: list[str] = []
        self.requests: list[object] = []
        self.priced: list[object] = []
        self.cancelled: list[str] = []
        self.fails: Exception | None = None
        self.move: dict = {}
        """What a planned move's move.json holds."""
        self.door: dict = {
            "version": 1,
            "opening": {"start": [2.0, -0.5], "end": [2.0, 0.5], "bottom_z": 0.0, "top_z": 2.1},
            "gain": [1.0, 1.0, 1.0],
            "said": ["The opening is 1.00 m wide and 2.10 m high."],
        }
        """What a link's link.json holds."""
        self.people: tuple[float, ...] = ()
        self.held: object | None = None
        self.looked_with = 0.0
        self.turned: dict | None = None
        self.misfit = ""
        self.aligned_with: list[dict] = []
        self.devices: tuple[dict, ...] = ({"name": "CPU"},)
        self.welcome = Welcome()
        self.holds, self.holds_s = False, 20.0
        self.pace_s = 0.0
        self.go_on = threading.Event()
        self.go_on.set()
        self.open = 0

    def __call__(self) -> "PlayedService":
        return self

    def __enter__(self) -> "PlayedService":
        self.open += 1
        return self

    def __exit__(self, *error: object) -> None:
        self.open -= 1

    def upload(self, path: Path) -> str:
        assert path.is_file()
        self.uploads.append(path.name)
        return f"{len(self.uploads):064x}"

    def release(self) -> None:
        for device in self.devices:
            device.pop("loaded", None)

    def service_status(self):
        return types.SimpleNamespace(devices=self.devices)

    def inspect_photo(self, sha256: str, fov_x_rad: float = 0.0):
        from lookbeyond_kit.client import PhotoFindings

        self.looked_with = fov_x_rad
        return PhotoFindings(True, self.people, self.held)

    def align(self, pictures, cameras):
        from lookbeyond_kit.client import Aligned

        self.aligned_with = cameras
        return Aligned(True, reason=self.misfit) if self.misfit else Aligned(True, self.turned, 240, 0.05)

    def price(self, question):
        from lookbeyond_kit.client import Price

        self.priced.append(question)
        return Price(2.0 * question.frames + 20.0 * question.worlds, 1_000_000 * (question.frames + question.worlds))

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
        shown = time.monotonic()
        ends = shown + self.holds_s
        while self.holds and time.monotonic() < ends:
            if job in self.cancelled:
                raise client.ServiceError("cancelled", "The job was cancelled.")
            time.sleep(0.002)
            yield client.Progress(0.3, "Denoising 6 of 20", 11.0)
            if time.monotonic() > shown + 0.1:
                shown = time.monotonic()
                yield client.Preview(self.preview)
        if self.fails is not None:
            raise self.fails
        if hasattr(request, "goal"):
            (folder / "move.json").write_text(json.dumps(self.move))
            files = [folder / "move.json"]
        else:
            kinds = {"second": self.link, "photo": self.world, "mask": self.edited, "cameras": self.shot}
            files = next(make for name, make in kinds.items() if hasattr(request, name))(request, folder)
        for file in files:
            self.go_on.wait(20)
            time.sleep(self.pace_s)
            yield client.FileArrived(file.relative_to(folder).as_posix(), file)
        yield client.Finished(tuple(file.relative_to(folder).as_posix() for file in files))

    def world(self, request, folder: Path) -> list[Path]:
        from lookbeyond_kit.geometry.cameras import Camera, heading_pitch_roll

        camera = Camera.from_dict(request.camera)
        heading = heading_pitch_roll(camera)[0]
        about = {
            "version": 1,
            "photo_camera": request.camera if request.photo else None,
            "heading": math.degrees(heading),
            "origin": camera.position.tolist(),
            "camera_height": request.camera_height,
            "revision": "r1",
            "seed": request.seed,
        }
        (folder / "world.json").write_text(json.dumps(about))
        # A room whose longer side lies along X in the world, whichever way the photo looked.
        distance_file(folder / "distance.exr", room_distance(heading=heading))
        for name in ("panorama.png", "from_photo.png"):
            shutil.copy(self.panorama, folder / name)
        return [folder / name for name in ("panorama.png", "from_photo.png", "distance.exr", "world.json")]

    def edited(self, request, folder: Path) -> list[Path]:
        """The world that was asked for last, changed at a point 2 m before its middle."""
        built = next(each for each in reversed(self.requests) if hasattr(each, "photo"))
        files = self.world(built, folder)
        about = json.loads((folder / "world.json").read_text())
        heading, (x, y, z) = math.radians(about["heading"]), about["origin"]
        former = [each for each in self.requests if hasattr(each, "mask")]
        point = [x + 2 * math.cos(heading), y + 2 * math.sin(heading), z]
        about["edits"] = [{"way": each.way, "world": each.world, "points": [point]} for each in former]
        (folder / "world.json").write_text(json.dumps(about))
        return files

    def link(self, request, folder: Path) -> list[Path]:
        """A door a metre wide, as `door` has it."""
        (folder / "link.json").write_text(json.dumps(self.door | {"second_to_first": request.pose}))
        return [folder / "link.json"]

    def shot(self, request, folder: Path) -> list[Path]:
        numbers = range(request.first_frame, request.first_frame + len(request.cameras))
        files = []
        for place, source, end in (("frames", self.frame, "png"), ("depth", self.depth, "exr")):
            (folder / place).mkdir(exist_ok=True)
            files += [Path(shutil.copy(source, folder / place / f"{number:04d}.{end}")) for number in numbers]
        return files


def show_shot(part, scene, camera: str, shot, places) -> str:
    """Show a shot in the places asked for, all at once; says where. `part` gives the add-on's modules."""
    showing = part("shot.display").ShotDisplay(shot, [camera], places)
    while not showing.step(scene):
        pass
    return showing.message


def turns_until(session, condition, limit_s: float = 10.0) -> None:
    """Tick the session, as Blender's timer does, until the condition holds."""
    ends = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < ends, "the session did not get there"
        session.tick(wait_s=0.05)
