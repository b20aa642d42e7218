"""Each warning comes with the fault and not without it."""

import bpy
import numpy as np
import pytest

from tests.support.pictures import picture, with_exif


def scene_like(width=768, height=512, seed=0) -> np.ndarray:
    """Overlapping rectangles of plain colours: sharp edges, all brightnesses."""
    random = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), 0.5)
    for _ in range(60):
        x, y = random.integers(width), random.integers(height)
        pixels[y : y + random.integers(20, 200), x : x + random.integers(20, 200)] = random.uniform(0.05, 0.95, 3)
    return pixels


def blurred(pixels: np.ndarray, radius: int) -> np.ndarray:
    for axis in (0, 1):
        for _ in range(2):
            pixels = np.mean([np.roll(pixels, shift, axis) for shift in range(-radius, radius + 1)], 0)
    return pixels


def circle(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width]
    return pixels * ((x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 2) ** 2)[..., None]


@pytest.mark.parametrize(
    "change, side, focal, words",
    [
        (lambda pixels: pixels, 768, 28.0, ""),
        (lambda pixels: 0.15 * pixels, 768, 0.0, "Very dark (mean brightness"),
        (lambda pixels: np.clip(2.5 * pixels, 0, 1), 768, 0.0, "Blown out ("),
        (lambda pixels: blurred(pixels, 4), 768, 0.0, "Blurred ("),
        (lambda pixels: blurred(pixels, 4), 320, 0.0, "Small (320 pixels"),
        (circle, 768, 0.0, "Fisheye (black corners)"),
        (lambda pixels: pixels, 768, 9.0, "Fisheye (9 mm)"),
        (lambda pixels: 0 * pixels + 0.4, 768, 0.0, ""),
    ],
)
def test_faults_are_told_with_their_measure(part, change, side, focal, words):
    said = part("photo.quality").quality_warnings(change(scene_like()), side, focal)
    assert len(said) == bool(words)
    assert not words or said[0].startswith(words)


def test_a_placed_photo_carries_its_warnings(scene, tmp_path):
    for name, pixels, words in (
        ("good", scene_like(), ""),
        ("dark", 0.1 * scene_like(), "Very dark"),
    ):
        path = picture(tmp_path / f"{name}.png", 768, 512, pixels)
        bpy.ops.lookbeyond.place_photo(filepath=str(path))
        assert scene.look_beyond.photo_camera.data.look_beyond.warnings.startswith(words)
        assert bool(scene.look_beyond.photo_camera.data.look_beyond.warnings) == bool(words)
    assert len(bpy.data.images) == 2


def exif_of_sensor(focal_mm: float, pixels: int, per_length: float, unit: int) -> bytes:
    """A TIFF block with FocalLength, FocalPlaneXResolution and its unit, PixelXDimension."""
    import struct

    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<HHHIII", 1, 0x8769, 4, 1, 26, 0)
    tags = [(0x920A, 5, 80), (0xA002, 4, pixels), (0xA20E, 5, 88), (0xA210, 3, unit)]
    body = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags
    )
    block = head + body + b"\0\0\0\0"
    assert len(block) <= 80
    return block.ljust(80, b"\0") + struct.pack("<IIII", round(focal_mm * 100), 100, round(per_length * 1000), 1000)


@pytest.mark.parametrize("unit, length_mm", [(2, 25.4), (3, 10.0)])
def test_focal_length_by_the_sensor(part, photo, unit, length_mm):
    """18 mm on a sensor 23.5 mm wide are 27.6 mm of 35 mm film."""
    block = exif_of_sensor(18.0, 6000, 6000 / (23.5 / length_mm), unit)
    assert part("kit").read_tags(with_exif(photo, block)).focal_35mm == pytest.approx(18 * 36 / 23.5, abs=0.06)


