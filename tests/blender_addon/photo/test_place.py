"""The placed camera is the photo's, exactly; other things in the scene stay as they are."""

import math
import struct
import types
from pathlib import Path

import bpy
import numpy as np
import pytest

from tests.support.pictures import exif, picture, with_exif


def focal_and_orientation(part, path: Path) -> tuple[float, int]:
    tags = part("kit").read_tags(path)
    return tags.focal_35mm, tags.orientation


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_is_read_from_jpeg_png_and_tiff(part, tmp_path, photo, order):
    block = exif(28, 6, order)
    assert focal_and_orientation(part, with_exif(photo, block)) == (28.0, 6)
    png = picture(tmp_path / "photo.png", 80, 64)
    data = png.read_bytes()
    png.write_bytes(data[:33] + struct.pack(">I", len(block)) + b"eXIf" + block + b"\0\0\0\0" + data[33:])
    assert focal_and_orientation(part, png) == (28.0, 6)
    (tmp_path / "photo.tif").write_bytes(block)
    assert focal_and_orientation(part, tmp_path / "photo.tif") == (28.0, 6)


def test_exif_is_found_however_far_it_stands(part, tmp_path):
    """WebP keeps it behind the pixels, TIFF its tags anywhere."""
    block, pixels = exif(28, 6), bytes(2_000_001)
    chunks = b"VP8 " + struct.pack("<I", len(pixels)) + pixels + b"\0" + b"EXIF" + struct.pack("<I", len(block)) + block
    (tmp_path / "a.webp").write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks)
    tags = struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + tags)
    assert focal_and_orientation(part, tmp_path / "a.webp") == (28.0, 6)
    assert focal_and_orientation(part, tmp_path / "a.tif") == (0.0, 6)


def test_broken_exif_is_no_exif(part, tmp_path):
    kit = part("kit")
    block = exif(28)
    random = np.random.default_rng(1)
    for length in range(len(block)):
        (tmp_path / "cut.tif").write_bytes(block[:length])
        kit.read_tags(tmp_path / "cut.tif")
        noise = bytearray(block)
        noise[length] = random.integers(256)
        (tmp_path / "noise.jpg").write_bytes(b"\xff\xd8\xff\xe1\0\x80Exif\0\0" + noise)
        kit.read_tags(tmp_path / "noise.jpg")


def test_camera_is_the_photos(part, scene, photo):
    from lookbeyond_kit.geometry.cameras import placed_camera

    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.2, pitch=0.1, roll=-0.05, heading=0.5, height=1.7)
    wanted = placed_camera(120, 80, 1.2, heading_rad=0.5, pitch_rad=0.1, roll_rad=-0.05, position=(0, 0, 1.7))
    ours = part("photo.camera").photo_camera(scene)
    assert np.allclose(ours.intrinsics, wanted.intrinsics, rtol=1e-6)
    assert np.allclose(ours.camera_to_world, wanted.camera_to_world, atol=1e-6)
    camera = scene.look_beyond.photo_camera
    assert scene.camera == camera
    assert (camera.data.look_beyond.width, camera.data.look_beyond.height) == (120, 80)
    assert camera.data.background_images[0].image.size[:] == (120, 80)
    assert (scene.render.resolution_x, scene.render.resolution_y) == (96, 64)


@pytest.mark.parametrize(
    "arguments, fov_x",
    [
        ({"fov_x": 1.0, "focal_mm": 50}, 1.0),
        ({"focal_mm": 50}, 2 * math.atan(18 / 50)),
        ({}, 2 * math.atan(18 / 24)),
    ],
)
def test_field_of_view_is_the_given_else_the_focal_else_exif(scene, photo, arguments, fov_x):
    bpy.ops.lookbeyond.place_photo(filepath=str(with_exif(photo, exif(24))), **arguments)
    assert math.isclose(scene.look_beyond.fov_x, fov_x, rel_tol=1e-5)


def test_without_any_65_degrees_are_assumed_and_said(part, scene, photo):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    assert math.isclose(math.degrees(scene.look_beyond.fov_x), 65, rel_tol=1e-5)
    assert "65° is assumed" in part("session").session.notice


def test_a_turned_photo_stands_upright(part, scene, photo):
    bpy.ops.lookbeyond.place_photo(filepath=str(with_exif(photo, exif(24, 6))))
    data = scene.look_beyond.photo_camera.data
    assert (data.look_beyond.width, data.look_beyond.height) == (80, 120)
    shown = data.background_images[0].image
    assert shown.size[:] == (80, 120)
    pixels = np.array(shown.pixels[:]).reshape(120, 80, 4)[::-1]
    # stored: red grows to the right, green downward; turned clockwise, red grows downward, green to the left
    assert pixels[110, 40, 0] > pixels[10, 40, 0] + 0.5
    assert pixels[60, 5, 1] > pixels[60, 75, 1] + 0.5


