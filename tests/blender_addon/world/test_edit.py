"""What was painted over is changed: another variant, the former one stays, and takes know whether they see it."""

import json
import math
import shutil
from pathlib import Path

import bpy
import numpy as np
import pytest

from tests.support.played import turns_until


@pytest.fixture
def world(scene, photo, service, tmp_path):
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), heading=0.5, height=1.7)
    bpy.ops.lookbeyond.build_world()
    return scene


@pytest.fixture
def sent(service, monkeypatch, tmp_path):
    """Copies of the masks that were uploaded."""
    masks, upload = [], service.upload

    def keep(path):
        if path.name == "mask.png":
            masks.append(Path(shutil.copy(path, tmp_path / f"mask {len(masks)}.png")))
        return upload(path)

    monkeypatch.setattr(service, "upload", keep)
    return masks


def paint(part, scene, rows=slice(10, 14), columns=slice(20, 30), colour=(1, 0, 0)) -> None:
    """What a brush does, rows counted from above."""
    assert bpy.ops.lookbeyond.paint_spot() == {"FINISHED"}
    image = part("world.spot").canvas(Path(scene.look_beyond.world_folder))
    width, height = image.size
    pixels = np.array(image.pixels[:]).reshape(height, width, 4)
    pixels[::-1][rows, columns, :3] = colour
    image.pixels.foreach_set(pixels.astype(np.float32).ravel())


@pytest.mark.parametrize("way", ["remove", "repaint"])
def test_the_changed_world_is_a_variant_and_the_former_one_stays(part, world, service, sent, way):
    settings = world.look_beyond
    former = settings.world_folder
    node = part("world.nodes").panorama_node(world.world)
    node.inputs["Heading"].default_value += math.radians(20)
    turned = node.inputs["Heading"].default_value
    outdated = part("world.outdated").outdated_reason(world)
    paint(part, world)
    assert getattr(bpy.ops.lookbeyond, f"{way}_spot")() == {"FINISHED"}
    asked = service.requests[-1]
    assert (asked.way, asked.prompt, asked.preset) == (way, "", "builtin")
    assert asked.mask == f"{len(service.uploads):064x}" and set(asked.world) >= {"panorama.png", "world.json"}
    expected = np.zeros((32, 64), np.float32)
    expected[10:14, 20:30] = 1
    mask = bpy.data.images.load(str(sent[0]))
    assert np.array_equal(np.array(mask.pixels[:]).reshape(32, 64, 4)[::-1, :, 0], expected)
    done = {"remove": "removed", "repaint": "repainted"}[way]
    assert [each.name for each in settings.worlds] == ["photo 0", f"photo 0, {done}"]
    assert settings.world_folder != former and Path(former, "panorama.png").is_file()
    assert part("world.nodes").panorama_node(world.world).inputs["Heading"].default_value == pytest.approx(turned)
    assert part("world.outdated").outdated_reason(world) == outdated != ""
    assert "former world is in the list" in part("session").session.notice
    bpy.ops.lookbeyond.use_world(index=0)
    assert settings.world_folder == former, "choosing the former world undoes it"
    assert part("world.spot").painted_spot(Path(former)).sum() == 40, "what was painted is still there"
    if way == "repaint":
        bpy.ops.lookbeyond.repaint_spot()
        assert [request.seed for request in service.requests] == [0, 1, 2]


def test_white_on_white_and_black_on_black_are_seen_and_nothing_is_not(part, world):
    folder = Path(world.look_beyond.world_folder)
    picture = bpy.data.images.new("Half", 64, 32)
    picture.pixels = np.repeat([[[0, 0, 0, 1], [1, 1, 1, 1]]], 32, 0).repeat(32, 1).ravel().tolist()
    picture.filepath_raw, picture.file_format = str(folder / "panorama.png"), "PNG"
    picture.save()
    painted = part("world.spot").painted_spot
    with pytest.raises(ValueError, match="press Paint Spot"):
        painted(folder)
    for colour in (0, 1):
        part("world.spot").canvas(folder, afresh=True)
        with pytest.raises(ValueError, match="Nothing is marked"):
            painted(folder)
        paint(part, world, columns=slice(0, 64), colour=(colour,) * 3)
        assert painted(folder)[10:14].all() and painted(folder).sum() == 4 * 64


def test_bad_spots_change_nothing(part, world, service):
    settings = world.look_beyond
    former, asked = settings.world_folder, len(service.requests)
    bpy.ops.lookbeyond.paint_spot()
    with pytest.raises(RuntimeError, match="Nothing is marked"):
        bpy.ops.lookbeyond.remove_spot()
    paint(part, world, slice(None), slice(None))
    with pytest.raises(RuntimeError, match="100% of the world is marked"):
        bpy.ops.lookbeyond.repaint_spot()
    assert bpy.ops.lookbeyond.paint_spot(clear=True) == {"FINISHED"}
    with pytest.raises(RuntimeError, match="Nothing is marked"):
        bpy.ops.lookbeyond.remove_spot()
    assert (settings.world_folder, len(settings.worlds), len(service.requests)) == (former, 1, asked)


