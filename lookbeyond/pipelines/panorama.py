"""Stage 1: one placed photo becomes a panorama of colour and distance."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from torch.nn import functional as F

from lookbeyond.distance import latents_to_distance
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera, heading_pitch_roll, placed_camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import extract_perspective, place_photo
from lookbeyond.layout.photo import PlacedPhoto
from lookbeyond.models.autoencoder import encode_images, spatial_scale_factor
from lookbeyond.models.image_encoder import embed_images

# diffusers loads components only from modules that are imported already
from lookbeyond.models.panorama_transformer import PanoramaTransformer, rolled  # noqa: F401
from lookbeyond.photo.exposure import exposed, missing_stops

from .guidance import fill_holes, image_bytes, image_tensor

DISTANCE_WIDTH = 1024
"""Width of the distance map that goes with a panorama: finer than the network's, coarser than the colour."""
LEAST_KNOWN = 0.002
"""Share of a sphere that must be known for its rest to be made."""
COARSE_CELLS = 2.0
"""Standard deviation, in latents, of the blur that separates coarse noise from fine."""


@dataclass
class PanoramaPipelineOutput(BaseOutput):
    panorama: Panorama


class PanoramaPipeline(DiffusionPipeline):
    """Outpaints a photo to a panorama with distance, by flow matching in the latents of the whole sphere.

    Example:
        >>> pipeline = PanoramaPipeline.from_pretrained("lookbeyond/presets/builtin/panorama")
        >>> camera = placed_camera(1024, 768, math.radians(75), pitch_rad=math.radians(-5))
        >>> panorama = pipeline(photo, camera, generator=torch.Generator().manual_seed(0)).panorama

    Args:
        vae: an image autoencoder of diffusers or `lookbeyond.models.Autoencoder`.
        image_encoder: a CLIP vision tower, any size.
        transformer: `lookbeyond.models.PanoramaTransformer`, any size.
        scheduler: a flow-matching scheduler.
    """

    model_cpu_offload_seq = "image_encoder->transformer->vae"

    def __init__(self, vae, image_encoder, transformer, scheduler):
        super().__init__()
        self.register_modules(vae=vae, image_encoder=image_encoder, transformer=transformer, scheduler=scheduler)

    @torch.no_grad()
    def __call__(
        self,
        photo: np.ndarray,
        camera: Camera,
        *,
        camera_height: float = 1.6,
        width: int = 4096,
        height: int = 256,
        num_inference_steps: int = 20,
        coarse_noise: float = 1.0,
        distance_samples: int = 2,
        distance: np.ndarray | None = None,
        generator: torch.Generator | None = None,
        callback_on_step_end: Callable[[Any, int, int, dict], Any] | None = None,
    ) -> PanoramaPipelineOutput:
        """Builds the panorama around a photo.

        Args:
            photo: uint8 [h, w, 3] sRGB, or [h, w, 4] whose last channel, 255 or 0, says what it knows.
            camera: the photo's camera in the world; its position is the panorama's origin, its heading the
                panorama's.
            camera_height: metres of the camera above the floor: sets the scale of the distance.
            width: of the panorama, pixels. What the network makes is `height` x 2·`height` and is enlarged.
            num_inference_steps: denoising steps of the colour; the distance takes half as many again.
            coarse_noise: how much counts of the noise to start from, where it is coarser than `COARSE_CELLS`; see
                `quiet_coarse_noise`.
            distance_samples: the nearest of this many samples of the distance, given the finished colour, counts.
            distance: float32 [h, 2h] metres along the ray, where it is known already: then none is made.
            callback_on_step_end: called as diffusers does, with {"step", "steps", "latents"}.
        """
        later = max(1, num_inference_steps // 2) if distance is None else 0
        report = _Reporter(self, callback_on_step_end, num_inference_steps + later)
        # the networks never saw a dark room: it is painted in usual light, and darkened again
        stops = missing_stops(photo)
        lit = exposed(photo, stops)
        whole, embedding = self._paint(lit, camera, height, num_inference_steps, coarse_noise, generator, report)
        if distance is None:
            # for the finished picture, not for one that was generated beside it
            distance = self._measure(whole, embedding, camera_height, distance_samples, later, generator, report)
        whole = exposed(whole, -stops)
        return PanoramaPipelineOutput(panorama=panorama_around(photo, camera, whole, camera_height, width, distance))

    @torch.no_grad()
    def paint(
        self,
        photo: np.ndarray,
        camera: Camera,
        *,
        height: int = 256,
        num_inference_steps: int = 20,
        coarse_noise: float = 1.0,
        generator: torch.Generator | None = None,
        callback_on_step_end: Callable[[Any, int, int, dict], Any] | None = None,
    ) -> np.ndarray:
        """Only the colour around a photo, uint8 [height, 2·height, 3]; arguments as in the call."""
        report = _Reporter(self, callback_on_step_end, num_inference_steps)
        stops = missing_stops(photo)
        lit = exposed(photo, stops)
        made, _ = self._paint(lit, camera, height, num_inference_steps, coarse_noise, generator, report)
        return exposed(made, -stops)

    @torch.no_grad()
    def complete(
        self,
        colour: np.ndarray,
        known: np.ndarray,
        *,
        height: int = 256,
        num_inference_steps: int = 20,
        coarse_noise: float = 1.0,
        generator: torch.Generator | None = None,
        callback_on_step_end: Callable[[Any, int, int, dict], Any] | None = None,
    ) -> np.ndarray:
        """What a part of a sphere does not show, uint8 [height, 2·height, 3] with the part in it.

        colour: uint8 [H, 2H, 3], known on bool [H, 2H]; further arguments as in the call.
        """
        canvas, seen = shrunk_part(colour, known, 2 * height)
        report = _Reporter(self, callback_on_step_end, num_inference_steps)
        view = best_known_view(extend_outwards(canvas, seen), seen)
        return self._fill(canvas, seen, view, num_inference_steps, coarse_noise, generator, report)[0]

    @torch.no_grad()
    def measure(
        self,
        colour: np.ndarray,
        *,
        camera_height: float = 1.6,
        heading_rad: float = 0.0,
        origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
        height: int = 256,
        num_inference_steps: int = 6,
        distance_samples: int = 2,
        generator: torch.Generator | None = None,
        callback_on_step_end: Callable[[Any, int, int, dict], Any] | None = None,
    ) -> PanoramaPipelineOutput:
        """Only the distance of an existing panorama uint8 [H, 2H, 3]; arguments as in the call."""
        small = cv2.resize(colour, (2 * height, height), interpolation=cv2.INTER_AREA)
        ahead = placed_camera(96, 96, math.radians(75))
        embedding = self._embed(extract_perspective(small, ahead))
        report = _Reporter(self, callback_on_step_end, num_inference_steps)
        distance = self._measure(
            small, embedding, camera_height, distance_samples, num_inference_steps, generator, report
        )
        return PanoramaPipelineOutput(
            panorama=Panorama(
                colour,
                distance,
                np.zeros(colour.shape[:2], np.uint8),
                heading_rad=heading_rad,
                origin=origin,
                camera_height=camera_height,
            )
        )

    def _paint(self, photo, camera, height, steps, coarse_noise, generator, report) -> tuple[np.ndarray, torch.Tensor]:
        """The panorama at the network's resolution, and the photo's embedding."""
        heading, _, _ = heading_pitch_roll(camera)
        canvas, seen = place_photo(photo, camera, 2 * height, heading)
        colours = np.ascontiguousarray(photo[..., :3])
        return self._fill(canvas, seen, colours, steps, coarse_noise, generator, report)

    def _fill(self, canvas, seen, view, steps, coarse_noise, generator, report) -> tuple[np.ndarray, torch.Tensor]:
        """A panorama known on `seen`, at the network's resolution, its rest made; and the embedding of a view of it."""
        known_image, known = extend_outwards(canvas, seen), self._whole_cells(seen)
        latents = self._encode(known_image)
        embedding = self._embed(view)
        sample = self._denoise(latents, known, embedding, 1, steps, generator, report, coarse_noise)
        made = self.decode(sample[:, : latents.shape[1]])[0]
        if is_black_and_white(view):
            made = cv2.cvtColor(cv2.cvtColor(made, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return match_light(made, canvas, seen), embedding

    def _measure(self, image, embedding, camera_height, samples, steps, generator, report) -> np.ndarray:
        """Distance [DISTANCE_WIDTH / 2, DISTANCE_WIDTH] in metres of a finished panorama image."""
        if not self.transformer.config.distance_channels:
            raise InputError("this panorama model makes colour only; give its preset a distance stage")
        latents = self._encode(image)
        known = torch.ones_like(latents[:, :1])
        # A finished picture has one distance: seeds are not to vary it. Of samples that differ the nearer one had the
        # smaller error on held-out rooms, and keeps cameras out of walls.
        sample = self._denoise(latents, known, embedding, samples, steps, generator, report, coarse_noise=0.0)
        distance = latents_to_distance(sample[:, latents.shape[1] :], 1.0).amin(0)[0]
        return refine_distance(distance.cpu().numpy() * camera_height, image)

    def _denoise(
        self, known_latents, known, embedding, samples, steps, generator, report, coarse_noise: float = 1.0
    ) -> torch.Tensor:
        """Latents [samples, colour + distance channels, h, w], the known colour in place."""
        colours = known_latents.shape[1]
        channels = colours + self.transformer.config.distance_channels
        shape = (samples, channels, *known_latents.shape[2:])
        known_latents = (known_latents * known).expand(samples, -1, -1, -1)
        known, embedding = known.expand(samples, -1, -1, -1), embedding.expand(samples, -1)
        noise = randn_tensor(shape, generator=generator, device=self._execution_device, dtype=known_latents.dtype)
        latents = noise = quiet_coarse_noise(noise, coarse_noise)
        self.scheduler.set_timesteps(steps, device=latents.device)
        for step, timestep in enumerate(self.scheduler.timesteps):
            sigma = timestep / self.scheduler.config.num_train_timesteps
            latents[:, :colours] = torch.lerp(
                latents[:, :colours], torch.lerp(known_latents, noise[:, :colours], sigma), known
            )
            turn = self._turn(step, latents.shape[-1])
            velocity = rolled(self.transformer, turn, latents, timestep, embedding, known_latents, known)
            latents = self.scheduler.step(velocity, timestep, latents, return_dict=False)[0]
            report(latents)
        latents[:, :colours] = torch.lerp(latents[:, :colours], known_latents, known)
        return latents

    def _turn(self, step: int, columns: int) -> int:
        """By how many columns the panorama is turned before a step: a network that does not wrap then has its seam in
        another place each time, golden sections apart, and no place keeps one."""
        config = self.transformer.config
        return 0 if config.wraps else round(0.618 * step * columns / config.patch_size) * config.patch_size % columns

    def _embed(self, photo: np.ndarray) -> torch.Tensor:
        return embed_images(self.image_encoder, image_tensor(photo, self._execution_device))

    def _whole_cells(self, mask: np.ndarray) -> torch.Tensor:
        """Mask [H, W] -> [1, 1, h, w]: 1 where every pixel of a latent's cell is in it."""
        known = torch.from_numpy(mask).to(self._execution_device, self.vae.dtype)[None, None]
        return -F.max_pool2d(-known, spatial_scale_factor(self.vae))

    def _encode(self, image: np.ndarray) -> torch.Tensor:
        """uint8 [H, W, 3] -> latents [1, C, h, w], encoded across the seam."""
        margin = 8 * spatial_scale_factor(self.vae)
        wrapped = np.concatenate([image[:, -margin:], image, image[:, :margin]], 1)
        return encode_images(self.vae, image_tensor(wrapped, self._execution_device))[..., 8:-8]

    def decode(self, latents: torch.Tensor) -> np.ndarray:
        """Latents [B, C, h, w] -> uint8 [B, H, W, 3], decoded across the seam."""
        margin = 8 * spatial_scale_factor(self.vae)
        wrapped = torch.cat([latents[..., -8:], latents, latents[..., :8]], -1) / self.vae.config.scaling_factor
        images = self.vae.decode(wrapped.to(self.vae.dtype)).sample[..., margin:-margin]
        return image_bytes(images)


class _Reporter:
    """Counts denoising steps over several passes for callback_on_step_end."""

    def __init__(self, pipeline, callback, steps: int):
        self.pipeline, self.callback, self.steps, self.step = pipeline, callback, steps, 0

    def __call__(self, latents: torch.Tensor) -> None:
        self.step += 1
        if self.callback is not None:
            state = {"step": self.step, "steps": self.steps, "latents": latents}
            self.callback(self.pipeline, self.step, self.step, state)


def quiet_coarse_noise(noise: torch.Tensor, share: float) -> torch.Tensor:
    """Noise [N, C, h, w] of which what is coarser than COARSE_CELLS counts by `share` only.

    A wall's colour is the mean of hundreds of latents. White noise has so little power there that a network needs very
    long to learn how little such a mean tells of the picture; until then every seed brings its own palette, whatever
    the photo shows. Details, which cover the rest of the spectrum, keep all their variety.
    """
    reach = math.ceil(3 * COARSE_CELLS)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=noise.device) / COARSE_CELLS) ** 2)
    kernel = (kernel / kernel.sum()).expand(noise.shape[1], 1, 1, -1)
    coarse = F.pad(F.pad(noise.float(), (reach, reach, 0, 0), mode="circular"), (0, 0, reach, reach), mode="replicate")
    coarse = F.conv2d(coarse, kernel, groups=noise.shape[1])
    coarse = F.conv2d(coarse, kernel.mT, groups=noise.shape[1])
    return (noise - (1 - share) * coarse).to(noise.dtype)


