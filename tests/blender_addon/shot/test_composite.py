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


def with_group(part, stand, *sockets: str):
    """Gives the scene a compositor of the artist's, which outputs sockets of these types; empty before Blender 5."""
    module = part("shot.composite")
    if bpy.app.version < (5, 0, 0):
        pytest.skip("before 5.0, the compositor's output is a node without a choice")
    tree = bpy.data.node_groups.new("Artist's", "CompositorNodeTree")
    for kind in sockets:
        tree.interface.new_socket(kind, in_out="OUTPUT", socket_type=f"NodeSocket{kind}")
    module.set_compositor_group(stand, tree)
    return tree


def test_a_group_without_outputs_gets_one(part, stand, shot, tmp_path):
    stand.frame_set(12)
    tree = with_group(part, stand)
    part("shot.composite").set_up_composite(stand, shot, 11, 2)
    seen = rendered(stand, tmp_path / "out.png")
    assert part("shot.composite").compositor_tree(stand) == tree
    assert np.allclose(seen[4:28, 3:21], (0, 0.5, 0), atol=0.02)


def test_the_image_goes_to_the_active_output_and_its_first_image(part, stand, shot, tmp_path):
    stand.frame_set(12)
    tree = with_group(part, stand, "Color", "Float")
    idle, active = tree.nodes.new("NodeGroupOutput"), tree.nodes.new("NodeGroupOutput")
    idle.is_active_output, active.is_active_output = False, True
    part("shot.composite").set_up_composite(stand, shot, 11, 2)
    assert active.inputs[0].is_linked and not idle.inputs[0].is_linked
    assert np.allclose(rendered(stand, tmp_path / "out.png")[4:28, 3:21], (0, 0.5, 0), atol=0.02)


def test_a_first_output_that_is_no_image_is_said(part, stand, shot):
    tree = with_group(part, stand, "Float", "Color")
    said = part("shot.composite").set_up_composite(stand, shot, 11, 2)
    assert "Blender shows only the first output of Artist's, Float: move Color to the top" in said
    output = next(node for node in tree.nodes if node.bl_idname == "NodeGroupOutput")
    assert output.inputs[1].is_linked and not output.inputs[0].is_linked


def test_with_two_view_layers_it_is_said_which_is_put_in(part, stand, shot):
    assert "view layer" not in part("shot.composite").set_up_composite(stand, shot, 11, 2)
    stand.view_layers[0].use = False
    second, _ = stand.view_layers.new("Second"), stand.view_layers.new("Third")
    said = part("shot.composite").set_up_composite(stand, shot, 11, 2)
    assert f"Only the objects of the view layer {second.name} are put in" in said
    objects = part("shot.composite").compositor_tree(stand).nodes["Look Beyond Objects"]
    assert objects.layer == second.name


def test_the_render_of_another_layer_or_scene_is_the_artists_output(part, stand, shot):
    module = part("shot.composite")
    tree = module.compositor_tree(stand)
    for node in list(tree.nodes):
        tree.nodes.remove(node)
    other = bpy.data.scenes.new("Other")
    render = tree.nodes.new("CompositorNodeRLayers")
    render.scene = other
    tree.links.new(render.outputs["Image"], module.output_socket(tree))
    said = module.set_up_composite(stand, shot, 11, 2)
    assert module.source_of(module.output_socket(tree)) == render
    assert "link the node Look Beyond Result" in said


def test_nodes_that_were_off_are_said_to_take_part_again(part, stand, shot):
    module = part("shot.composite")
    tree = module.compositor_tree(stand)
    tree.nodes.new("CompositorNodeBlur")
    stand.render.use_compositing = False
    assert "The compositor was off" in module.set_up_composite(stand, shot, 11, 2)
    assert "The compositor was off" not in module.set_up_composite(stand, shot, 11, 2)


def test_what_is_changed_and_what_changes_colours_is_said_once(part, stand, shot):
    module = part("shot.composite")
    stand.render.filepath = "/tmp/"
    stand.view_settings.view_transform = "AgX"
    said = module.set_up_composite(stand, shot, 11, 2)
    assert "The view AgX" in said and "Match Photo Colours" in said
    assert "The film is transparent now." in said and "The output goes to" in said
    bpy.ops.lookbeyond.match_photo_colours()
    said = module.set_up_composite(stand, shot, 11, 2)
    assert "AgX" not in said and "film" not in said and "output goes" not in said
    stand.render.use_border = stand.render.use_crop_to_border = True
    assert "Crop to Render Region" in module.set_up_composite(stand, shot, 11, 2)
    stand.render.use_multiview = True
    assert "Stereoscopy is on" in module.set_up_composite(stand, shot, 11, 2)