def plain(path, width: int, height: int, colour, orientation: int = 1):
    """A JPEG of one colour."""
    return with_exif(picture(path, width, height, np.full((height, width, 3), colour)), exif(24, orientation))


def colour_behind(camera) -> list[int]:
    (background,) = camera.data.background_images
    return [round(value) for value in background.image.pixels[:3]]


def test_turned_photos_of_one_name_are_not_mixed_up(scene, tmp_path):
    for folder, size, colour in (("kitchen", (120, 80), (1, 0, 0)), ("bath", (160, 100), (0, 0, 1))):
        (tmp_path / folder).mkdir()
        path = plain(tmp_path / folder / "IMG_0001.jpg", *size, colour, 6)
        bpy.ops.lookbeyond.place_photo(filepath=str(path))
        camera = scene.look_beyond.photo_camera
        assert (camera.data.look_beyond.width, camera.data.look_beyond.height) == size[::-1]
        assert colour_behind(camera) == list(colour)


@pytest.mark.parametrize("orientations", [(1, 1), (6, 6), (6, 1), (1, 6)])
def test_a_photo_that_was_edited_is_seen_as_it_is_now(scene, tmp_path, orientations):
    before, after = orientations
    path = plain(tmp_path / "photo.jpg", 120, 80, (1, 0, 0), before)
    bpy.ops.lookbeyond.place_photo(filepath=str(path))
    plain(path, 100, 150, (0, 0, 1), after)
    bpy.ops.lookbeyond.place_photo(filepath=str(path))
    camera = scene.look_beyond.photo_camera
    size = camera.data.look_beyond.width, camera.data.look_beyond.height
    assert size == ((100, 150) if after == 1 else (150, 100))
    assert colour_behind(camera) == [0, 0, 1]
    assert len([image for image in bpy.data.images if image.users]) == 1


def test_a_folder_that_is_moved_keeps_its_photo(part, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(home / "scene.blend"))
    bpy.ops.lookbeyond.place_photo(filepath=str(picture(home / "photo.jpg", 120, 80)))
    bpy.ops.wm.save_mainfile()
    home.rename(tmp_path / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "moved" / "scene.blend"))
    assert part("photo.background").photo_image(bpy.context.scene.look_beyond.photo_camera) is not None


def test_the_photo_is_as_wide_as_the_frame_whatever_the_renders_aspect(part, scene, photo, tmp_path):
    """Blender makes a background as small (FIT) or as large (CROP) as both sides of the frame ask for."""
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    render = bpy.context.scene.render
    (background,) = bpy.context.scene.look_beyond.photo_camera.data.background_images
    methods = []
    for width, height, pixel_aspect in ((90, 160, 1), (160, 90, 1), (100, 100, 1), (100, 100, 2), (96, 64, 1)):
        render.resolution_x, render.resolution_y, render.pixel_aspect_x = width, height, pixel_aspect
        bpy.context.view_layer.update()
        methods.append(background.frame_method)
        scales = width * pixel_aspect / 120, height / 80
        scale = {"FIT": min, "CROP": max}[background.frame_method](scales)
        assert scale * 120 == pytest.approx(width * pixel_aspect)
    assert set(methods) == {"FIT", "CROP"}


def test_placing_again_updates_and_another_photo_leaves_the_first(scene, photo, tmp_path):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.0)
    first = scene.look_beyond.photo_camera
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.1)
    assert scene.look_beyond.photo_camera == first
    assert len(first.data.background_images) == 1
    lens, matrix = first.data.lens, first.matrix_world.copy()
    bpy.ops.lookbeyond.place_photo(filepath=str(picture(tmp_path / "other.png", 100, 100)), fov_x=0.8)
    assert scene.look_beyond.photo_camera != first
    assert (first.data.lens, first.matrix_world) == (lens, matrix)
    assert scene.camera == first
    assert len(scene.objects) == 2


@pytest.mark.parametrize("operator", ["place_photo", "use_panorama"])
def test_a_photos_numbers_are_not_offered_for_the_next_one(operator):
    """Blender keeps an operator's last values but for those that are told to be skipped."""
    properties = getattr(bpy.ops.lookbeyond, operator).get_rna_type().properties
    ours = {each.identifier for each in properties} - {"rna_type", "filter_glob"}
    assert ours == {each.identifier for each in properties if each.is_skip_save} and "heading" in ours


