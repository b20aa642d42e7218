"""Both stages as one: what a unit of work calls. Photo -> panorama -> anchors -> clips."""

import functools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from lookbeyond import presets
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama, Place, View
from lookbeyond.layout.photo import lay_sphere
from lookbeyond.layout.prediction import built_in_network
from lookbeyond.layout.world import FoundPlace, Room, Unseen, as_taken, draw_place, find_place, understand_panorama
from lookbeyond.models.autoencoder import spatial_scale_factor
from lookbeyond.models.edges import with_rims
from lookbeyond.models.layout_network import LayoutNetwork
from lookbeyond.monitors.findings import WatchedFrame
from lookbeyond.photo.exposure import exposed, missing_stops
from lookbeyond.photo.grain import denoised
from lookbeyond.presets.memory import MemoryPlan

from .full_size import WarpedFrame, shrunk_view, warp_frames
from .guidance_latents import WHOLLY_KNOWN
from .loading import Holding, load_pipelines
from .network_frames import Ablation, Callback, MadeFrames, Making, NetworkFrames, smooth_error
from .panorama import DISTANCE_WIDTH, PanoramaPipeline, enlarge, panorama_around
from .paths import resampled
from .views import ViewsPipeline

LIGHT_WIDTH = 1024
"""Width of a panorama, pixels, of which only the light is used; what is drawn over it has the requested width."""
GREY = np.full((32, 64, 3), 128, np.uint8)
"""Around the photo of a place that is drawn without diffusion."""


