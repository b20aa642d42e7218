"""Anchors and clips made by the views network, guided by the world and other anchors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.models.feathering import faded
from lookbeyond.presets import Preset

from .fusion import Pass, spatial_weights
from .guidance import Guidance, fill_holes, image_bytes, warp_guidance
from .paths import resampled
from .views import ViewsPipeline, ViewsPipelineOutput
from .warped_world import JoinedWorlds, WarpedWorld, warp_world

Callback = Callable[[float, str, np.ndarray | None], None]
"""(share of the unit done 0..1, what is being done, preview uint8 [h, w, 3] or None); may raise to stop the work."""

TONE_PX = 12
"""Scale, in pixels of a frame, above which light and colour are the guidance's, not the network's."""


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


@dataclass(frozen=True)
class Making:
    """How the frames of one anchor or clip are made."""

    seed: int = 0
    steps: int = 0
    """Of denoising; 0 is the preset's own number."""
    callback: Callback | None = None
    tau_position: float = 0.2
    tau_rotation: float = 0.2


@dataclass(frozen=True, eq=False)
class MadeFrames:
    """The network's frames, and what they were made from."""

    output: ViewsPipelineOutput
    guidance: Guidance | None
    """None if none of it is to be laid over the result."""
    world: WarpedWorld | JoinedWorlds
    cameras: Sequence[Camera]