def shrunk_part(colour: np.ndarray, known: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A part of a sphere uint8 [H, 2H, 3], known on bool [H, 2H], at another width; 0 where it is not known.

    Raises `InputError` where too little is left of it.
    """
    size = width, width // 2
    how = cv2.INTER_AREA if width < colour.shape[1] else cv2.INTER_LINEAR
    seen = cv2.resize(known.astype(np.float32), size, interpolation=how) > 0.999
    if seen.sum() < LEAST_KNOWN * seen.size:
        raise InputError(f"less than {LEAST_KNOWN:.1%} of the 360° picture is known; give one that shows more")
    canvas = cv2.resize(np.ascontiguousarray(colour), size, interpolation=how)
    return canvas * seen[..., None].astype(np.uint8), seen


def best_known_view(colour: np.ndarray, known: np.ndarray) -> np.ndarray:
    """What a camera sees, uint8 [96, 96, 3], that looks where most of a panorama [H, 2H, 3] is known."""
    cameras = [placed_camera(96, 96, math.radians(75), heading_rad=math.radians(turn)) for turn in range(0, 360, 30)]
    shares = [extract_perspective(known.astype(np.float32), camera).mean() for camera in cameras]
    return extract_perspective(colour, cameras[int(np.argmax(shares))])


def extend_outwards(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Unknown pixels of [H, W, C] take the value of the nearest known one (nearest in the picture)."""
    if known.all():
        return image
    _, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values = np.zeros((labels.max() + 1, image.shape[2]), image.dtype)
    values[labels[known]] = image[known]
    return values[labels]


def spread_smoothly(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Values [H, W, C] float32 known on a mask, continued smoothly into the rest, around the seam too."""
    half = values.shape[1] // 2
    tensors = (torch.from_numpy(part).permute(2, 0, 1)[None] for part in (values, known.astype(np.float32)[..., None]))
    wrapped = [torch.cat([part[..., half:], part, part[..., :half]], -1) for part in tensors]
    return fill_holes(*wrapped)[0].permute(1, 2, 0).numpy()[:, values.shape[1] - half : -half]


def enlarge(image: np.ndarray, width: int, interpolation: int = cv2.INTER_CUBIC) -> np.ndarray:
    """An equirectangular image [H, W(, C)] at another width, interpolated across the seam."""
    columns = image.shape[1]
    wrapped = np.concatenate([image[:, -8:], image, image[:, :8]], 1)
    scale = width / columns
    margin = round(8 * scale)
    large = cv2.resize(wrapped, (width + 2 * margin, width // 2), interpolation=interpolation)
    return large[:, margin : margin + width]


def is_black_and_white(photo: np.ndarray) -> bool:
    """Whether nearly no pixel of a uint8 [h, w, 3] sRGB photo has a colour that could be seen."""
    return bool(np.percentile(np.ptp(photo, axis=2), 98) < 4)


def match_light(made: np.ndarray, canvas: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The photo where it saw something, and around it what was made [H, W, 3], continuing the photo's light.

    A membrane as in gradient-domain blending (Pérez et al. 2003): along the photo's border the made part is shifted
    to the mean of the photo's near side; inwards the shift fades to its mean, or a yellow chair would tint all of the
    floor.
    """
    width = made.shape[1]
    band = width / 21
    depth = cv2.distanceTransform(seen.astype(np.uint8), cv2.DIST_L2, 5)
    inner = seen & (depth <= band)
    away = cv2.distanceTransform((~seen).astype(np.uint8), cv2.DIST_L2, 5)
    outer = ~seen & (away <= band)

    def local_mean(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        weights = np.dstack([image * mask[..., None], mask]).astype(np.float32)
        margin = width // 8
        blurred = cv2.GaussianBlur(np.hstack([weights[:, -margin:], weights, weights[:, :margin]]), (0, 0), band)
        return blurred[:, margin:-margin, :3] / np.maximum(blurred[:, margin:-margin, 3:], 1e-3)

    difference = local_mean(canvas, inner) - local_mean(made, outer)
    mean = difference[outer].mean(0)
    shift = mean + (spread_smoothly(difference, outer) - mean) * np.exp(-6 * away / width)[..., None]
    lit = made + shift
    # a few pixels of transition: at full resolution the photo covers it, and no pixel of this mask shows
    share = np.clip((depth - 0.5) / 4, 0, 1)[..., None]
    return np.clip(lit + share * (canvas - lit) + 0.5, 0, 255).astype(np.uint8)


def panorama_around(
    photo: np.ndarray, camera: Camera, whole: np.ndarray, camera_height: float, width: int, distance: np.ndarray
) -> Panorama:
    """The photo at its own resolution in a panorama uint8 [H, 2H, 3], enlarged to `width`; distance: [h, 2h] metres."""
    heading, _, _ = heading_pitch_roll(camera)
    placed = PlacedPhoto.of(photo, camera, width, heading)
    return Panorama(
        placed.over(enlarge(whole.astype(np.float32), width)),
        distance,
        placed.from_photo,
        heading_rad=heading,
        origin=tuple(camera.position),
        camera_height=camera_height,
        photo_camera=camera,
    )


def refine_distance(distance: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The network's coarse distance [h, w], its edges moved to the picture's, DISTANCE_WIDTH wide.

    A guided filter (He et al. 2010) of the logarithm of distance with the image uint8 [H, W, 3] as the guide.
    """
    _, width = image.shape[:2]
    margin = width // 8
    guide = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    logs = enlarge(np.log(distance).astype(np.float32), width, cv2.INTER_LINEAR)
    guide, logs = (np.concatenate([part[:, -margin:], part, part[:, :margin]], 1) for part in (guide, logs))

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(values, -1, (9, 9), borderType=cv2.BORDER_REPLICATE)

    slope = (mean(guide * logs) - mean(guide) * mean(logs)) / (mean(guide * guide) - mean(guide) ** 2 + 1e-3)
    refined = (mean(slope) * guide + mean(mean(logs) - slope * mean(guide)))[:, margin:-margin]
    return np.exp(enlarge(refined, DISTANCE_WIDTH, cv2.INTER_LINEAR)).astype(np.float32)