class ScenePipeline:
    """The panorama and the views pipeline of one preset, on one device.

    Same inputs, seed, device and number of threads: the same pixels.
    """

    def __init__(self, panorama: PanoramaPipeline, views: ViewsPipeline, preset: presets.Preset):
        self.panorama, self.views, self.settings, self.ablation = panorama, views, preset, Ablation()
        self.layout: LayoutNetwork | None = None
        """Finds a room in a photo; without it worlds stay as they are painted."""
        self._holding: Holding | None = None

    @classmethod
    def from_preset(cls, name: str = "builtin", device: str = "cpu") -> "ScenePipeline":
        """Loads a preset's weights; `InputError` where the preset is unknown or not installed."""
        preset = presets.get(name)
        panorama, views, holding = load_pipelines(preset, device)
        scene = cls(panorama, views, preset)
        scene._holding = holding
        scene.layout = built_in_network()
        return scene

    @property
    def memory_plan(self) -> MemoryPlan | None:
        """How the networks are held in the device's memory, as planned for the frames that were asked for last."""
        return self._holding.plan if self._holding else None

    @property
    def preset(self) -> str:
        return self.settings.name

    @property
    def revision(self) -> str:
        """Names the weights: a hash of their files."""
        return presets.revision(self.preset)

    @property
    def frames_per_clip(self) -> int:
        """Most frames of one clip, both anchors counted."""
        return self.settings.frames_per_clip

    @property
    def device(self) -> torch.device:
        return self.views._execution_device

    @property
    def network(self) -> NetworkFrames:
        """Makes frames with the views network, with the current settings."""
        return NetworkFrames(self.views, self.settings, self.ablation)

    @staticmethod
    def prepare_frames() -> None:
        """Compile what draws frames, or read it from its cache, in a thread; frames wait for it if they come first."""
        _prepare_drawing()

    def build_world(
        self,
        photo: np.ndarray,
        camera: Camera,
        *,
        camera_height: float = 1.6,
        width: int = 4096,
        prompt: str = "",
        room: Room = "auto",
        unseen: Unseen | None = None,
        seed: int = 0,
        callback: Callback | None = None,
    ) -> Panorama:
        """A photo uint8 [h, w, 3] and its camera in the world become a panorama `width` pixels wide.

        photo: a fourth channel, 255 or 0, says what it knows; the rest is made, like what lies outside of it.
        camera_height: metres of the camera above the floor; all distances are proportional to it.
        room: whether a room's layout is fitted and drawn: where it is sure, always, or never.
        unseen: how the part that nobody saw is shown; None: the preset's own way.
        prompt: what the place is, for presets that take one (`Preset.takes_prompt`); InputError from the others.
        """
        _check_height(camera_height)
        presets.check_prompt(self.preset, prompt)
        # a dark place is found and drawn in usual light, and darkened again
        stops = missing_stops(photo)
        lit = exposed(photo, stops)
        found = FoundPlace(Place())
        if self.layout is not None:
            if callback is not None:
                callback(0.0, "Looking for the room", None)
            found = find_place(lit, camera, camera_height, self.layout, room)
        unseen = unseen or self.settings.unseen
        distance = found.distance(camera, camera_height, DISTANCE_WIDTH)
        drawn = found.drawn and unseen != "as-painted"
        # noise is taken away only now: with it go faint lines, by which the room was found
        clean = denoised(lit) if drawn else photo
        stops = stops if drawn else 0.0
        painted_width = min(width, LIGHT_WIDTH) if drawn else width
        if distance is not None and found.open and drawn:
            panorama = panorama_around(clean, camera, GREY, camera_height, painted_width, distance)
        else:
            steps = self.settings.panorama_steps
            if drawn:
                steps = max(1, steps // 2)  # the light of surfaces that are drawn over it needs no more
            panorama = self.panorama(
                clean, camera, camera_height=camera_height, width=painted_width,
                num_inference_steps=steps, coarse_noise=self.settings.panorama_coarse_noise,
                distance=distance, generator=torch.Generator().manual_seed(seed),
                callback_on_step_end=_progress(callback, "Painting the panorama"),
                **({"prompt": prompt} if prompt else {}),
            ).panorama  # fmt: skip
        panorama = replace(panorama, preset=self.preset, seed=seed, revision=self.revision)
        if callback is not None and found.drawn:
            callback(0.9, "Drawing the place", panorama.shrunk(512).colour)
        return as_taken(with_rims(draw_place(clean, panorama, found, unseen, width)), photo, clean, stops, seed)

    def measure_world(
        self,
        colour: np.ndarray,
        *,
        camera_height: float = 1.6,
        heading_rad: float = 0.0,
        origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
        room: Room = "auto",
        prompt: str = "",
        seed: int = 0,
        callback: Callback | None = None,
    ) -> Panorama:
        """An existing 360° picture uint8 [H, 2H, 3] gets its distance and, where it shows a room, its clean plate.

        colour: a fourth channel, 255 or 0, says what is known; the rest is made and, where a room is found, drawn.
        room: as for `build_world`; prompt: what is to be made of the rest, likewise.
        """
        _check_height(camera_height)
        presets.check_prompt(self.preset, prompt)
        about: dict[str, Any] = {"preset": self.preset, "seed": seed, "revision": self.revision}
        known = None
        if colour.shape[2] == 4:
            colour, about["from_photo"] = self._completed(colour, prompt, seed, callback)
            known = about["from_photo"] == 255
        panorama = self.panorama.measure(
            colour, camera_height=camera_height, heading_rad=heading_rad, origin=origin,
            generator=torch.Generator().manual_seed(seed),
            callback_on_step_end=_progress(callback, "Measuring the panorama"),
        ).panorama  # fmt: skip
        panorama = replace(panorama, **about)
        if room != "off" and self.layout is not None:
            panorama = understand_panorama(panorama, self.layout, room, self.settings.unseen, known)
        return with_rims(panorama)

    def _completed(
        self, part: np.ndarray, prompt: str, seed: int, callback: Callback | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """A part of a sphere [H, 2H, 4], completed, [H, 2H, 3], and which of its pixels were given, [H, 2H]."""
        colour, known = np.ascontiguousarray(part[..., :3]), part[..., 3] == 255
        made = self.panorama.complete(
            colour, known,
            num_inference_steps=self.settings.panorama_steps, coarse_noise=self.settings.panorama_coarse_noise,
            generator=torch.Generator().manual_seed(seed),
            callback_on_step_end=_progress(callback, "Completing the panorama"),
            **({"prompt": prompt} if prompt else {}),
        )  # fmt: skip
        return lay_sphere(colour, known, enlarge(made.astype(np.float32), colour.shape[1]))

    def fill_anchor(
        self,
        panorama: Panorama,
        camera: Camera,
        before: Sequence[View],
        *,
        seed: int = 0,
        callback: Callback | None = None,
        steps: int = 0,
    ) -> View:
        """One anchor: the panorama and the anchors `before` it (nearest first) warped in, its holes filled.

        steps: of denoising; 0 is the preset's own number.
        """
        making = Making(seed, steps, callback)
        if not self._keeps_detail:
            return self.network.finished(self.network.anchor(panorama, camera, before, making))[0]
        warped = _warped(panorama, [camera], self.device, callback)[0]
        if warped.whole:
            return warped.view()
        width, height = self._network_size(camera)
        small = [shrunk_view(view, width, height) for view in before]
        made = self.network.anchor(
            panorama, camera.resized(width, height), small, making, ask=self._has_visible_holes([warped])
        )
        return _with_holes_filled([warped], made)[0]

    def shoot_clip(
        self,
        panorama: Panorama,
        source: View,
        target: View,
        cameras: Sequence[Camera],
        *,
        seed: int = 0,
        tau_position: float = 0.2,
        tau_rotation: float = 0.2,
        callback: Callback | None = None,
        steps: int = 0,
    ) -> list[View]:
        """The frames of one clip; the first and the last are the anchors `source` and `target` themselves.

        steps: of denoising; 0 is the preset's own number.
        """
        if len(cameras) < 3:
            return [source, target]
        making = Making(seed, steps, callback, tau_position, tau_rotation)
        if not self._keeps_detail:
            dense, asked = resampled(cameras, self.views.pass_length(len(cameras)))
            frames = self.network.finished(self.network.clip(panorama, source, target, dense, making))
            return [source, *(frames[place] for place in asked[1:-1]), target]
        warped = _warped(panorama, cameras[1:-1], self.device, callback)
        torn = [place for place, frame in enumerate(warped) if not frame.whole]
        views = {place: frame.view() for place, frame in enumerate(warped) if frame.whole}
        if torn:
            width, height = self._network_size(source.camera)
            places = list(range(len(warped))) if self.views.whole_clips else torn
            small = [camera.resized(width, height) for camera in cameras]
            small = [small[0], *(small[place + 1] for place in places), small[-1]]
            small, asked = resampled(small, self.views.pass_length(len(small)))
            ends = [shrunk_view(view, width, height) for view in (source, target)]
            ask = self._has_visible_holes([warped[place] for place in torn])
            made = self.network.clip(panorama, *ends, small, making, ask)
            asked = [asked[1 + places.index(place)] for place in torn]
            views |= zip(torn, _with_holes_filled([warped[place] for place in torn], made, asked), strict=True)
        return [source, *(views[place] for place in range(len(warped))), target]

    @staticmethod
    def watch(panorama: Panorama, views: Sequence[View]) -> list[WatchedFrame]:
        """What the monitors find in frames that were made from a panorama."""
        from lookbeyond.monitors.frames import watch_frames  # with what compiles it: slow to import

        return watch_frames(panorama, views)

    @property
    def _keeps_detail(self) -> bool:
        """Whether frames take nothing from the network where the panorama shows them."""
        return self.settings.panorama_detail == 1 and self.ablation == Ablation()

    def _network_size(self, camera: Camera) -> tuple[int, int]:
        """Width and height at which holes of a camera's frames are filled: no more pixels than the network is for."""
        most = self.settings.views_pixels or camera.width * camera.height
        share = min(1.0, (most / (camera.width * camera.height)) ** 0.5)
        return max(1, round(camera.width * share)), max(1, round(camera.height * share))

    def _has_visible_holes(self, warped: Sequence[WarpedFrame]) -> bool:
        """Whether there is a hole large enough for the network to see: more than a little of a latent."""
        factor = spatial_scale_factor(self.views.vae)
        width, height = self._network_size(warped[0].camera)
        size = max(1, width // factor), max(1, height // factor)
        return any(float(frame.known_share(*size).min()) <= WHOLLY_KNOWN for frame in warped)


def _progress(callback: Callback | None, message: str):
    def on_step(pipeline, step, timestep, state):
        if callback is None:
            return
        preview = state.get("preview")
        if step % 5 == 0 and len(state.get("latents", ())) == 1:
            colours = pipeline.vae.config.latent_channels
            preview = pipeline.decode(state["latents"][:, :colours])[0]
        callback(0.9 * step / state["steps"], f"{message}, step {step} of {state['steps']}", preview)

    return on_step


def _warped(
    panorama: Panorama, cameras: Sequence[Camera], device: torch.device, callback: Callback | None
) -> list[WarpedFrame]:
    """What the panorama shows of frames at full size."""
    warped = []
    for frame in warp_frames(panorama.shrunk_for(cameras[0]), cameras, device):
        warped.append(frame)
        if callback is not None:
            callback(0.3 * len(warped) / len(cameras), f"Drawing frame {len(warped)} of {len(cameras)}", None)
    return warped


def _check_height(camera_height: float) -> None:
    if not 0.05 <= camera_height <= 100:
        raise InputError(f"a camera height of {camera_height:g} m is impossible; give 0.05 to 100 metres")


def _with_holes_filled(
    warped: Sequence[WarpedFrame], made: MadeFrames, places: Sequence[int] | slice = slice(None)
) -> list[View]:
    """Frames with their holes filled from `made` (of any size), in the guidance's tone; places: their indices in it."""
    assert made.guidance is not None
    made_colour, made_distance, guidance = (
        made.output.colour[places],
        made.output.distance[places],
        made.guidance[places],
    )
    colour = made_colour + smooth_error(guidance.colour - made_colour, guidance.known)
    parts = zip(
        colour.permute(0, 2, 3, 1).float().cpu().numpy(), made_distance[:, 0].float().cpu().numpy(),
        guidance.known[:, 0].cpu().numpy() > 0, strict=True,
    )  # fmt: skip
    with ThreadPoolExecutor(max(1, min(torch.get_num_threads(), 8))) as pool:
        return list(pool.map(lambda frame, part: frame.laid_over(*part), warped, parts))


@functools.cache
def _prepare_drawing() -> None:
    threading.Thread(target=_compile_drawing, daemon=True).start()


def _compile_drawing() -> None:
    from lookbeyond.models import rasterizing_cpu  # slow to import
    from lookbeyond.monitors import pixels

    rasterizing_cpu.warm_up()
    pixels.warm_up()
