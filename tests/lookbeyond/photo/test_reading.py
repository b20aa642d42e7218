"""Pictures in: pixels mean what the file says, and what is no photo is said in a sentence."""

import math
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import LEVEL, placed_camera
from lookbeyond.geometry.projection import equirectangular_directions
from lookbeyond.photo import decoding
from lookbeyond.photo.colour_tags import Cicp, ColourTags
from lookbeyond.photo.pixels import (
    TableProfile,
    as_shown,
    changes_pixels,
    colour_space,
    encoded,
    rolled_off,
    srgb_to_linear,
    turn,
)
from lookbeyond.photo.reading import read_panorama_image, read_photo, read_sphere
from lookbeyond.photo.tags import read_tags


def _save(path, width, height, **settings):
    Image.new("RGB", (width, height), (10, 20, 30)).save(path, **settings)
    return path


def _png_header(path, width, height):
    """A PNG that claims to be of this size and holds nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + end)
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: p, "There is no file .*photo.png"),
        (lambda p: p.write_text("not an image") and p, "not an image"),
        (lambda p: p.write_bytes(b"") or p, "not an image"),
        (lambda p: p.write_bytes(b"%!PS-Adobe EPSF") and p, "not an image"),
        (lambda p: p.mkdir() or p, "a folder"),
        (lambda p: _save(p, 1, 1), "only 1x1 pixels"),
        (lambda p: _save(p, 2000, 63), "only 2000x63 pixels"),
        (lambda p: _save(p, 40000, 64), "40000x64 pixels; scale it down"),
        (lambda p: _png_header(p, 40000, 40000), "scale it down"),
        (lambda p: _png_header(p, 16000, 16000), "scale it down"),
        (lambda p: _png_header(p, 512, 512), "damaged"),
    ],
)
def test_a_photo_that_is_none_is_named_with_a_remedy(tmp_path, make, words):
    path = make(tmp_path / "photo.png")
    with pytest.raises(InputError, match=words) as error:
        read_photo(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_cut_off_photo_is_damaged(tmp_path):
    path = tmp_path / "photo.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="damaged"):
        read_photo(path)


@given(data=st.data())
def test_no_bytes_make_another_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "mutated.png"
    if not hasattr(test_no_bytes_make_another_error, "good"):
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
        Image.fromarray(noise).save(path)
        test_no_bytes_make_another_error.good = path.read_bytes()
    content = bytearray(test_no_bytes_make_another_error.good)
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, 200))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        assert read_photo(path).pixels.dtype == np.uint8
    except InputError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured_and_so_is_the_focal_length(tmp_path, orientation):
    upright = np.zeros((96, 128, 3), np.uint8)
    upright[:48, :64] = 255  # bright top left
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0xA405] = 27
    image = Image.fromarray(upright)
    stored_by = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what brings an upright picture to how it is stored
    if orientation > 1:
        image = image.transpose(Image.Transpose(stored_by[orientation]))
    image.save(tmp_path / "photo.png", exif=exif)
    photo = read_photo(tmp_path / "photo.png")
    np.testing.assert_array_equal(photo.pixels, upright)
    assert photo.fov_x_rad == pytest.approx(2 * math.atan(18 / 27))


def test_a_portrait_photo_has_the_narrow_field_of_view(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 36
    _save(tmp_path / "photo.jpg", 200, 300, exif=exif)
    fov_x_rad = read_photo(tmp_path / "photo.jpg").fov_x_rad
    assert fov_x_rad == pytest.approx(2 * math.atan(12 / 36))  # 24 mm wide


@pytest.mark.parametrize("focal", [0, 1, 65535])
def test_an_impossible_focal_length_is_none(tmp_path, focal):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = focal
    assert read_photo(_save(tmp_path / "photo.jpg", 100, 100, exif=exif)).fov_x_rad is None


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    grey = np.full((64, 80), 128, np.uint8)
    if mode == "I;16":
        image = Image.fromarray(np.full((64, 80), 128 * 257, np.uint16))
    else:
        image = Image.fromarray(grey).convert(mode)
    path = tmp_path / ("photo.tif" if mode == "CMYK" else "photo.png")
    image.save(path)
    pixels = read_photo(path).pixels
    assert pixels.shape == (64, 80, 3) and pixels.dtype == np.uint8
    if mode != "1":
        assert np.abs(pixels.astype(int) - 128).max() <= 2


def test_a_panorama_is_twice_as_wide_as_high(tmp_path):
    assert read_panorama_image(_save(tmp_path / "good.png", 256, 128)).shape == (128, 256, 3)
    with pytest.raises(InputError, match=r"256x100.*twice as wide"):
        read_panorama_image(_save(tmp_path / "bad.png", 256, 100))


# --- pixels mean what the file says ------------------------------------------------------------------------

FIELD = Path(__file__).parents[2] / "field"
DOOR = np.array([191, 30, 25])


@pytest.mark.parametrize("name", ["photo_display_p3.jpg", "photo_prophoto.jpg"])
def test_a_wide_gamut_photo_has_the_doors_colour(name):
    photo = read_photo(FIELD / name)
    height, width = photo.pixels.shape[:2]
    door = np.abs(photo.pixels.astype(int) - DOOR).max(-1) <= 3
    with Image.open(FIELD / name) as image:
        assert (np.abs(np.asarray(image).astype(int) - DOOR).max(-1) > 15).all(), "read plainly it is another red"
    assert door.sum() > 0.04 * height * width and "converted to sRGB" in photo.said[0]


def test_what_is_hidden_under_alpha_is_unknown_and_its_colour_nowhere():
    photo = read_photo(FIELD / "photo_with_hidden_colour_under_alpha.png")
    assert 0 < (~photo.known).mean() < 0.5
    with Image.open(FIELD / "photo_with_hidden_colour_under_alpha.png") as image:
        stored = np.asarray(image)
    np.testing.assert_array_equal(photo.known, stored[..., 3] > 127)
    magenta = np.abs(photo.pixels.astype(int) - (255, 0, 255)).max(-1) < 60
    assert not magenta.any() and (np.abs(stored[..., :3].astype(int) - (255, 0, 255)).max(-1) < 60).any()
    assert photo.with_holes.shape == (*photo.known.shape, 4)


@pytest.mark.parametrize("mode", ["LA", "P", "RGB"])
def test_transparency_of_every_kind_is_unknown(tmp_path, mode):
    pixels = np.full((80, 120), 200, np.uint8)
    pixels[:, :40] = 10
    image = Image.fromarray(pixels)
    if mode == "LA":
        image.putalpha(Image.fromarray(np.where(pixels == 10, np.uint8(0), np.uint8(255))))
        image.save(tmp_path / "a.png")
    else:
        key = 10 if mode == "P" else (10, 10, 10)
        (image.convert("RGB") if mode == "RGB" else _palette(pixels)).save(tmp_path / "a.png", transparency=key)
    photo = read_photo(tmp_path / "a.png")
    np.testing.assert_array_equal(photo.known, pixels == 200)
    assert (photo.pixels == 200).all()


def _palette(pixels):
    image = Image.fromarray(pixels, mode="P")
    image.putpalette([level for level in range(256) for _ in range(3)])
    return image


def test_a_photo_that_is_transparent_all_over_is_refused(tmp_path):
    Image.new("RGBA", (100, 80), (1, 2, 3, 0)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a.png is transparent all over"):
        read_photo(tmp_path / "a.png")
    Image.new("RGBA", (100, 80), (1, 2, 3, 255)).save(tmp_path / "b.png")
    assert read_photo(tmp_path / "b.png").known is None


def _light(height=80, width=120):
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([columns / width * 0.5, rows / height * 0.5, np.full_like(rows, 0.1)], -1)


def _write_exr(path, channels, **header):
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage} | header
    OpenEXR.File(header, channels).write(str(path))
    return path


def test_linear_light_of_every_kind_is_read_with_a_stated_exposure(tmp_path):
    light = _light()
    cv2.imwrite(str(tmp_path / "a.tif"), light[..., ::-1])
    cv2.imwrite(str(tmp_path / "b.tif"), light[..., ::-1].astype(np.float64))
    cv2.imwrite(str(tmp_path / "c.hdr"), light[..., ::-1])
    _write_exr(tmp_path / "d.exr", {"RGB": light})
    _write_exr(tmp_path / "e.exr", {"RGBA": np.dstack([light, np.ones((80, 120), np.float32)]).astype(np.float16)})
    for name in ("a.tif", "b.tif", "c.hdr", "d.exr", "e.exr"):
        photo = read_photo(tmp_path / name, stops=1)
        assert photo.said == ("Its light is linear: exposed by +1.0 stops.",)
        assert np.abs(photo.pixels.astype(int) - encoded(rolled_off(2 * light))).max() <= 8, name  # RGBE's steps
        assert "(found)" in read_photo(tmp_path / name).said[0]


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_deep_whole_numbers_are_read_to_the_level(tmp_path, dtype):
    levels = np.repeat(np.arange(0, 240, 2, dtype=np.float64)[None, :, None], 80, 0).repeat(3, 2)
    cv2.imwrite(str(tmp_path / "a.tif"), np.rint(levels / 255 * np.iinfo(dtype).max).astype(dtype)[..., ::-1])
    np.testing.assert_array_equal(read_photo(tmp_path / "a.tif").pixels, levels)
    if dtype == np.uint16:
        cv2.imwrite(str(tmp_path / "a.png"), np.rint(levels * 257).astype(dtype))
        np.testing.assert_array_equal(read_photo(tmp_path / "a.png").pixels, levels)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_tiff_is_turned_once(tmp_path, orientation, deep):
    """Pillow turns TIFFs by itself and OpenCV fails on turned ones; a portrait at 24 mm is 53.1° wide."""
    upright = np.zeros((180, 120, 3), np.uint8)
    upright[:60, :40] = 255
    stored = np.ascontiguousarray(turn(upright, {6: 8, 8: 6}.get(orientation, orientation)))
    block = Image.Exif()
    block[0x0112] = orientation
    block.get_ifd(0x8769)[0xA405] = 24
    Image.fromarray(stored).save(tmp_path / "a.tif", exif=block.tobytes())
    if deep:
        _write_tiff(tmp_path / "a.tif", stored.astype("<u2") * 257, (274, 3, 1, orientation))
    photo = read_photo(tmp_path / "a.tif")
    np.testing.assert_array_equal(photo.pixels, upright)
    if not deep:
        assert math.degrees(photo.fov_x_rad) == pytest.approx(53.13, abs=0.01)


def _write_tiff(path, pixels, *more):
    """A TIFF by hand: no library here writes turned deep ones, nor premultiplied ones."""
    height, width, channels = pixels.shape
    data, bits = pixels.tobytes(), 8 * pixels.itemsize
    tags = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, channels, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 16),
        (277, 3, 1, channels),
        (278, 3, 1, height),
        (279, 4, 1, len(data)),
        *more,
    ]
    body = b"II*\0" + struct.pack("<I", 16 + len(data)) + struct.pack("<4H", *[bits] * 4) + data
    tags = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    path.write_bytes(body + struct.pack("<H", len(tags) // 12) + tags + b"\0\0\0\0")


def test_premultiplied_colours_are_divided(tmp_path):
    straight = np.full((80, 120, 4), (200, 100, 50, 128), np.uint8)
    straight[:, :60, 3] = 255
    stored = straight.copy()
    stored[..., :3] = np.rint(straight[..., :3] * (straight[..., 3:] / 255))
    for dtype, factor in (("u1", 1), ("<u2", 257)):
        _write_tiff(tmp_path / "a.tif", stored.astype(dtype) * np.dtype(dtype).type(factor), (338, 3, 1, 1))
        assert np.abs(read_photo(tmp_path / "a.tif").pixels.astype(int) - (200, 100, 50)).max() <= 1, dtype
    light = _light()
    alpha = np.full((80, 120, 1), 0.75, np.float32)
    _write_exr(tmp_path / "b.exr", {"RGBA": np.concatenate([light * alpha, alpha], -1)})
    ours = read_photo(tmp_path / "b.exr", stops=0).pixels
    assert np.abs(ours.astype(int) - encoded(light)).max() <= 1


def test_an_exr_as_blender_writes_it(tmp_path):
    """Layers by name, a data window within the display window, and another place's primaries."""
    light = _light(40, 60)
    channels = {f"ViewLayer.Combined.{c}": np.ascontiguousarray(light[..., i]) for i, c in enumerate("RGB")}
    channels |= {"ViewLayer.Depth.Z": light[..., 0].copy(), "ViewLayer.Normal.X": light[..., 1].copy()}
    part = {"dataWindow": ((30, 20), (89, 59)), "displayWindow": ((0, 0), (119, 79))}
    _write_exr(tmp_path / "a.exr", channels, **part)
    photo = read_photo(tmp_path / "a.exr", stops=0)
    assert photo.pixels.shape == (80, 120, 3)
    inside = np.zeros((80, 120), bool)
    inside[20:60, 30:90] = True
    np.testing.assert_array_equal(photo.known, inside)
    assert np.abs(photo.pixels[inside].astype(int) - encoded(light).reshape(-1, 3)).max() <= 1
    p3 = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.3290)
    _write_exr(tmp_path / "b.exr", {"RGB": _light()}, chromaticities=p3)
    matrix = colour_space(ColourTags(cicp=Cicp(12, 13))).matrix
    ours = read_photo(tmp_path / "b.exr", stops=0).pixels
    assert np.abs(ours.astype(int) - encoded(_light() @ matrix.T)).max() <= 1


