"""Layers of a frame: what a compositor reads is what the room truly is."""

import numpy as np
import OpenEXR
import pytest

from lookbeyond.evaluation.scenes import held_out_room
from lookbeyond.exchange.layers import frame_layers, write_exr
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import sample_pixels
from lookbeyond.photo.pixels import LIGHT_OF_LEVEL

SIZE = (240, 180)
SEEDS = (103, 109)


@pytest.fixture(scope="module", params=SEEDS)
def walk(request):
    """Three frames of a walk through a room nobody trained on, and the world they were shot in."""
    scene = held_out_room(request.param)
    cameras = [
        placed_camera(*SIZE, 1.2, heading_rad=0.4 + 0.02 * k, pitch_rad=-0.1, position=(0.02 * k, 0.03 * k, 0.01 * k))
        for k in range(3)
    ]
    world = Panorama(
        scene.truth,
        scene.distance,
        scene.seen.astype(np.uint8) * 255,
        camera_height=scene.camera_height,
        photo_camera=scene.camera,
    )
    views = scene.views(cameras)
    return scene, world, views, frame_layers(views[1], world, cameras[0], cameras[2])


@pytest.mark.parametrize("neighbour", [0, 2])
def test_a_neighbour_moved_by_the_vectors_is_the_frame(walk, neighbour):
    scene, _, views, layers = walk
    columns, rows = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
    if neighbour == 0:
        columns, rows = columns + layers["Vector.X"], rows - layers["Vector.Y"]
    else:
        columns, rows = columns - layers["Vector.Z"], rows + layers["Vector.W"]
    other = views[neighbour]
    moved = sample_pixels(other.colour, columns.astype(np.float32), rows.astype(np.float32)).astype(float)
    inside = (columns > 1) & (columns < SIZE[0] - 1) & (rows > 1) & (rows < SIZE[1] - 1)
    points = np.stack([layers[f"Position.{axis}"] for axis in "XYZ"], -1)
    there = np.linalg.norm(points - other.camera.position, axis=-1)
    visible = inside & (np.abs(sample_pixels(other.distance, columns, rows) - there) < 0.01 * there)
    psnr = -10 * np.log10(np.square((moved - views[1].colour)[visible] / 255).mean())
    still = -10 * np.log10(np.square((other.colour - views[1].colour.astype(float))[visible] / 255).mean())
    print(f"{scene.name}, frame {neighbour}: {psnr:.1f} dB on {visible.mean():.0%}; unmoved {still:.1f} dB")
    assert visible.mean() > 0.8
    assert psnr > 35 and psnr > still + 5


def test_positions_depth_and_normals_are_the_rooms(walk):
    scene, _, views, layers = walk
    points = np.stack([layers[f"Position.{axis}"] for axis in "XYZ"], -1)
    pixels, depth = views[1].camera.project(points)
    np.testing.assert_allclose(pixels[..., 0], np.broadcast_to(np.arange(SIZE[0]) + 0.5, pixels.shape[:2]), atol=1e-3)
    np.testing.assert_allclose(depth, layers["Depth.Z"], rtol=1e-5)
    on_floor = np.abs(points[..., 2] + scene.camera_height) < 1e-3
    normals = np.stack([layers[f"Normal.{axis}"] for axis in "XYZ"], -1)
    assert on_floor.sum() > 200
    assert np.median(normals[on_floor][:, 2]) > 0.999
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-3)


def test_masks_share_the_frame_out(walk):
    _, world, _views, layers = walk
    photo, invented, filled = (layers[f"Mask.{channel}"].astype(float) for channel in "RGB")
    np.testing.assert_allclose(photo + invented + filled, 1, atol=1e-3)
    directions = np.stack([layers[f"Position.{axis}"] for axis in "XYZ"], -1) - world.position
    pixels, _ = world.photo_camera.project(directions + world.photo_camera.position)
    width, height = world.photo_camera.width, world.photo_camera.height
    deep = 0.05 * width  # well inside the photo, or well outside
    inner = ((pixels > deep) & (pixels < np.array([width, height]) - deep)).all(-1)
    outer = ~((pixels > -deep) & (pixels < np.array([width, height]) + deep)).all(-1)
    assert photo[inner & (filled == 0)].min() > 0.99
    assert outer.any() and photo[outer].max() < 0.01
    confidence = layers["Confidence.X"]
    assert (confidence[filled == 1] == 0).all()
    # the panorama has 81 pixels a radian, the frame about 175: half a pixel each way
    assert 0.3 < np.median(confidence[filled == 0]) < 0.65


def test_the_ends_of_a_move_have_no_motion_beyond_them(walk):
    _, world, views, _ = walk
    first = frame_layers(views[0], world, None, views[1].camera)
    assert (first["Vector.X"] == 0).all() and np.abs(first["Vector.Z"]).max() > 0.5
    last = frame_layers(views[2], world, views[1].camera, None)
    assert (last["Vector.W"] == 0).all() and np.abs(last["Vector.X"]).max() > 0.5


def test_the_file_holds_every_pass_under_blenders_names(walk, tmp_path):
    layers = walk[-1]
    write_exr(tmp_path / "0001.exr", layers)
    parts = OpenEXR.File(str(tmp_path / "0001.exr"), separate_channels=True).parts
    read = {name: channel.pixels for part in parts for name, channel in part.channels.items()}
    wanted = {
        "Combined": "RGBA",
        "Depth": "Z",
        "Position": "XYZ",
        "Normal": "XYZ",
        "Vector": "XYZW",
        "Mask": "RGBA",
        "Confidence": "X",
    }
    assert set(read) == {f"{name}.{letter}" for name, letters in wanted.items() for letter in letters}
    for name, values in layers.items():
        np.testing.assert_array_equal(read[name], values)


def test_linear_light():
    bytes_ = np.array([0, 10, 11, 128, 255], np.uint8)
    np.testing.assert_allclose(LIGHT_OF_LEVEL[bytes_], [0, 0.003035, 0.003347, 0.215861, 1], atol=1e-6)
