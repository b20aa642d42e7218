"""Pictures in: pixels mean what the file says, and what is no photo is said in a sentence."""

import math
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lookbeyond.errors import InputError
from lookbeyond.photo.reading import read_panorama_image, read_photo


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
    with pytest.raises(InputError, match="256x100.*twice as wide"):
        read_panorama_image(_save(tmp_path / "bad.png", 256, 100))
