"""Two clicks on something whose length is known give a photo, or a 360° picture, its size."""

import math

import bpy
import numpy as np
import pytest


@pytest.fixture
def module(part):
    return part("photo.length")


@pytest.mark.parametrize("height", [0.4, 1.6, 12.0])
def test_lengths_by_their_ends_from_anywhere(module, height):
    """By points drawn at random: what stands upright, and what lies on the floor."""
    random = np.random.default_rng(7)
    for _ in range(20):
        place, other = random.normal(size=(2, 2)) * 5
        length = random.uniform(0.1, 3.0)
        foot, top, end = (*place, -height), (*place, length - height), (*other, -height)
        foot, top, end = (np.array(ray) * random.uniform(0.1, 9) for ray in (foot, top, end))
        assert module.length_of("UPRIGHT", foot, top, height) == pytest.approx(length, rel=1e-9)
        between = np.linalg.norm(place - other)
        assert module.length_of("FLOOR", foot, end, height) == pytest.approx(between, rel=1e-9)


@pytest.mark.parametrize(
    ("kind", "one", "other", "words"),
    [
        ("UPRIGHT", (1, 0, 0.1), (1, 0, 0.5), "first click is not on the floor"),
        ("UPRIGHT", (1, 0, -1), (1, 0, -2), "not above the first"),
        ("UPRIGHT", (1, 0, -1), (-1, 0, 1), "not above the first"),
        ("FLOOR", (1, 0, -1), (1, 0, 0.0), "second click is not on the floor"),
        ("FLOOR", (1, 0, -1), (2, 0, -2), "at the same point"),
    ],
)
def test_clicks_that_say_nothing_are_refused(module, part, kind, one, other, words):
    with pytest.raises(part("photo.horizon").PickError, match=words):
        module.length_of(kind, np.array(one, float), np.array(other, float), 1.0)


@pytest.mark.parametrize(("kind", "ends"), [("UPRIGHT", ((3, 0.2, 0), (3, 0.2, 1))), ("FLOOR", ((3, 0, 0), (3, 1, 0)))])
def test_a_known_length_sets_the_photos_camera(part, scene, photo, kind, ends):
    """Seen from 1.6 m, it looks 1 m long; it is 2 m: so the camera stood at 3.2 m, and looks as it did."""
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.3, pitch=-0.1, roll=0.05)
    seen, _ = part("photo.camera").photo_camera(scene).project(np.array(ends, float))
    assert bpy.ops.lookbeyond.measure_height(kind=kind, known=2.0, ends=seen.ravel()) == {"FINISHED"}
    assert scene.look_beyond.camera_height == pytest.approx(3.2, rel=1e-4)
    assert (scene.look_beyond.pitch, scene.look_beyond.roll) == pytest.approx((-0.1, 0.05), abs=1e-5)
    with pytest.raises(RuntimeError, match="on the floor"):
        bpy.ops.lookbeyond.measure_height(kind=kind, known=2.0, ends=(60, 5, 60, 1))