def test_the_photos_view_size_and_colours_are_the_scenes_only_when_asked_for(scene, photo, tmp_path):
    other = bpy.data.objects.new("Other", bpy.data.cameras.new("Other"))
    scene.collection.objects.link(other)
    scene.camera = other
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    assert scene.camera == other
    bpy.ops.lookbeyond.look_through_photo()
    bpy.ops.lookbeyond.use_photo_resolution()
    bpy.ops.lookbeyond.match_photo_colours()
    assert scene.camera == scene.look_beyond.photo_camera
    assert (scene.render.resolution_x, scene.render.resolution_y) == (120, 80)
    assert scene.view_settings.view_transform == "Standard"


def test_settings_read_and_write_the_camera_itself(scene, photo):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.0)
    settings, camera = scene.look_beyond, scene.look_beyond.photo_camera
    settings.pitch, settings.roll, settings.camera_height, settings.fov_x = 0.2, -0.1, 1.4, 1.1
    for name, value in (
        ("pitch", 0.2),
        ("roll", -0.1),
        ("camera_height", 1.4),
        ("fov_x", 1.1),
        ("heading", 0),
    ):
        assert math.isclose(getattr(settings, name), value, abs_tol=1e-5), name
    assert math.isclose(camera.location.z, 1.4, rel_tol=1e-6)
    camera.data.lens *= 2
    assert math.isclose(math.tan(settings.fov_x / 2), math.tan(0.55) / 2, rel_tol=1e-5)


def test_unusable_photos_are_refused_with_a_sentence(part, scene, tmp_path):
    session = part("session").session
    (tmp_path / "text.jpg").write_text("not an image")
    cases = {
        tmp_path / "none.jpg": "cannot be opened",
        tmp_path / "text.jpg": "not an image that Blender can read",
        picture(tmp_path / "dot.png", 1, 1): "1 x 1 pixels",
        tmp_path: "cannot be opened",
    }
    for path, words in cases.items():
        with pytest.raises(RuntimeError, match=words):
            bpy.ops.lookbeyond.place_photo(filepath=str(path))
        assert words in session.error and path.name in session.error
    assert not scene.objects and not bpy.data.images


def test_the_photo_stands_on_a_plane_as_far_away_as_asked(scene, photo):
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.2, pitch=0.1, roll=0.2)
    bpy.ops.lookbeyond.photo_plane(distance=2.5)
    bpy.ops.lookbeyond.use_photo_resolution()
    camera = scene.look_beyond.photo_camera
    (plane,) = camera.children
    bpy.context.view_layer.update()
    half = plane.empty_display_size / 2
    corner = plane.matrix_world @ Vector((half, half * 80 / 120, 0))
    assert tuple(world_to_camera_view(scene, camera, corner)) == pytest.approx((1, 1, 2.5), abs=1e-4)
    assert tuple(plane.data.size) == (120, 80)


def test_looking_through_a_camera_makes_it_the_scenes(part, scene, photo):
    other = bpy.data.objects.new("Other", bpy.data.cameras.new("Other"))
    scene.collection.objects.link(other)
    scene.camera = other
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    assert scene.camera == other, "a script's scene keeps its camera"
    areas = [area for screen in bpy.data.screens for area in screen.areas if area.type == "VIEW_3D"]
    space = areas[0].spaces.active
    space.use_local_camera, space.region_3d.view_perspective = True, "PERSP"
    placed = scene.look_beyond.photo_camera
    part("viewports").look_through(types.SimpleNamespace(space_data=space, scene=scene), placed)
    assert scene.camera == placed
    assert space.region_3d.view_perspective == "CAMERA" and not space.use_local_camera


FIELD = Path(__file__).parents[2] / "field"


def shown_behind(camera) -> np.ndarray:
    """Levels [h, w, 4] of the picture behind a camera, first row on top."""
    (background,) = camera.data.background_images
    image = background.image
    pixels = np.array(image.pixels[:]).reshape(image.size[1], image.size[0], -1)[::-1]
    return np.rint(255 * pixels)


@pytest.mark.parametrize("name", ["photo_display_p3.jpg", "photo_prophoto.jpg"])
def test_a_wide_gamut_photo_has_the_doors_colour_behind_the_camera(scene, name):
    bpy.ops.lookbeyond.place_photo(filepath=str(FIELD / name))
    levels = shown_behind(scene.look_beyond.photo_camera)
    door = np.abs(levels[..., :3] - (191, 30, 25)).max(-1) <= 3
    assert door.mean() > 0.04
    (background,) = scene.look_beyond.photo_camera.data.background_images
    assert background.image.colorspace_settings.name == "sRGB"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gpano_whole_sphere.jpg", "is a 360° picture by its tags"),
        ("gpano_crop_that_is_2_to_1.jpg", "180° x 90° of one"),
        ("phone_sweep_5to1.jpg", "sweep panorama"),
    ],
)
def test_what_is_no_photo_is_refused_before_it_is_placed(scene, name, words):
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.lookbeyond.place_photo(filepath=str(FIELD / name))
    assert not scene.objects and not bpy.data.images


