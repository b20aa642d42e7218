"""The product, shown: a photo becomes a panorama and a shot inside Blender, and figures say how well.

Runs in the service's environment (`python dev.py demo`); the end-to-end test calls `produce` with a smaller
shot. What an artist does happens in `artist_session.py`, in Blender's environment.
"""

import argparse
import contextlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import psutil
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio

from lookbeyond.files import read_png, write_png, write_video
from lookbeyond.geometry.cameras import Camera, heading_pitch_roll, placed_camera, rotation_angle
from lookbeyond.geometry.projection import extract_perspective
from lookbeyond.geometry.transforms import read_transforms
from lookbeyond.photo.pixels import linear_to_srgb
from tests.support.machine import PeakMemory, machine

ROOT = Path(__file__).resolve().parents[2]


class DemoError(Exception):
    """A step of the demo that failed, in one sentence."""


@dataclass(frozen=True)
class Settings:
    """Everything that the session in Blender is told; angles in degrees, lengths in metres."""

    photo_width: int = 1024
    photo_height: int = 768
    fov_x: float = 75.0
    pitch: float = -9.0
    roll: float = 0.0
    heading: float = 30.0
    """Where the photo's camera looks in the artist's scene; any direction will do."""
    camera_height: float = 1.6
    panorama_width: int = 4096
    frames: int = 48
    frame_width: int = 384
    frame_height: int = 256
    walk: float = 1.12
    """Length of the path along the floor; it is an arc."""
    turn: float = 130.0
    """How far the path, and with it the view, turns to the right."""
    seed: int = 0
    fps: int = 24


# --- before Blender: the photo and the extension ----------------------------------------------------------

ROOM_HEADING = 105.0
"""Where, in the hotel room's panorama (0 at its centre, counter-clockwise), the photo is taken: towards the
door, past the desk, with the room's depth and its floor in view."""


def hotel_room(blender_python: Path, enlarge: int = 4) -> NDArray[np.float32]:
    """Linear [H, 2H, 3]: the HDR panorama of a hotel room that comes with Blender (Poly Haven, CC0).

    It has 512 rows; smoothly enlarged (by cube roots, near to how the eye scales light, so that lamps do not
    ring), a photo of it does not show the pattern of its pixels.
    """
    where = "import importlib.util as i; print(*i.find_spec('bpy').submodule_search_locations)"
    found = subprocess.run([blender_python, "-c", where], capture_output=True, text=True, check=True)
    path = next(Path(found.stdout.strip()).glob("*/datafiles/studiolights/world/interior.exr"))
    linear = np.asarray(OpenEXR.File(str(path)).channels()["RGB"].pixels, np.float32)
    margin = 8  # columns wrap
    wrapped = cv2.copyMakeBorder(np.cbrt(np.maximum(linear, 0)), 0, 0, margin, margin, cv2.BORDER_WRAP)
    wrapped = cv2.resize(wrapped, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_CUBIC)
    return np.maximum(wrapped[:, margin * enlarge : -margin * enlarge], 0) ** 3


def tone_mapped(linear: NDArray[np.float32], exposure: float = 1.8, white: float = 3.0) -> NDArray[np.uint8]:
    """sRGB uint8 of linear light, by Reinhard's curve with a white point on luminance (2002, equation 4)."""
    light = linear * exposure
    luminance = light @ np.array([0.2126, 0.7152, 0.0722], np.float32) + 1e-6
    light = light * ((1 + luminance / white**2) / (1 + luminance))[..., None]
    return (linear_to_srgb(np.clip(light, 0, 1)) * 255).round().astype(np.uint8)


def photo_camera(settings: Settings, heading: float) -> Camera:
    return placed_camera(
        settings.photo_width,
        settings.photo_height,
        math.radians(settings.fov_x),
        heading_rad=math.radians(heading),
        pitch_rad=math.radians(settings.pitch),
        roll_rad=math.radians(settings.roll),
    )