def test_damaged_linear_files_are_sentences(tmp_path, capfd):
    _write_exr(tmp_path / "a.exr", {"RGB": _light()})
    (tmp_path / "a.exr").write_bytes((tmp_path / "a.exr").read_bytes()[:400])
    (tmp_path / "b.hdr").write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 80 +X 120\nxx")
    (tmp_path / "c.hdr").write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 90000 +X 90000\n")
    _write_exr(tmp_path / "d.exr", {"Z": np.ones((80, 120), np.float32)})
    for name, words in (("a.exr", "OpenEXR"), ("b.hdr", "Radiance"), ("c.hdr", "scale it down"), ("d.exr", "R, G and")):
        with pytest.raises(InputError, match=words):
            read_photo(tmp_path / name)
    assert capfd.readouterr().err == ""


def test_profiles_of_print_go_through_colour_management(tmp_path):
    """CMYK without a profile, and Lab, which Pillow itself cannot show."""
    lab = ImageCms.profileToProfile(
        Image.new("RGB", (100, 80), (180, 60, 40)),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    lab.save(tmp_path / "a.tif")
    assert np.abs(read_photo(tmp_path / "a.tif").pixels.astype(int) - (180, 60, 40)).max() <= 3


@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "a.webp"])
@pytest.mark.parametrize("alpha", [False, True])
def test_a_profile_of_tables_goes_through_colour_management(tmp_path, monkeypatch, name, alpha):
    """A scanner's; played by one that our own formula follows, which is told that it cannot."""
    with Image.open(FIELD / "photo_display_p3.jpg") as image:
        profile, pixels = image.info["icc_profile"], np.array(image)
    if alpha:
        if name == "a.jpg":
            return
        pixels = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
        pixels[100:150, 100:150, 3] = 0
    options = {} if name == "a.tif" else {"quality": 100} | ({"lossless": True} if name == "a.webp" else {})
    Image.fromarray(pixels).save(tmp_path / name, icc_profile=profile, **options)
    ours = read_photo(tmp_path / name)

    def tables(tags):
        raise TableProfile

    for module in ("decoding", "pixels"):
        monkeypatch.setattr(f"lookbeyond.photo.{module}.colour_space", tables)
    theirs = read_photo(tmp_path / name)
    known = np.ones(ours.pixels.shape[:2], bool) if ours.known is None else ours.known
    assert alpha == (theirs.known is not None) and "converted to sRGB" in theirs.said[0]
    assert np.abs(ours.pixels.astype(int) - theirs.pixels)[known].max() <= 1


