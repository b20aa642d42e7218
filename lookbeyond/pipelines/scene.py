"""Both stages as one: what a unit of work calls. Photo -> panorama -> anchors -> clips."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from lookbeyond import presets
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama, Place, View
from lookbeyond.layout.fit import built_in_network
from lookbeyond.layout.photo import lay_sphere
from lookbeyond.layout.world import FoundPlace, Room, Unseen, draw_place, find_place, understand_panorama
from lookbeyond.models.autoencoder import spatial_scale_factor
from lookbeyond.models.layout_network import LayoutNetwork
from lookbeyond.models.warping import WarpedViews
from lookbeyond.monitors.findings import WatchedFrame
from lookbeyond.monitors.frames import watch_frames
from lookbeyond.presets.memory import MemoryPlan

from .full_size import FEATHER_PX, ToldFrame, faded, shrunk_view, tell_frames
from .fusion import Pass, spatial_weights
from .guidance import Guidance, fill_holes, image_bytes, image_tensor, warp_guidance
from .loading import Holding, load_pipelines
from .panorama import DISTANCE_WIDTH, PanoramaPipeline, bare_panorama, enlarge
from .paths import denser
from .views import WHOLLY_KNOWN, ViewsPipeline, ViewsPipelineOutput

Callback = Callable[[float, str, np.ndarray | None], None]
"""(share of the unit done 0..1, what is being done, preview uint8 [h, w, 3] or None); may raise to stop the work."""

LIGHT_WIDTH = 1024
"""Width of a panorama, pixels, of which only the light is used: what is drawn over it is as wide as was asked for."""
TONE_PX = 12
"""Scale, in pixels of a frame, above which light and colour are the guidance's, not the network's."""


@dataclass(frozen=True, eq=False)
class WarpedWorld:
    """A panorama seen by N other cameras, and behind what it shows its clean plate."""

    front: WarpedViews
    behind: WarpedViews | None

    def __getitem__(self, frames) -> "WarpedWorld":
        return WarpedWorld(self.front[frames], self.behind and self.behind[frames])

    @property
    def known(self) -> torch.Tensor:
        """[N, H, W] bool: False in holes of both."""
        return self.front.known if self.behind is None else self.front.known | self.behind.known

    def sample(self, panorama: Panorama) -> torch.Tensor:
        """The panorama's colour, [N, 3, H, W] in -1..1, its plate's in its holes; 0 in holes of both."""
        device = self.front.known.device
        colour = self.front.sample(image_tensor(panorama.colour, device)[0])
        if self.behind is None or panorama.plate is None:
            return colour
        plate = self.behind.sample(image_tensor(panorama.plate.colour, device)[0])
        return torch.where(self.front.known[:, None], colour, plate)


@dataclass(frozen=True)
class Ablation:
    """Parts of the method to leave out, for the bench; the defaults leave out nothing."""

    weights: Literal["spatial", "temporal"] = "spatial"
    """How both passes are fused: Algorithm 1, or linearly over the frame number (time-reversal fusion)."""
    raymap: Literal["on", "off"] = "on"
    anchors: Literal["both", "rotation", "walk"] = "both"
    """What anchors are made from: the panorama alone, the anchors before them alone (where there are any), or both."""
    guidance: Literal["on", "off"] = "on"
    """"off": inner frames know only their anchors and rays, and neither tone nor photo is laid over them."""


class ScenePipeline:
    """The panorama and the views pipeline of one preset, on one device.

    Same inputs, seed, device and number of threads: the same pixels.
    """

    def __init__(self, panorama: PanoramaPipeline, views: ViewsPipeline, preset: presets.Preset):
        self.panorama, self.views, self.settings, self.ablation = panorama, views, preset, Ablation()
        self.layout: LayoutNetwork | None = None
        """What finds a room in a photo; without it worlds stay as they are painted."""
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
    def _device(self) -> torch.device:
        return self.views._execution_device

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

        photo: a fourth channel, 255 or 0, says what it knows; what it does not is made as what lies outside of it.
        camera_height: metres of the camera above the floor; all distances are proportional to it.
        room: whether a room's layout is fitted and drawn: where it is sure, always, or never.
        unseen: how the part that nobody saw is shown; None: the preset's own way.
        prompt: what the place is, for presets that take one (`Preset.takes_prompt`); InputError from the others.
        """
        _check_height(camera_height)
        presets.check_prompt(self.preset, prompt)
        found = FoundPlace(Place())
        if self.layout is not None:
            if callback is not None:
                callback(0.0, "Looking for the room", None)
            found = find_place(photo, camera, camera_height, self.layout, room)
        unseen = unseen or self.settings.unseen
        distance = found.distance(camera, camera_height, DISTANCE_WIDTH)
        drawn = found.drawn and unseen != "as-painted"
        painted_width = min(width, LIGHT_WIDTH) if drawn else width
        if distance is not None and found.open and drawn:
            panorama = bare_panorama(photo, camera, camera_height, painted_width, distance)
        else:
            steps = self.settings.panorama_steps
            if drawn:
                steps = max(1, steps // 2)  # the light of surfaces that are drawn over it needs no more
            panorama = self.panorama(
                photo, camera, camera_height=camera_height, width=painted_width,
                num_inference_steps=steps, coarse_noise=self.settings.panorama_coarse_noise,
                distance=distance, generator=torch.Generator().manual_seed(seed),
                callback_on_step_end=self._panorama_progress(callback, "Painting the panorama"),
                **({"prompt": prompt} if prompt else {}),
            ).panorama  # fmt: skip
        panorama = self._signed(panorama, seed)
        if callback is not None and found.drawn:
            callback(0.9, "Drawing the place", panorama.shrunk(512).colour)
        return draw_place(photo, panorama, found, unseen, width)

    def measure_world(
        self,
        colour: np.ndarray,
        *,
        camera_height: float = 1.6,
        heading_rad: float = 0.0,
        origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
        room: Room = "auto",
        seed: int = 0,
        callback: Callback | None = None,
    ) -> Panorama:
        """An existing 360° picture uint8 [H, 2H, 3] gets its distance and, where it shows a room, its clean plate.

        colour: a fourth channel, 255 or 0, says what is known; the rest is made.
        room: as for `build_world`.
        """
        _check_height(camera_height)
        from_photo = None
        if colour.shape[2] == 4:
            colour, from_photo = self._completed(colour, seed, callback)
        panorama = self.panorama.measure(
            colour, camera_height=camera_height, heading_rad=heading_rad, origin=origin,
            generator=torch.Generator().manual_seed(seed),
            callback_on_step_end=self._panorama_progress(callback, "Measuring the panorama"),
        ).panorama  # fmt: skip
        panorama = self._signed(panorama, seed)
        if from_photo is not None:
            panorama = replace(panorama, from_photo=from_photo)
        return panorama if room == "off" or self.layout is None else understand_panorama(panorama, self.layout, room)

    def _completed(self, part: np.ndarray, seed: int, callback: Callback | None) -> tuple[np.ndarray, np.ndarray]:
        """A part of a sphere [H, 2H, 4] with its rest made, [H, 2H, 3], and what of it is its own, [H, 2H]."""
        colour, known = np.ascontiguousarray(part[..., :3]), part[..., 3] == 255
        made = self.panorama.complete(
            colour, known,
            num_inference_steps=self.settings.panorama_steps, coarse_noise=self.settings.panorama_coarse_noise,
            generator=torch.Generator().manual_seed(seed),
            callback_on_step_end=self._panorama_progress(callback, "Completing the panorama"),
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
        if not self._keeps_detail:
            output, guidance, panorama, warped = self._made_anchor(panorama, camera, before, seed, steps, callback)
            return self._finish(output, guidance, panorama, warped, [camera])[0]
        told = self._told(panorama, [camera], callback)[0]
        if told.whole:
            return told.view()
        width, height = self._network_size(camera)
        small = [shrunk_view(view, width, height) for view in before]
        output, guidance, *_ = self._made_anchor(
            panorama, camera.resized(width, height), small, seed, steps, callback, self._leaves_room([told])
        )
        return _laid([told], output, guidance)[0]

    def _made_anchor(
        self,
        panorama: Panorama,
        camera: Camera,
        before: Sequence[View],
        seed: int,
        steps: int,
        callback: Callback | None,
        ask: bool = True,
    ) -> tuple[ViewsPipelineOutput, Guidance, Panorama, WarpedWorld]:
        """An anchor as the network makes it, or is told it where it is not asked, and what it was told."""
        source, cameras = before[0] if before else None, [camera]
        if frames := self.views.frames_per_walk:  # a walk to the anchor, from the nearest one or the photo's place
            source = source or self._view_from_origin(panorama, camera)
            cameras = denser([source.camera, camera], frames)[0]
        panorama, (told, warped) = self.warp_panorama(panorama, cameras)
        guidance = told.nothing() if before and self.ablation.anchors == "walk" else told
        for view in reversed(before if self.ablation.anchors != "rotation" else ()):
            guidance = warp_guidance(view, cameras, self._device)[0].over(guidance)
        guidance = guidance.filled()
        last = slice(-1, None)
        if not ask:
            output = ViewsPipelineOutput(guidance.colour[last], guidance.distance[last])
        else:
            output = self.views(
                [Pass(source, cameras, guidance)], np.ones((len(cameras), 1)), frames="last",
                **self._options(panorama, guidance, seed, steps),
                callback_on_step_end=_views_progress(callback, "Filling an anchor"),
            )  # fmt: skip
        return output, guidance[last], panorama, warped[last]

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
        make = _ClipSettings(seed, tau_position, tau_rotation, steps, callback)
        if not self._keeps_detail:
            dense, asked = denser(cameras, self.views.pass_length(len(cameras)))
            output, guidance, panorama, warped = self._made_clip(panorama, source, target, dense, make)
            frames = self._finish(output, guidance, panorama, warped, dense)
            return [source, *(frames[place] for place in asked[1:-1]), target]
        told = self._told(panorama, cameras[1:-1], callback)
        torn = [place for place, frame in enumerate(told) if not frame.whole]
        views = {place: frame.view() for place, frame in enumerate(told) if frame.whole}
        if torn:
            width, height = self._network_size(source.camera)
            places = list(range(len(told))) if self.views.whole_clips else torn
            small = [camera.resized(width, height) for camera in cameras]
            small = [small[0], *(small[place + 1] for place in places), small[-1]]
            small, asked = denser(small, self.views.pass_length(len(small)))
            ends = [shrunk_view(view, width, height) for view in (source, target)]
            ask = self._leaves_room([told[place] for place in torn])
            output, guidance, *_ = self._made_clip(panorama, *ends, small, make, ask)
            asked = [asked[1 + places.index(place)] for place in torn]
            output = ViewsPipelineOutput(output.colour[asked], output.distance[asked])
            views |= zip(torn, _laid([told[place] for place in torn], output, guidance[asked]), strict=True)
        return [source, *(views[place] for place in range(len(told))), target]

    @staticmethod
    def watch(panorama: Panorama, views: Sequence[View]) -> list[WatchedFrame]:
        """What the monitors say of frames that were made from a panorama."""
        return watch_frames(panorama, views)

    def _made_clip(
        self,
        panorama: Panorama,
        source: View,
        target: View,
        cameras: Sequence[Camera],
        make: "_ClipSettings",
        ask: bool = True,
    ) -> tuple[ViewsPipelineOutput, Guidance | None, Panorama, WarpedWorld]:
        """A clip as the network makes it, or is told it where it is not asked, and what it was told."""
        panorama, (told, warped) = self.warp_panorama(panorama, cameras)
        from_source, from_target = (warp_guidance(view, cameras, self._device)[0] for view in (source, target))
        forward = from_source.over(from_target).over(told).filled()
        # the holes are the same in both directions, and so is what they are filled with
        backward = from_target.over(from_source).over(told).over(forward.everywhere()).within(forward.known)
        guided = self.ablation.guidance == "on"
        if not guided:
            forward, backward = forward.nothing(), backward.nothing()
        backwards = list(range(len(cameras)))[::-1]
        weights = spatial_weights(
            cameras, [source.camera, target.camera], panorama.median_distance(), make.tau_position, make.tau_rotation
        )
        if self.ablation.weights == "temporal":
            weights = np.linspace((1, 0), (0, 1), len(cameras))
        share = torch.from_numpy(weights[:, 0]).float().to(self._device)[:, None, None, None]
        guidance = Guidance(torch.lerp(backward.colour, forward.colour, share), forward.distance, forward.known)
        if not ask:
            output = ViewsPipelineOutput(guidance.colour, guidance.distance)
        else:
            output = self.views(
                [Pass(source, cameras, forward), Pass(target, list(cameras)[::-1], backward[backwards])], weights,
                **self._options(panorama, forward, make.seed, make.steps),
                callback_on_step_end=_views_progress(make.callback, "Shooting a clip"),
            )  # fmt: skip
        return output, guidance if guided else None, panorama, warped

    @property
    def _keeps_detail(self) -> bool:
        """Whether nothing that the network makes remains where the panorama tells of a frame."""
        return self.settings.panorama_detail == 1 and self.ablation == Ablation()

    def _told(self, panorama: Panorama, cameras: Sequence[Camera], callback: Callback | None) -> list[ToldFrame]:
        """What the panorama tells of frames at their full size."""
        told = []
        for frame in tell_frames(self._fine_enough(panorama, cameras[0]), cameras, self._device):
            told.append(frame)
            if callback is not None:
                callback(0.3 * len(told) / len(cameras), f"Drawing frame {len(told)} of {len(cameras)}", None)
        return told

    def _network_size(self, camera: Camera) -> tuple[int, int]:
        """Width and height at which holes of a camera's frames are filled: no more pixels than the network is for."""
        most = self.settings.views_pixels or camera.width * camera.height
        share = min(1.0, (most / (camera.width * camera.height)) ** 0.5)
        return max(1, round(camera.width * share)), max(1, round(camera.height * share))

    def _leaves_room(self, told: Sequence[ToldFrame]) -> bool:
        """Whether there is a hole that the network would see: one that takes more than a little of a latent."""
        factor = spatial_scale_factor(self.views.vae)
        width, height = self._network_size(told[0].camera)
        size = max(1, width // factor), max(1, height // factor)
        return any(float(frame.known_share(*size).min()) <= WHOLLY_KNOWN for frame in told)

    def _view_from_origin(self, panorama: Panorama, camera: Camera) -> View:
        """What the camera would see from where the photo was taken: the panorama has no holes there."""
        pose = camera.camera_to_world.copy()
        pose[:3, 3] = panorama.position
        here = replace(camera, camera_to_world=pose)
        panorama, (told, warped) = self.warp_panorama(panorama, [here])
        told = told.filled()
        output = ViewsPipelineOutput(colour=told.colour, distance=told.distance)
        return self._finish(output, None, panorama, warped, [here])[0]

    def warp_panorama(
        self, panorama: Panorama, cameras: Sequence[Camera]
    ) -> tuple[Panorama, tuple[Guidance, WarpedWorld]]:
        """The panorama no finer than the frames (sampling does not filter), and what it tells of them.

        What it hid is told by its clean plate, where it has one.
        """
        panorama = self._fine_enough(panorama, cameras[0])
        told, front = warp_guidance(panorama, cameras, self._device)
        behind = None
        if panorama.plate is not None and not bool(front.known.all()):
            told_behind, behind = warp_guidance(panorama.plate_panorama, cameras, self._device)
            told = told.over(told_behind)
        return panorama, (told, WarpedWorld(front, behind))

    @staticmethod
    def _fine_enough(panorama: Panorama, camera: Camera) -> Panorama:
        return panorama.shrunk_for(camera)

    def _options(self, panorama: Panorama, guidance: Guidance, seed: int, steps: int) -> dict:
        settings, stage = self.settings, self.settings.stage("views")
        holes = 1 - float(guidance.known.mean((1, 2, 3)).min())
        strength = settings.strength + min(1.0, 4 * holes) * (settings.strength_in_holes - settings.strength)
        return {
            "unit": panorama.camera_height, "scale": panorama.median_distance(), "strength": strength,
            "num_inference_steps": steps or settings.views_steps, "min_guidance_scale": settings.min_guidance_scale,
            "max_guidance_scale": settings.max_guidance_scale, "raymap": self.ablation.raymap,
            "generator": torch.Generator().manual_seed(seed),
        } | (stage[1].settings if stage else {})  # fmt: skip

    def _finish(self, output, guidance: Guidance | None, panorama, warped: WarpedWorld, cameras) -> list[View]:
        """The network's frames with the guidance's tone and the photo's own pixels, as views; without: bare."""
        colour = output.colour
        if guidance is not None:
            colour = colour + smooth_error(guidance.colour - colour, guidance.known)
        photo = image_tensor(np.repeat(panorama.from_photo[..., None], 3, -1), self._device)[0, :1] / 2 + 0.5
        share = soften(warped.front.sample(photo), FEATHER_PX) * (guidance is not None)
        own = warped.sample(panorama)
        told = soften(warped.known[:, None].float(), FEATHER_PX) * (guidance is not None)
        colour = torch.lerp(colour, own, torch.maximum(share, self.settings.panorama_detail * told))
        shares = (share[:, 0] * 255).round().byte().cpu().numpy()
        distances = output.distance[:, 0].float().cpu().numpy()
        return [View(*parts) for parts in zip(cameras, image_bytes(colour), distances, shares, strict=True)]

    def _signed(self, panorama: Panorama, seed: int) -> Panorama:
        return replace(panorama, preset=self.preset, seed=seed, revision=self.revision)

    def _panorama_progress(self, callback: Callback | None, message: str):
        def on_step(pipeline, step, timestep, state):
            if callback is None:
                return
            preview = state.get("preview")
            if step % 5 == 0 and len(state.get("latents", ())) == 1:
                colours = pipeline.vae.config.latent_channels
                preview = pipeline.decode(state["latents"][:, :colours])[0]
            callback(0.9 * step / state["steps"], f"{message}, step {step} of {state['steps']}", preview)

        return on_step


def _views_progress(callback: Callback | None, message: str):
    def on_step(pipeline, step, timestep, state):
        if callback is None:
            return
        preview = None
        if step % 3 == 0:
            preview = image_bytes(pipeline.preview(state["clean"]))
        callback(0.9 * step / state["steps"], f"{message}, step {step} of {state['steps']}", preview)

    return on_step


def _check_height(camera_height: float) -> None:
    if not 0.05 <= camera_height <= 100:
        raise InputError(f"a camera height of {camera_height:g} m is impossible; give 0.05 to 100 metres")


def smooth_error(error: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """The part of an error [N, C, H, W] that is smoother than TONE_PX, continued into the holes."""
    size = error.shape[-2:]
    weight = torch.nn.functional.avg_pool2d(known, TONE_PX, ceil_mode=True, count_include_pad=False)
    coarse = torch.nn.functional.avg_pool2d(error * known, TONE_PX, ceil_mode=True, count_include_pad=False)
    coarse = fill_holes(coarse / weight.clamp_min(1e-3), (weight > 0.2).float())
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic", align_corners=False)


@dataclass(frozen=True)
class _ClipSettings:
    seed: int
    tau_position: float
    tau_rotation: float
    steps: int
    callback: Callback | None


def _laid(told: Sequence[ToldFrame], output: ViewsPipelineOutput, guidance: Guidance) -> list[View]:
    """Frames with what was made at any size in their holes, in the guidance's tone."""
    colour = output.colour + smooth_error(guidance.colour - output.colour, guidance.known)
    made = zip(
        colour.permute(0, 2, 3, 1).float().cpu().numpy(), output.distance[:, 0].float().cpu().numpy(),
        guidance.known[:, 0].cpu().numpy() > 0, strict=True,
    )  # fmt: skip
    with ThreadPoolExecutor(max(1, min(torch.get_num_threads(), 8))) as pool:
        return list(pool.map(lambda frame, parts: frame.laid_over(*parts), told, made))


def soften(mask: torch.Tensor, width: int) -> torch.Tensor:
    """A mask [N, 1, H, W] of 0..1 that fades to 0 within `width` pixels inside its border."""
    frames = [faded(frame > 0.998, width) for frame in mask[:, 0].cpu().numpy()]
    return torch.from_numpy(np.stack(frames))[:, None].to(mask)
