"""Distance from a public depth estimator: for a finished panorama, and for the holes in a clip's frames.

A panorama is measured in overlapping views, whose scales are made to agree. Most of a clip is known from the warps
already: the estimator's distances are fitted to that, and used where nothing is known.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import DiffusionPipeline

from lookbeyond.distance import FARTHEST, NEAREST, align_scales, floor_below
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import extract_perspective, sample_pixels

from .guidance import Guidance, fill_holes, image_bytes
from .panorama import DISTANCE_WIDTH, PanoramaPipeline, PanoramaPipelineOutput, panorama_around
from .sphere import blend_views, covering_cameras, in_view

# the normalisation of ImageNet, which Depth Anything was trained with
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DIRECTIONS = 6000
"""Directions of the sphere on which views are compared."""
SAME_SURFACE = 0.15
"""Largest difference of log-distance between two measurements of one surface."""
NEIGHBOURS = (-3, -2, -1, 1, 2, 3)
"""Neighbouring frames, relative to the current one, that are brought to agree with it."""


class DepthPipeline(DiffusionPipeline):
    """Measures a panorama by a metric Depth Anything of transformers, fed without an image processor.

    Example:
        >>> model = AutoModelForDepthEstimation.from_pretrained(folder, local_files_only=True)
        >>> panorama = DepthPipeline(model).measure(colour, camera_height=1.6).panorama

    Args:
        model: gives `predicted_depth` along z for normalised pixels; its sides must be multiples of its patches.

    Raises `InputError` for a model that gives disparity without a scale, or is fed in another way.
    """

    model_cpu_offload_seq = "model"

    def __init__(self, model: Any):
        super().__init__()
        self.register_modules(model=model)
        self.size, self.fov_deg = 518, 90.0
        if model is not None:
            _check_metric(model.config)

    def with_settings(self, settings: Mapping[str, Any]) -> "DepthPipeline":
        """The pipeline itself, with other defaults for `size` and `fov_deg`; `InputError` for any other setting."""
        if unknown := sorted(set(settings) - {"size", "fov_deg"}):
            raise InputError(f"measuring by a depth model takes no {', '.join(unknown)}; correct the preset's settings")
        self.size, self.fov_deg = settings.get("size", self.size), settings.get("fov_deg", self.fov_deg)
        return self

    @torch.no_grad()
    def measure(
        self,
        colour: np.ndarray,
        *,
        camera_height: float = 1.6,
        heading_rad: float = 0.0,
        origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
        size: int | None = None,
        fov_deg: float | None = None,
        generator: torch.Generator | None = None,
        callback_on_step_end: Callable[[Any, int, int, dict], Any] | None = None,
    ) -> PanoramaPipelineOutput:
        """The distance of a panorama uint8 [H, 2H, 3]; arguments as those of `PanoramaPipeline.measure`.

        size, fov_deg: of the square views, by default the pipeline's own. The views' scales are made to agree, then
        the whole is scaled so that the floor lies `camera_height` below.
        """
        size, fov_deg = int(size or self.size), float(fov_deg or self.fov_deg)
        cameras = covering_cameras(size, math.radians(fov_deg), heading_rad)
        pitch = math.tan(math.radians(fov_deg) / 2) * 2 / size  # angle of a view's middle pixel
        small = Panorama(colour, np.ones((1, 2), np.float32), np.zeros(colour.shape[:2], np.uint8))
        source = small.shrunk(max(64, round(2 * math.pi / pitch * 1.3))).colour
        sphere = _directions(DIRECTIONS)
        logs, samples = [], np.full((len(cameras), DIRECTIONS), np.nan)
        for step, camera in enumerate(cameras):
            depth = self._estimate(extract_perspective(source, camera, heading_rad), camera)
            logs.append(np.log(np.clip(depth, 1e-3, 1e4) * _lengths(camera)).astype(np.float32))
            columns, rows, inside = in_view(camera, sphere, 1.0)
            samples[step, inside] = sample_pixels(logs[-1], columns[inside], rows[inside])
            if callback_on_step_end is not None:
                state = {"step": step + 1, "steps": len(cameras), "preview": None}
                callback_on_step_end(self, step + 1, step + 1, state)
        offsets = align_scales(samples)
        aligned = [view + np.float32(offset) for view, offset in zip(logs, offsets, strict=True)]
        distance = np.exp(blend_views(aligned, cameras, DISTANCE_WIDTH, heading_rad))
        distance *= camera_height / floor_below(distance)
        distance = np.clip(distance, NEAREST * camera_height, FARTHEST * camera_height).astype(np.float32)
        return PanoramaPipelineOutput(
            panorama=Panorama(
                colour,
                distance,
                np.zeros(colour.shape[:2], np.uint8),
                heading_rad=heading_rad,
                origin=origin,
                camera_height=camera_height,
                distance_model=type(self.model).__name__,
            )
        )

    @torch.no_grad()
    def complete(self, colour: torch.Tensor, guidance: Guidance, cameras: Sequence[Camera]) -> torch.Tensor:
        """Distance [N, 1, H, W] in metres of a clip's frames: the guidance's where it is known, elsewhere measured.

        colour: the finished frames [N, 3, H, W] in -1..1. What the estimator says is fitted to what is known in scale,
        per frame, and in contrast, per clip; what still differs at a hole's rim fades out into the hole; and where
        several frames look at the same surface they are brought to agree.
        """
        if bool((guidance.known > 0).all()):
            return guidance.distance
        frames = zip(image_bytes(colour), cameras, strict=True)
        made = [np.log(self._estimate_frame(image, camera)) for image, camera in frames]
        made = torch.from_numpy(np.stack(made)).to(guidance.distance)[:, None]
        given, known = guidance.distance.clamp_min(1e-3).log(), guidance.known > 0
        made = fitted(made, given, known)
        differs = given - made
        # where the estimator sees another surface than the warp, it says nothing about what lies behind
        made = made + fill_holes(differs, (known & (differs.abs() < SAME_SURFACE)).to(made))
        whole = agreeing(torch.where(known, given, made), ~known, cameras).exp()
        return torch.where(known, guidance.distance, whole)

    def _estimate_frame(self, image: np.ndarray, camera: Camera) -> np.ndarray:
        """Distance along the ray [H, W] of a frame uint8 [H, W, 3], up to a scale; the model sees sides it can take."""
        config = getattr(self.model, "config", None)
        patch = getattr(getattr(config, "backbone_config", config), "patch_size", 14)
        scale = self.size / min(image.shape[:2])
        width, height = (max(1, round(side * scale / patch)) * patch for side in (camera.width, camera.height))
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        seen = camera.resized(width, height)
        distance = np.clip(self._estimate(small, seen) * _lengths(seen), 1e-3, 1e4)
        return cv2.resize(distance.astype(np.float32), (camera.width, camera.height), interpolation=cv2.INTER_LINEAR)

    def _estimate(self, view: np.ndarray, camera: Camera) -> np.ndarray:
        """Depth along z [h, w] float32 of a view uint8 [h, w, 3], up to a scale."""
        pixels = torch.from_numpy(np.ascontiguousarray(view)).to(self._execution_device).permute(2, 0, 1)[None] / 255.0
        mean, std = (torch.tensor(values, device=pixels.device)[:, None, None] for values in (_MEAN, _STD))
        depth = self.model(pixel_values=((pixels - mean) / std).to(self.model.dtype)).predicted_depth[:, None]
        size = view.shape[:2]
        depth = torch.nn.functional.interpolate(depth.float(), size, mode="bilinear", align_corners=False)
        return depth[0, 0].cpu().numpy()


class MeasuredPanorama:
    """A panorama pipeline whose distance another model measures."""

    def __init__(self, panorama: PanoramaPipeline, depth_estimator: Any):
        self.panorama, self.depth_estimator = panorama, depth_estimator

    @property
    def pipelines(self) -> list[Any]:
        """The diffusers pipelines inside: each is put on the device."""
        return [self.panorama, *getattr(self.depth_estimator, "pipelines", [self.depth_estimator])]

    @property
    def vae(self) -> Any:
        """The panorama pipeline's, for others to share."""
        return self.panorama.vae

    def __call__(
        self,
        photo: np.ndarray,
        camera: Camera,
        *,
        camera_height: float = 1.6,
        width: int = 4096,
        distance: np.ndarray | None = None,
        **options: Any,
    ) -> PanoramaPipelineOutput:
        """As `PanoramaPipeline`."""
        whole = self.panorama.paint(photo, camera, **options)
        return measured_around(
            self.depth_estimator,
            photo,
            camera,
            whole,
            camera_height,
            width,
            options.get("generator"),
            options.get("callback_on_step_end"),
            distance,
        )

    def complete(self, colour: np.ndarray, known: np.ndarray, **options: Any) -> np.ndarray:
        """As `PanoramaPipeline.complete`."""
        return self.panorama.complete(colour, known, **options)

    def measure(self, colour: np.ndarray, **options: Any) -> PanoramaPipelineOutput:
        """As `PanoramaPipeline.measure`."""
        return self.depth_estimator.measure(colour, **options)


