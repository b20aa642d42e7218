"""Frame n of the scene shows file n, in the sequencer scene and behind the camera."""

import shutil
from pathlib import Path

import bpy
import numpy as np
import pytest

from tests.support.pictures import picture
from tests.support.played import show_shot


@pytest.fixture
def frames(tmp_path):
    """Files 0011.png to 0016.png."""
    first = picture(tmp_path / "0011.png", 96, 64)
    return [first, *(shutil.copy(first, tmp_path / f"{number:04d}.png") for number in range(12, 17))]


@pytest.fixture
def camera(scene):
    camera = bpy.data.objects.new("Shot Camera", bpy.data.cameras.new("Shot Camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    return camera


BOTH = ("STRIP", "BACKGROUND")


def shot_of(part, frames, record=None, size=(96, 64), there=""):
    names = tuple(Path(frame).name for frame in frames)
    return part("shot.frames").ShotFrames(Path(frames[0]).parent, names, 11, size, record or {"seed": 3}, there)


def show(part, scene, camera, frames):
    show_shot(part, scene, camera.name, shot_of(part, frames), BOTH)
    return bpy.data.scenes[f"{scene.name} Shot"]


def test_background_shows_file_n_at_frame_n(part, scene, camera, frames):
    show(part, scene, camera, frames)
    background = camera.data.background_images[0]
    assert background.image_user.frame_duration == 6
    for number in (11, 13, 16):
        scene.frame_set(number)
        bpy.context.evaluated_depsgraph_get()
        shown = background.image.filepath_from_user(image_user=background.image_user)
        assert shown.endswith(f"{number:04d}.png")


def test_strip_lies_in_a_scene_of_its_own(part, scene, camera, frames):
    editing = show(part, scene, camera, frames)
    assert editing != scene and not len(part("shot.strip").strips_of(scene))
    (strip,) = part("shot.strip").strips_of(editing)
    assert strip.frame_final_start == 11 and strip.frame_final_duration == 6
    assert [element.filename for element in strip.elements] == [f"{n:04d}.png" for n in range(11, 17)]
    assert (editing.frame_start, editing.frame_end) == (11, 16)
    assert (editing.render.resolution_x, editing.render.resolution_y) == (96, 64)
    assert editing.view_settings.view_transform == "Standard"
    assert strip["look_beyond_seed"] == 3 and editing["look_beyond_seed"] == 3


def test_the_strip_shows_each_file_pixel_by_pixel(part, scene, camera, frames, tmp_path):
    """Rendered by Blender's sequencer: frame 14, which alone has other colours, as its file has them."""
    colours = np.random.default_rng(5).random((64, 96, 3)).astype(np.float32)
    picture(Path(frames[3]), 96, 64, colours)
    editing = show(part, scene, camera, frames)
    editing.render.image_settings.file_format = "PNG"
    editing.render.filepath = str(tmp_path / "rendered.png")
    bpy.context.window.scene = editing
    for number, same in ((14, True), (15, False)):
        editing.frame_set(number)
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(str(tmp_path / "rendered.png"))
        seen = np.array(image.pixels[:]).reshape(64, 96, -1)[::-1, :, :3]
        bpy.data.images.remove(image)
        assert np.allclose(seen, colours, atol=0.01) == same


def test_same_frames_again_refresh_and_others_go_above(part, scene, camera, frames, tmp_path):
    editing = show(part, scene, camera, frames)
    assert show(part, scene, camera, frames) == editing
    assert len(part("shot.strip").strips_of(editing)) == 1
    (tmp_path / "again").mkdir()
    others = [shutil.copy(frame, tmp_path / "again") for frame in frames]
    show(part, scene, camera, others)
    lower, upper = sorted(part("shot.strip").strips_of(editing), key=lambda strip: strip.channel)
    assert lower.mute and not upper.mute and upper.channel > lower.channel
    assert len(camera.data.background_images) == 1
    assert "again" in camera.data.background_images[0].image.filepath
    assert len(bpy.data.scenes) == 2


def test_the_background_fills_its_frame_also_where_pixels_are_not_square(part, scene, camera, frames):
    """Blender takes a file's pixels for square, and fitting them would leave bars."""
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = 64, 45
    show(part, scene, camera, frames)
    assert camera.data.background_images[0].frame_method == "STRETCH"


def test_a_photo_behind_the_camera_stays(part, scene, frames, photo):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    show(part, scene, scene.camera, frames)
    assert len(scene.camera.data.background_images) == 2
    assert scene.camera.data.background_images[0].image.source == "FILE"


def test_what_is_shown_survives_a_save(part, scene, camera, frames, tmp_path):
    editing = show(part, scene, camera, frames).name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"), relative_remap=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    background = bpy.data.cameras["Shot Camera"].background_images[0]
    assert background.image_user.frame_duration == 6
    (strip,) = part("shot.strip").strips_of(bpy.data.scenes[editing])
    assert len(strip.elements) == 6


@pytest.mark.parametrize("shift", [0.0, 0.2])
@pytest.mark.parametrize("size", [(96, 64), (64, 96)])
def test_the_plane_fills_the_cameras_frame(part, scene, camera, frames, shift, size):
    """Its corners, as Blender draws an image empty, stand in the corners of the view."""
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    camera.location, camera.rotation_euler = (1, 2, 3), (1.1, 0.2, 0.4)
    camera.data.shift_x, camera.data.shift_y = shift, -shift / 2
    scene.render.resolution_x, scene.render.resolution_y = size
    bpy.context.view_layer.update()
    for _ in range(2):
        show_shot(part, scene, camera.name, shot_of(part, frames, size=size), ("PLANE",))
    (plane,) = camera.children
    assert plane.image_user.frame_duration == 6 and plane.hide_render and not camera.data.background_images
    bpy.context.view_layer.update()
    half = plane.empty_display_size / 2
    width, height = (half * side / max(size) for side in size)
    for x, y in ((-1, -1), (1, 1)):
        seen = world_to_camera_view(scene, camera, plane.matrix_world @ Vector((x * width, y * height, 0)))
        assert tuple(seen)[:2] == pytest.approx(((x + 1) / 2, (y + 1) / 2), abs=1e-4)


def test_frames_are_shown_while_others_are_still_to_come(part, scene, camera, frames, tmp_path):
    """The third frame is there first: the sequence is whole already, and its own files are read as they come."""
    (tmp_path / "coming").mkdir()
    coming = [tmp_path / "coming" / Path(frame).name for frame in frames]
    shutil.copy(frames[2], coming[2])
    show_shot(part, scene, camera.name, shot_of(part, coming, {"seed": 1}, there=coming[2].name), BOTH)
    background = camera.data.background_images[0]
    assert background.image_user.frame_duration == 6
    scene.frame_set(13)
    bpy.context.evaluated_depsgraph_get()
    assert background.image.filepath_from_user(image_user=background.image_user) == str(coming[2])
    for frame, path in zip(frames, coming, strict=True):
        shutil.copy(frame, path)
    show_shot(part, scene, camera.name, shot_of(part, coming), BOTH)
    (strip,) = part("shot.strip").strips_of(bpy.data.scenes["Scene Shot"])
    assert len(camera.data.background_images) == 1 and strip["look_beyond_seed"] == 3
    assert camera.data.background_images[0].image["look_beyond_seed"] == 3


def test_a_long_strip_is_made_in_pieces_and_an_undo_in_between_does_no_harm(part, scene, camera, frames, monkeypatch):
    """Between two pieces everything that the first ones made is taken away: the rest makes it anew."""
    monkeypatch.setattr(part("shot.display"), "STRIP_SLICE_S", 0.0)
    showing = part("shot.display").ShotDisplay(shot_of(part, frames), [camera.name], BOTH)
    lengths, pieces, done = [], 0, False
    while not done:
        done = showing.step(scene)
        pieces += 1
        strips = part("shot.strip").strips_of(part("shot.strip").sequencer_scene_of(scene))
        lengths.append(len(strips[0].elements) if strips else 0)
        if pieces == 4:
            assert lengths == [0, 2, 3, 4]
            bpy.data.scenes.remove(part("shot.strip").sequencer_scene_of(scene))
    assert lengths[-1] == len(frames) and pieces > 8
    (strip,) = part("shot.strip").strips_of(part("shot.strip").sequencer_scene_of(scene))
    assert [element.filename for element in strip.elements] == [f"{n:04d}.png" for n in range(11, 17)]
    assert strip["look_beyond_seed"] == 3 and len(camera.data.background_images) == 1


def shown_file(image, user, scene) -> str:
    """The file that Blender draws now, without another frame change."""
    bpy.context.evaluated_depsgraph_get()
    return Path(image.filepath_from_user(image_user=user)).name


@pytest.mark.parametrize("now", [13, 3, 40])
def test_plane_and_background_show_the_playheads_frame_at_once(part, scene, camera, frames, now):
    """Blender sets an image's frame when the playhead moves; until then it would look for file 0."""
    scene.frame_set(now)
    show_shot(part, scene, camera.name, shot_of(part, frames), ("PLANE", "BACKGROUND"))
    (plane,) = camera.children
    users = plane.image_user, camera.data.background_images[0].image_user
    at_once = [user.frame_current for user in users]
    for number in (now + 1, now):
        scene.frame_set(number)
        bpy.context.evaluated_depsgraph_get()
    assert at_once == [user.frame_current for user in users] == [min(max(now, 10), 16)] * 2


def test_the_playheads_frame_is_shown_when_the_file_is_opened(part, scene, camera, frames, tmp_path):
    show_shot(part, scene, camera.name, shot_of(part, frames), ("BACKGROUND", "PLANE"))
    scene.frame_set(15)
    for user in (camera.data.background_images[0].image_user, camera.children[0].image_user):
        user.frame_current = 0  # as versions before this one have saved it
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    background, plane = bpy.data.cameras["Shot Camera"].background_images[0], bpy.data.objects["Shot Camera Plane"]
    for user in (background.image_user, plane.image_user):
        assert shown_file(background.image, user, bpy.context.scene) == "0015.png"


@pytest.mark.parametrize("place", ["BACKGROUND", "PLANE"])
def test_stretched_time_is_said_instead_of_other_frames(part, scene, camera, frames, place):
    """Blender maps an image's frames by Time Stretching: at frame 14 the camera would see file 12."""
    scene.render.frame_map_old, scene.render.frame_map_new = 100, 200
    said = show_shot(part, scene, camera.name, shot_of(part, frames), (place,))
    assert "Time Stretching" in said and str(frames[0].parent) in said
    assert not camera.data.background_images and not camera.children
    said = show_shot(part, scene, camera.name, shot_of(part, frames), (place, "STRIP"))
    assert "the strip shows them" in said


def test_every_camera_that_a_marker_switches_to_has_the_frames_behind_it(part, scene, photo, service, tmp_path):
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.2, height=1.7)
    bpy.ops.lookbeyond.build_world()
    cameras = []
    for name, frame in (("A", 11), ("B", 14)):
        cameras.append(bpy.data.objects.new(name, bpy.data.cameras.new(name)))
        scene.collection.objects.link(cameras[-1])
        cameras[-1].location.z = 1.7
        scene.timeline_markers.new(name, frame=frame).camera = cameras[-1]
    scene.frame_set(11)
    assert scene.camera == cameras[0]
    scene.look_beyond.show_in = {"BACKGROUND"}
    bpy.ops.lookbeyond.shoot()
    images = [camera.data.background_images[0].image for camera in cameras]
    assert images[0] == images[1] and images[0]["look_beyond_shot_frames"] == 6
    assert not scene.look_beyond.photo_camera.data.background_images[1:]


def test_a_card_at_the_camera_is_seen_from_outside_and_not_by_the_camera(part, scene, camera, frames):
    """It carries the frames wherever the camera goes, upright, in the shape of the frame."""
    camera.location, camera.rotation_euler = (1, 2, 3), (1.2, 0.1, 0.4)
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = 1.0, 2.0
    show_shot(part, scene, camera.name, shot_of(part, frames), ("CARD",))
    bpy.context.view_layer.update()
    (card,) = camera.children
    behind = camera.matrix_world.inverted() @ card.matrix_world.translation
    assert behind.z > 0 and behind.xy.length < 1e-6 and card.hide_render and card.hide_select
    wide, high = (card.empty_display_size * scale for scale in card.scale[:2])
    assert high / wide == pytest.approx(2.0)  # of an image of 96 x 64: 96 x 128
    assert (card.image_user.frame_start, card.image_user.frame_duration, card.image_user.frame_offset) == (11, 6, 10)
    scene.frame_set(13)
    show_shot(part, scene, camera.name, shot_of(part, frames), ("CARD", "PLANE"))
    assert shown_file(card.data, card.image_user, scene) == "0013.png"
    assert sorted(thing.name for thing in camera.children) == ["Shot Camera Card", "Shot Camera Plane"]