def test_avif_and_heic(tmp_path):
    pixels = np.full((96, 128, 3), (200, 90, 30), np.uint8)
    pixels[:48] = (20, 120, 200)
    Image.fromarray(pixels).save(tmp_path / "a.avif", quality=95)
    assert np.abs(read_photo(tmp_path / "a.avif").pixels.astype(int) - pixels).mean() < 3
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    block = Image.Exif()
    block.get_ifd(0x8769)[0xA405] = 27
    Image.fromarray(pixels).save(tmp_path / "a.heic", quality=95, exif=block)
    photo = read_photo(tmp_path / "a.heic")
    assert np.abs(photo.pixels.astype(int) - pixels).mean() < 3
    assert photo.fov_x_rad == pytest.approx(2 * math.atan(18 / 27))


def test_heic_without_its_reader_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "_heic_reader", lambda: False)
    (tmp_path / "a.heic").write_bytes(struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(InputError, match=r"a\.heic is a HEIC photo.*pip install pillow-heif.*JPEG"):
        read_photo(tmp_path / "a.heic")


def test_a_turned_avif_is_turned_once(tmp_path):
    pixels = np.zeros((96, 128, 3), np.uint8)
    pixels[:48, :64] = 255
    block = Image.Exif()
    block[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.avif", quality=100, exif=block)
    assert np.abs(read_photo(tmp_path / "a.avif").pixels.astype(int) - turn(pixels, 6)).mean() < 2


def test_a_pq_png_is_shown_with_its_white_as_white(tmp_path):
    """A cICP chunk beside 16 bits: 203 cd/m² are white's shoulder, 18 % of it middle grey."""
    code = 65535 * np.array([0.0, _pq_code(0.18 * 203), _pq_code(203)])
    pixels = np.repeat(np.rint(code).astype(np.uint16)[None, :, None], 80, 0).repeat(40, 1).repeat(3, 2)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    data = (tmp_path / "a.png").read_bytes()
    content = b"cICP" + bytes([9, 16, 0, 1])
    chunk = struct.pack(">I", 4) + content + struct.pack(">I", zlib.crc32(content))
    (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])
    photo = read_photo(tmp_path / "a.png")
    assert "PQ" in photo.said[0] and "203" in photo.said[0]
    shown = photo.pixels[0, ::40].tolist()
    assert shown[0] == [0, 0, 0] and abs(shown[1][0] - 118) <= 1 and 225 < shown[2][0] < 250


def _pq_code(nits):
    light = (nits / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * light) / (1 + 2392 / 128 * light)) ** (2523 / 32)


