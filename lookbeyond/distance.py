"""Distance as the networks see it, and its source when a model makes only colour.

Networks see log(distance / unit), pooled to a quarter of the resolution and folded 2x2 into four channels at the
latents' resolution. The unit is the camera's height above the floor for panoramas: a room twice as big seen from
twice as high is the same picture, so metres come from the height and never from the network.
"""

import math

import numpy as np
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


def align_scales(logs: np.ndarray, iterations: int = 20) -> np.ndarray:
    """Offsets [V] that make the log-distances of V views agree; their mean is 0.

    logs: [V, P] of P directions, NaN where a view does not see one. Least squares over all pairs of views that share
    directions, reweighted towards least absolute differences: an edge that two views place differently counts little.
    A view that shares nothing with any other keeps its own scale.
    """
    seen = np.isfinite(logs)
    first, second, points = [], [], []
    for i in range(len(logs)):
        for j in range(i + 1, len(logs)):
            both = np.flatnonzero(seen[i] & seen[j])
            first.append(np.full(both.size, i))
            second.append(np.full(both.size, j))
            points.append(both)
    i, j, p = (np.concatenate(part) for part in (first, second, points))
    difference = logs[j, p] - logs[i, p]
    count = len(logs)
    offsets = np.zeros(count)
    for _ in range(iterations):
        residual = difference + offsets[j] - offsets[i]
        weight = 1 / np.maximum(np.abs(residual), 1e-3)
        normal = np.zeros((count, count))
        np.add.at(normal, (i, i), weight)
        np.add.at(normal, (j, j), weight)
        np.add.at(normal, (i, j), -weight)
        np.add.at(normal, (j, i), -weight)
        right = np.bincount(i, weight * difference, count) - np.bincount(j, weight * difference, count)
        offsets = np.linalg.lstsq(normal, right, rcond=1e-10)[0]
    return offsets - offsets.mean()


def floor_below(distance: np.ndarray) -> float:
    """How far the floor lies below the centre of a distance map [H, 2H], in the map's own unit.

    The level that most of the downward directions meet: of a floor all pixels lie equally deep, whatever stands on it
    or around it.
    """
    height, width = distance.shape
    elevation = (0.5 - (np.arange(height) + 0.5) / height) * math.pi
    rows = elevation < math.radians(-15)
    depths = np.log((distance * np.sin(-elevation)[:, None])[rows]).ravel()
    area = np.repeat(np.cos(elevation[rows]), width)
    low, high = depths.min(), depths.max()
    bins = max(1, math.ceil((high - low) / 0.02))
    counts = np.histogram(depths, bins, (low, high + 1e-6), weights=area)[0]
    counts = np.convolve(counts, np.hanning(7)[1:-1], mode="same")
    level = low + (counts.argmax() + 0.5) * (high + 1e-6 - low) / bins
    near = np.abs(depths - level) < 0.06
    order = np.argsort(depths[near])
    share = np.cumsum(area[near][order])
    return float(np.exp(depths[near][order[np.searchsorted(share, share[-1] / 2)]]))
