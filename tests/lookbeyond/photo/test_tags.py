"""What a picture file says of itself: from every format alike, and nothing that cannot be."""

import math
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from lookbeyond.layout.camera import camera_from_segments
from lookbeyond.photo import tags
from lookbeyond.photo.colour_tags import Cicp
from lookbeyond.photo.tags import fov_x_assumed, fov_x_of_focal, read_tags, why_no_photo

FIELD = Path(__file__).parents[2] / "field"
XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:P="{space}" {inner}
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def xmp(attributes: str = "", elements: str = "", space: str = "http://ns.google.com/photos/1.0/panorama/") -> bytes:
    return XMP.format(space=space, inner=f"{attributes}>{elements}").encode()


def exif(values: dict, main: dict | None = None) -> bytes:
    block = Image.Exif()
    for tag, value in (main or {}).items():
        block[tag] = value
    block.get_ifd(0x8769).update(values)
    return block.tobytes()


def save(path: Path, size: tuple[int, int] = (120, 80), **options) -> Path:
    Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif"])
def test_size_focal_length_orientation_and_profile_from_every_format(tmp_path, name):
    block = exif({0xA405: 27}, {0x0112: 6, 0x0110: "Camera"})
    profile = Image.open(FIELD / "photo_display_p3.jpg").info["icc_profile"]
    found = read_tags(save(tmp_path / name, exif=block, icc_profile=profile))
    assert (found.focal_35mm, found.colours.profile) == (27, profile)
    assert found.upright_size == (80, 120)
    # what turns an AVIF is followed by every decoder, so that nobody has to turn it once more
    assert found.orientation == (1 if name == "a.avif" else 6)


def test_heic(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    found = read_tags(save(tmp_path / "a.heic", (128, 96), exif=exif({0xA405: 27})))
    assert (found.focal_35mm, found.orientation, found.upright_size) == (27, 1, (128, 96))


@pytest.mark.parametrize(
    ("size", "degrees"), [((4000, 3000), 67.38), ((3000, 4000), 53.13), ((2000, 2000), 67.38), ((2400, 3600), 47.92)]
)
def test_one_formula_for_a_focal_length(tmp_path, size, degrees):
    """27 mm: the photo's longer side is the film's 36 mm, whichever way it is held."""
    assert math.degrees(fov_x_of_focal(27, *size)) == pytest.approx(degrees, abs=0.01)


def test_one_default(tmp_path):
    for size in ((300, 200), (200, 300)):
        assert camera_from_segments(np.zeros((0, 4)), *size).fov_x.value_rad == fov_x_assumed(*size)
    assert math.degrees(fov_x_assumed(300, 200)) == pytest.approx(65)


def test_orientation_and_focal_length_that_stand_only_in_xmp(tmp_path):
    for packet in (
        xmp('tiff:Orientation="6" exif:FocalLengthIn35mmFilm="27"'),
        xmp("", "<tiff:Orientation>6</tiff:Orientation><exif:FocalLengthIn35mmFilm>54/2</exif:FocalLengthIn35mmFilm>"),
    ):
        for name in ("a.jpg", "a.webp", "a.tif"):
            options = {"tiffinfo": {700: packet}} if name == "a.tif" else {"xmp": packet}
            found = read_tags(save(tmp_path / name, **options))
            assert (found.orientation, found.focal_35mm) == (6, 27), name
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", packet.decode(), zip=True)
        found = read_tags(save(tmp_path / "a.png", pnginfo=text))
        assert (found.orientation, found.focal_35mm) == (6, 27)
    both = read_tags(save(tmp_path / "b.jpg", exif=exif({}, {0x0112: 3}), xmp=packet))
    assert both.orientation == 3, "EXIF's counts where both stand"


def test_the_exif_that_imagemagick_writes_as_text(tmp_path):
    block = b"Exif\0\0" + exif({0xA405: 27}, {0x0112: 8}).removeprefix(b"Exif\0\0")
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=True)
    found = read_tags(save(tmp_path / "a.png", pnginfo=text))
    assert (found.focal_35mm, found.orientation) == (27, 8)