def test_a_360_picture_is_measured_by_a_door_that_it_shows(part, scene, service, tmp_path):
    """Rendered by Blender: a red door of 2 m and a green strip of 1.5 m on the floor of a room, seen from 1.37 m. Their
    ends are looked for in the picture's pixels; the artist had taken 1.6 m for granted."""
    file = render_room(scene, tmp_path / "room.png", 1.37)
    scene.look_beyond.output_folder = str(tmp_path / "results")
    assert bpy.ops.lookbeyond.use_panorama(filepath=str(file), height=1.6, heading=0.4) == {"FINISHED"}
    image = bpy.data.images.load(str(file))
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    pixels = pixels.reshape(height, width, 4)[::-1]
    red, green = (np.argwhere(marks(pixels, colour)) for colour in (0, 1))
    column = np.median(red[:, 1])
    rows = red[red[:, 1] == column][:, 0]
    door = (column + 0.5) / width, (rows.max() + 1) / height, (column + 0.5) / width, rows.min() / height
    assert bpy.ops.lookbeyond.measure_panorama(kind="UPRIGHT", known=2.0, ends=door) == {"FINISHED"}
    assert scene.look_beyond.panorama_height == pytest.approx(1.37, rel=0.01)
    # The strip runs along X: its ends are in the middle of its leftmost and rightmost columns.
    left, right = green[:, 1].min(), green[:, 1].max()
    ends = [(x + e, np.mean(green[green[:, 1] == x][:, 0]) + 0.5) for x, e in ((left, 0), (right, 1))]
    ends = [value for x, y in ends for value in (x / width, y / height)]
    scene.look_beyond.panorama_height = 1.6
    assert bpy.ops.lookbeyond.measure_panorama(kind="FLOOR", known=1.5, ends=ends) == {"FINISHED"}
    assert scene.look_beyond.panorama_height == pytest.approx(1.37, rel=0.015)
    # Built again, the world has that size; a photo that is placed takes its turn again.
    assert bpy.ops.lookbeyond.build_world() == {"FINISHED"}
    assert service.requests[-1].panorama and service.requests[-1].camera_height == pytest.approx(1.37, rel=0.015)
    assert service.requests[-1].camera["camera_to_world"][2][3] == pytest.approx(1.37, rel=0.015)
    bpy.ops.lookbeyond.place_photo(filepath=str(file))
    assert bpy.ops.lookbeyond.build_world() == {"FINISHED"} and service.requests[-1].photo


def test_a_360_picture_that_the_service_refuses_is_not_kept(scene, service, photo, tmp_path):
    """The photo that was placed before remains what worlds are made of."""
    from lookbeyond_kit.client import ServiceError

    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    service.fails = ServiceError("input", "The picture is not a 360° panorama.")
    with pytest.raises(RuntimeError, match="not a 360"):
        bpy.ops.lookbeyond.use_panorama(filepath=str(photo))
    service.fails = None
    assert bpy.ops.lookbeyond.build_world() == {"FINISHED"} and service.requests[-1].photo


def test_without_a_360_picture_the_button_says_so(scene):
    with pytest.raises(RuntimeError, match="Use a 360° picture first"):
        bpy.ops.lookbeyond.measure_panorama()


def marks(pixels, channel: int):
    others = [other for other in range(3) if other != channel]
    return (pixels[..., channel] > 0.5) & (pixels[..., others] < 0.2).all(-1)


def render_room(scene, path, height_m: float):
    """A room of 6 x 5 x 2.8 m as Cycles sees it in all directions, its door and strip shining by themselves."""

    def box(colour, low, high):
        size = np.subtract(high, low)
        bpy.ops.mesh.primitive_cube_add(size=1, location=np.add(low, high) / 2)
        thing = bpy.context.object
        thing.scale = size
        material = bpy.data.materials.new("m")
        if bpy.app.version < (5, 0, 0):
            material.use_nodes = True
        material.node_tree.nodes.clear()
        output = material.node_tree.nodes.new("ShaderNodeOutputMaterial")
        light = material.node_tree.nodes.new("ShaderNodeEmission")
        light.inputs["Color"].default_value = (*colour, 1)
        material.node_tree.links.new(light.outputs[0], output.inputs["Surface"])
        thing.data.materials.append(material)

    box((0.2, 0.2, 0.2), (-3, -2.5, 0), (3, 2.5, 2.8))
    box((1, 0, 0), (2.9, -0.4, 0), (2.99, 0.5, 2.0))
    box((0, 1, 0), (-0.5, -1.52, -0.01), (1.0, -1.48, 0.001))
    data = bpy.data.cameras.new("all round")
    data.type = "PANO"
    owner = data if hasattr(data, "panorama_type") else data.cycles
    owner.panorama_type = "EQUIRECTANGULAR"
    camera = bpy.data.objects.new("all round", data)
    scene.collection.objects.link(camera)
    camera.location, camera.rotation_euler = (0, 0, height_m), (math.pi / 2, 0, -math.pi / 2)
    scene.camera, scene.render.engine = camera, "CYCLES"
    scene.cycles.samples, scene.cycles.device = 1, "CPU"
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 2048, 1024, 100
    scene.render.filepath, scene.render.image_settings.file_format = str(path), "PNG"
    bpy.ops.render.render(write_still=True)
    for thing in list(scene.objects):
        bpy.data.objects.remove(thing)
    return path