def test_focal_lengths_that_are_not_believed_are_said():
    photo = read_photo(FIELD / "exif_sensor_from_before_a_resize.jpg")
    assert photo.fov_x_rad is None and "not trusted" in photo.said[0]
    assert math.degrees(read_photo(FIELD / "exif_sensor_right.jpg").fov_x_rad) == pytest.approx(63.5, abs=0.1)


def test_what_blender_shows_is_what_is_read(tmp_path):
    """From the same codes, by the add-on's way: floats, alpha premultiplied in EXR."""
    with Image.open(FIELD / "photo_display_p3.jpg") as image:
        image.save(tmp_path / "a.png", icc_profile=image.info["icc_profile"])
        codes = np.asarray(image)
    hidden = np.asarray(Image.open(FIELD / "photo_with_hidden_colour_under_alpha.png"))
    light, alpha = _light(), np.ones((80, 120, 1), np.float32)
    alpha[:, :30] = 0.75
    _write_exr(tmp_path / "b.exr", {"RGBA": np.concatenate([light * alpha, alpha], -1)})
    block = Image.Exif()
    block[0x0112] = 6
    Image.fromarray(codes).save(tmp_path / "c.png", exif=block)
    cv2.imwrite(str(tmp_path / "d.tif"), light[..., ::-1])
    cases = (
        (tmp_path / "a.png", codes / np.float32(255), True),
        (FIELD / "photo_with_hidden_colour_under_alpha.png", hidden / np.float32(255), False),
        (tmp_path / "b.exr", np.concatenate([light * alpha, alpha], -1), True),
        (tmp_path / "c.png", codes / np.float32(255), True),
        (tmp_path / "d.tif", light, True),
    )
    for path, pixels, changes in cases:
        photo, tags = read_photo(path), read_tags(path)
        ours = as_shown(pixels.astype(np.float32), tags)
        known = np.ones(photo.pixels.shape[:2], bool) if photo.known is None else photo.known
        np.testing.assert_array_equal(ours[..., 3] == 255, known)
        assert np.abs(ours[..., :3].astype(int) - photo.pixels)[known].max() <= 1, path.name
        assert changes_pixels(tags) == changes, path.name


