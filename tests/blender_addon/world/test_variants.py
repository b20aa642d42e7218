"""Several worlds of one photo: another seed each, all of them to come back to."""

import json
import shutil
import types
from pathlib import Path

import bpy
import numpy as np
import pytest

from tests.support.pictures import picture


@pytest.fixture
def world(scene, photo, service, tmp_path):
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), heading=0.5, height=1.7)
    bpy.ops.lookbeyond.build_world()
    return scene


def shown(part, scene) -> Path:
    group = part("world.nodes").panorama_node(scene.world).node_tree
    image = next(node.image for node in group.nodes if node.type == "TEX_ENVIRONMENT")
    return Path(bpy.path.abspath(image.filepath)).parent


def test_another_world_has_another_seed_and_the_first_is_kept(part, world, service):
    first = shown(part, world)
    part("world.nodes").panorama_node(world.world).inputs["Strength"].default_value = 0.7
    assert bpy.ops.lookbeyond.reroll_world() == {"FINISHED"}
    assert [request.seed for request in service.requests] == [0, 1]
    assert [variant.seed for variant in world.look_beyond.worlds] == ["0", "1"]
    second = shown(part, world)
    assert second != first and len(bpy.data.worlds) == 1
    bpy.ops.lookbeyond.use_world(index=0)
    assert shown(part, world) == first and Path(world.look_beyond.world_folder) == first
    assert part("world.nodes").panorama_node(world.world).inputs["Strength"].default_value == pytest.approx(0.7)
    bpy.ops.lookbeyond.use_world(index=1)
    assert shown(part, world) == second
    bpy.ops.lookbeyond.use_world(index=0)
    bpy.ops.lookbeyond.reroll_world()
    assert service.requests[-1].seed == 2


PRESETS = ({"name": "builtin", "takes_prompt": False}, {"name": "sdxl", "takes_prompt": True})


def test_what_the_place_is_goes_with_the_presets_that_understand_it(part, world, service, monkeypatch):
    """And stands on what was made of it, for as long as that is what the scene shows."""
    service.welcome.presets = PRESETS
    monkeypatch.setattr(part("session").session, "service", service.welcome)
    settings = world.look_beyond
    settings.prompt = " a boat shed in winter "
    bpy.ops.lookbeyond.reroll_world()
    assert service.requests[-1].prompt == "" and settings.worlds[1].prompt == ""
    settings.preset = "sdxl"
    bpy.ops.lookbeyond.reroll_world()
    assert service.requests[-1].prompt == "a boat shed in winter" == settings.worlds[2].prompt
    asked = json.loads((shown(part, world) / "request.json").read_text())
    assert asked["request"]["prompt"] == "a boat shed in winter"
    group = part("world.nodes").panorama_node(world.world).node_tree
    assert [thing["look_beyond_prompt"] for thing in (world.world, group)] == ["a boat shed in winter"] * 2
    buttons = [types.SimpleNamespace(index=index) for index in (0, 2, 9)]
    tooltips = [part("world.operators").UseWorld.description(bpy.context, button) for button in buttons]
    assert tooltips[2] == "Switch the scene to this world" and tooltips[0] == f"{tooltips[2]}: photo 0"
    assert tooltips[1] == f"{tooltips[2]}: photo 2, prompt: a boat shed in winter"
    jobs = [world.world["look_beyond_job"]]
    bpy.ops.lookbeyond.use_world(index=0)
    jobs.append(world.world["look_beyond_job"])
    assert jobs[0] != jobs[1] and world.world["look_beyond_prompt"] == "" and world.world["look_beyond_seed"] == 0
    (shown(part, world) / "request.json").unlink()  # as the command line makes it
    bpy.ops.lookbeyond.use_world(index=0)
    bpy.ops.lookbeyond.use_panorama(filepath=str(shown(part, world) / "panorama.png"))
    assert service.requests[-1].prompt == "", "a 360° picture is only measured"


def test_the_same_world_again_is_no_variant(world):
    bpy.ops.lookbeyond.build_world()
    assert len(world.look_beyond.worlds) in (1, 2)
    folders = [variant.folder for variant in world.look_beyond.worlds]
    assert len(set(folders)) == len(folders)


def test_a_variant_whose_files_are_gone_says_so_and_changes_nothing(part, world):
    bpy.ops.lookbeyond.reroll_world()
    current = world.look_beyond.world_folder
    shutil.rmtree(bpy.path.abspath(world.look_beyond.worlds[0].folder))
    with pytest.raises(RuntimeError, match="is missing"):
        bpy.ops.lookbeyond.use_world(index=0)
    assert world.look_beyond.world_folder == current
    with pytest.raises(RuntimeError, match="2 worlds"):
        bpy.ops.lookbeyond.use_world(index=7)
    bpy.ops.lookbeyond.forget_world(index=0)
    assert len(world.look_beyond.worlds) == 1


def test_variants_survive_a_save_and_move_with_the_file(part, world, tmp_path):
    world.look_beyond.output_folder = "//look_beyond"
    (tmp_path / "project").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "project" / "scene.blend"))
    bpy.ops.lookbeyond.reroll_world()
    bpy.ops.wm.save_mainfile()
    (tmp_path / "project").rename(tmp_path / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "moved" / "scene.blend"))
    scene = bpy.context.scene
    assert bpy.ops.lookbeyond.use_world(index=1) == {"FINISHED"}
    assert shown(part, scene).is_relative_to(tmp_path / "moved")
    assert (shown(part, scene) / "panorama.png").is_file()


