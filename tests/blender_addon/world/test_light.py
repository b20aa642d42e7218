"""*Light*: the world's linear panorama lights the scene, turned as the picture is; off, everything is as before."""

from pathlib import Path

import bpy
import numpy as np
import pytest

BRIGHT = 12.0


def write_exr(path: Path) -> Path:
    """A panorama of linear light: 0.5, and as bright as BRIGHT in one quarter."""
    image = bpy.data.images.new("light", 64, 32, float_buffer=True)
    image.colorspace_settings.is_data = True  # else it is written as sRGB
    pixels = np.full((32, 64, 4), 0.5, np.float32)
    pixels[:, :16, :3] = BRIGHT
    image.pixels.foreach_set(pixels.ravel())
    image.file_format, image.filepath_raw = "OPEN_EXR", str(path)
    image.save()
    bpy.data.images.remove(image)
    return path


@pytest.fixture
def lit(service, monkeypatch):
    """A service that makes a world's light where it is asked for it."""
    plain = service.world

    def world(request, folder):
        files = plain(request, folder)
        return [*files, write_exr(folder / "panorama.exr")] if request.hdr else files

    monkeypatch.setattr(service, "world", world)
    return service


def shown(part, scene) -> bpy.types.Image:
    group = part("world.nodes").panorama_node(scene.world).node_tree
    return next(node.image for node in group.nodes if node.type == "TEX_ENVIRONMENT")


def build(scene, photo, tmp_path):
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), heading=0.5, height=1.7)
    bpy.ops.lookbeyond.build_world()


def test_a_world_without_it_asks_for_nothing_more(part, scene, photo, lit, tmp_path):
    build(scene, photo, tmp_path)
    assert lit.requests[-1].hdr is False and shown(part, scene).filepath.endswith("panorama.png")
    scene.look_beyond.light = True
    assert shown(part, scene).filepath.endswith("panorama.png")
    assert part("world.light").lacks_light(scene)
    bpy.ops.lookbeyond.build_world()
    assert lit.requests[-1].hdr is True and not part("world.light").lacks_light(scene)
    assert shown(part, scene).filepath.endswith("panorama.exr")


def test_light_is_linear_and_turned_as_the_picture_is(part, scene, photo, lit, tmp_path):
    scene.look_beyond.light = True
    build(scene, photo, tmp_path)
    image = shown(part, scene)
    assert image.colorspace_settings.name == "Linear Rec.709"
    assert np.array(image.pixels[:]).max() == pytest.approx(BRIGHT)
    node = part("world.nodes").panorama_node(scene.world)
    assert node.inputs["Heading"].default_value == pytest.approx(0.5)
    node.inputs["Heading"].default_value, node.inputs["Strength"].default_value = 1.25, 0.6
    scene.look_beyond.light = False
    assert shown(part, scene).filepath.endswith("panorama.png")
    assert shown(part, scene).colorspace_settings.name == "sRGB"
    values = [node.inputs[name].default_value for name in ("Heading", "Strength")]
    assert values == pytest.approx([1.25, 0.6])
    scene.look_beyond.light = True
    assert shown(part, scene) == image
    assert len([group for group in bpy.data.node_groups if group.name.startswith("Look Beyond")]) == 2


def test_cycles_gets_the_light_beyond_white(part, scene, photo, lit, tmp_path):
    """A white floor under the bright quarter and the rest receives their mean over the sky, far beyond 1."""
    scene.look_beyond.light = True
    build(scene, photo, tmp_path)
    received = []
    for light in (True, False):
        scene.look_beyond.light = light
        received.append(floor_brightness(scene, tmp_path))
    assert received[0] == pytest.approx((BRIGHT + 3 * 0.5) / 4, rel=0.05)
    assert received[1] < 1.01


def floor_brightness(scene, folder: Path) -> float:
    if "floor" not in bpy.data.objects:
        bpy.ops.mesh.primitive_plane_add(size=2, location=(0, 0, 50))
        floor = bpy.context.object
        floor.name = "floor"
        material = bpy.data.materials.new("white")
        if bpy.app.version < (5, 0, 0):
            material.use_nodes = True
        nodes = material.node_tree.nodes
        diffuse = nodes.new("ShaderNodeBsdfDiffuse")
        diffuse.inputs["Color"].default_value = (1, 1, 1, 1)
        output = next(node for node in nodes if node.type == "OUTPUT_MATERIAL")
        material.node_tree.links.new(diffuse.outputs[0], output.inputs["Surface"])
        floor.data.materials.append(material)
        camera = bpy.data.objects.new("above", bpy.data.cameras.new("above"))
        camera.location, camera.data.type, camera.data.ortho_scale = (0, 0, 55), "ORTHO", 0.5
        scene.collection.objects.link(camera)
        scene.camera = camera
    scene.camera = bpy.data.objects["above"]
    scene.render.resolution_x = scene.render.resolution_y = 16
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", 64, False
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.filepath = str(folder / "floor.exr")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    pixels = np.array(image.pixels[:]).reshape(16, 16, -1)[..., :3]
    bpy.data.images.remove(image)
    return float(pixels.mean())


def test_another_scene_keeps_its_picture(part, scene, photo, lit, tmp_path):
    scene.look_beyond.light = True
    build(scene, photo, tmp_path)
    other = bpy.data.scenes.new("Other")
    other.world = scene.world
    scene.look_beyond.light = False
    assert shown(part, scene).filepath.endswith("panorama.png")
    assert shown(part, other).filepath.endswith("panorama.exr")
