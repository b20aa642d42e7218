"""A double of ScenePipeline that is quick, deterministic and honest about its steps; run as a worker or a service.

`python double.py worker --store DIR` works with it, `python double.py broken-weights --store DIR` cannot load
it; `python double.py service DIR [DEVICES]` serves with such workers. The photo's top left pixel steers it: red
249 makes each step last a second, 250 makes it slow, 251 kills the process once, 252 always, 253 runs out of
memory, 254 fails after ten good steps.
"""

import functools
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from lookbeyond.geometry.cameras import heading_pitch_roll
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.geometry.projection import extract_perspective, sample_equirectangular
from lookbeyond.monitors.findings import WatchedFrame

STEPS = 12
SLOW_STEP_S = 0.05
RAISES_AT = 10
HOLD = "LOOKBEYOND_TEST_HOLD"
"""Names a file: a clip whose frames are written is not finished as long as that is there."""


class DoublePipeline:
    frames_per_clip = 5
    revision = "double-1"
    preset = "builtin"
    memory_plan = "All of it stays on the device"

    def __init__(self, scratch: Path | None = None):
        self.scratch = scratch

    def _steps(self, steer: int, callback, message, picture) -> None:
        for step in range(STEPS):
            if callback:
                callback(step / STEPS, message, picture)
            if steer == 254 and step == RAISES_AT:
                raise RuntimeError("a model that raises")
            if steer in (249, 250):
                time.sleep(1.0 if steer == 249 else SLOW_STEP_S)
        if steer in (251, 252) and self.scratch is not None:
            mark = self.scratch / "died-once"
            if steer == 252 or not mark.exists():
                mark.touch()
                os._exit(9)
        if steer == 253:
            raise MemoryError

    def prepare_frames(self) -> None:
        pass

    def build_world(
        self,
        photo,
        camera,
        *,
        camera_height=1.6,
        width=4096,
        prompt="",
        room="auto",
        unseen=None,
        seed=0,
        callback=None,
    ):
        steer = int(photo[0, 0, 0])
        self._steps(steer, callback, "Denoising", photo)
        colour = np.random.default_rng(seed).integers(0, 255, (width // 2, width, 3), np.uint8)
        colour[:8] = photo[..., :3].mean((0, 1)).astype(np.uint8)
        colour[-1, 0, 0] = steer if steer == 250 else 0
        heading, _, _ = heading_pitch_roll(camera)
        return Panorama(
            colour,
            np.full((width // 8, width // 4), 3.0, np.float32),
            np.zeros((width // 2, width), np.uint8),
            heading_rad=heading,
            origin=tuple(camera.position),
            camera_height=camera_height,
            photo_camera=camera,
            preset=self.preset,
            seed=seed,
            revision=self.revision,
        )

    def measure_world(
        self,
        colour,
        *,
        camera_height=1.6,
        heading_rad=0.0,
        origin=(0, 0, 0),
        room="auto",
        prompt="",
        seed=0,
        callback=None,
    ):
        self._steps(int(colour[0, 0, 0]), callback, "Measuring", None)
        height, width = colour.shape[:2]
        return Panorama(
            np.ascontiguousarray(colour[..., :3]),
            np.full((height // 4, width // 4), 3.0, np.float32),
            colour[..., 3].copy() if colour.shape[2] == 4 else np.zeros((height, width), np.uint8),
            heading_rad=heading_rad,
            origin=tuple(origin),
            camera_height=camera_height,
            preset=self.preset,
            seed=seed,
            revision=self.revision,
        )

    def fill_anchor(self, panorama, camera, before, *, seed, callback=None, steps=0):
        self._steps(0, callback, f"Filling in {steps or STEPS} steps", None)
        colour = extract_perspective(panorama.colour, camera, panorama.heading_rad).astype(np.uint8)
        distance = sample_equirectangular(panorama.distance, camera.rays(), panorama.heading_rad)
        colour[0, 0] = (seed % 251, len(before), 0)
        return View(camera, colour, distance.astype(np.float32), np.zeros(colour.shape[:2], np.uint8))

    def shoot_clip(self, panorama, source, target, cameras, *, seed, callback=None, steps=0, **tau):
        message = f"Denoising in {steps or STEPS} steps"
        self._steps(int(panorama.colour[-1, 0, 0]), callback, message, source.colour)
        inner = [self.fill_anchor(panorama, camera, (), seed=seed) for camera in cameras[1:-1]]
        return [source, *inner, target]

    def watch(self, panorama, views):
        """Quick: how far the frames' mean is from the panorama's own, seen from its place. Waits for `HOLD`."""
        while (hold := os.environ.get(HOLD)) and Path(hold).exists():
            time.sleep(0.01)
        frames = []
        for view in views:
            warped = extract_perspective(panorama.colour, view.camera, panorama.heading_rad)
            other = float((abs(warped.astype(int) - view.colour) > 16).any(-1).mean())
            frames.append(WatchedFrame(None, other, None, 0.0, 1.0, 0.0))
        return frames


class DoublePresets:
    """The presets of a service whose worker is the double."""

    def available(self):
        return [{"name": "builtin", "title": "Double", "installed": True, "missing": "", "views_steps": STEPS}]

    def revision(self, name):
        from lookbeyond.errors import InputError

        if name != "builtin":
            raise InputError(f"There is no preset {name!r}; choose builtin.")
        return DoublePipeline.revision


def worker_command() -> list[str]:
    return [sys.executable, __file__, "worker"]


def service_command(store: Path, devices: str = "cpu") -> list[str]:
    return [sys.executable, __file__, "service", str(store), devices]


def serve_double(store: Path, devices: str = "cpu", worker: Sequence[str] | None = None) -> None:
    """Serve in this process; `worker` is the command of other workers than the double's own."""
    from inference_service.server.logs import set_up_logs
    from inference_service.server.server import serve
    from inference_service.workers.devices import parse_devices
    from inference_service.workers.process_pool import ProcessPool

    set_up_logs(json_lines=True)
    executor = functools.partial(ProcessPool, command=worker or worker_command(), devices=parse_devices(devices))
    serve(store, models=DoublePresets(), executor=executor)


def load_double(preset: str, device: str) -> DoublePipeline:
    return DoublePipeline()


def describe_double() -> list[dict]:
    return [{"name": "cpu", "title": "double", "memory_gb": 1.0}]


def load_nothing(preset: str, device: str) -> DoublePipeline:
    raise OSError("Error no file named diffusion_pytorch_model.safetensors found")


class PoisonedPipeline(DoublePipeline):
    """As CUDA after an illegal access to memory: whatever the process asks for from then on fails."""

    def build_world(self, photo, *arguments, **settings):
        if photo[0, 0, 0] == 254:
            cuda = SimpleNamespace(is_available=lambda: True, is_initialized=lambda: True, synchronize=self._fail)
            sys.modules["torch"] = SimpleNamespace(cuda=cuda)  # pyright: ignore[reportArgumentType]
        if isinstance(sys.modules.get("torch"), SimpleNamespace):
            self._fail()
        return super().build_world(photo, *arguments, **settings)

    def _fail(self):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


def load_poisoned(preset, device):
    return PoisonedPipeline()


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    if role in ("worker", "broken-weights"):
        from inference_service.workers.worker import main

        scratch = Path(arguments[arguments.index("--store") + 1])
        load = load_nothing if role == "broken-weights" else lambda preset, device: DoublePipeline(scratch)
        main(arguments, load=load, describe_devices=describe_double)
    else:
        serve_double(Path(arguments[0]), *arguments[1:])
