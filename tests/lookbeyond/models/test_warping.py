"""The torch twin answers as the numpy one does."""

import math

import numpy as np
import pytest
import torch

from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.warping import warp_to_view
from lookbeyond.models.warping import warp_to_views
from tests.lookbeyond.geometry.box_room import BoxRoom

ROOM = BoxRoom()
TARGETS = [
    placed_camera(96, 64, 1.3, heading_rad=-0.6, pitch_rad=-0.3, position=(0.1, 0.9, 0.2)),
    placed_camera(96, 64, 1.3, heading_rad=-0.2, roll_rad=0.2, position=(0.3, -0.3, 0)),
    placed_camera(96, 64, 1.3, heading_rad=-0.4),
]
SOURCES = {
    "panorama": ROOM.panorama(1024, 512),
    "view": ROOM.view(placed_camera(192, 128, math.radians(75), heading_rad=-0.5, position=(0.1, 0.5, 0))),
}
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")),
]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Many small tensors: on a busy machine, threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", SOURCES)
def test_the_twins_agree(kind, device):
    source = SOURCES[kind]
    warped = warp_to_views(source, TARGETS, device)
    image = torch.from_numpy(source.colour).permute(2, 0, 1).float().to(device)
    colours = warped.sample(image).cpu().permute(0, 2, 3, 1).numpy()
    for number, camera in enumerate(TARGETS):
        expected = warp_to_view(source, camera)
        known = warped.known[number].cpu().numpy()
        assert (known != expected.known).mean() < 1e-3
        both = known & expected.known
        relative = np.abs(warped.distance[number].cpu().numpy() / np.maximum(expected.distance, 1e-9) - 1)[both]
        assert np.quantile(relative, 0.999) < 1e-3
        assert np.quantile(np.abs(colours[number] - expected.colour)[both], 0.999) < 1.5
        assert (colours[number][~known] == 0).all()


def test_one_target_is_a_batch_of_one():
    together = warp_to_views(SOURCES["panorama"], TARGETS)
    for number, camera in enumerate(TARGETS):
        alone = warp_to_views(SOURCES["panorama"], [camera])
        assert torch.equal(alone.known[0], together.known[number])
        torch.testing.assert_close(alone.distance[0], together.distance[number], atol=2e-3, rtol=1e-3)


def test_any_type_and_size_of_image_warps():
    """Latents in bfloat16, 16 times coarser than the colour."""
    warped = warp_to_views(SOURCES["panorama"], TARGETS)
    latents = torch.randn(24, 32, 64, generator=torch.Generator().manual_seed(0))
    seen = warped.sample(latents.bfloat16())
    assert seen.shape == (3, 24, 64, 96) and seen.dtype == torch.bfloat16
    torch.testing.assert_close(seen.float(), warped.sample(latents), atol=0.06, rtol=0.02)