def test_a_prompt_goes_with_the_presets_that_take_one(part, world, service, monkeypatch):
    service.welcome.presets = ({"name": "builtin", "takes_prompt": False}, {"name": "sdxl", "takes_prompt": True})
    monkeypatch.setattr(part("session").session, "service", service.welcome)
    settings, folder = world.look_beyond, world.look_beyond.world_folder
    settings.edit_prompt = " a plant "
    paint(part, world)
    for preset, operator, prompt in (
        ("builtin", "repaint", ""),
        ("sdxl", "repaint", "a plant"),
        ("sdxl", "remove", ""),
    ):
        settings.preset, settings.world_folder = preset, folder
        getattr(bpy.ops.lookbeyond, f"{operator}_spot")()
        assert service.requests[-1].prompt == prompt
    asked = json.loads(Path(settings.world_folder, "request.json").read_text())
    assert asked["request"]["way"] == "remove" and asked["about"]["world"] == folder


def test_it_is_cancelled_and_taken_up_again(part, world, service):
    session, settings = part("session").session, world.look_beyond
    paint(part, world)
    service.holds = True
    session.enqueue(part("world.edit").edit_world(bpy.context, "remove"))
    turns_until(session, lambda: session.task is not None and session.task.message.startswith("Denoising"))
    assert session.task.title == "Remove"
    bpy.ops.lookbeyond.cancel()
    turns_until(session, lambda: not session.busy, 30)
    assert session.error_code == "cancelled" and len(settings.worlds) == 1
    service.holds = False
    folder = next(Path(settings.output_folder, "worlds").glob("*removed*"))
    part("service.requests")._update_request(folder, lambda content: content.update(ended=False))
    bpy.ops.lookbeyond.resume(folder=str(folder))
    assert [each.name for each in settings.worlds] == ["photo 0", "photo 0, removed"]


def test_takes_that_see_the_spot_are_out_of_date(part, world):
    """The played service changes what is 2 m before the middle of the picture, where the photo looks."""
    settings, reason = world.look_beyond, part("shot.takes").out_of_date
    bpy.ops.lookbeyond.add_path(kind="PUSH_IN", length=0.3)
    bpy.ops.lookbeyond.shoot()
    world.camera.data.lens = 200  # away from the photo
    world.camera.rotation_euler.z += math.pi
    world.camera.constraints.clear()
    world.camera.rotation_euler = (math.radians(90), 0, math.pi / 2 + 0.5)
    bpy.ops.lookbeyond.shoot()
    paint(part, world)
    bpy.ops.lookbeyond.remove_spot()
    first, second = settings.shots
    assert reason(world, first) == "The world was edited where it looks"
    assert reason(world, second) == ""
    bpy.ops.lookbeyond.paint_spot()
    paint(part, world)
    bpy.ops.lookbeyond.repaint_spot()
    assert reason(world, first) == "The world was edited where it looks" and reason(world, second) == ""
    bpy.ops.lookbeyond.reroll_world()
    assert reason(world, second) == "Shot in another world than the scene's"


def test_it_is_painted_on_in_an_open_image_editor(part, world):
    area = bpy.context.window.screen.areas[0]
    area.type = "IMAGE_EDITOR"
    bpy.ops.lookbeyond.paint_spot()
    image = part("world.spot").canvas(Path(world.look_beyond.world_folder))
    assert area.spaces.active.image == image and area.spaces.active.ui_mode == "PAINT"
    assert len([each for each in bpy.data.images if each.name.startswith("Spot of")]) == 1


def test_a_world_whose_picture_is_gone_says_so(world):
    shutil.rmtree(world.look_beyond.world_folder)
    with pytest.raises(RuntimeError, match="is missing"):
        bpy.ops.lookbeyond.paint_spot()


def test_the_worlds_light_is_changed_with_it(part, world, service):
    folder = part("results").absolute(world.look_beyond.world_folder)
    paint(part, world)
    bpy.ops.lookbeyond.remove_spot()
    assert service.requests[-1].light == ""
    bpy.ops.lookbeyond.use_world(index=0)
    (folder / "panorama.exr").write_bytes(b"light")
    paint(part, world)
    bpy.ops.lookbeyond.remove_spot()
    assert service.requests[-1].light and "panorama.exr" in service.uploads


def test_cards_of_the_former_world_are_those_of_the_changed_one(part, world, service, sent):
    settings = world.look_beyond
    former = Path(settings.world_folder)
    (former / "cards").mkdir()
    shutil.copy(former / "panorama.png", former / "cards/1.png")
    card = {"file": "cards/1.png", "base": [2, 0.5, 0], "width_m": 0.8, "height_m": 1.6, "heading_rad": 0, "sure": True}
    (former / "cards.json").write_text(json.dumps({"version": 1, "cards": [card]}))
    assert bpy.ops.lookbeyond.add_cards() == {"FINISHED"}
    paint(part, world)
    assert bpy.ops.lookbeyond.remove_spot() == {"FINISHED"}
    assert Path(settings.world_folder) != former
    (placed,) = part("world.cards").find_cards(world)
    placed.location.x = 9
    assert bpy.ops.lookbeyond.add_cards() == {"FINISHED"}  # it goes back, and is not doubled
    assert part("world.cards").find_cards(world) == [placed] and placed.location.x == pytest.approx(2)
