"""Distance by a depth estimator: the alignment by an estimator that knows a room but no scale."""

import math

import cv2
import numpy as np
import pytest
import torch

from lookbeyond.data.rooms import Rooms, render_panoramas, render_views
from lookbeyond.distance import align_scales, floor_below
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import extract_perspective
from lookbeyond.pipelines import depth
from lookbeyond.pipelines.depth import DepthPipeline, _lengths, fitted
from lookbeyond.pipelines.guidance import Guidance, image_tensor, warp_guidance
from tests.support.tiny_public import tiny_depth_anything


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
    oracle, shares = Oracle(distance), []
    measured = oracle.measure(
        image,
        camera_height=height,
        heading_rad=0.4,
        size=56,
        callback_on_step_end=lambda pipe, i, t, state: shares.append(state["step"] / state["steps"]),
    ).panorama
    assert max(oracle.scales) / min(oracle.scales) > 2.5 and shares[-1] == 1
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


class OfFrames(DepthPipeline):
    """Tells the true distance of given views, each at a scale of its own, all with too little contrast, waves on it."""

    def __init__(self, views):
        super().__init__(None)
        self.views, self.random = iter(views), np.random.default_rng(1)

    def _estimate_frame(self, image, camera):
        waves = self.random.normal(size=(4, 6)).astype(np.float32)
        waves = cv2.resize(waves, (camera.width, camera.height), interpolation=cv2.INTER_CUBIC)
        scale = self.random.uniform(-0.3, 0.3)
        return np.exp(0.8 * np.log(next(self.views).distance) + scale + 0.04 * waves).astype(np.float32)


def walk_in_room(seed: int, turned: float):
    """A walk of 0.8 m, the camera turned to the left of it: the views, and what the panorama tells of them."""
    rooms = Rooms.from_seeds([seed])
    colour, distance = render_panoramas(rooms, 256, 512)
    image = (colour[0].permute(1, 2, 0) * 255).round().byte().numpy()
    nothing = np.zeros(image.shape[:2], np.uint8)
    panorama = Panorama(image, distance[0, 0].numpy(), nothing, camera_height=float(rooms.camera_height[0]))
    for heading in np.linspace(0, 2 * math.pi, 12, endpoint=False):
        ahead = np.array([math.cos(heading), math.sin(heading), 0])
        places = [ahead * step for step in np.linspace(0, 0.8, 5)]
        if bool(rooms.free_positions(torch.tensor(np.stack(places), dtype=torch.float32)[None], margin=0.3).all()):
            break
    cameras = [
        placed_camera(192, 128, math.radians(80), heading_rad=heading + turned, position=tuple(step * ahead))
        for step in np.linspace(0.2, 0.8, 7)
    ]
    return render_views(rooms, cameras), warp_guidance(panorama, cameras)[0].filled()


@pytest.mark.parametrize("seed", [1, 2])
def test_distance_in_holes_is_the_rooms_and_the_same_from_frame_to_frame(seed, monkeypatch):
    views, guidance = walk_in_room(seed, 1.2)
    cameras = [view.camera for view in views]
    truth = torch.from_numpy(np.stack([view.distance for view in views]))[:, None]
    colour, hole = torch.cat([image_tensor(view.colour) for view in views]), guidance.known == 0

    def flicker(distance: torch.Tensor) -> float:
        """Mean change, from a frame to the next, of the error in log-distance of one point in a hole."""
        errors, changes = (distance / truth).log()[:, 0].numpy(), []
        for i in range(len(views) - 1):
            points = cameras[i].position + cameras[i].rays() * views[i].distance[..., None]
            pixels, _ = cameras[i + 1].project(points)
            column, row = np.moveaxis(np.nan_to_num(pixels, nan=-1).astype(int), -1, 0)
            inside = hole[i, 0].numpy() & (column >= 0) & (row >= 0) & (column < 192) & (row < 128)
            column, row = column[inside], row[inside]
            far = np.linalg.norm(points[inside] - cameras[i + 1].position, axis=-1)
            same = np.abs(np.log(far / views[i + 1].distance[row, column])) < 0.03
            changes.append(np.abs(errors[i][inside] - errors[i + 1][row, column])[same])
        return float(np.concatenate(changes).mean())

    def error(distance: torch.Tensor) -> float:
        return float((distance / truth - 1).abs()[hole].mean())

    whole = OfFrames(views).complete(colour, guidance, cameras)
    monkeypatch.setattr(depth, "NEIGHBOURS", ())
    each = OfFrames(views).complete(colour, guidance, cameras)
    print(
        f"{hole.float().mean():.1%} holes: AbsRel {error(guidance.distance):.3f} continued, {error(whole):.3f} measured"
        f"; flicker {flicker(guidance.distance):.4f}, {flicker(whole):.4f}"
    )
    assert error(whole) < 0.08 and error(whole) < 0.2 * error(guidance.distance)
    assert flicker(whole) < 0.7 * flicker(each) and flicker(whole) < 0.25 * flicker(guidance.distance)
    assert torch.equal(whole[~hole], guidance.distance[~hole])