@dataclass(frozen=True, eq=False)
class NetworkFrames:
    """Makes frames at the size that their cameras have."""

    views: ViewsPipeline
    settings: Preset
    ablation: Ablation

    @property
    def device(self) -> torch.device:
        return self.views._execution_device

    def anchor(
        self, panorama: Panorama, camera: Camera, before: Sequence[View], making: Making, ask: bool = True
    ) -> MadeFrames:
        """An anchor from the world and the anchors `before` it, nearest first.

        ask: whether the network is asked; else its guidance is what was made.
        """
        source, cameras = before[0] if before else None, [camera]
        if frames := self.views.frames_per_walk:  # a walk to the anchor, from the nearest one or the photo's place
            source = source or self.view_from_origin(panorama, camera)
            cameras = resampled([source.camera, camera], frames)[0]
        from_panorama, world = warp_world(panorama, cameras, self.device)
        guidance = from_panorama.nothing() if before and self.ablation.anchors == "walk" else from_panorama
        for view in reversed(before if self.ablation.anchors != "rotation" else ()):
            guidance = warp_guidance(view, cameras, self.device)[0].over(guidance)
        guidance = guidance.filled()
        last = slice(-1, None)
        if not ask:
            output = ViewsPipelineOutput(guidance.colour[last], guidance.distance[last])
        else:
            output = self.views(
                [Pass(source, cameras, guidance)],
                np.ones((len(cameras), 1)),
                frames="last",
                **self._options(world.panorama, guidance, making),
                callback_on_step_end=_progress(making.callback, "Filling an anchor"),
            )
        return MadeFrames(output, guidance[last], world[last], cameras[last])

    def clip(
        self,
        panorama: Panorama,
        source: View,
        target: View,
        cameras: Sequence[Camera],
        making: Making,
        ask: bool = True,
    ) -> MadeFrames:
        """A clip between two anchors. ask: as for `anchor`."""
        from_panorama, world = warp_world(panorama, cameras, self.device)
        from_source, from_target = (warp_guidance(view, cameras, self.device)[0] for view in (source, target))
        forward = from_source.over(from_target).over(from_panorama).filled()
        # the holes are the same in both directions, and so is what they are filled with
        backward = from_target.over(from_source).over(from_panorama).over(forward.everywhere()).within(forward.known)
        guided = self.ablation.guidance == "on"
        if not guided:
            forward, backward = forward.nothing(), backward.nothing()
        backwards = list(range(len(cameras)))[::-1]
        weights = spatial_weights(
            cameras,
            [source.camera, target.camera],
            world.panorama.median_distance,
            making.tau_position,
            making.tau_rotation,
        )
        if self.ablation.weights == "temporal":
            weights = np.linspace((1, 0), (0, 1), len(cameras))
        share = torch.from_numpy(weights[:, 0]).float().to(self.device)[:, None, None, None]
        guidance = Guidance(torch.lerp(backward.colour, forward.colour, share), forward.distance, forward.known)
        if not ask:
            output = ViewsPipelineOutput(guidance.colour, guidance.distance)
        else:
            output = self.views(
                [Pass(source, cameras, forward), Pass(target, list(cameras)[::-1], backward[backwards])],
                weights,
                **self._options(world.panorama, forward, making),
                callback_on_step_end=_progress(making.callback, "Shooting a clip"),
            )
        return MadeFrames(output, guidance if guided else None, world, cameras)

    def view_from_origin(self, panorama: Panorama, camera: Camera) -> View:
        """What the camera would see from where the photo was taken: the panorama has no holes there."""
        pose = camera.camera_to_world.copy()
        pose[:3, 3] = panorama.position
        here = replace(camera, camera_to_world=pose)
        guidance, world = warp_world(panorama, [here], self.device)
        guidance = guidance.filled()
        output = ViewsPipelineOutput(colour=guidance.colour, distance=guidance.distance)
        return self.finished(MadeFrames(output, None, world, [here]))[0]

    def finished(self, made: MadeFrames) -> list[View]:
        """Frames with the guidance's tone and the photo's own pixels, as views; without guidance: bare."""
        colour, guidance, world = made.output.colour, made.guidance, made.world
        if guidance is not None:
            colour = colour + smooth_error(guidance.colour - colour, guidance.known)
        share = soften(world.from_photo()) * (guidance is not None)
        own = world.colour()
        known = soften(world.known[:, None].float()) * (guidance is not None)
        colour = torch.lerp(colour, own, torch.maximum(share, self.settings.panorama_detail * known))
        shares = (share[:, 0] * 255).round().byte().cpu().numpy()
        distances = made.output.distance[:, 0].float().cpu().numpy()
        return [View(*parts) for parts in zip(made.cameras, image_bytes(colour), distances, shares, strict=True)]

    def _options(self, panorama: Panorama, guidance: Guidance, making: Making) -> dict[str, Any]:
        settings, stage = self.settings, self.settings.stage("views")
        holes = 1 - float(guidance.known.mean((1, 2, 3)).min())
        strength = settings.strength + min(1.0, 4 * holes) * (settings.strength_in_holes - settings.strength)
        return {
            "unit": panorama.camera_height,
            "scale": panorama.median_distance,
            "strength": strength,
            "num_inference_steps": making.steps or settings.views_steps,
            "min_guidance_scale": settings.min_guidance_scale,
            "max_guidance_scale": settings.max_guidance_scale,
            "raymap": self.ablation.raymap,
            "generator": torch.Generator().manual_seed(making.seed),
        } | (stage[1].settings if stage else {})


def _progress(callback: Callback | None, message: str):
    def on_step(pipeline, step, timestep, state):
        if callback is None:
            return
        preview = None
        if step % 3 == 0:
            preview = image_bytes(pipeline.preview(state["clean"]))
        callback(0.9 * step / state["steps"], f"{message}, step {step} of {state['steps']}", preview)

    return on_step


def smooth_error(error: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """The part of an error [N, C, H, W] that is smoother than TONE_PX, continued into the holes."""
    size = error.shape[-2:]
    weight = torch.nn.functional.avg_pool2d(known, TONE_PX, ceil_mode=True, count_include_pad=False)
    coarse = torch.nn.functional.avg_pool2d(error * known, TONE_PX, ceil_mode=True, count_include_pad=False)
    coarse = fill_holes(coarse / weight.clamp_min(1e-3), (weight > 0.2).float())
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic", align_corners=False)


def soften(mask: torch.Tensor) -> torch.Tensor:
    """A mask [N, 1, H, W] of 0..1 that fades to 0 inside its border."""
    frames = [faded(frame > 0.998) for frame in mask[:, 0].cpu().numpy()]
    return torch.from_numpy(np.stack(frames))[:, None].to(mask)