@pytest.mark.parametrize(
    ("name", "degrees", "words"),
    [
        ("exif_sensor_right.jpg", 63.5, "63.5"),
        ("exif_sensor_from_before_a_resize.jpg", 65, "not trusted"),
    ],
)
def test_sensor_tags_are_believed_as_on_the_command_line(part, scene, name, degrees, words):
    bpy.ops.lookbeyond.place_photo(filepath=str(FIELD / name))
    assert math.degrees(scene.look_beyond.fov_x) == pytest.approx(degrees, abs=0.1)
    assert words in part("session").session.notice


def test_an_orientation_that_stands_only_in_xmp_turns_the_photo(scene, tmp_path):
    packet = (
        b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        b'<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<r:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></r:RDF></x:xmpmeta>'
    )
    path = picture(tmp_path / "photo.jpg", 120, 80)
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(packet) + 2) + packet + data[2:])
    bpy.ops.lookbeyond.place_photo(filepath=str(path))
    photo = scene.look_beyond.photo_camera.data.look_beyond
    assert (photo.width, photo.height) == (80, 120)


def test_linear_light_is_shown_exposed(scene, tmp_path):
    """A middle grey, which sRGB writes as 118, to a twentieth of a stop."""
    path = picture(tmp_path / "photo.exr", 120, 80, np.full((80, 120, 3), 0.045))
    bpy.ops.lookbeyond.place_photo(filepath=str(path))
    levels = shown_behind(scene.look_beyond.photo_camera)
    assert np.abs(levels[..., :3] - 118).max() <= 3


def test_a_second_photo_is_a_second_place_unless_it_replaces_the_first(part, scene, photo, tmp_path):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.2, height=2.4, heading=0.5)
    first = scene.look_beyond.photo_camera
    other, third = (picture(tmp_path / name, 96, 64) for name in ("other.jpg", "third.jpg"))
    bpy.ops.lookbeyond.place_photo(filepath=str(other))
    second = scene.look_beyond.photo_camera
    assert second != first and first.data.look_beyond.photo_path and len(scene.objects) == 2
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    assert scene.look_beyond.photo_camera == first, "a photo that was placed before has its camera"
    scene.look_beyond.camera_height = 2.4
    bpy.ops.lookbeyond.place_photo(filepath=str(third), role="REPLACE")
    assert scene.look_beyond.photo_camera == first and first.name == "Photo third" and len(scene.objects) == 2
    assert (first.data.look_beyond.width, first.data.look_beyond.height) == (96, 64)
    assert scene.look_beyond.camera_height == pytest.approx(2.4, abs=1e-4)  # the place's scale stays
    shown = [image.image.name for image in first.data.background_images]
    assert shown == ["third.jpg"]


def test_in_the_window_a_second_photo_asks_what_it_is(part, scene, photo, tmp_path, monkeypatch):
    """Nothing is done before the artist has chosen; a photo that is placed already does not ask."""
    asked = []
    operator = part("photo.operators").PlacePhoto
    monkeypatch.setattr(operator, "ask", lambda self, context, former: asked.append(former.name) or {"FINISHED"})
    monkeypatch.setattr(operator, "in_window", True, raising=False)
    other = picture(tmp_path / "other.jpg", 96, 64)
    for file, role in ((photo, "ASK"), (photo, "ASK"), (other, "ASK"), (other, "SECOND"), (other, "ASK")):
        bpy.ops.lookbeyond.place_photo(filepath=str(file), role=role)
    assert asked == ["Photo photo"]
    assert [camera.name for camera in scene.objects] == ["Photo photo", "Photo other"]


def test_a_camera_of_the_artists_is_never_replaced(part, scene, photo, tmp_path):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    mine = scene.look_beyond.photo_camera.copy()
    mine.data = mine.data.copy()
    scene.collection.objects.link(mine)
    scene.look_beyond.photo_camera = mine
    bpy.ops.lookbeyond.place_photo(filepath=str(picture(tmp_path / "other.jpg", 96, 64)), role="REPLACE")
    assert scene.look_beyond.photo_camera != mine and mine.data.look_beyond.width == 120


def test_the_first_shot_of_a_photo_placed_in_the_window_is_a_draft(part, scene, photo, monkeypatch):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    assert scene.look_beyond.quality == "NORMAL", "a script's scene keeps its settings"
    monkeypatch.setattr(part("photo.operators").PlacePhoto, "in_window", True, raising=False)
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    assert scene.look_beyond.quality == "DRAFT"
    scene.look_beyond.quality = "FINAL"
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    assert scene.look_beyond.quality == "FINAL"
