"""Both stages as one: what a unit of work calls. Photo -> panorama -> anchors -> clips."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import torch

from lookbeyond import presets
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.layout.fit import built_in_network
from lookbeyond.layout.world import Room, Unseen, understand_panorama, understand_place
from lookbeyond.models.layout_network import LayoutNetwork
from lookbeyond.models.warping import WarpedViews
from lookbeyond.presets.memory import MemoryPlan

from .guidance import Guidance, fill_holes, image_tensor, warp_guidance
from .loading import Holding, load_pipelines
from .panorama import PanoramaPipeline
from .paths import denser
from .views import Pass, ViewsPipeline, ViewsPipelineOutput, spatial_weights

Callback = Callable[[float, str, np.ndarray | None], None]
"""(share of the unit done 0..1, what is being done, preview uint8 [h, w, 3] or None); may raise to stop the work."""

FEATHER_PX = 6
"""Width, in pixels of a frame, over which a photo's pixels fade into what was made."""
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

        camera_height: metres of the camera above the floor; all distances are proportional to it.
        room: whether a room's layout is fitted and drawn: where it is sure, always, or never.
        unseen: how the part that nobody saw is shown; None: the preset's own way.
        prompt: what the place is, for presets that take one (`Preset.takes_prompt`); InputError from the others.
        """
        _check_height(camera_height)
        presets.check_prompt(self.preset, prompt)
        panorama = self.panorama(
            photo, camera, camera_height=camera_height, width=width,
            num_inference_steps=self.settings.panorama_steps, coarse_noise=self.settings.panorama_coarse_noise,
            generator=torch.Generator().manual_seed(seed),
            callback_on_step_end=self._panorama_progress(callback, "Painting the panorama"),
            **({"prompt": prompt} if prompt else {}),
        ).panorama  # fmt: skip
        panorama = self._signed(panorama, seed)
        if room == "off" or self.layout is None:
            return panorama
        if callback is not None:
            callback(0.9, "Drawing the room", None)
        return understand_place(photo, panorama, self.layout, room, unseen or self.settings.unseen)

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

        room: as for `build_world`.
        """
        _check_height(camera_height)
        panorama = self.panorama.measure(
            colour, camera_height=camera_height, heading_rad=heading_rad, origin=origin,
            generator=torch.Generator().manual_seed(seed),
            callback_on_step_end=self._panorama_progress(callback, "Measuring the panorama"),
        ).panorama  # fmt: skip
        panorama = self._signed(panorama, seed)
        return panorama if room == "off" or self.layout is None else understand_panorama(panorama, self.layout, room)

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
        output = self._nothing_to_make(told[last]) or self.views(
            [Pass(source, cameras, guidance)], np.ones((len(cameras), 1)), frames="last",
            **self._options(panorama, guidance, seed, steps),
            callback_on_step_end=_views_progress(callback, "Filling an anchor"),
        )  # fmt: skip
        return self._finish(output, guidance[last], panorama, warped[last], cameras[last])[0]

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
        cameras, asked = denser(cameras, self.views.frames_per_pass or 0)
        panorama, (told, warped) = self.warp_panorama(panorama, cameras)
        from_source, from_target = (warp_guidance(view, cameras, self._device)[0] for view in (source, target))
        forward = from_source.over(from_target).over(told).filled()
        backward = from_target.over(from_source).over(told).filled()
        guided = self.ablation.guidance == "on"
        if not guided:
            forward, backward = forward.nothing(), backward.nothing()
        backwards = list(range(len(cameras)))[::-1]
        weights = spatial_weights(
            cameras, [source.camera, target.camera], panorama.median_distance(), tau_position, tau_rotation
        )
        if self.ablation.weights == "temporal":
            weights = np.linspace((1, 0), (0, 1), len(cameras))
        output = self._nothing_to_make(told) or self.views(
            [Pass(source, cameras, forward), Pass(target, list(cameras)[::-1], backward[backwards])], weights,
            **self._options(panorama, forward, seed, steps),
            callback_on_step_end=_views_progress(callback, "Shooting a clip"),
        )  # fmt: skip
        share = torch.from_numpy(weights[:, 0]).float().to(self._device)[:, None, None, None]
        guidance = Guidance(torch.lerp(backward.colour, forward.colour, share), forward.distance, forward.known)
        frames = self._finish(output, guidance if guided else None, panorama, warped, cameras)
        return [source, *(frames[place] for place in asked[1:-1]), target]

    def _nothing_to_make(self, told: Guidance) -> ViewsPipelineOutput | None:
        """The frames as the panorama tells them, where nothing of what the network made would remain."""
        kept = self.settings.panorama_detail == 1 and self.ablation == Ablation()
        return ViewsPipelineOutput(told.colour, told.distance) if kept and bool((told.known > 0).all()) else None

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
    ) -> tuple[Panorama, tuple[Guidance, "WarpedWorld"]]:
        """The panorama no finer than the frames (sampling does not filter), and what it tells of them.

        What it hid is told by its clean plate, where it has one.
        """
        camera = cameras[0]
        width = max(512, round(1.5 * camera.intrinsics[0, 0] * 2 * np.pi))
        panorama = panorama.shrunk(width)
        told, front = warp_guidance(panorama, cameras, self._device)
        behind = None
        if panorama.plate is not None and not bool(front.known.all()):
            told_behind, behind = warp_guidance(panorama.plate_panorama, cameras, self._device)
            told = told.over(told_behind)
        return panorama, (told, WarpedWorld(front, behind))

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

    def _finish(self, output, guidance: Guidance | None, panorama, warped: "WarpedWorld", cameras) -> list[View]:
        """The network's frames with the guidance's tone and the photo's own pixels, as views; without: bare."""
        colour = output.colour
        if guidance is not None:
            colour = colour + smooth_error(guidance.colour - colour, guidance.known)
        photo = image_tensor(np.repeat(panorama.from_photo[..., None], 3, -1), self._device)[0, :1] / 2 + 0.5
        share = soften(warped.front.sample(photo), FEATHER_PX) * (guidance is not None)
        own = warped.sample(panorama)
        told = soften(warped.known[:, None].float(), FEATHER_PX) * (guidance is not None)
        colour = torch.lerp(colour, own, torch.maximum(share, self.settings.panorama_detail * told))
        images = ((colour.permute(0, 2, 3, 1) + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy()
        shares = (share[:, 0] * 255).round().byte().cpu().numpy()
        distances = output.distance[:, 0].float().cpu().numpy()
        return [View(*parts) for parts in zip(cameras, images, distances, shares, strict=True)]

    def _signed(self, panorama: Panorama, seed: int) -> Panorama:
        return replace(panorama, preset=self.preset, seed=seed, revision=self.revision)

    def _panorama_progress(self, callback: Callback | None, message: str):
        def on_step(pipeline, step, timestep, state):
            if callback is None:
                return
            preview = state.get("preview")
            if step % 5 == 0 and len(state.get("latents", ())) == 1:
                colours = pipeline.vae.config.latent_channels
                preview = pipeline._decode(state["latents"][:, :colours])[0]
            callback(0.9 * step / state["steps"], f"{message}, step {step} of {state['steps']}", preview)

        return on_step


def _views_progress(callback: Callback | None, message: str):
    def on_step(pipeline, step, timestep, state):
        if callback is None:
            return
        preview = None
        if step % 3 == 0:  # the frame that is farthest from both anchors
            latents = state["clean"][:, : pipeline.vae.config.latent_channels]
            image = pipeline._decode(latents[len(latents) // 2 :][:1])[0]
            preview = ((image.permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy()
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


def soften(mask: torch.Tensor, width: int) -> torch.Tensor:
    """A mask [N, 1, H, W] of 0..1 that fades to 0 within `width` pixels inside its border."""
    frames = []
    for frame in mask[:, 0].cpu().numpy():
        inside = np.pad((frame > 0.999).astype(np.uint8), 1, mode="edge")
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
        frames.append(np.clip(depth / width, 0, 1))
    return torch.from_numpy(np.stack(frames))[:, None].to(mask)