def measured_around(
    depth_estimator: Any,
    photo: np.ndarray,
    camera: Camera,
    whole: np.ndarray,
    camera_height: float,
    width: int,
    generator: torch.Generator | None,
    callback_on_step_end: Callable[[Any, int, int, dict], Any] | None,
    distance: np.ndarray | None = None,
) -> PanoramaPipelineOutput:
    """A painted panorama [H, 2H, 3] with the photo at its own resolution in it, and its distance by `depth_estimator`.

    distance: [h, 2h] metres along the ray, where it is known already: then it is not measured.
    """
    known = np.ones((1, 2), np.float32) if distance is None else distance
    panorama = panorama_around(photo, camera, whole, camera_height, width, known)
    if distance is None:
        measured = depth_estimator.measure(
            panorama.colour,
            camera_height=camera_height,
            heading_rad=panorama.heading_rad,
            origin=panorama.origin,
            generator=generator,
            callback_on_step_end=callback_on_step_end,
        ).panorama
        panorama = replace(measured, from_photo=panorama.from_photo, photo_camera=camera)
    return PanoramaPipelineOutput(panorama=panorama)


def fitted(made: torch.Tensor, given: torch.Tensor, known: torch.Tensor, iterations: int = 10) -> torch.Tensor:
    """Measured log-distances [N, 1, H, W] as contrast * made + offset, closest to `given` where it is known (bool).

    The contrast is the clip's and near 1, the offset each frame's own, or the clip's where a frame knows little. Least
    absolute differences: a surface that one of the two does not see counts little.
    """
    step = max(1, min(made.shape[-2:]) // 64)
    x, y, mask = (part[..., ::step, ::step].flatten(1).float() for part in (made, given, known))
    contrast, least = x.new_ones(()), 0.02 * mask.shape[1]
    offsets = x.new_zeros(len(x), 1)
    for _ in range(iterations):
        weight = mask / (y - contrast * x - offsets).abs().clamp_min(0.01)
        total = weight.sum(1, keepdim=True).clamp_min(1e-9)
        mean_x, mean_y = ((weight * part).sum(1, keepdim=True) / total for part in (x, y))
        spread = (weight * (x - mean_x).square()).sum()
        prior = 0.01 * weight.sum() + 1e-6  # a plain wall says nothing about contrast
        contrast = ((weight * (x - mean_x) * (y - mean_y)).sum() + prior) / (spread + prior)
        contrast = contrast.clamp(0.5, 2)
        offsets = mean_y - contrast * mean_x
        enough = mask.sum(1, keepdim=True) >= least
        usual = offsets[enough].median() if bool(enough.any()) else x.new_zeros(())
        offsets = torch.where(enough, offsets, usual)
    return (contrast * made + offsets[..., None, None]).to(made.dtype)


def agreeing(logs: torch.Tensor, holes: torch.Tensor, cameras: Sequence[Camera], iterations: int = 2) -> torch.Tensor:
    """Log-distances [N, 1, H, W], those in holes (bool) moved to the mean of what their neighbours in time say of the
    same surface; neighbours that see another one (`SAME_SURFACE`) do not count."""
    for _ in range(iterations):
        before, logs = logs, logs.clone()
        for frame, camera in enumerate(cameras):
            hole = holes[frame, 0]
            if not bool(hole.any()):
                continue
            own = before[frame, 0][hole]
            rays = torch.from_numpy(camera.rays().astype(np.float32)).to(own)[hole]
            offset, heard = torch.zeros_like(own), torch.ones_like(own)
            for other in (frame + step for step in NEIGHBOURS if 0 <= frame + step < len(cameras)):
                apart = torch.from_numpy(camera.position - cameras[other].position).to(own)
                points = rays * own.exp()[:, None] + apart
                matrix = torch.from_numpy(cameras[other].intrinsics @ cameras[other].rotation.T).to(own)
                x, y, depth = (points @ matrix.T).unbind(-1)
                inside = depth > 1e-6
                column, row = ((part / depth.clamp_min(1e-6)).floor().long() for part in (x, y))
                inside &= (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height)
                there = before[other, 0][row.clamp(0, camera.height - 1), column.clamp(0, camera.width - 1)]
                differs = there - points.norm(dim=-1).clamp_min(1e-6).log()
                inside &= differs.abs() < SAME_SURFACE
                offset, heard = offset + differs * inside, heard + inside
            logs[frame, 0][hole] = own + offset / heard
    return logs


def _check_metric(config: Any) -> None:
    """`InputError` for every model but a metric Depth Anything.

    Of transformers' others DPT gives disparity, Depth Pro the inverse of depth, CHMv2 the height of trees; GLPN and
    ZoeDepth give metres, but want their pixels normalised in another way. None of them says so in its configuration.
    """
    remedy = "take a metric Depth Anything (Depth-Anything-V2-Metric)"
    if config.model_type != "depth_anything":
        raise InputError(f"the depth model is of the kind {config.model_type!r}, which measuring cannot use; {remedy}")
    if config.depth_estimation_type != "metric":
        raise InputError(f"the depth model gives disparity, not distance; {remedy}")


def _directions(count: int) -> np.ndarray:
    """`count` directions [count, 3], evenly over the sphere (a golden spiral)."""
    index = np.arange(count) + 0.5
    height = 1 - 2 * index / count
    turn = math.pi * (1 + math.sqrt(5)) * index
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), height], -1)


def _lengths(camera: Camera) -> np.ndarray:
    """[h, w]: distance along the ray per unit of depth along z."""
    focal = camera.intrinsics[0, 0]
    columns = (np.arange(camera.width) + 0.5 - camera.intrinsics[0, 2]) / focal
    rows = (np.arange(camera.height) + 0.5 - camera.intrinsics[1, 2]) / camera.intrinsics[1, 1]
    return np.sqrt(1 + columns**2 + rows[:, None] ** 2)
