"""Distance as the networks see it, and where it comes from when a model makes colour only.

Networks see log(distance / unit), pooled to a quarter of the resolution and folded 2x2 into four channels at the
latents' resolution. The unit is the camera's height above the floor for panoramas: a room twice as big seen from
twice as high is the same picture, so metres come from the height and never from the network.
"""

import torch
from torch.nn import functional as F

DISTANCE_CHANNELS = 4
_CENTRE, _SPREAD = 0.5, 0.65  # of log(distance / camera height) over procedural rooms
NEAREST, FARTHEST = 0.05, 60.0
"""The range of distance / unit that is represented."""


def log_distance_to_latents(log_distance: torch.Tensor) -> torch.Tensor:
    """log(distance / unit) [B, 1, H/4, W/4] -> latents [B, 4, H/8, W/8] of about unit variance."""
    return F.pixel_unshuffle((log_distance - _CENTRE) / _SPREAD, 2)


def distance_to_latents(distance: torch.Tensor, unit: torch.Tensor | float) -> torch.Tensor:
    """Distance along the ray [B, 1, H, W] in metres -> latents [B, 4, H/8, W/8]."""
    relative = (distance / unit).clamp(NEAREST, FARTHEST)
    return log_distance_to_latents(F.avg_pool2d(relative.log(), 4))


def latents_to_distance(latents: torch.Tensor, unit: torch.Tensor | float) -> torch.Tensor:
    """Latents [B, 4, H/8, W/8] -> distance [B, 1, H/4, W/4] in metres."""
    logs = F.pixel_shuffle(latents.float(), 2) * _SPREAD + _CENTRE
    return logs.exp().clamp(NEAREST, FARTHEST) * unit
