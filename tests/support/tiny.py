"""Tiny random components: ours, Stable Video Diffusion's, Wan VACE's. Architecture without weights."""

from collections.abc import Sequence

import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    AutoencoderKLWan,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UNetSpatioTemporalConditionModel,
    UniPCMultistepScheduler,
    WanVACEPipeline,
    WanVACETransformer3DModel,
)
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection, T5Tokenizer, UMT5Config, UMT5EncoderModel

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.keyframes import ShotPlan
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.models.autoencoder import Autoencoder
from lookbeyond.models.panorama_transformer import PanoramaTransformer
from lookbeyond.models.views_unet import ViewsUNet
from lookbeyond.pipelines.panorama import PanoramaPipeline
from lookbeyond.pipelines.scene import ScenePipeline
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


def wan_vace(**options) -> WanVACEPipeline:
    """Wan VACE's classes as its repository on the hub holds them, seeded."""
    torch.manual_seed(0)
    pieces = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", -2.0),
        *((letter, -3.0) for letter in "▁abcdefghijklmnopqrstuvwxyz,"),
    ]
    tokenizer = T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)
    encoder = UMT5EncoderModel(
        UMT5Config(vocab_size=len(pieces), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    )
    vae = AutoencoderKLWan(base_dim=8, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    sizes = {"num_attention_heads": 2, "attention_head_dim": 12, "text_dim": 16, "freq_dim": 16, "ffn_dim": 24,
             "num_layers": 3, "vace_layers": [0, 2], "rope_max_seq_len": 32}  # fmt: skip
    transformer = randomized(WanVACETransformer3DModel(**(sizes | options)))
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=3.0
    )
    return WanVACEPipeline(tokenizer, encoder.eval(), vae.eval(), scheduler, transformer)


def shoot_plan(scene: ScenePipeline, world: Panorama, cameras: Sequence[Camera], plan: ShotPlan) -> list[View]:
    """Every frame of a planned shot: its anchors, then its clips."""
    anchors: list[View] = []
    for anchor in plan.anchors:
        anchors.append(scene.fill_anchor(world, anchor.camera, [anchors[i] for i in anchor.before]))
    shot = [anchors[plan.clips[0].source]]
    for clip in plan.clips:
        source, target = anchors[clip.source], anchors[clip.target]
        shot += scene.shoot_clip(world, source, target, cameras[clip.first : clip.last + 1])[1:]
    return shot