def test_a_render_becomes_the_photo_where_its_camera_stands(part, scene, tmp_path):
    with pytest.raises(RuntimeError, match="Render an image first"):
        bpy.ops.lookbeyond.use_render()
    scene.look_beyond.output_folder = str(tmp_path)
    data = bpy.data.cameras.new("Camera")
    camera = bpy.data.objects.new("Camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.location, camera.rotation_euler = (1, 2, 1.4), (1.4, 0.1, 0.6)
    data.lens, data.sensor_fit, data.sensor_height, data.shift_x = 30, "VERTICAL", 20, 0.1
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples = "CPU", 1
    bpy.ops.render.render()
    assert bpy.ops.lookbeyond.use_render() == {"FINISHED"}
    ours = part("photo.camera").photo_camera(scene)
    theirs = part("cameras").camera_of(camera, 96, 64, 1.0)
    assert np.allclose(ours.intrinsics, theirs.intrinsics, rtol=1e-5)
    assert np.allclose(ours.camera_to_world, theirs.camera_to_world, atol=1e-5)
    assert scene.camera == camera


@pytest.mark.parametrize("file_format", ["OPEN_EXR_MULTILAYER", "OPEN_EXR", "JPEG", "FFMPEG", "PNG"])
def test_a_render_is_a_png_whatever_the_scene_writes(scene, tmp_path, file_format):
    scene.look_beyond.output_folder = str(tmp_path)
    scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(scene.camera)
    scene.camera.location.z = 1.6
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        media = {"OPEN_EXR_MULTILAYER": "MULTI_LAYER_IMAGE", "FFMPEG": "VIDEO"}
        settings.media_type = media.get(file_format, "IMAGE")
    settings.file_format = file_format
    if file_format == "PNG":
        settings.color_depth = "16"
    former = {each.identifier: getattr(settings, each.identifier) for each in settings.bl_rna.properties}
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples = "CPU", 1
    bpy.ops.render.render()
    assert bpy.ops.lookbeyond.use_render() == {"FINISHED"}
    head = (tmp_path / "photos" / "render_001.png").read_bytes()[:26]
    assert head[:8] == b"\x89PNG\r\n\x1a\n" and tuple(head[24:]) == (8, 2), "eight bits of red, green and blue"
    assert {name: getattr(settings, name) for name in former} == former


@pytest.mark.parametrize("fit", ["AUTO", "HORIZONTAL", "VERTICAL"])
@pytest.mark.parametrize("size", [(96, 64), (64, 96)])
def test_a_renders_camera_keeps_to_its_photo_when_the_aspect_changes(part, scene, tmp_path, fit, size):
    """The photo behind it is as large as its own side of the frame, and the frame's lens is tied to that side."""
    scene.look_beyond.output_folder = str(tmp_path)
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(scene.camera)
    scene.camera.location.z = 1.6
    scene.camera.data.sensor_fit, scene.camera.data.shift_x = fit, 0.1
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples = "CPU", 1
    bpy.ops.render.render()
    bpy.ops.lookbeyond.use_render()
    camera_of, placed = part("cameras").camera_of, scene.look_beyond.photo_camera
    ours = part("photo.camera").photo_camera(scene)
    assert np.allclose(ours.intrinsics, camera_of(scene.camera, *size, 1.0).intrinsics, rtol=1e-5)
    for width, height in ((90, 160), (160, 90), (100, 100)):
        scene.render.resolution_x, scene.render.resolution_y = width, height
        bpy.context.view_layer.update()
        method = placed.data.background_images[0].frame_method
        scale = {"FIT": min, "CROP": max}[method]((width / size[0], height / size[1]))
        # A pixel of the photo, drawn so large, is as wide an angle as the render's camera gives it.
        assert camera_of(placed, width, height, 1.0).intrinsics[0, 0] == pytest.approx(ours.intrinsics[0, 0] * scale)


def test_dropping_is_offered_for_images_only():
    handler = bpy.types.LOOKBEYOND_FH_photo
    assert handler.bl_import_operator == "lookbeyond.place_photo"
    assert ".jpg" in handler.bl_file_extensions and ".blend" not in handler.bl_file_extensions


@pytest.mark.parametrize(
    ("faces", "words"),
    [
        ((), ""),
        ((0.136,), "a face covers 14% of"),
        ((0.0018,), "a face covers 0.2% of"),
        ((0.03, 0.02), "2 faces, the largest covers 3% of"),
    ],
)
def test_people_are_told_with_how_much_of_the_photo_a_face_covers(part, faces, words):
    said = part("photo.quality").faces_warning(faces)
    assert words in said and bool(said) == bool(faces)
