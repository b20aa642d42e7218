"""What differs between the networks of the views stage, one class each. To add one, add a line to `of_unet`."""

from typing import Any

import torch
from diffusers import UNetSpatioTemporalConditionModel
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing

from lookbeyond.models.autoencoder import encode_images
from lookbeyond.models.image_encoder import embed_images

MOST_WALK_FRAMES = 14
"""Of Stable Video Diffusion: the model for 25 frames was tuned from the one for 14."""


class Backbone:
    """`ViewsUNet`: trained for this pipeline, and for clips of any length."""

    frames_per_pass: int | None = None
    """How many frames a pass must have; None: any number."""
    frames_per_walk: int | None = None
    """How many frames the walk to an anchor has, of which only the last is wanted; None: there is no walk."""

    def __init__(self, unet: Any):
        self.unet = unet

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions beside the noisy latents, in the order of their channels."""
        return tuple(getattr(self.unet.config, "conditioning", None) or ("anchor",))

    @property
    def distance_channels(self) -> int:
        return getattr(self.unet.config, "distance_channels", 0)

    @property
    def latent_multiple(self) -> int:
        """Sides of the latents are multiples of this."""
        config = self.unet.config
        return getattr(config, "patch_size", 1) * 2 ** (len(config.block_out_channels) - 1)

    def input_dtype(self, unet: Any, model_input: torch.Tensor) -> torch.dtype:
        return model_input.dtype

    def encode_anchor(self, vae: Any, image: torch.Tensor) -> torch.Tensor:
        """An anchor [1, 3, H, W] in -1..1 -> latents [1, C, h, w] as the network was trained with."""
        return encode_images(vae, image).float()

    def embed_anchor(self, image_encoder: Any, image: torch.Tensor) -> torch.Tensor:
        """An anchor [1, 3, H, W] in -1..1 -> its CLIP embedding [1, D]."""
        return embed_images(image_encoder, image)


class StableVideoDiffusion(Backbone):
    """Colour only, for clips of one length."""

    @property
    def frames_per_pass(self) -> int:  # type: ignore[override]
        return self.unet.config.num_frames

    @property
    def frames_per_walk(self) -> int:  # type: ignore[override]
        return min(self.unet.config.num_frames, MOST_WALK_FRAMES)

    def input_dtype(self, unet: Any, model_input: torch.Tensor) -> torch.dtype:
        return unet.dtype

    def encode_anchor(self, vae: Any, image: torch.Tensor) -> torch.Tensor:
        """Not scaled, and in its pipeline's memory format, for the same roundings."""
        image = image.clone(memory_format=torch.channels_last)
        return vae.encode(image.to(vae.dtype)).latent_dist.mode().float()

    def embed_anchor(self, image_encoder: Any, image: torch.Tensor) -> torch.Tensor:
        """Shrunk as its own pipeline does."""
        image = _resize_with_antialiasing(image, (image_encoder.config.image_size,) * 2)
        return embed_images(image_encoder, image)


def of_unet(unet: Any) -> Backbone:
    return StableVideoDiffusion(unet) if isinstance(unet, UNetSpatioTemporalConditionModel) else Backbone(unet)