def test_bigtiff(tmp_path):
    save(tmp_path / "a.tif", tiffinfo={0x0112: 6}, big_tiff=True)
    assert (tmp_path / "a.tif").read_bytes()[2:4] == b"+\0"
    assert read_tags(tmp_path / "a.tif").upright_size == (80, 120)


def test_sensor_tags_are_read_and_those_from_before_a_resize_are_not_believed():
    right = read_tags(FIELD / "exif_sensor_right.jpg")
    assert math.degrees(fov_x_of_focal(right.focal_35mm, 600, 400)) == pytest.approx(63.5, abs=0.1)
    wrong = read_tags(FIELD / "exif_sensor_from_before_a_resize.jpg")
    assert wrong.focal_35mm == 0 and "give a width of 2.23 mm" in wrong.focal_doubt


@pytest.mark.parametrize("sensor_mm", [36.0, 23.5, 13.2, 7.4, 6.17])
@pytest.mark.parametrize("divided", [2, 3, 4])
def test_a_resize_shows_in_the_sensor(tmp_path, sensor_mm, divided):
    width, height = 6000 // divided, 4000 // divided
    values = {0x920A: 18.0, 0xA20E: 6000 / (sensor_mm / 25.4), 0xA210: 2}
    whole = read_tags(save(tmp_path / "a.jpg", (600, 400), exif=exif(values | {0xA002: 6000, 0xA003: 4000})))
    assert whole.focal_35mm == pytest.approx(18 * 36 / sensor_mm, abs=0.06) and not whole.focal_doubt
    less = read_tags(save(tmp_path / "a.jpg", (width, height), exif=exif(values | {0xA002: width, 0xA003: height})))
    assert less.focal_35mm == 0 and "not trusted" in less.focal_doubt


def test_a_focal_length_from_before_a_crop_is_not_believed(tmp_path):
    values = {0xA405: 27, 0xA002: 4032, 0xA003: 3024}
    cropped = read_tags(save(tmp_path / "a.jpg", (300, 300), exif=exif(values)))
    assert cropped.focal_35mm == 0 and "4032x3024 pixels but it has 300x300" in cropped.focal_doubt
    for size in ((403, 302), (302, 403), (400, 300)):  # resized, turned and resized, and by another ratio's rounding
        assert read_tags(save(tmp_path / "b.jpg", size, exif=exif(values))).focal_35mm == 27


def test_gpano_tags_as_attributes_and_as_elements(tmp_path):
    names = {
        "FullPanoWidthPixels": 8000,
        "FullPanoHeightPixels": 4000,
        "CroppedAreaImageWidthPixels": 4000,
        "CroppedAreaImageHeightPixels": 1000,
        "CroppedAreaLeftPixels": 100,
        "CroppedAreaTopPixels": 1500,
        "PoseHeadingDegrees": 350.5,
        "PosePitchDegrees": -3,
        "PoseRollDegrees": 1.25,
    }
    attributes = " ".join(f'P:{name}="{value}"' for name, value in names.items())
    elements = "".join(f"<P:{name}>{value}</P:{name}>" for name, value in names.items())
    for packet in (
        xmp(f'P:ProjectionType="equirectangular" {attributes}'),
        xmp("", f"<P:ProjectionType>equirectangular</P:ProjectionType>{elements}"),
    ):
        sphere = read_tags(save(tmp_path / "a.jpg", (400, 100), xmp=packet)).sphere
        assert sphere == tags.SphereTags("equirectangular", 8000, 4000, 100, 1500, 4000, 1000, 350.5, -3, 1.25)
        assert sphere.spans_deg == (180, 45) and not sphere.whole


