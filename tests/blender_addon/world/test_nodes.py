"""The world is what the panorama says, as Cycles itself sees it; nothing of the artist's is lost."""

import math

import bpy
import numpy as np

from tests.support.pictures import smooth_panorama

RECORD = {"seed": 5, "preset": "builtin"}


def test_cycles_sees_the_panorama_as_our_geometry_does(part, scene, tmp_path):
    from lookbeyond_kit.geometry.projection import extract_perspective

    path, pixels = smooth_panorama(tmp_path / "panorama.png")
    heading = math.radians(33)
    part("world.nodes").set_scene_world(scene, path, heading, RECORD)

    data = bpy.data.cameras.new("Camera")
    camera = bpy.data.objects.new("Camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.rotation_euler = (1.4, 0.2, 2.1)
    data.lens, data.sensor_fit, data.shift_x, data.shift_y = 20, "VERTICAL", 0.1, -0.05
    scene.render.resolution_x, scene.render.resolution_y = 96, 72
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", 16, False
    scene.cycles.pixel_filter_type = "BOX"
    bpy.ops.lookbeyond.match_photo_colours()
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.render.filepath = str(tmp_path / "render.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    seen = np.array(image.pixels[:]).reshape(72, 96, image.channels)[::-1, :, :3] * 255

    ours = part("cameras").camera_of(camera, 96, 72, 1.0)
    expected = extract_perspective(pixels.astype(np.float32), ours, heading)
    error = np.mean((seen - expected) ** 2)
    assert 10 * math.log10(255**2 / error) > 45


def artists_world(scene) -> bpy.types.World:
    world = bpy.data.worlds.new("Mine")
    if bpy.app.version < (5, 0, 0):
        world.use_nodes = True
    world.node_tree.nodes.new("ShaderNodeTexSky")
    scene.world = world
    return world


def test_a_world_with_nodes_of_the_artists_stays_in_the_file(part, scene, tmp_path):
    world = artists_world(scene)
    nodes = [node.name for node in world.node_tree.nodes]
    path, _ = smooth_panorama(tmp_path / "panorama.png", 64)
    said = part("world.nodes").set_scene_world(scene, path, 0.0, RECORD)
    assert scene.world != world and "Mine" in said
    assert bpy.data.worlds["Mine"].use_fake_user
    assert [node.name for node in world.node_tree.nodes] == nodes


def test_a_plain_world_gets_our_node_and_keeps_its_own(part, scene, tmp_path):
    scene.world = bpy.data.worlds.new("Plain")
    path, _ = smooth_panorama(tmp_path / "panorama.png", 64)
    assert part("world.nodes").set_scene_world(scene, path, 0.4, RECORD) == ""
    assert scene.world.name == "Plain" and len(bpy.data.worlds) == 1
    nodes = scene.world.node_tree.nodes
    assert sorted(node.type for node in nodes) == ["BACKGROUND", "GROUP", "OUTPUT_WORLD"]
    (link,) = next(node for node in nodes if node.type == "OUTPUT_WORLD").inputs["Surface"].links
    assert link.from_node == part("world.nodes").panorama_node(scene.world)


def test_another_panorama_keeps_what_was_built_around_ours(part, scene, tmp_path):
    set_scene_world = part("world.nodes").set_scene_world
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        smooth_panorama(tmp_path / name / "panorama.png", 64)
    set_scene_world(scene, tmp_path / "first" / "panorama.png", 0.1, RECORD)
    world = scene.world
    extra = world.node_tree.nodes.new("ShaderNodeAddShader")
    node = part("world.nodes").panorama_node(world)
    node.inputs["Strength"].default_value = 2.0
    former = node.node_tree
    set_scene_world(scene, tmp_path / "second" / "panorama.png", 0.2, {"seed": 6})
    assert scene.world == world and extra.name in world.node_tree.nodes
    assert node.node_tree != former and former.use_fake_user
    assert node.inputs["Strength"].default_value == 2.0
    assert math.isclose(node.inputs["Heading"].default_value, 0.2, rel_tol=1e-6)
    assert world["look_beyond_seed"] == 6

    groups = len(bpy.data.node_groups)
    set_scene_world(scene, tmp_path / "first" / "panorama.png", 0.1, RECORD)
    assert node.node_tree == former and len(bpy.data.node_groups) == groups
