"""Several photos of one place: placed beside the first one, aligned, built into one world."""

import math

import bpy
import pytest

from tests.support.pictures import picture


@pytest.fixture
def photos(tmp_path):
    return [picture(tmp_path / f"{name}.png", 80, 64) for name in ("first", "second", "third")]


@pytest.fixture
def place(part, photos):
    """The first photo's camera, looking 20° to the left and a little down."""
    first, _ = part("photo.place").place_photo(
        bpy.context, photos[0], fov_x_rad=1.2, heading_rad=math.radians(20), pitch_rad=-0.1
    )
    return first


def add(photo):
    return bpy.ops.lookbeyond.place_photo(filepath=str(photo), role="BESIDE")


def heading_deg(camera):
    bpy.context.view_layer.update()
    back = camera.matrix_world.to_quaternion().to_matrix().col[2]
    return math.degrees(math.atan2(-back.y, -back.x))


def test_a_further_photo_is_aligned_and_its_world_is_of_both(scene, part, place, photos, service):
    settings = scene.look_beyond
    assert add(photos[1]) == {"FINISHED"}
    assert settings.photo_camera == place and "Align it when the service runs" in part("session").session.notice
    (second,) = part("photo.beside").cameras_beside(scene, place)
    assert second.data.lens == pytest.approx(place.data.lens)  # of the same size, so of the same camera
    assert heading_deg(second) == pytest.approx(20, abs=0.01)

    kit = part("kit")
    service.turned = kit.placed_camera(80, 64, 1.2, heading_rad=math.radians(55), position=(0, 0, 1.6)).to_dict()
    assert bpy.ops.lookbeyond.align_photo(camera=second.name) == {"FINISHED"}
    assert "second.png is aligned: 240 details agree, to 0.05°." in part("session").session.notice
    assert heading_deg(second) == pytest.approx(55, abs=0.01)
    assert part("photo.beside").direction_text(second, place) == "35° left"
    assert len(service.aligned_with) == 2
    settings.heading = math.radians(30)  # the place turns: all its photos do
    assert heading_deg(second) == pytest.approx(65, abs=0.02)

    assert bpy.ops.lookbeyond.build_world() == {"FINISHED"}
    request = service.requests[-1]
    assert len(request.beside) == 1 and request.beside[0]["photo"] not in ("", request.photo)
    sent = kit.Camera.from_dict(request.beside[0]["camera"])
    assert math.degrees(kit.heading_pitch_roll(sent)[0]) == pytest.approx(65, abs=0.02)


def test_a_world_is_outdated_when_its_further_photos_change(scene, part, place, photos, service, monkeypatch):
    outdated = part("world.outdated")
    monkeypatch.setattr(outdated, "has_content", lambda file, digest, gone=True: True)  # the played hashes are counts
    reason = lambda: outdated.outdated_reason(scene)  # noqa: E731
    add(photos[1])
    assert bpy.ops.lookbeyond.build_world() == {"FINISHED"}
    assert reason() == ""
    (second,) = part("photo.beside").cameras_beside(scene, place)
    second.rotation_euler.z += 0.1
    bpy.context.view_layer.update()
    assert reason().startswith("The further photos of this place changed")
    second.rotation_euler.z -= 0.1
    bpy.context.view_layer.update()
    assert reason() == ""
    add(photos[2])
    assert reason().startswith("The further photos of this place changed")
    (third,) = (c for c in part("photo.beside").cameras_beside(scene, place) if c != second)
    before = third.matrix_world.copy()
    assert bpy.ops.lookbeyond.separate_photo(camera=third.name) == {"FINISHED"}
    assert reason() == "" and third.parent is None
    assert max(abs(a - b) for row, same in zip(third.matrix_world, before) for a, b in zip(row, same)) < 1e-5


def test_what_cannot_be_aligned_says_why_and_stays(scene, part, place, photos, service):
    add(photos[1])
    (second,) = part("photo.beside").cameras_beside(scene, place)
    service.misfit = "second.png shares too little with first.png."
    before = second.matrix_world.copy()
    with pytest.raises(RuntimeError, match=r"shares too little with first.png. Turn its camera by hand"):
        bpy.ops.lookbeyond.align_photo(camera=second.name)
    assert second.matrix_world == before and second.data.look_beyond.alignment == ""
    with pytest.raises(RuntimeError, match="There is no photo with the camera gone"):
        bpy.ops.lookbeyond.align_photo(camera="gone")
    with pytest.raises(RuntimeError, match=r"first.png is not a further photo of this place"):
        add(photos[0])
    bpy.data.objects.remove(place)
    assert part("photo.beside").cameras_beside(scene, scene.look_beyond.photo_camera) == []