# --- spheres -----------------------------------------------------------------------------------------------


def _world(directions):
    """A colour for every direction, smooth enough to be sampled."""
    return np.clip(127.5 + 100 * directions, 0, 255)


def _sphere_jpeg(path, pixels, **tags):
    attributes = " ".join(
        f'G:{name}="{value}"' for name, value in {"ProjectionType": "equirectangular", **tags}.items()
    )
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<r:Description xmlns:G="http://ns.google.com/photos/1.0/panorama/" {attributes}/></r:RDF></x:xmpmeta>'
    )
    Image.fromarray(np.rint(pixels).astype(np.uint8)).save(path, quality=100, subsampling=0, xmp=packet.encode())
    return path


def _tilted(width, heading, pitch, roll):
    """What a camera turned so sees all around, equirectangular about its own axis."""
    camera = placed_camera(
        64, 64, 1.0, heading_rad=math.radians(heading), pitch_rad=math.radians(pitch), roll_rad=math.radians(roll)
    )
    return _world(equirectangular_directions(width, width // 2) @ (camera.rotation @ LEVEL.T).T)


@pytest.mark.parametrize("pose", [(0, 0, 0), (0, 10, 0), (0, 0, 12), (0, -20, 7)])
def test_a_tilted_sphere_is_levelled(tmp_path, pose):
    _heading, pitch, roll = pose
    path = _sphere_jpeg(tmp_path / "a.jpg", _tilted(256, *pose), PosePitchDegrees=pitch, PoseRollDegrees=roll)
    sphere = read_sphere(path)
    truth = _world(equirectangular_directions(256, 128))
    assert sphere.known is None and np.abs(sphere.pixels - truth).max() < 6
    assert bool(pitch or roll) == any("levelled" in said for said in sphere.said)


def test_roll_turns_the_horizon_counter_clockwise_in_the_picture():
    """GPano's own words for PoseRollDegrees; above the horizon our world is lighter in its third channel."""
    seen = _tilted(256, 0, 0, 20)[..., 2]
    left, right = (np.argmin(np.abs(seen[:, column] - 127.5)) for column in (128 - 20, 128 + 20))
    assert right < left, "the horizon's right end is higher"


@pytest.mark.parametrize(("compass", "heading"), [(0, 90), (90, 0), (180, -90), (270, 180)])
def test_the_compass_turns_the_sphere(tmp_path, compass, heading):
    path = _sphere_jpeg(tmp_path / "a.jpg", _tilted(256, 0, 0, 0), PoseHeadingDegrees=compass)
    assert abs(math.degrees(read_sphere(path).heading_rad)) == pytest.approx(abs(heading))
    assert read_sphere(_sphere_jpeg(tmp_path / "b.jpg", _tilted(256, 0, 0, 0))).heading_rad is None


@pytest.mark.parametrize("resized", [1, 2])
def test_a_part_of_a_sphere_lies_where_its_tags_say(tmp_path, resized):
    whole = _world(equirectangular_directions(256, 128))
    part = whole[32:96, 40:200][::resized, ::resized] if resized > 1 else whole[32:96, 40:200]
    tags = {
        "FullPanoWidthPixels": 256,
        "FullPanoHeightPixels": 128,
        "CroppedAreaImageWidthPixels": 160,
        "CroppedAreaImageHeightPixels": 64,
        "CroppedAreaLeftPixels": 40,
        "CroppedAreaTopPixels": 32,
    }
    if resized == 2:
        large = _world(equirectangular_directions(512, 256))
        part = large[64:192, 80:400]
    sphere = read_sphere(_sphere_jpeg(tmp_path / "a.jpg", part, **tags))
    scale = 2 if resized == 2 else 1
    truth = _world(equirectangular_directions(256 * scale, 128 * scale))
    known = np.zeros(truth.shape[:2], bool)
    known[32 * scale : 96 * scale, 40 * scale : 200 * scale] = True
    np.testing.assert_array_equal(sphere.known, known)
    assert np.abs(sphere.pixels[known] - truth[known]).max() < 6
    assert any("112" in said or "225" in said for said in sphere.said)


def test_a_part_that_crosses_the_spheres_seam(tmp_path):
    whole = _world(equirectangular_directions(256, 128))
    tags = {
        "FullPanoWidthPixels": 256,
        "FullPanoHeightPixels": 128,
        "CroppedAreaImageWidthPixels": 100,
        "CroppedAreaImageHeightPixels": 128,
        "CroppedAreaLeftPixels": 200,
        "CroppedAreaTopPixels": 0,
    }
    sphere = read_sphere(_sphere_jpeg(tmp_path / "a.jpg", np.roll(whole, -200, 1)[:, :100], **tags))
    known = np.roll(np.arange(256) < 100, 200)
    np.testing.assert_array_equal(sphere.known, np.broadcast_to(known, (128, 256)))
    assert np.abs(sphere.pixels[:, known] - whole[:, known]).max() < 6


def test_the_fields_spheres():
    part = read_sphere(FIELD / "gpano_crop_that_is_2_to_1.jpg")
    assert part.pixels.shape == (1024, 2048, 3) and part.known.mean() == 0.25
    assert part.known[256:768, 512:1536].all()
    whole = read_sphere(FIELD / "gpano_whole_sphere.jpg")
    assert whole.known is None and whole.heading_rad == pytest.approx(0) and "roll 12°" in whole.said[0]
    with pytest.raises(InputError, match="only a part of the sphere"):
        read_panorama_image(FIELD / "gpano_crop_that_is_2_to_1.jpg")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gpano_whole_sphere.jpg", "is a 360° picture by its tags.*--panorama"),
        ("gpano_crop_that_is_2_to_1.jpg", "180° x 90° of one.*--panorama"),
        ("phone_sweep_5to1.jpg", "sweep panorama.*single photo"),
    ],
)
def test_what_is_no_photo_is_refused_with_the_way_meant_for_it(name, words):
    with pytest.raises(InputError, match=words):
        read_photo(FIELD / name)


