"""Through a door: a second world from a frame, linked, and a shot that goes on in it where its camera goes through."""

import json
import math
from pathlib import Path

import bpy
import numpy as np
import pytest

from lookbeyond.geometry.layout import RoomLayout

HEIGHT_M = 1.6


@pytest.fixture
def shot(scene, photo, service, tmp_path):
    """A world, and a shot of a camera that goes 1.2 m towards a door 2 m ahead."""
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), heading=0.0, height=HEIGHT_M)
    bpy.ops.lookbeyond.build_world()
    go(scene, 0.0, 1.2)
    assert bpy.ops.lookbeyond.shoot() == {"FINISHED"}
    return scene


def go(scene, start: float, end: float, y: float = 0.0) -> None:
    """The scene's camera goes along +X, looking ahead."""
    if scene.camera is None or scene.camera.name != "Walk":
        camera = bpy.data.objects.new("Walk", bpy.data.cameras.new("Walk"))
        scene.collection.objects.link(camera)
        scene.camera = camera
    camera = scene.camera
    camera.rotation_euler = (math.pi / 2, 0, -math.pi / 2)
    camera.animation_data_clear()
    for frame, x in ((scene.frame_start, start), (scene.frame_end, end)):
        camera.location = (x, y, HEIGHT_M)
        camera.keyframe_insert("location", frame=frame)


def build(scene, frame: int = 16):
    scene.frame_set(frame)
    return bpy.ops.lookbeyond.build_from_frame()


def test_the_second_world_is_of_the_frame_where_it_was_taken(part, shot, service):
    first = shot.look_beyond.world_folder
    assert build(shot) == {"FINISHED"}
    asked = next(each for each in reversed(service.requests) if hasattr(each, "photo"))
    taken = next(each for each in service.requests if hasattr(each, "cameras")).cameras[-1]
    assert asked.camera == taken and asked.camera_height == pytest.approx(HEIGHT_M, abs=1e-5)
    assert service.uploads[-9 if len(service.uploads) > 9 else 0 :].count("0016.png") == 1
    settings = shot.look_beyond
    assert settings.world_folder == first, "the first world stays the scene's"
    assert [each.name for each in settings.worlds] == ["photo 0", "Beyond, frame 0016"]
    assert len(settings.links) == 1 and "linked" in part("session").session.notice
    link = service.requests[-1]
    assert np.array_equal(link.pose, np.eye(4)) and link.world != link.second
    assert Path(part("results").absolute(settings.links[0].second), "panorama.png").is_file()


def test_shoot_uses_the_link_where_the_path_goes_through(shot, service):
    build(shot)
    bpy.ops.lookbeyond.shoot()
    assert service.requests[-1].beyond == {}
    go(shot, 1.0, 2.8)
    assert bpy.ops.lookbeyond.shoot() == {"FINISHED"}
    asked = service.requests[-1]
    assert asked.beyond["link"]["opening"]["start"] == [2.0, -0.5] and asked.former == []
    assert set(asked.beyond["world"]) == {"panorama.png", "distance.exr", "from_photo.png", "world.json"}
    go(shot, 1.0, 2.8, y=3.0)
    bpy.ops.lookbeyond.shoot()
    assert service.requests[-1].beyond == {}, "it goes past the door"


def test_a_turned_world_has_its_door_turned(part, shot, service):
    """What the artist turned goes back by that turn before the door is looked for."""
    build(shot)
    part("world.nodes").panorama_node(shot.world).inputs["Heading"].default_value += math.pi / 2
    go(shot, 1.0, 2.8)
    bpy.ops.lookbeyond.shoot()
    assert service.requests[-1].beyond == {}
    part("world.nodes").panorama_node(shot.world).inputs["Heading"].default_value -= math.pi / 2
    bpy.ops.lookbeyond.shoot()
    assert service.requests[-1].beyond != {}


