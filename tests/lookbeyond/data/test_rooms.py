"""The truth that models are trained and judged on must itself be true."""

import math

import numpy as np
import pytest
import torch

from lookbeyond.data.rooms import BOXES, HELD_OUT_SEED, Rooms, equirectangular_rays, render_panoramas
from lookbeyond.data.textures import texture_bank
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import equirectangular_directions
from lookbeyond.geometry.warping import warp_to_view


def test_rays_are_those_of_the_geometry_package():
    rays = equirectangular_rays(16, 32).reshape(16, 32, 3).numpy()
    np.testing.assert_allclose(rays, equirectangular_directions(32, 16), atol=1e-6)


def test_a_room_is_the_same_in_every_batch():
    alone, together = Rooms.from_seeds([5]), Rooms.from_seeds([9, 5])
    torch.testing.assert_close(render_panoramas(alone, 32, 64)[0][0], render_panoramas(together, 32, 64)[0][1])


def test_the_floor_lies_a_cameras_height_below():
    rooms = Rooms.from_seeds(range(6))
    down = torch.tensor([0.0, 0.0, -1.0]).expand(6, 1, 3)
    _, distance = rooms.render(torch.zeros(6, 1, 3), down)
    # a rug or nothing may lie between
    assert ((rooms.camera_height - distance[:, 0]).abs() < 0.03).all()


def test_rays_meet_surfaces_where_other_rays_meet_them():
    """What one camera sees at a point, a ray from elsewhere towards that point meets there or earlier."""
    rooms = Rooms.from_seeds(range(4))
    rays = equirectangular_rays(24, 48).expand(4, -1, 3)
    _, distance = rooms.render(torch.zeros_like(rays), rays)
    points = rays * distance[..., None]
    start = torch.tensor([0.15, -0.1, 0.1]).expand_as(points)
    towards = points - start
    length = towards.norm(dim=-1)
    _, again = rooms.render(start, towards / length[..., None])
    assert (again <= length * 1.001 + 1e-3).all()
    assert ((again - length).abs() < 1e-3 * length + 1e-3).float().mean() > 0.8


def test_two_cameras_see_one_room():
    """Texture and light stick to surfaces: the panorama warped into a camera is what the camera renders."""
    room = Rooms.from_seeds([3])
    colour, distance = render_panoramas(room, 256, 512)
    image = (colour[0].permute(1, 2, 0) * 255).round().byte().numpy()
    panorama = Panorama(image, distance[0, 0].numpy(), np.zeros(image.shape[:2], np.uint8))
    camera = placed_camera(96, 64, math.radians(70), heading_rad=0.4, position=(0.2, -0.1, 0.05))
    warped = warp_to_view(panorama, camera)
    rays = torch.from_numpy(camera.rays().astype(np.float32)).reshape(1, -1, 3)
    origin = torch.tensor(camera.position, dtype=torch.float32).expand_as(rays)
    truth, depth = (part[0].numpy() for part in room.render(origin, rays, 0.014))
    truth, depth = truth.reshape(64, 96, 3) * 255, depth.reshape(64, 96)
    same = warped.known & (np.abs(warped.distance / depth - 1) < 0.01)
    assert same.mean() > 0.85
    error = (warped.colour - truth)[same] / 255
    assert -10 * np.log10(np.mean(error**2)) > 26


def test_free_positions_keep_clear():
    rooms = Rooms.from_seeds(range(3))
    places = torch.rand(3, 400, 3) * 6 - 3
    free = rooms.free_positions(places, margin=0.2)
    assert 0 < free.float().mean() < 1
    around = equirectangular_rays(6, 12)
    for room in range(3):
        for place in places[room][free[room]][:20]:
            _, distance = rooms[room : room + 1].render(place.expand(1, 72, 3), around[None])
            assert distance.min() > 0.15
    far = torch.full((3, 1, 3), 50.0)
    assert not rooms.free_positions(far).any()


def test_rooms_are_furnished_and_vary():
    rooms = Rooms.from_seeds(range(40))
    boxes = (rooms.boxes[..., 2] > -100).sum(1)
    assert boxes.float().mean() > 8 and boxes.max() <= BOXES
    colour, distance = render_panoramas(rooms[:8], 32, 64)
    assert colour.min() >= 0 and colour.max() <= 1 and distance.min() > 0.2 and torch.isfinite(distance).all()
    assert colour.mean((1, 2, 3)).std() > 0.03
    assert (rooms.outdoors.sum(1) > 0).any() and ((rooms.openings[..., 0] >= 0) & (rooms.outdoors == 0)).any()


def test_textures_repeat_without_a_seam():
    texels, offsets, sizes = texture_bank(torch.device("cpu"))
    side, count = int(sizes[0]), int(offsets[1]) // int(sizes[0]) ** 2
    tiles = texels[: offsets[1]].view(count, side, side, 3)
    inside = (tiles[:, :, 1:] - tiles[:, :, :-1]).abs().mean((1, 3)).amax(1)
    across = (tiles[:, :, 0] - tiles[:, :, -1]).abs().mean((1, 2))
    # no stronger than the tile's own strongest line, a joint say
    assert (across < 1.5 * inside + 0.02).float().mean() > 0.97


def test_evaluation_draws_what_training_never_does():
    with pytest.raises(AssertionError):
        torch.testing.assert_close(Rooms.from_seeds([0]).shell, Rooms.from_seeds([HELD_OUT_SEED]).shell)
