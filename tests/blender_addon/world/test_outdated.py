"""A world says so when its photo, or the photo's camera, is no longer the one that it was built from."""

import hashlib
import shutil
from pathlib import Path

import bpy
import pytest

from tests.support.pictures import picture


@pytest.fixture
def world(scene, photo, service, tmp_path):
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.2, heading=0.5, height=1.7)
    bpy.ops.lookbeyond.build_world()
    return scene


@pytest.fixture
def reason(part):
    return part("world.outdated").outdated_reason


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("fov_x", 1.3, "The field of view of"),
        ("pitch", 0.1, "The pitch of"),
        ("roll", 0.1, "The roll of"),
        ("heading", 0.9, "The heading of"),
        ("camera_height", 1.9, "The height of"),
    ],
)
def test_a_change_of_the_camera_is_named_and_building_again_settles_it(part, world, reason, name, value, words):
    assert reason(world) == ""
    former = getattr(world.look_beyond, name)
    setattr(world.look_beyond, name, value)
    assert reason(world) == f"{words} the camera changed since this world was built: build it again."
    assert part("status.panel").next_step(world).startswith("Build the world again")
    setattr(world.look_beyond, name, former)
    assert reason(world) == ""
    setattr(world.look_beyond, name, value)
    bpy.ops.lookbeyond.build_world()
    assert reason(world) == ""


def test_several_changes_are_one_sentence(world, reason):
    world.look_beyond.pitch, world.look_beyond.camera_height = 0.2, 1.2
    assert reason(world).startswith("The pitch and height of the camera changed")


def test_rotating_world_and_photo_together_changes_nothing(part, world, reason):
    node = part("world.nodes").panorama_node(world.world)
    node.inputs["Heading"].default_value += 0.4
    assert "The heading of" in reason(world)
    world.look_beyond.heading += 0.4
    assert reason(world) == ""


def test_another_photo_is_named_and_a_copy_of_the_same_one_is_none(world, reason, service, photo, tmp_path):
    bpy.ops.lookbeyond.place_photo(
        filepath=str(picture(tmp_path / "other.jpg", 120, 80)), fov_x=1.2, heading=0.5, height=1.7
    )
    assert reason(world) == "This world is of another picture, photo.jpg: build it again."
    copy = shutil.copy(photo, tmp_path / "moved.jpg")
    bpy.ops.lookbeyond.place_photo(filepath=str(copy), fov_x=1.2, heading=0.5, height=1.7)
    assert "another picture" in reason(world)  # the played service invents its hashes
    folder = bpy.path.abspath(world.look_beyond.world_folder)
    file = Path(folder, "request.json")
    copied = hashlib.sha256(photo.read_bytes()).hexdigest()
    file.write_text(file.read_text().replace(service.requests[0].photo, copied))
    assert reason(world) == ""


def test_a_360_pictures_height_and_heading_count(scene, photo, service, tmp_path, reason):
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.use_panorama(filepath=str(photo), height=1.6, heading=-2.5)
    assert reason(scene) == ""
    scene.look_beyond.panorama_heading += 0.5
    assert reason(scene).startswith("The heading of")
    scene.look_beyond.panorama_height = 2.2
    assert reason(scene).startswith("The heading and height of")


def test_without_a_world_or_its_record_nothing_is_said(world, reason, tmp_path):
    next((tmp_path / "results" / "worlds").rglob("request.json")).unlink()
    world.look_beyond.pitch = 0.3
    assert reason(world) == ""
    world.look_beyond.world_folder = ""
    assert reason(world) == ""


def test_a_deleted_photo_camera_is_gone_from_the_panel(part, world, reason):
    # As the X key does: it unlinks, and the pointer would keep the object.
    camera = world.look_beyond.photo_camera
    for collection in tuple(camera.users_collection):
        collection.objects.unlink(camera)
    bpy.context.view_layer.update()
    assert world.look_beyond.photo_camera is None and part("photo.camera").photo_camera(world) is None
    assert not bpy.ops.lookbeyond.photo_plane.poll() and reason(world) == ""
    with pytest.raises(RuntimeError, match=r"[Pp]hoto"):
        bpy.ops.lookbeyond.build_world()


def test_a_photo_camera_in_an_excluded_collection_is_kept(world):
    camera = world.look_beyond.photo_camera
    hidden = bpy.data.collections.new("Hidden")
    world.collection.children.link(hidden)
    hidden.objects.link(camera)
    world.collection.objects.unlink(camera)
    bpy.context.view_layer.layer_collection.children["Hidden"].exclude = True
    bpy.context.view_layer.update()
    assert world.look_beyond.photo_camera == camera


def test_a_new_file_says_nothing_of_the_former_one(part, world):
    session = part("session").session
    assert session.notice
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    assert session.notice == session.error == "" and session.folder is None


@pytest.mark.skipif(bpy.app.version < (5, 0, 0), reason="before 5.0, view layers have no world of their own")
def test_a_view_layer_with_its_own_world_is_said(scene, photo, service, tmp_path, part):
    scene.look_beyond.output_folder = str(tmp_path / "results")
    scene.view_layers[0].world_override = bpy.data.worlds.new("Night")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.2, height=1.7)
    for _ in range(2):
        bpy.ops.lookbeyond.build_world()
        assert "still shows its own world, Night: clear its World Override" in part("session").session.notice
    scene.view_layers[0].world_override = None
    bpy.ops.lookbeyond.build_world()
    assert "Override" not in part("session").session.notice