def take_photo(room: NDArray[np.float32], settings: Settings) -> NDArray[np.uint8]:
    """A photographer stands in the room's middle: uint8 [photo_height, photo_width, 3]."""
    return tone_mapped(extract_perspective(room, photo_camera(settings, ROOM_HEADING), 0.0))


def build_extension(blender_python: Path) -> Path:
    """Build the extension as for an artist, into dist/, validated; the zip for this platform."""
    command = [blender_python, ROOT / "build_addon.py"]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if built.returncode:
        raise DemoError(f"the extension was not built: {built.stderr.strip() or built.stdout.strip()}")
    return Path(built.stdout.splitlines()[0].rsplit(" (", 1)[0])


# --- Blender ----------------------------------------------------------------------------------------------


def run_session(blender_python: Path, settings: Settings, photo: Path, extension: Path, out: Path) -> dict:
    """Run the artist's session in a clean Blender, with a service that has nothing done before.

    What it found (session.json), with `progress`, the words in which the add-on told how its jobs went, and
    `service_memory_gb`, what service and worker held at most.
    """
    script = Path(__file__).with_name("artist_session.py")
    lookbeyond = Path(sys.executable).with_name("lookbeyond.exe" if os.name == "nt" else "lookbeyond")
    with tempfile.TemporaryDirectory(prefix="look-beyond-demo-", ignore_cleanup_errors=True) as scratch:
        job = Path(scratch) / "job.json"
        command = (lookbeyond, "serve", "--store", Path(scratch) / "store")
        places = {
            "photo": str(photo),
            "extension": str(extension),
            "out": str(out),
            "service_command": " ".join(map(quoted, command)),
        }
        job.write_text(json.dumps(asdict(settings) | places))
        environment = os.environ | {
            "BLENDER_USER_RESOURCES": str(Path(scratch) / "blender"),
            "LOOKBEYOND_RUNTIME_DIR": str(Path(scratch) / "runtime"),
        }
        session = subprocess.Popen(
            [blender_python, "-u", script, job],
            cwd=scratch,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        memory = PeakMemory(session.pid)
        memory.start()
        said = []
        try:
            for line in session.stdout:
                said.append(line.rstrip())
                print(f"  {said[-1]}", flush=True)
            failed = session.wait()
        finally:
            memory.stop()
            end(session, Path(environment["LOOKBEYOND_RUNTIME_DIR"]))
        if failed:
            log = Path(environment["LOOKBEYOND_RUNTIME_DIR"]) / "service.log"
            if log.exists():
                print(f"The service said:\n{log.read_text(errors='replace')}", file=sys.stderr)
            last = next((line for line in reversed(said) if line.strip()), "it printed nothing")
            raise DemoError(f"the session in Blender ended with {failed}: {last}")
        found = json.loads(job.with_name("session.json").read_text())
    progress = [line for line in said if re.match(r"(Build World|Shoot): +\d+%", line)]
    return found | {"progress": progress, "service_memory_gb": round(memory.peak / 1e9, 2)}


def quoted(word: Path | str) -> str:
    """The word for a command line."""
    return f'"{word}"' if " " in str(word) else str(word)


def end(session: subprocess.Popen, runtime: Path, patience_s: float = 5.0) -> None:
    """End a session that was broken off and, if Blender could not do so any more, the service it had started."""
    if session.poll() is None:
        session.terminate()
        try:
            session.wait(patience_s)
        except subprocess.TimeoutExpired:
            session.kill()
    with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
        service = psutil.Process(json.loads((runtime / "service.json").read_text())["pid"])
        if "serve" in service.cmdline():
            service.terminate()


# --- after Blender: figures -------------------------------------------------------------------------------


def low_passed(photo: NDArray[np.uint8], camera: Camera, panorama_width: int) -> NDArray[np.uint8]:
    """The photo with no more detail than a panorama of that width holds, at the photo's size."""
    pixels_per_radian = panorama_width / (2 * math.pi)
    scale = pixels_per_radian / camera.intrinsics[0, 0]
    if scale >= 1:
        return photo
    size = (round(camera.width * scale), round(camera.height * scale))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (camera.width, camera.height), interpolation=cv2.INTER_LINEAR)