def test_a_measured_distance_is_fitted_in_scale_and_contrast_in_spite_of_wrong_surfaces():
    random = torch.Generator().manual_seed(0)
    made = torch.randn(3, 1, 64, 64, generator=random)
    given = 1.3 * made + torch.tensor([0.5, -0.4, 0.2])[:, None, None, None]
    known = torch.rand(made.shape, generator=random) < 0.5
    wrong = torch.rand(made.shape, generator=random) < 0.2
    known[2] &= torch.rand(made[2].shape, generator=random) < 0.005  # too little to go by: the clip's own scale
    measured = fitted(made, torch.where(wrong, given + 1, given), known)
    torch.testing.assert_close(measured[:2], given[:2], atol=0.05, rtol=0)
    assert (measured[2] - 1.3 * made[2]).std() < 0.05
    # where nothing is known the estimator's own metres stand
    torch.testing.assert_close(fitted(made, given, torch.zeros_like(known)), made)


def test_distance_that_is_known_everywhere_is_not_measured():
    guidance = Guidance(torch.zeros(1, 3, 8, 8), torch.full((1, 1, 8, 8), 2.0), torch.ones(1, 1, 8, 8))
    camera = placed_camera(8, 8, 1.0)
    assert DepthPipeline(None).complete(guidance.colour, guidance, [camera]) is guidance.distance


def test_frames_of_any_size_are_seen_with_sides_that_the_network_takes():
    pipeline = DepthPipeline(tiny_depth_anything()).with_settings({"size": 56})
    for width, height in ((100, 60), (60, 100), (64, 64)):
        known = torch.ones(2, 1, height, width)
        known[..., : width // 3] = 0
        guidance = Guidance(torch.zeros(2, 3, height, width), torch.full((2, 1, height, width), 2.0), known)
        cameras = [placed_camera(width, height, 1.0, heading_rad=0.1 * k) for k in range(2)]
        whole = pipeline.complete(torch.rand(2, 3, height, width) * 2 - 1, guidance, cameras)
        assert whole.shape == known.shape and bool((whole > 0).all() and whole.isfinite().all())
        assert torch.equal(whole[known > 0], guidance.distance[known > 0])


def test_a_network_measures_and_repeats():
    image = np.random.default_rng(0).integers(0, 255, (64, 128, 3)).astype(np.uint8)
    pipeline = DepthPipeline(tiny_depth_anything())
    first, again = (pipeline.measure(image, size=56, camera_height=1.2).panorama for _ in range(2))
    assert np.array_equal(first.distance, again.distance) and first.distance_model == "DepthAnythingForDepthEstimation"
    assert floor_below(first.distance) == pytest.approx(1.2, rel=0.1)
    with pytest.raises(InputError, match="metric"):
        DepthPipeline(tiny_depth_anything("relative"))


@pytest.mark.parametrize("kind", ["DPT", "DepthPro", "GLPN", "ZoeDepth", "PromptDepthAnything"])
def test_networks_that_would_be_misread_are_refused(kind):
    """They would run: they give disparity, inverse depth, or metres for pixels that are normalised in another way."""
    import transformers

    model = torch.nn.Module()
    model.config = getattr(transformers, f"{kind}Config")()
    with pytest.raises(InputError, match="which measuring cannot use; take a metric Depth Anything"):
        DepthPipeline(model)
