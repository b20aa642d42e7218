"""Drawing surfaces into frames answers as walking every ray does, and as the truth is; on processors and in torch."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.geometry.surface import surface_of
from lookbeyond.geometry.warping import warp_to_view
from lookbeyond.models import warping
from lookbeyond.models.warping import warp_to_views
from tests.lookbeyond.geometry.test_warping import CAMERAS, sphere, truth
from tests.support.box_room import BoxRoom, psnr

ROOM = BoxRoom()
TARGETS = [
    placed_camera(96, 64, 1.3, heading_rad=-0.6, pitch_rad=-0.3, position=(0.1, 0.9, 0.2)),
    placed_camera(96, 64, 1.3, heading_rad=-0.2, roll_rad=0.2, position=(0.3, -0.3, 0)),
    placed_camera(96, 64, 1.3, heading_rad=-0.4),
]
BESIDE_THE_TABLE = placed_camera(96, 64, 2.6, heading_rad=0.3, pitch_rad=-1.0, position=(1.5, -0.9, -0.75))
"""Much of what it sees lies on both sides of the plane through its eye."""
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
def test_as_if_every_ray_was_walked(kind, device):
    """Up to the rims: there walking takes what lies within its tolerance behind a surface for its border."""
    source = SOURCES[kind]
    warped = warp_to_views(source, TARGETS, device)
    image = torch.from_numpy(source.colour).permute(2, 0, 1).float().to(device)
    colours = warped.sample(image).cpu().permute(0, 2, 3, 1).numpy()
    for number, camera in enumerate(TARGETS):
        expected = warp_to_view(source, camera)
        known = warped.known[number].cpu().numpy()
        assert (known != expected.known).mean() < 0.005
        both = known & expected.known
        relative = np.abs(warped.distance[number].cpu().numpy() / np.maximum(expected.distance, 1e-9) - 1)[both]
        assert np.quantile(relative, 0.5) < 1e-3 and np.quantile(relative, 0.99) < 1e-2
        assert np.quantile(np.abs(colours[number] - expected.colour)[both], 0.99) < 2.5
        assert (colours[number][~known] == 0).all()


@pytest.mark.parametrize("name", CAMERAS)
@pytest.mark.parametrize("distance_width", [1024, 256])
def test_no_farther_from_the_truth_than_walking(name, distance_width):
    camera, source = CAMERAS[name], ROOM.panorama(distance_width=distance_width)
    warped, walked = warp_to_views(source, [camera]), warp_to_view(source, camera)
    image = torch.from_numpy(source.colour).permute(2, 0, 1).float()
    colour, distance, _, visible = truth(camera, source.position)
    known = warped.known[0].numpy()
    made = warped.sample(image)[0].permute(1, 2, 0).numpy()
    both = visible & known & walked.known
    assert psnr(made[both], colour[both]) > psnr(walked.colour[both], colour[both]) - 0.1
    assert (known != visible).mean() < (walked.known != visible).mean() + 0.002
    error, former = (
        np.abs(values - distance)[both] / distance[both] for values in (warped.distance[0].numpy(), walked.distance)
    )
    assert np.median(error) <= np.median(former) + 1e-6


@pytest.mark.parametrize("kind", SOURCES)
def test_torch_draws_the_same(kind):
    """What runs on a GPU, on a processor: pixel by pixel, triangles that are cut at the camera's plane included."""
    source, cameras = SOURCES[kind], [*TARGETS, BESIDE_THE_TABLE]
    expected = warp_to_views(source, cameras)
    distance, coords = warping._warp_in_torch(source, cameras, torch.device("cpu"))
    assert torch.equal(distance > 0, expected.known)
    torch.testing.assert_close(distance, expected.distance, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(coords, expected.source_coords, atol=1e-5, rtol=0)


def test_what_lies_on_both_sides_of_the_cameras_plane():
    warped = warp_to_views(SOURCES["panorama"], [BESIDE_THE_TABLE])
    _, distance, _, visible = truth(BESIDE_THE_TABLE, (0.0, 0.0, 0.0))
    known = warped.known[0].numpy()
    assert (known != visible).mean() < 0.05  # it stands 5 cm above a table that is seen at a grazing angle
    relative = np.abs(warped.distance[0].numpy() / distance - 1)[known & visible]
    assert np.quantile(relative, 0.95) < 0.01


@pytest.mark.parametrize("position", [(0, 0, 0), (1.9, 0, 0), (-0.5, 1.2, 0.9), (0, 0, -1.7), (1e-7, 0, 0)])
@pytest.mark.parametrize("pitch_rad", [0.0, 1.5, -1.5])
def test_no_pixel_falls_between_triangles(position, pitch_rad):
    """Inside a ball there is a surface behind every pixel: across the seam, at both poles, near and far."""
    ball = replace(sphere(2.0), heading_rad=2.5)
    cameras = [
        placed_camera(161, 120, 1.4, heading_rad=heading, pitch_rad=pitch_rad, position=position)
        for heading in np.linspace(-3, 3, 5)
    ]
    warped = warp_to_views(ball, cameras)
    assert warped.known.all()
    for number, camera in enumerate(cameras):
        points = camera.position + warped.distance[number].numpy()[..., None] * camera.rays()
        np.testing.assert_allclose(np.linalg.norm(points, axis=-1), 2.0, atol=0.01)


def test_from_behind_a_surface_is_not_there():
    """From beyond the ball its wall has only its outer side, which nobody saw."""
    camera = placed_camera(32, 24, 1.0, heading_rad=math.pi / 2, position=(0, 5, 0))
    assert not warp_to_views(sphere(2.0), [camera]).known.any()


def test_planes_stay_planes():
    """A wall seen at an angle, from a coarse view: exact wherever it is drawn."""
    camera = placed_camera(24, 16, 1.5)
    rays = camera.rays()
    normal = np.array([0.9, 0.4, 0.1])
    wall = View(
        camera, np.zeros((16, 24, 3), np.uint8), (2 / (rays @ normal)).astype(np.float32), np.zeros((16, 24), np.uint8)
    )
    target = placed_camera(192, 128, 0.6, heading_rad=0.1, position=(0.3, 0.1, 0.05))
    warped = warp_to_views(wall, [target])
    expected = (2 - target.position @ normal) / (target.rays() @ normal)
    assert warped.known.all()
    np.testing.assert_allclose(warped.distance[0].numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 3), (1, 9), (33, 17)])
