"""A render becomes a photo of the camera that made it: of any region, frame, pixel aspect and display."""

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector


@pytest.fixture
def stand(scene, tmp_path):
    """A camera with a shifted lens before small bright balls on black."""
    scene.look_beyond.output_folder = str(tmp_path)
    scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(scene.camera)
    scene.camera.location = (0, 0, 1.6)
    scene.camera.rotation_euler = (1.5, 0, 0.2)
    scene.camera.data.lens, scene.camera.data.shift_x, scene.camera.data.shift_y = 30, 0.05, -0.03
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", 16, False
    scene.render.resolution_x, scene.render.resolution_y = 192, 128
    scene.world = bpy.data.worlds.new("Black")
    if bpy.app.version < (5, 0, 0):
        scene.world.use_nodes = True
    scene.world.node_tree.nodes.clear()
    bpy.context.view_layer.update()
    return scene


def add_ball(scene, place, colour=(1, 1, 1), radius=0.12) -> None:
    bpy.ops.mesh.primitive_uv_sphere_add(radius=radius, location=place)
    ball = bpy.context.view_layer.objects.active
    material = bpy.data.materials.new("Light")
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    nodes = material.node_tree.nodes
    nodes.clear()
    light, output = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    light.inputs["Color"].default_value = (*colour, 1)
    material.node_tree.links.new(light.outputs[0], output.inputs["Surface"])
    ball.data.materials.append(material)


def ahead(scene, x: float, y: float, distance: float = 5.0) -> Vector:
    return scene.camera.matrix_world @ Vector((x, y, -distance))


def photo_pixels(scene) -> np.ndarray:
    """The photo's pixels [H, W, 3], 0..1, top row first, as the file has them."""
    path = scene.look_beyond.photo_camera.data.look_beyond.photo_path
    image = bpy.data.images.load(bpy.path.abspath(path))
    pixels = np.array(image.pixels[:]).reshape(image.size[1], image.size[0], image.channels)[::-1, :, :3]
    bpy.data.images.remove(image)
    return pixels


def assert_ball_is_where_the_camera_sees_it(part, scene, place) -> None:
    """The bright spot of the photo lies, within a pixel, where the photo's camera has the ball."""
    pixels, ours = photo_pixels(scene).mean(-1), part("photo.camera").photo_camera(scene)
    assert (ours.height, ours.width) == pixels.shape
    rows, columns = np.nonzero(pixels > 0.5)
    assert len(rows) > 4, "the ball is not in the photo"
    seen, _ = ours.project(np.array(place)[None])
    assert np.allclose((columns.mean() + 0.5, rows.mean() + 0.5), seen[0], atol=1.0)


@pytest.mark.parametrize("fit", ["AUTO", "HORIZONTAL", "VERTICAL"])
def test_a_cropped_region_is_a_photo_of_that_region(part, stand, fit):
    place = ahead(stand, 0.7, 0.5)
    stand.camera.data.sensor_fit = fit
    add_ball(stand, place)
    render = stand.render
    render.use_border = render.use_crop_to_border = True
    render.border_min_x, render.border_max_x = 0.45, 0.97
    render.border_min_y, render.border_max_y = 0.3, 0.99
    bpy.ops.render.render()
    render.use_border = False  # the artist goes on
    bpy.ops.lookbeyond.use_render()
    assert_ball_is_where_the_camera_sees_it(part, stand, place)
    whole = part("cameras").camera_of(stand.camera, 192, 128, 1.0)
    assert part("photo.camera").photo_camera(stand).fov_x < 0.6 * whole.fov_x


def test_a_region_in_a_black_frame_is_refused(stand):
    stand.render.use_border, stand.render.border_max_x = True, 0.5
    bpy.ops.render.render()
    with pytest.raises(RuntimeError, match="Crop to Render Region"):
        bpy.ops.lookbeyond.use_render()
    assert stand.look_beyond.photo_camera is None


@pytest.mark.parametrize("aspect", [(2.0, 1.0), (1.0, 1.5)])
def test_pixels_that_are_not_square_become_square(part, stand, aspect):
    place = ahead(stand, 0.5, 0.3)
    add_ball(stand, place)
    stand.render.pixel_aspect_x, stand.render.pixel_aspect_y = aspect
    bpy.ops.render.render()
    bpy.ops.lookbeyond.use_render()
    ours = part("photo.camera").photo_camera(stand)
    assert (ours.width, ours.height) == (192 * aspect[0], 128 * aspect[1])
    assert ours.intrinsics[0, 0] == pytest.approx(ours.intrinsics[1, 1])
    assert_ball_is_where_the_camera_sees_it(part, stand, place)
    seen = world_to_camera_view(stand, stand.camera, place)
    pixel, _ = ours.project(np.array(place)[None])
    assert pixel[0][0] / ours.width == pytest.approx(seen.x, abs=1e-3)


@pytest.mark.parametrize("how", ["still", "animation", "unkeyed", "moved after it", "another camera"])
def test_the_camera_is_that_of_the_rendered_frame(part, stand, tmp_path, how):
    place = ahead(stand, 0.2, 0.1)
    add_ball(stand, place)
    camera = stand.camera
    for frame, x in ((11, 0.0), (16, 0.8)):
        camera.location.x = x
        camera.keyframe_insert("location", frame=frame)
    stand.frame_set(14)
    if how == "moved after it":
        camera.animation_data_clear()
    if how == "unkeyed":  # which Blender does not render
        camera.location.x = -0.5
        bpy.context.view_layer.update()
    rendered = Vector((0.8 * 0.648 if how == "unkeyed" else camera.matrix_world.translation.x, 0, 1.6))
    if how == "animation":
        stand.frame_set(11)
        stand.frame_start, stand.frame_end = 13, 14
        stand.render.filepath = str(tmp_path / "out") + "/"
        bpy.ops.render.render(animation=True)
    else:
        bpy.ops.render.render()
    if how == "another camera":
        stand.camera = bpy.data.objects.new("Other", bpy.data.cameras.new("Other"))
        stand.collection.objects.link(stand.camera)
    if how == "moved after it":
        camera.location.x = 3
    stand.frame_set(16)
    bpy.ops.lookbeyond.use_render()
    assert np.allclose(part("photo.camera").photo_camera(stand).position, rendered, atol=1e-4)
    assert_ball_is_where_the_camera_sees_it(part, stand, place)


@pytest.mark.parametrize("device", ["Display P3", "Rec.2020", "Rec.2100-PQ"])
def test_a_render_for_another_screen_is_read_as_the_colours_that_it_shows(stand, device):
    add_ball(stand, ahead(stand, 0.2, 0.1), (0.7, 0.2, 0.1), 0.8)
    stand.view_settings.view_transform = "Standard"
    bpy.ops.render.render()
    bpy.ops.lookbeyond.use_render()
    wanted = photo_pixels(stand)
    try:
        stand.display_settings.display_device = device
    except TypeError:
        pytest.skip(f"this Blender has no display {device}")
    bpy.ops.lookbeyond.use_render()
    assert np.abs(photo_pixels(stand) - wanted).max() <= 1.01 / 255 and np.ptp(wanted) > 0.5
    assert stand.display_settings.display_device == device


def test_another_scenes_render_is_not_taken_for_this_ones(stand):
    bpy.ops.render.render()
    other = stand.copy()
    bpy.context.window.scene = other
    with pytest.raises(RuntimeError, match="of another scene"):
        bpy.ops.lookbeyond.use_render()