def test_a_photo_is_not_taken_for_a_sphere(tmp_path):
    rows, columns = np.mgrid[0:128, 0:256]
    photo = np.dstack([columns, 255 - columns, rows + 60]).astype(np.uint8)
    block = Image.Exif()
    block.get_ifd(0x8769)[0xA405] = 27
    Image.fromarray(photo).save(tmp_path / "a.jpg", exif=block.tobytes())
    with pytest.raises(InputError, match=r"a.jpg is a photo that a lens of 27 mm took"):
        read_sphere(tmp_path / "a.jpg")
    Image.fromarray(photo).save(tmp_path / "b.jpg")
    assert any("is it a 360° picture" in said for said in read_sphere(tmp_path / "b.jpg").said)
    _sphere_jpeg(tmp_path / "c.jpg", _tilted(256, 0, 0, 0))
    assert not read_sphere(tmp_path / "c.jpg").said


def test_an_empty_nadir_is_a_hole(tmp_path):
    pixels = np.rint(_world(equirectangular_directions(256, 128))).astype(np.uint8)
    alpha = np.full((128, 256), 255, np.uint8)
    alpha[110:] = 0
    pixels[110:] = (255, 0, 255)
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "a.png")
    sphere = read_sphere(tmp_path / "a.png")
    np.testing.assert_array_equal(sphere.known, alpha > 0)
    assert not (np.abs(sphere.pixels.astype(int) - (255, 0, 255)).max(-1) < 60).any()
    assert any("% of it is transparent" in said for said in sphere.said)


def test_spheres_of_linear_light(tmp_path):
    light = srgb_to_linear(_world(equirectangular_directions(256, 128)) / 255).astype(np.float32)
    _write_exr(tmp_path / "a.exr", {"RGB": light})
    cv2.imwrite(str(tmp_path / "a.hdr"), light[..., ::-1])
    for name in ("a.exr", "a.hdr"):
        sphere = read_sphere(tmp_path / name, stops=0)
        assert np.abs(sphere.pixels.astype(int) - encoded(rolled_off(light))).max() <= 4 and "linear" in sphere.said[0]
