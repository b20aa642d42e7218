"""Random weights of the real shapes, and tiny ones of the same kinds; a world of noise and a walk through it."""

import math

import numpy as np
import torch
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from torch import nn
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    UMT5Config,
)

from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.models.panorama_transformer import PanoramaTransformer
from lookbeyond.pipelines.depth import DepthPipeline
from lookbeyond.presets.memory import MEASURES_IN

SVD_SCHEDULER = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "prediction_type": "v_prediction",
    "timestep_type": "continuous", "use_karras_sigmas": True, "sigma_min": 0.002, "sigma_max": 700.0,
    "interpolation_type": "linear", "timestep_spacing": "leading", "steps_offset": 1,
}  # fmt: skip
TINY = {
    "unet": {
        "block_out_channels": (32, 64), "layers_per_block": 1, "cross_attention_dim": 16, "num_attention_heads": 4,
        "projection_class_embeddings_input_dim": 96, "addition_time_embed_dim": 32,
        "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
    },
    "vae": {"block_out_channels": (32, 32, 64, 64), "layers_per_block": 1},
    "clip": {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
             "projection_dim": 16},
    "dit": {"num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 16},
    "depth_estimator": {
        "backbone": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 56,
                     "out_features": ["stage1", "stage2"]},
        "reassemble_hidden_size": 16, "reassemble_factors": [2, 1], "neck_hidden_sizes": [8, 8],
        "fusion_hidden_size": 8, "head_hidden_size": 8,
    },
}  # fmt: skip
FULL = {
    "unet": {"num_attention_heads": (5, 10, 20, 20)},
    "vae": {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2},
    "clip": {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16,
             "projection_dim": 1024},
    "dit": {"num_layers": 28, "num_attention_heads": 16, "attention_head_dim": 72},
    "depth_estimator": {
        "backbone": {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "image_size": 518,
                     "out_features": ["stage3", "stage6", "stage9", "stage12"]},
        "reassemble_hidden_size": 384, "reassemble_factors": [4, 2, 1, 0.5], "neck_hidden_sizes": [48, 96, 192, 384],
        "fusion_hidden_size": 64, "head_hidden_size": 32,
    },
}  # fmt: skip

VACE = {
    "vace": {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30, "vace_layers": list(range(0, 30, 2))},
    "vace-14b": {},
    "tiny": {"num_attention_heads": 2, "attention_head_dim": 12, "text_dim": 16, "freq_dim": 16, "ffn_dim": 24,
             "num_layers": 3, "vace_layers": [0, 2]},
}  # fmt: skip
"""Wan VACE's transformers: those in the `config.json` of their repositories; 14B is the class's default."""
UMT5_XXL = UMT5Config(
    vocab_size=256384, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu"
)


def build_unet(sizes: dict, frames: int) -> UNetSpatioTemporalConditionModel:
    return UNetSpatioTemporalConditionModel(**sizes["unet"], num_frames=frames).eval()


def build_vae(sizes: dict) -> AutoencoderKLTemporalDecoder:
    blocks = ("DownEncoderBlock2D",) * len(sizes["vae"]["block_out_channels"])
    return AutoencoderKLTemporalDecoder(
        **sizes["vae"], down_block_types=blocks, latent_channels=4, force_upcast=False
    ).eval()


def build_encoder(sizes: dict) -> CLIPVisionModelWithProjection:
    return CLIPVisionModelWithProjection(CLIPVisionConfig(**sizes["clip"], image_size=224, patch_size=14)).eval()


def build_depth_estimator(sizes: dict, device: str) -> DepthPipeline:
    """Depth Anything, small: what the preset measures distance with."""
    sizes = dict(sizes["depth_estimator"])
    backbone = Dinov2Config(**sizes.pop("backbone"), patch_size=14, apply_layernorm=True, reshape_hidden_states=False)
    config = DepthAnythingConfig(backbone_config=backbone, **sizes, depth_estimation_type="metric", max_depth=20)
    with torch.device(device):
        model = DepthAnythingForDepthEstimation(config).eval()
    depth_estimator = DepthPipeline(nn.Module.to(model, device, getattr(torch, MEASURES_IN)))
    return depth_estimator.with_settings({"size": backbone.image_size})


def panorama_of_noise(width: int, hidden: str) -> Panorama:
    """Broad patches of colour on a sphere of 3 m: the network's cost does not depend on what it sees.

    hidden: "a quarter": behind columns that stand before it, for who goes where `walk` goes.
    """
    rng = np.random.default_rng(0)
    colour = np.kron(rng.integers(0, 255, (16, 32, 3), np.uint8), np.ones((width // 32, width // 32, 1), np.uint8))
    distance = np.full((256, 512), 3.0, np.float32)
    if hidden != "nothing":
        distance[:, np.arange(512) % COLUMNS_APART < COLUMN_WIDTH] = COLUMN_DISTANCE
    return Panorama(colour, distance, np.zeros(colour.shape[:2], np.uint8), camera_height=1.6)


def walk(frames: int, width: int, height: int) -> list[Camera]:
    """0.5 m forward and a turn of 60 degrees."""
    return [
        placed_camera(width, height, math.radians(65), heading_rad=math.radians(60) * s, position=(0.5 * s, 0, 0))
        for s in np.linspace(0, 1, frames)
    ]


def build_dit(sizes: dict) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """DiT-XL/2 for a panorama of 256 x 512 (32 x 64 latents), and its inputs."""
    network = PanoramaTransformer(
        latent_channels=4, distance_channels=0, patch_size=2, local_layers=0, image_embed_dim=1024, **sizes["dit"]
    ).eval()
    latents = torch.zeros(1, 4, 32, 64)
    return network, {
        "hidden_states": latents, "timestep": torch.full((1,), 500.0), "image_embeds": torch.zeros(1, 1024),
        "known_latents": latents, "known_mask": latents[:, :1],
    }  # fmt: skip


COLUMNS_APART, COLUMN_WIDTH, COLUMN_DISTANCE = 32, 12, 1.4
"""Of a panorama's 512 pixels, and metres."""