def test_the_path_is_checked_in_both_worlds(part, shot, service):
    checker = part("path.checker").path_checker
    go(shot, 1.0, 2.8)
    alone = checker.check_now(shot)
    build(shot)
    checker.check_now(shot)
    assert checker.check is not None
    assert not any(checker.check.excess_m[index] > 0 for index in range(3)), "straight before the door"
    world = part("path.checker").scene_world_geometry(shot)
    second = part("world.links").links_of(shot, world.folder)[0]
    joined = part("world.geometry").joined_geometry(world, second.second, second.link)
    assert joined.too_far(np.array([2.0, 0, HEIGHT_M])) <= 0 and joined.is_passage(np.array([2.3, 0, HEIGHT_M]))
    assert joined.beyond.panorama.position[0] == pytest.approx(1.2, abs=1e-4)
    assert isinstance(alone, list)


def test_two_worlds_of_the_list_are_linked_and_a_link_is_forgotten(shot, service):
    settings = shot.look_beyond
    bpy.ops.lookbeyond.reroll_world()
    settings.world_index = 0
    assert bpy.ops.lookbeyond.link_worlds() == {"FINISHED"}
    assert len(settings.links) == 1
    assert bpy.ops.lookbeyond.link_worlds() == {"FINISHED"}
    assert len(settings.links) == 1, "the same again"
    bpy.ops.lookbeyond.forget_link(index=0)
    assert len(settings.links) == 0
    settings.world_index = 1
    with pytest.raises(RuntimeError, match="scene's own world"):
        bpy.ops.lookbeyond.link_worlds()


def test_a_mirror_is_said_and_the_world_is_kept(part, shot, service, monkeypatch):
    from lookbeyond_kit.client import ServiceError

    follow = service.follow

    def refuse_links(job, folder):
        if hasattr(service.requests[-1], "second"):
            raise ServiceError("input", "That is a mirror, not a door.")
        return follow(job, folder)

    monkeypatch.setattr(service, "follow", refuse_links)
    with pytest.raises(RuntimeError, match="mirror"):
        build(shot)
    assert len(shot.look_beyond.worlds) == 2 and len(shot.look_beyond.links) == 0


def test_a_playhead_outside_of_the_shot_is_said(shot):
    with pytest.raises(RuntimeError, match="frames 11 to 16"):
        build(shot, 40)


def test_without_a_shot_it_says_what_comes_first(scene):
    with pytest.raises(RuntimeError, match="Shoot up to the door first"):
        bpy.ops.lookbeyond.build_from_frame()


def test_links_move_with_the_project(part, shot):
    build(shot)
    folders, _ = part("paths").referenced_paths()
    link = shot.look_beyond.links[0]
    assert folders[part("results").absolute(link.second)] == "worlds"
    owners = [(owner, name) for owner, name in part("paths").path_properties() if name in ("first", "second")]
    assert len(owners) == 2


def test_the_artist_says_where_the_door_is(part, shot, service):
    """In line with the wall, in the world as it was built, whatever the artist turned since."""
    settings = shot.look_beyond
    world = part("results").absolute(settings.world_folder)
    layout = RoomLayout([[3, -1], [3, 4], [-2, 4], [-2, -1]], floor_z=0, ceiling_z=2.5)
    (world / "layout.json").write_text(json.dumps(layout.to_json_dict()))
    settings.door_at_cursor, settings.door_width, settings.door_height = True, 1.5, 2.4
    shot.cursor.location = (3, 0.75, 9)
    assert build(shot) == {"FINISHED"}
    assert service.requests[-1].opening == pytest.approx([3, 0, 3, 1.5, 0, 2.4], abs=1e-5)
    part("world.nodes").panorama_node(shot.world).inputs["Heading"].default_value += math.pi / 2
    shot.cursor.location = (-0.75, 3, 0)
    settings.world_index = 1
    bpy.ops.lookbeyond.link_worlds()
    assert service.requests[-1].opening == pytest.approx([3, 0, 3, 1.5, 0, 2.4], abs=1e-5)
    settings.door_at_cursor = False
    bpy.ops.lookbeyond.link_worlds()
    assert service.requests[-1].opening == []
    settings.door_at_cursor = True
    shot.cursor.location = (0, 0, 1)
    with pytest.raises(RuntimeError, match="between the sides of the door"):
        bpy.ops.lookbeyond.link_worlds()
