"""Distance by a depth estimator: the alignment by an estimator that knows a room but no scale."""

import math

import numpy as np
import pytest
import torch

from lookbeyond.data.rooms import Rooms, render_panoramas
from lookbeyond.distance import align_scales, floor_below
from lookbeyond.errors import InputError
from lookbeyond.geometry.projection import extract_perspective
from lookbeyond.pipelines.depth import DepthPipeline, _lengths


class Oracle(DepthPipeline):
    """Tells the true depth of a room, every view at a scale of its own, some of its pixels wrong."""

    def __init__(self, distance: np.ndarray):
        super().__init__(None)
        self.distance, self.random, self.scales = distance, np.random.default_rng(3), []

    def _estimate(self, view, camera):
        depth = extract_perspective(self.distance, camera, 0.4) / _lengths(camera)
        self.scales.append(math.exp(self.random.uniform(-0.7, 0.7)))
        wrong = self.random.random(depth.shape) < 0.05
        return np.where(wrong, depth * 3, depth) * self.scales[-1]


@pytest.mark.parametrize("seed", [3, 5])
def test_views_of_any_scale_become_the_room_in_metres(seed):
    rooms = Rooms.from_seeds([seed])
    colour, distance = render_panoramas(rooms, 128, 256)
    image = (colour[0].permute(1, 2, 0) * 255).round().byte().numpy()
    distance, height = distance[0, 0].numpy(), float(rooms.camera_height[0])
    oracle, told = Oracle(distance), []
    measured = oracle.measure(
        image, camera_height=height, heading_rad=0.4, size=56,
        callback_on_step_end=lambda pipe, i, t, state: told.append(state["step"] / state["steps"]),
    ).panorama  # fmt: skip
    assert max(oracle.scales) / min(oracle.scales) > 2.5 and told[-1] == 1
    small = measured.distance.reshape(128, 4, 256, 4).mean((1, 3))
    ratio = small / distance
    seam = np.abs(np.log(measured.distance[:, 0] / measured.distance[:, -1]))
    print(f"median ratio {np.median(ratio):.3f}, AbsRel {np.abs(ratio - 1).mean():.3f}, seam {np.median(seam):.4f}")
    assert 0.97 < np.median(ratio) < 1.03
    assert np.median(np.abs(ratio - 1)) < 0.03 and np.abs(ratio - 1).mean() < 0.12
    assert np.median(seam) < 0.01
    assert measured.camera_height == height and measured.heading_rad == 0.4


def test_offsets_are_found_in_spite_of_wrong_values():
    random = np.random.default_rng(0)
    true, offsets = random.normal(size=400), random.normal(size=6)
    logs = true - offsets[:, None]
    logs[random.random(logs.shape) < 0.4] = np.nan
    wrong = random.random(logs.shape) < 0.2
    logs = np.where(wrong, logs + random.normal(size=logs.shape), logs)
    np.testing.assert_allclose(align_scales(logs), offsets - offsets.mean(), atol=0.02)


@pytest.mark.parametrize("seed", [1, 2, 4])
def test_the_floor_is_found_under_the_furniture(seed):
    rooms = Rooms.from_seeds([seed])
    _, distance = render_panoramas(rooms, 64, 128)
    assert floor_below(distance[0, 0].numpy()) == pytest.approx(float(rooms.camera_height[0]), rel=0.03)


def tiny_depth_anything(kind: str = "metric"):
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14,
        out_features=["stage1", "stage2"], apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, reassemble_factors=[2, 1], neck_hidden_sizes=[8, 8],
        fusion_hidden_size=8, head_hidden_size=8, depth_estimation_type=kind, max_depth=20,
    )  # fmt: skip
    return DepthAnythingForDepthEstimation(config).eval()


def test_a_network_measures_and_repeats():
    image = np.random.default_rng(0).integers(0, 255, (64, 128, 3)).astype(np.uint8)
    pipeline = DepthPipeline(tiny_depth_anything())
    first, again = (pipeline.measure(image, size=56, camera_height=1.2).panorama for _ in range(2))
    assert np.array_equal(first.distance, again.distance) and first.distance_model == "DepthAnythingForDepthEstimation"
    assert floor_below(first.distance) == pytest.approx(1.2, rel=0.1)
    with pytest.raises(InputError, match="metric"):
        DepthPipeline(tiny_depth_anything("relative"))
