"""Cards stand where the world's file says, face the photo's camera, and look as they were cut out."""

import json
import math
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Vector

from tests.support.pictures import picture, smooth_panorama
from tests.support.worlds import distance_file, room_distance

HEADING = 3.3
BASE = (2.0, 0.5, -1.6)


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "worlds" / "room"
    (folder / "cards").mkdir(parents=True)
    smooth_panorama(folder / "panorama.png")
    picture(folder / "from_photo.png", 64, 32)
    distance_file(folder / "distance.exr", room_distance(256, heading=0))
    about = {"version": 1, "heading": 0.0, "origin": (0, 0, 0), "camera_height": 1.6, "seed": 3}
    (folder / "world.json").write_text(json.dumps(about))
    pixels = np.ones((40, 20, 4), np.float32)
    pixels[..., 3] = 0
    pixels[10:, 5:15] = (0.8, 0.1, 0.1, 1)
    image = bpy.data.images.new("card", 20, 40, alpha=True)
    image.pixels.foreach_set(pixels[::-1].ravel())
    image.filepath_raw, image.file_format = str(folder / "cards/1.png"), "PNG"
    image.save()
    bpy.data.images.remove(image)
    write(folder)
    return folder


def write(folder, **changed):
    card = {"file": "cards/1.png", "base": BASE, "width_m": 0.8, "height_m": 1.6, "heading_rad": HEADING, "sure": True}
    (folder / "cards.json").write_text(json.dumps({"version": 1, "cards": [card | changed]}))


@pytest.fixture
def world(part, scene, folder):
    part("world.variants").use_world(scene, folder)
    return scene


def test_a_card_stands_at_its_place_and_faces_the_photos_camera(part, world):
    assert bpy.ops.lookbeyond.add_cards() == {"FINISHED"}
    (card,) = part("world.cards").find_cards(world)
    bpy.context.view_layer.update()
    corners = [card.matrix_world @ vertex.co for vertex in card.data.vertices]
    low, high = (np.array(corners).min(0), np.array(corners).max(0))
    assert low[2] == pytest.approx(BASE[2]) and high[2] == pytest.approx(BASE[2] + 1.6)
    assert list((corners[0] + corners[1]) / 2) == pytest.approx(BASE)
    front = card.matrix_world.to_3x3() @ Vector((0, -1, 0))
    assert list(front) == pytest.approx((math.cos(HEADING), math.sin(HEADING), 0), abs=1e-6)
    assert (corners[1] - corners[0]).length == pytest.approx(0.8)
    assert list((corners[1] - corners[0]).normalized()) == pytest.approx(
        (-math.sin(HEADING), math.cos(HEADING), 0), abs=1e-6
    )


def test_in_a_scene_of_centimetres_it_is_as_large(part, world):
    world.unit_settings.scale_length = 0.01
    bpy.ops.lookbeyond.add_cards()
    (card,) = part("world.cards").find_cards(world)
    assert list(card.location) == pytest.approx([100 * x for x in BASE]) and card.dimensions.z == pytest.approx(160)


def test_again_they_go_back_and_are_not_doubled(part, world):
    bpy.ops.lookbeyond.add_cards()
    (card,) = part("world.cards").find_cards(world)
    card.location.x = 9
    bpy.ops.lookbeyond.add_cards()
    assert part("world.cards").find_cards(world) == [card] and card.location.x == pytest.approx(BASE[0])


def test_renders_show_its_colour_and_what_lies_behind_it(world):
    bpy.ops.lookbeyond.add_cards()
    camera = bpy.data.objects.new("c", bpy.data.cameras.new("c"))
    world.collection.objects.link(camera)
    middle = Vector(BASE) + Vector((0, 0, 0.8))
    camera.location = middle + 3 * Vector((math.cos(HEADING), math.sin(HEADING), 0))
    camera.rotation_euler = (middle - camera.location).to_track_quat("-Z", "Y").to_euler()
    world.camera, world.world = camera, None
    world.render.engine, world.cycles.samples, world.cycles.device = "CYCLES", 4, "CPU"
    world.render.resolution_x, world.render.resolution_y, world.render.resolution_percentage = 60, 60, 100
    world.render.film_transparent, world.view_settings.view_transform = True, "Standard"
    world.render.filepath = str(Path(bpy.app.tempdir) / "card.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(world.render.filepath)
    shown = np.array(image.pixels[:]).reshape(60, 60, 4)[::-1]
    assert shown[30, 30] == pytest.approx((0.8, 0.1, 0.1, 1), abs=0.03)
    solid = shown[..., 3] > 0.5
    assert 0.3 < solid.any(1).mean() < 0.7 and 0.1 < solid.any(0).mean() < 0.4  # 1.2 m by 0.4 m of 1.6 by 0.8


@pytest.mark.parametrize(
    "changed",
    [{"file": "../room/panorama.png"}, {"base": [0, 0, math.nan]}, {"width_m": -1}, {"heading_rad": "north"}],
)
def test_damaged_cards_are_refused_in_a_sentence(part, world, folder, changed):
    write(folder, **changed)
    with pytest.raises(RuntimeError, match="build the world again"):
        bpy.ops.lookbeyond.add_cards()
    assert not part("world.cards").find_cards(world)


def test_a_world_without_cards_says_so(world, folder):
    (folder / "cards.json").unlink()
    assert not bpy.ops.lookbeyond.add_cards.poll()
