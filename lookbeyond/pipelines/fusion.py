"""Algorithm 1: merges two passes over a clip, one from each anchor, by weights for every frame."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lookbeyond.geometry.cameras import Camera, rotation_angle
from lookbeyond.geometry.panorama import View

from .guidance import Guidance, image_tensor

LEAST_TAU_POSITION = 0.02
LEAST_TAU_ROTATION = math.radians(0.5)
"""Floors of the absolute temperatures (of the world's scale; radians), for anchors that hardly move or turn."""


@dataclass(frozen=True)
class Pass:
    """One temporal pass: the anchor it starts from and the guidance for every frame, in its own order."""

    anchor: View | None
    cameras: Sequence[Camera]
    guidance: Guidance


def spatial_weights(
    cameras: Sequence[Camera],
    anchors: Sequence[Camera],
    scale: float,
    tau_position: float = 0.2,
    tau_rotation: float = 0.2,
) -> np.ndarray:
    """Algorithm 1's fusion weights [N, K] of K anchors for every camera; rows sum to one.

    w_k ∝ exp(-‖T - T_k‖ / τ_T) · exp(-θ(q, q_k) / τ_q). The temperatures are given relative to the largest distance
    and angle between the anchors; `scale` (metres) is the world's unit for the floor under them.
    """

    def distances(one: Camera, other: Camera) -> tuple[float, float]:
        return float(np.linalg.norm(one.position - other.position)), rotation_angle(one.rotation, other.rotation)

    spans = np.array([distances(a, b) for a in anchors for b in anchors]).max(0)
    tau = np.maximum(spans * (tau_position, tau_rotation), (LEAST_TAU_POSITION * scale, LEAST_TAU_ROTATION))
    logits = np.array(
        [[-(np.array(distances(camera, anchor)) / tau).sum() for anchor in anchors] for camera in cameras]
    )
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


class Fusion:
    """Converts between a clip's N frames, in its own order, and its P passes, the second of which runs backwards."""

    def __init__(self, weights: np.ndarray, device: torch.device):
        """weights: [N, P], rows sum to one."""
        self._weights = torch.tensor(weights, dtype=torch.float32, device=device).T[:, :, None, None, None]

    def split(self, frames: torch.Tensor) -> torch.Tensor:
        """[N, ...] -> [P, N, ...]: the same frames for every pass, in the pass's order."""
        return torch.stack([_flip(index, frames) for index in range(len(self._weights))])

    def fuse(self, frames: torch.Tensor) -> torch.Tensor:
        """[P, N, ...], each pass in its own order -> [N, ...]."""
        ordered = torch.stack([_flip(index, one) for index, one in enumerate(frames)])
        return (self._weights * ordered).sum(0)

    def guidance_scales(self, least: float, most: float) -> torch.Tensor | None:
        """[P, N, 1, 1, 1], in each pass's order: growing along each pass, then fused; None: unguided."""
        if most <= 1:
            return None
        passes, count = self._weights.shape[:2]
        scales = torch.linspace(least, most, count, device=self._weights.device)[:, None, None, None]
        scales = (self._weights * torch.stack([scales, scales.flip(0)][:passes])).sum(0)
        return self.split(scales)


def fused_guidance(passes: Sequence[Pass], weights: np.ndarray) -> Guidance:
    """What is known of every frame: the passes' colours, mixed by their weights; distance as the heavier one is;
    and a clip's ends are its anchors in any case."""
    if len(passes) == 1:
        return passes[0].guidance
    forward, backward = passes[0].guidance, passes[1].guidance[list(range(len(weights)))[::-1]]
    device = forward.known.device
    share = torch.from_numpy(weights[:, 0]).to(forward.colour)[:, None, None, None]
    colour = torch.lerp(backward.colour, forward.colour, share)
    distance = torch.where(share >= 0.5, forward.distance, backward.distance)
    known = torch.maximum(forward.known, backward.known)
    for frame, anchor in ((0, passes[0].anchor), (-1, passes[1].anchor)):
        if anchor is not None:
            colour[frame] = image_tensor(anchor.colour, device)[0]
            distance[frame] = torch.from_numpy(anchor.distance).to(device)
            known[frame] = 1
    return Guidance(colour, distance, known)


def _flip(index: int, frames: torch.Tensor) -> torch.Tensor:
    return frames.flip(0) if index == 1 else frames