def test_every_frame_size_has_all_its_pixels(width, height):
    warped = warp_to_views(sphere(2.0), [placed_camera(width, height, 1.0, position=(0.5, 0.1, 0))])
    assert warped.distance.shape == (1, height, width) and warped.known.all()


@pytest.mark.parametrize("width", [8, 40])
def test_small_distance_maps(width):
    """Fewer rows than a block of cells, and a last block that is not full."""
    small = sphere(2.0, width=width)
    assert warp_to_views(small, [placed_camera(64, 48, 1.0, heading_rad=3.0)]).known.all()


def test_one_target_is_a_batch_of_one():
    together = warp_to_views(SOURCES["panorama"], TARGETS)
    for number, camera in enumerate(TARGETS):
        alone = warp_to_views(SOURCES["panorama"], [camera])
        assert torch.equal(alone.distance[0], together.distance[number])
        assert torch.equal(alone.source_coords[0], together.source_coords[number])


def test_any_number_of_threads_draws_the_same():
    alone = warp_to_views(SOURCES["panorama"], TARGETS)
    torch.set_num_threads(3)
    try:
        together = warp_to_views(SOURCES["panorama"], TARGETS)
    finally:
        torch.set_num_threads(1)
    assert torch.equal(alone.distance, together.distance) and torch.equal(alone.source_coords, together.source_coords)


def test_a_surface_is_made_once():
    assert surface_of(SOURCES["panorama"]) is surface_of(SOURCES["panorama"])
    assert surface_of(replace(SOURCES["panorama"])) is not surface_of(SOURCES["panorama"])


def test_a_torn_surface_goes_on_for_half_a_cell_on_both_sides():
    """Seen from where it was seen from, a tear is no gap; from elsewhere nothing spans it."""
    distance = np.full((64, 128), 4.0, np.float32)
    distance[20:40, 50:70] = 1.0
    colour = np.zeros((64, 128, 3), np.uint8)
    source = Panorama(colour, distance, colour[..., 0])
    here = placed_camera(200, 150, 1.8)
    warped = warp_to_views(source, [here, replace(here, camera_to_world=here.camera_to_world + _aside(0.3))])
    assert warped.known[0].all() and not warped.known[1].all()
    nearer = np.unique(np.rint(warped.distance[0].numpy() * 20) / 20)
    assert nearer[0] == 1 and nearer[-1] == 4 and len(nearer) <= 4  # flat triangles sag a little within the ball
    column = warped.source_coords[0, 75, :, 0].numpy() * 128
    near = warped.distance[0, 75].numpy() < 2
    assert abs(column[near].min() - 50) < 0.3 and abs(column[near].max() - 70) < 0.3


def _aside(metres: float) -> np.ndarray:
    move = np.zeros((4, 4))
    move[1, 3] = metres
    return move


def test_any_type_and_size_of_image_warps():
    """Latents in bfloat16, 16 times coarser than the colour."""
    warped = warp_to_views(SOURCES["panorama"], TARGETS)
    latents = torch.randn(24, 32, 64, generator=torch.Generator().manual_seed(0))
    seen = warped.sample(latents.bfloat16())
    assert seen.shape == (3, 24, 64, 96) and seen.dtype == torch.bfloat16
    torch.testing.assert_close(seen.float(), warped.sample(latents), atol=0.06, rtol=0.02)


@pytest.mark.parametrize("kind", SOURCES)
def test_bytes_are_sampled_as_any_image_is(kind):
    """Across the seam and over the poles, too; colours and single channels, on any number of threads."""
    source = SOURCES[kind]
    cameras = [*TARGETS, placed_camera(96, 64, 2.0, pitch_rad=1.5), placed_camera(96, 64, 2.0, heading_rad=math.pi)]
    warped = warp_to_views(source, cameras)
    noise = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    expected = warped.sample(torch.from_numpy(noise).permute(2, 0, 1).float()).permute(0, 2, 3, 1).numpy()
    assert np.abs(warped.sample_bytes(noise) - expected).max() <= 0.51
    np.testing.assert_array_equal(warped.sample_bytes(noise[..., 1].copy()), warped.sample_bytes(noise)[..., 1])