def test_braces_in_the_output_folder_are_a_name_and_no_variable(part, stand, shot, tmp_path):
    folder = tmp_path / "take {3} {blend_name}"
    stand.look_beyond.output_folder = str(folder)
    stand.render.filepath = "/tmp/"
    part("shot.composite").set_up_composite(stand, shot, 11, 2)
    stand.render.image_settings.file_format = "PNG"
    stand.frame_start, stand.frame_end = 11, 12
    bpy.ops.render.render(animation=True)
    assert sorted(path.name for path in folder.rglob("*.png")) == ["0011.png", "0012.png"]


@pytest.fixture
def shot_from_here(part, scene, photo, service, tmp_path):
    """A scene with a finished shot of a moving camera, and the compositor set up for it."""
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.2, heading=0.5, height=1.7)
    bpy.ops.lookbeyond.build_world()
    bpy.ops.lookbeyond.add_path(length=0.5)
    scene.look_beyond.show_in = {"COMPOSITE"}
    bpy.ops.lookbeyond.shoot()
    return scene


def set_up(part, scene) -> str:
    bpy.ops.lookbeyond.set_up_composite()
    return part("session").session.notice


def test_another_camera_than_the_shots_is_said(part, shot_from_here):
    scene, shot_camera = shot_from_here, shot_from_here.camera
    assert "another place" not in set_up(part, scene)
    scene.camera = scene.look_beyond.photo_camera
    said = set_up(part, scene)
    assert "was shot from another place" in said and f"make {shot_camera.name} the scene's camera again" in said
    scene.camera = shot_camera
    assert "another place" not in set_up(part, scene)
    shot_camera.data.lens *= 1.5
    assert "another place" in set_up(part, scene)
    shot_camera.data.lens /= 1.5
    scene.look_beyond.quality = "DRAFT"
    assert "another place" not in set_up(part, scene)  # the resolution is no matter
    key = part("path.add").fcurves_of(shot_camera)[0].keyframe_points[-1]
    key.co.y = 0.5  # the same first frame, other ones later
    assert "another place" in set_up(part, scene)


def test_the_panel_says_that_another_camera_renders_into_the_frames(part, shot_from_here):
    scene, module = shot_from_here, part("shot.agreement")
    folder = part("results").absolute(scene.look_beyond.shot_folder)
    assert part("shot.composite").composited_frames(scene) == str(folder / "frames")
    assert module.other_camera_note(scene, folder) == ""
    shot_camera, scene.camera = scene.camera, scene.look_beyond.photo_camera
    said = module.other_camera_note(scene, folder)
    assert said == f"The compositor shows frames of {shot_camera.name}, and the scene renders {scene.camera.name}."
    shot_camera.name = "Renamed"
    assert module.other_camera_note(scene, folder) == ""


def test_a_new_shot_says_that_the_compositor_shows_the_former_one(part, shot_from_here):
    scene = shot_from_here
    scene.look_beyond.show_in = {"STRIP"}
    scene.look_beyond.shot_seed = 5
    bpy.ops.lookbeyond.shoot()
    assert "The compositor still shows an earlier shot" in part("session").session.notice
    set_up(part, scene)
    assert part("shot.composite").other_shot_note(scene, part("results").absolute(scene.look_beyond.shot_folder)) == ""


@pytest.mark.parametrize(("old", "new"), [(100, 100), (100, 200), (200, 100)])
def test_the_compositor_shows_the_frames_own_file_in_stretched_time(part, stand, shot, tmp_path, old, new):
    picture(shot / "frames" / "0012.png", *SIZE, np.full((32, 48, 3), (0, 0, 0.5)))
    stand.render.frame_map_old, stand.render.frame_map_new = old, new
    part("shot.composite").set_up_composite(stand, shot, 11, 2)
    stand.frame_set(12)
    assert np.allclose(rendered(stand, tmp_path / "out.png")[4:28, 3:21], (0, 0, 0.5), atol=0.02)
