"""Tiny random components of both families, ours and Stable Video Diffusion's: architecture without weights."""

import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UNetSpatioTemporalConditionModel,
)
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from lookbeyond.models.autoencoder import Autoencoder
from lookbeyond.models.panorama_transformer import PanoramaTransformer
from lookbeyond.models.views_unet import ViewsUNet
from lookbeyond.pipelines.panorama import PanoramaPipeline
from lookbeyond.pipelines.views import ViewsPipeline


def randomized(module: torch.nn.Module) -> torch.nn.Module:
    """Layers that start at zero would hide what stands before them."""
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05)
    return module.eval()


def image_encoder(width: int = 16) -> CLIPVisionModelWithProjection:
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32,
        patch_size=16, projection_dim=width,
    )  # fmt: skip
    return CLIPVisionModelWithProjection(config).eval()


def autoencoder() -> Autoencoder:
    return randomized(Autoencoder(latent_channels=4, block_out_channels=(8, 8, 16), layers_per_block=(1, 1, 1)))


def panorama_pipeline(**transformer) -> PanoramaPipeline:
    torch.manual_seed(0)
    options = {"num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 8, "local_channels": 16}
    network = PanoramaTransformer(latent_channels=4, image_embed_dim=16, **(options | transformer))
    return PanoramaPipeline(autoencoder(), image_encoder(), randomized(network), FlowMatchEulerDiscreteScheduler())


def views_pipeline() -> ViewsPipeline:
    torch.manual_seed(0)
    network = ViewsUNet(latent_channels=4, block_out_channels=(16, 16), layers_per_block=(1, 1), attention_heads=2,
                        image_embed_dim=16)  # fmt: skip
    return ViewsPipeline(autoencoder(), image_encoder(), randomized(network), FlowMatchEulerDiscreteScheduler())


def svd_unet(**options) -> UNetSpatioTemporalConditionModel:
    """Stable Video Diffusion's UNet, two levels, seeded."""
    torch.manual_seed(0)
    blocks = {"down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
              "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal")}  # fmt: skip
    sizes = {"block_out_channels": (32, 64), "layers_per_block": 1, "sample_size": 8, "in_channels": 8,
             "out_channels": 4, "cross_attention_dim": 16, "num_attention_heads": 4,
             "projection_class_embeddings_input_dim": 96, "addition_time_embed_dim": 32}  # fmt: skip
    return UNetSpatioTemporalConditionModel(**(blocks | sizes | options)).eval()


def svd_views_pipeline() -> ViewsPipeline:
    """The classes of Stable Video Diffusion, as `StableVideoDiffusionPipeline` holds them."""
    network = svd_unet()
    vae = AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2, latent_channels=4, sample_size=16
    )
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
        timestep_type="continuous", use_karras_sigmas=True, sigma_min=0.002, sigma_max=700.0,
        interpolation_type="linear", timestep_spacing="leading", steps_offset=1,
    )  # fmt: skip
    return ViewsPipeline(vae.eval(), image_encoder(), network, scheduler)