def figures(settings: Settings, photo: NDArray[np.uint8], out: Path) -> dict[str, float]:
    """How well `out` shows the photo, and how far its shot goes."""
    camera = photo_camera(settings, settings.heading)
    seen = low_passed(photo, camera, settings.panorama_width)
    preview = read_png(out / "preview.png")
    cameras = read_transforms(out / "transforms.json")
    positions = np.stack([camera.position for camera in cameras])
    extracted = extract_perspective(read_png(out / "panorama.png"), camera, math.radians(settings.heading))
    return {
        "preview_psnr_db": round(peak_signal_noise_ratio(seen, preview), 2),
        "extraction_psnr_db": round(peak_signal_noise_ratio(seen, extracted), 2),
        "walk_m": round(float(np.linalg.norm(positions[-1] - positions[0])), 3),
        "path_m": round(float(np.linalg.norm(np.diff(positions, axis=0), axis=1).sum()), 3),
        "turn_deg": round(math.degrees(rotation_angle(cameras[0].rotation, cameras[-1].rotation)), 1),
        "heading_deg": round(math.degrees(heading_pitch_roll(cameras[0])[0]), 1),
        "frames": len(list((out / "frames").glob("*.png"))),
    }


def produce(settings: Settings, out: Path, blender_python: Path) -> dict:
    """Make everything in `out` (emptied first) and return the report, which is also out/report.json."""
    started = time.monotonic()
    if out.exists():
        known = {"panorama.png", "report.json", "preview.png", "photo.png", "frames"}
        if any(out.iterdir()) and not known & {path.name for path in out.iterdir()}:
            raise DemoError(f"{out} holds something else than a demo; give an empty folder by --out")
        shutil.rmtree(out)
    out.mkdir(parents=True)
    photo = take_photo(hotel_room(blender_python), settings)
    write_png(out / "photo.png", photo)
    extension = build_extension(blender_python)
    built = time.monotonic()
    session = run_session(blender_python, settings, out / "photo.png", extension, out)
    write_video(out / "shot.mp4", out / "frames", settings.fps)
    timings = {"photo_and_extension": round(built - started, 2)} | session.pop("timings_s")
    timings["all"] = round(time.monotonic() - started, 2)
    report = {
        "machine": machine(),
        "settings": asdict(settings),
        "timings_s": timings,
        "figures": figures(settings, photo, out),
        "extension_mb": round(extension.stat().st_size / 1e6, 2),
        "session": session,
    }
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "demo")
    parser.add_argument("--blender-python", type=Path, default=os.environ.get("LOOKBEYOND_BLENDER_PYTHON"))
    parser.add_argument("--panorama-width", type=int, default=Settings.panorama_width)
    parser.add_argument("--frames", type=int, default=Settings.frames)
    parser.add_argument("--json", type=Path, help="keep settings and figures here: docs/research/demo.json")
    arguments = parser.parse_args()
    settings = replace(Settings(), panorama_width=arguments.panorama_width, frames=arguments.frames)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended, too
    try:
        report = produce(settings, arguments.out.resolve(), Path(arguments.blender_python))
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(json.dumps({key: report[key] for key in ("machine", "timings_s", "figures")}, indent=2))
    if arguments.json:
        kept = {key: report[key] for key in ("settings", "figures")}
        arguments.json.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    print(f"See {arguments.out}: panorama.png, shot.mp4, preview.png, scene.blend, report.json")
    if report["figures"]["preview_psnr_db"] < 30:
        print("demo: the preview does not show the photo (PSNR under 30 dB)", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