def test_what_is_no_photo_says_what_it_is():
    whole = why_no_photo(read_tags(FIELD / "gpano_whole_sphere.jpg"))
    assert "360° picture by its tags" in whole and "--panorama" in whole
    assert "180° x 90° of one" in why_no_photo(read_tags(FIELD / "gpano_crop_that_is_2_to_1.jpg"))
    assert "sweep panorama" in why_no_photo(read_tags(FIELD / "phone_sweep_5to1.jpg"))
    assert not why_no_photo(read_tags(FIELD / "photo_display_p3.jpg"))


def test_a_cylinder_is_no_photo_either(tmp_path):
    packet = xmp('P:ProjectionType="cylindrical"')
    assert "cylindrical panorama" in why_no_photo(read_tags(save(tmp_path / "a.jpg", xmp=packet)))


@pytest.mark.parametrize("space", ["http://ns.adobe.com/hdr-gain-map/1.0/", "http://ns.apple.com/HDRGainMap/1.0/"])
def test_gain_maps_are_noticed(tmp_path, space):
    assert read_tags(save(tmp_path / "a.jpg", xmp=xmp('P:Version="1.0"', space=space))).gain_map
    assert not read_tags(save(tmp_path / "a.jpg")).gain_map


def test_the_gain_map_of_iso_21496(tmp_path):
    data = save(tmp_path / "a.jpg").read_bytes()
    content = b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0"
    (tmp_path / "a.jpg").write_bytes(data[:2] + b"\xff\xe2" + struct.pack(">H", len(content) + 2) + content + data[2:])
    assert read_tags(tmp_path / "a.jpg").gain_map


def png_with(path: Path, *chunks: tuple[bytes, bytes], pixels: np.ndarray | None = None) -> Path:
    """A PNG with chunks of its own behind the header."""
    import zlib

    Image.fromarray(np.zeros((80, 120, 3), np.uint8) if pixels is None else pixels).save(path)
    data = path.read_bytes()
    made = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    path.write_bytes(data[:33] + made + data[33:])
    return path


def test_pngs_own_colours(tmp_path):
    chromaticities = [31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000]
    found = read_tags(
        png_with(
            tmp_path / "a.png",
            (b"cICP", bytes([12, 13, 0, 1])),
            (b"gAMA", struct.pack(">I", 100000)),
            (b"cHRM", struct.pack(">8I", *chromaticities)),
        )
    ).colours
    assert found.cicp == Cicp(12, 13) and found.gamma == 1
    assert found.chromaticities.green == (0.265, 0.69)


def test_adobe_rgb_as_cameras_say_it(tmp_path):
    block = Image.Exif()
    ifd = block.get_ifd(0x8769)
    ifd[0xA001], ifd[0xA005] = 0xFFFF, {1: "R03"}
    assert read_tags(save(tmp_path / "a.jpg", exif=block.tobytes())).colours.adobe_rgb
    ifd[0xA005] = {1: "R98"}
    assert not read_tags(save(tmp_path / "a.jpg", exif=block.tobytes())).colours.adobe_rgb


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_is_broken_is_absent(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    name = data.draw(st.sampled_from(["a.jpg", "a.png", "a.webp", "a.tif", "a.avif"]))
    good = _good(folder, name)
    content = bytearray(good[: data.draw(st.integers(1, len(good)))])
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, min(len(content), 3000) - 1))] = data.draw(st.integers(0, 255))
    (folder / f"broken_{name}").write_bytes(content)
    found = read_tags(folder / f"broken_{name}")
    assert 1 <= found.orientation <= 8 and (found.focal_35mm == 0 or 4 <= found.focal_35mm <= 2000)
    why_no_photo(found)


_kept: dict[str, bytes] = {}


def _good(folder: Path, name: str) -> bytes:
    if name not in _kept:
        options = {"exif": exif({0xA405: 27}, {0x0112: 6, 0x0110: "Camera"})}
        if name != "a.tif":
            options["xmp"] = xmp('P:ProjectionType="equirectangular" P:FullPanoWidthPixels="240"')
            options["icc_profile"] = Image.open(FIELD / "photo_display_p3.jpg").info["icc_profile"]
        _kept[name] = save(folder / name, **options).read_bytes()
    return _kept[name]