def test_undo_restores_the_former_world(part, world):
    bpy.ops.ed.undo_push(message="Before")
    first = shown(part, world)
    bpy.ops.lookbeyond.reroll_world()
    bpy.ops.ed.undo_push(message="Another World")
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    assert shown(part, scene) == first
    assert len(scene.look_beyond.worlds) == 1


def test_what_is_finished_is_remembered_for_undo_in_a_tick_of_its_own(part, monkeypatch):
    """It takes Blender some milliseconds: the tick that puts things in place is not to be longer by them."""
    module, calls = part("undo"), []
    monkeypatch.setattr(module, "push_undo_step", calls.append)
    words = iter((None, "All is there."))
    finish = module.undoable("Shoot", lambda done: calls.append(done) or next(words))
    assert [finish(1), finish(2), finish(3)] == [None, None, "All is there."]
    assert calls == [1, 2, "Shoot"]


def test_a_world_says_why_it_is_out_of_date(part, world):
    def reason(at):
        return part("world.outdated").variant_reason(world, Path(world.look_beyond.worlds[at].folder))

    assert world.look_beyond.worlds[0].made and reason(0) == ""
    world.look_beyond.camera_height = 2.0
    assert reason(0) == "The height of the camera changed since this world was built: build it again."
    assert bpy.ops.lookbeyond.rebuild_world() == {"FINISHED"}
    assert reason(-1) == ""
    shutil.rmtree(world.look_beyond.worlds[0].folder)
    assert reason(0) == "Its files are missing."


def test_a_world_of_another_photo_is_compared_with_that_photos_camera(part, world, tmp_path):
    """A second place does not make the first one's world out of date."""
    first, folder = world.look_beyond.photo_camera, Path(world.look_beyond.world_folder)
    bpy.ops.lookbeyond.place_photo(filepath=str(picture(tmp_path / "other.jpg", 96, 64)), fov_x=0.8)
    reason = part("world.outdated").variant_reason
    assert world.look_beyond.photo_camera != first and reason(world, folder) == ""
    assert "another picture" in part("world.outdated").outdated_reason(world)
    first.location.z += 0.3
    bpy.context.view_layer.update()
    assert reason(world, folder).startswith("The height of the camera changed")


def test_a_world_is_an_asset_on_request(part, world):
    """With its picture; it stays what it is when the scene uses another world; marked again, it is the same one."""
    bpy.ops.lookbeyond.reroll_world()
    world.look_beyond.world_index = 0
    world.look_beyond.worlds[0].name = "Boat Shed"
    assert world.world.asset_data is None and bpy.ops.lookbeyond.mark_world() == {"FINISHED"}
    asset = bpy.data.worlds["Boat Shed"]
    assert asset != world.world and asset.asset_data.tags[0].name == "Look Beyond"
    shows = part("world.nodes").panorama_node(asset)
    image = next(node.image for node in shows.node_tree.nodes if node.type == "TEX_ENVIRONMENT")
    assert Path(bpy.path.abspath(image.filepath)).parent == Path(world.look_beyond.worlds[0].folder)
    pixels = np.array(asset.preview.image_pixels_float[:]).reshape(256, 256, 4)
    expected = np.array(image.pixels[:]).reshape(32, 64, -1)[..., :3]
    assert np.allclose(pixels[64:192].reshape(32, 4, 64, 4, 4).mean((1, 3))[..., :3], expected, atol=0.08)
    assert not pixels[:64].any() and not pixels[192:].any()
    bpy.ops.lookbeyond.mark_world()
    assert [one.name for one in bpy.data.worlds if one.asset_data] == ["Boat Shed"]


def test_the_chosen_world_is_forgotten_and_its_files_stay(world):
    bpy.ops.lookbeyond.reroll_world()
    folder = Path(world.look_beyond.worlds[1].folder)
    assert bpy.ops.lookbeyond.forget_world() == {"FINISHED"}
    assert folder.is_dir() and len(world.look_beyond.worlds) == 1 and world.look_beyond.world_index == 0


def test_a_world_that_no_scene_uses_is_deleted(world):
    bpy.ops.lookbeyond.reroll_world()
    first, second = (Path(entry.folder) for entry in world.look_beyond.worlds)
    assert world.look_beyond.world_index == 1
    with pytest.raises(RuntimeError, match="poll"):
        bpy.ops.lookbeyond.delete_world()
    world.look_beyond.world_index = 0
    assert bpy.ops.lookbeyond.delete_world() == {"FINISHED"}
    assert not first.exists() and second.exists() and len(world.look_beyond.worlds) == 1


def test_a_world_is_loaded_from_its_folder(part, world, tmp_path):
    folder = tmp_path / "elsewhere"
    shutil.copytree(world.look_beyond.worlds[0].folder, folder)
    assert bpy.ops.lookbeyond.load_world(directory=str(folder)) == {"FINISHED"}
    assert shown(part, world) == folder
    assert [entry.name for entry in world.look_beyond.worlds] == ["photo 0", "photo 0"]
    with pytest.raises(RuntimeError, match="is missing"):
        bpy.ops.lookbeyond.load_world(directory=str(tmp_path))
