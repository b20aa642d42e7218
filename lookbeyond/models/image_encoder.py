"""An embedding of a photo by a CLIP vision tower of any size, used without an image processor."""

import torch
from torch.nn import functional as F
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

# CLIP's own normalisation, used by every published CLIP and by SVD
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


def built_in_encoder() -> CLIPVisionModelWithProjection:
    """The architecture of the built-in encoder: a ViT of 36 patches, 192 wide, 4 layers."""
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=192,
            intermediate_size=768,
            num_hidden_layers=4,
            num_attention_heads=4,
            image_size=96,
            patch_size=16,
            projection_dim=192,
        )
    )


def embed_images(encoder: CLIPVisionModelWithProjection, images: torch.Tensor) -> torch.Tensor:
    """Images [B, 3, H, W] in -1..1 -> embeddings [B, projection_dim]."""
    size = encoder.config.image_size
    images = F.interpolate(images.float(), (size, size), mode="bicubic", antialias=True, align_corners=False)
    mean, std = (torch.tensor(v, device=images.device)[:, None, None] for v in (_MEAN, _STD))
    return encoder(pixel_values=((images / 2 + 0.5 - mean) / std).to(encoder.dtype)).image_embeds
