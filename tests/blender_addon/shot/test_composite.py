"""Objects pass before and behind what the frames show, pixel by pixel, and the artist's nodes stay."""

import bpy
import numpy as np
import pytest

from tests.support.pictures import picture
from tests.support.played import show_shot
from tests.support.worlds import distance_file

SIZE = (48, 32)


@pytest.fixture
def shot(tmp_path):
    """Two green frames; their left half is 2 m away, their right half 6 m."""
    for place in ("frames", "depth"):
        (tmp_path / "shot" / place).mkdir(parents=True)
    for number in (11, 12):
        picture(tmp_path / "shot" / "frames" / f"{number:04d}.png", *SIZE, np.full((32, 48, 3), (0, 0.5, 0)))
        depth = np.full((32, 48), 6, np.float32)
        depth[:, :24] = 2
        distance_file(tmp_path / "shot" / "depth" / f"{number:04d}.exr", depth)
    return tmp_path / "shot"


@pytest.fixture
def stand(scene):
    """A red wall 4 m before the camera: behind the shot's left half, before its right one."""
    data = bpy.data.cameras.new("Camera")
    camera = bpy.data.objects.new("Camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    mesh = bpy.data.meshes.new("Wall")
    mesh.from_pydata([(-9, -9, -4), (9, -9, -4), (9, 9, -4), (-9, 9, -4)], [], [(0, 1, 2, 3)])
    material = bpy.data.materials.new("Red")
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    material.node_tree.nodes.clear()
    emission = material.node_tree.nodes.new("ShaderNodeEmission")
    emission.inputs["Color"].default_value = (1, 0, 0, 1)
    output = material.node_tree.nodes.new("ShaderNodeOutputMaterial")
    material.node_tree.links.new(emission.outputs[0], output.inputs["Surface"])
    mesh.materials.append(material)
    scene.collection.objects.link(bpy.data.objects.new("Wall", mesh))
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", 1, False
    bpy.ops.lookbeyond.match_photo_colours()
    return scene


def rendered(scene, path) -> np.ndarray:
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    return np.array(image.pixels[:]).reshape(image.size[1], image.size[0], image.channels)[::-1, :, :3]


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_what_is_nearer_is_seen(part, stand, shot, tmp_path, scale):
    stand.frame_set(12)
    if scale != 1:  # centimetres: the same wall, the same depth files
        stand.unit_settings.system, stand.unit_settings.scale_length = "METRIC", scale
        for thing in stand.objects:
            thing.scale = (100, 100, 100) if thing.type == "MESH" else (1, 1, 1)
        stand.camera.data.clip_end = 10_000
    part("shot.composite").set_up_composite(stand, shot, 11, 2)
    seen = rendered(stand, tmp_path / "out.png")
    assert np.allclose(seen[4:28, 3:21], (0, 0.5, 0), atol=0.02)
    assert np.allclose(seen[4:28, 27:45], (1, 0, 0), atol=0.02)


def test_a_smaller_shot_fills_the_frame(part, stand, shot, tmp_path):
    stand.render.resolution_x, stand.render.resolution_y = 96, 64
    stand.frame_set(11)
    part("shot.composite").set_up_composite(stand, shot, 11, 2)
    seen = rendered(stand, tmp_path / "out.png")
    assert np.allclose(seen[4:60, 3:44], (0, 0.5, 0), atol=0.02)
    assert np.allclose(seen[4:60, 52:90], (1, 0, 0), atol=0.02)


def test_set_up_again_leaves_one_set_and_the_artists_nodes(part, stand, shot):
    module = part("shot.composite")
    module.set_up_composite(stand, shot, 11, 2)
    tree = module.compositor_tree(stand)
    number = len(tree.nodes)
    blur = tree.nodes.new("CompositorNodeBlur")
    said = module.set_up_composite(stand, shot, 11, 2)
    assert len(tree.nodes) == number + 1 and "link the node" not in said
    tree.links.new(blur.outputs[0], module.output_socket(tree))
    said = module.set_up_composite(stand, shot, 11, 2)
    assert "link the node Look Beyond Result" in said
    assert module.output_socket(tree).links[0].from_node == blur
    assert stand.render.film_transparent


def test_it_is_set_up_while_frames_are_still_to_come_and_then_left_alone(part, stand, shot):
    names = ("0011.png", "0012.png")

    def show(there: str) -> None:
        coming = part("shot.frames").ShotFrames(shot / "frames", names, 11, SIZE, {}, there)
        show_shot(part, stand, stand.camera.name, coming, ("COMPOSITE",))

    assert not part("shot.composite").is_composited(stand, shot)
    (shot / "frames" / "0012.png").unlink()
    show("0011.png")
    tree = part("shot.composite").compositor_tree(stand)
    nodes = {node.name for node in tree.nodes}
    for node in tree.nodes:
        node.label = "former"
    assert "Look Beyond Result" in nodes and part("shot.composite").is_composited(stand, shot)
    show("0011.png")
    assert {node.label for node in tree.nodes} == {"former"}
    show("")
    assert {node.label for node in tree.nodes} == {"former"} and {node.name for node in tree.nodes} == nodes
