"""What a picture file says of itself: size, which way is up, focal length, colours, and whether it is a sphere.

One reader for the command line, the service and Blender (which brings none): the standard library only. JPEG, PNG,
WebP, TIFF, BigTIFF, AVIF and HEIC; EXIF, TIFF tags, XMP (also its GPano), ICC profiles, cICP, gAMA and cHRM. Pixels are
not decoded, and whatever is broken counts as absent.
"""

import contextlib
import math
import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

FOV_ASSUMED_RAD = math.radians(65)
"""Field of view across the longer side of a photo that says nothing about it: a phone's or a reportage lens."""
FILM_MM = 36.0
"""The longer side of a frame of 35 mm film, to which focal lengths "as on 35 mm film" belong here."""
FOCAL_LIMITS_MM = 4.0, 2000.0
MOST_ASPECT = 3.0
"""Longer over shorter side from which on a picture is a sweep, no photo that one lens took."""

MAX_XMP_BYTES = 1 << 20
MAX_PROFILE_BYTES = 8 << 20

# Longer sides of sensors that were built, millimetres. What lies between them is a sensor's resolution together with
# the number of pixels of a picture that was resized. (A third of 22.3 mm is a compact's sensor: that cannot be told.)
_SENSORS_MM = (
    (4.4, 4.6), (4.7, 4.85), (5.2, 5.4), (5.7, 5.8), (6.1, 6.25), (7.1, 7.7), (8.4, 8.9), (9.5, 9.9), (12.8, 13.3),
    (17.0, 17.5), (18.4, 18.9), (20.5, 20.9), (22.1, 24.2), (27.5, 28.9), (35.2, 36.3), (43.6, 44.2), (44.9, 45.3),
    (47.9, 49.3), (53.3, 54.1),
)  # fmt: skip
_LEAST_SENSOR_PIXELS = 1_000_000
"""No camera that tells the resolution of its sensor has fewer."""
_SAME_ASPECT = 0.02
"""Relative difference of two aspects of which neither picture is a crop of the other: of thumbnails, 0.6 %."""

_NUMBERS = {3: "H", 4: "I", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q"}
"""Types of TIFF that are single numbers: short, long, their signed ones, float, double, folder, BigTIFF's long."""

_GPANO = "http://ns.google.com/photos/1.0/panorama/"
_XMP_TIFF = "http://ns.adobe.com/tiff/1.0/"
_XMP_EXIF = "http://ns.adobe.com/exif/1.0/"
_GAIN_MAPS = ("http://ns.adobe.com/hdr-gain-map/1.0/", "http://ns.apple.com/HDRGainMap/1.0/")
_ISO_GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\0"

_ORIENTATION, _XMP_TAG, _EXIF_FOLDER, _PROFILE_TAG = 0x0112, 0x02BC, 0x8769, 0x8773
_WIDTH, _HEIGHT, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 0x0100, 0x0101, 0x0152, 0x0153
_FOCAL_35MM, _FOCAL, _COLOUR_SPACE, _INTEROPERABILITY = 0xA405, 0x920A, 0xA001, 0xA005
_SENSOR_X, _SENSOR_Y, _SENSOR_UNIT, _PIXELS_X, _PIXELS_Y = 0xA20E, 0xA20F, 0xA210, 0xA002, 0xA003


class Cicp(NamedTuple):
    """Coding-independent code points (ITU-T H.273)."""

    primaries: int
    transfer: int


class Chromaticities(NamedTuple):
    """x and y of white, red, green and blue."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]


@dataclass(frozen=True)
class ColourTags:
    """What a file says of its colours; the first that is there counts, sRGB where there is none."""

    cicp: Cicp | None = None
    profile: bytes = field(default=b"", repr=False)
    """An ICC profile."""
    srgb: bool = False
    """PNG's sRGB chunk, or EXIF's colour space."""
    adobe_rgb: bool = False
    """Adobe RGB by EXIF ("R03"), as cameras write it."""
    gamma: float = 0.0
    """PNG's gAMA: the exponent that encoded the pixels; 0 where it is not said."""
    chromaticities: Chromaticities | None = None


@dataclass(frozen=True)
class SphereTags:
    """GPano: where on the sphere a picture lies. Pixels are those of the tags: the file may have been resized since."""

    projection: str
    """"equirectangular", "cylindrical" …"""
    full_width: int
    full_height: int
    left: int
    top: int
    width: int
    height: int
    heading_deg: float | None = None
    """Compass heading of the whole sphere's centre; None where it is not said."""
    pitch_deg: float = 0.0
    """Of the centre, above the horizon."""
    roll_deg: float = 0.0
    """The camera's, clockwise seen from behind: the horizon turns counter-clockwise in the picture."""

    @property
    def whole(self) -> bool:
        return (self.left, self.top, self.width, self.height) == (0, 0, self.full_width, self.full_height)

    @property
    def spans_deg(self) -> tuple[float, float]:
        """Degrees of the sphere across and down."""
        return 360 * self.width / self.full_width, 180 * self.height / self.full_height


@dataclass(frozen=True)
class PhotoTags:
    """What was found; what is absent or broken has its default."""

    width: int = 0
    """Pixels as they are stored (not yet turned upright); 0 where the file does not say."""
    height: int = 0
    focal_35mm: float = 0.0
    """Focal length in millimetres as on 35 mm film; 0 when unknown or not believed."""
    focal_doubt: str = ""
    """Why a focal length that the file has is not believed: a sentence for people."""
    orientation: int = 1
    """1..8, as EXIF counts; from 5 on, the upright photo is as wide as the pixels are high."""
    sphere: SphereTags | None = None
    colours: ColourTags = ColourTags()
    gain_map: bool = False
    """Whether it is an HDR picture whose pixels, read plainly, are its SDR base."""
    linear: bool = False
    """Whether its pixels are linear light: EXR, HDR, and TIFFs of floats."""
    premultiplied: bool = False
    """Whether its colours are multiplied by its alpha: of EXR, and of TIFFs that say so."""
    orientation_at: int = 0
    """Of a TIFF: where in the file its orientation stands; 0 elsewhere. Decoders differ in whether they turn a TIFF."""
    byte_order: str = "<"

    @property
    def turned(self) -> bool:
        return self.orientation >= 5

    @property
    def upright_size(self) -> tuple[int, int]:
        return (self.height, self.width) if self.turned else (self.width, self.height)


def read_tags(path: Path) -> PhotoTags:
    """What an image file says of itself; defaults for what it does not say, or says brokenly. Raises OSError."""
    with path.open("rb") as file:
        try:
            # Not read whole: EXIF may stand anywhere, in WebP behind the pixels, in TIFF where its writer liked.
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _tags_of(_parts(data))
        except ValueError:  # an empty file
            return PhotoTags()


def fov_x_assumed(width: int, height: int) -> float:
    """Horizontal field of view, radians, of an upright photo of this size that says nothing about it."""
    return 2 * math.atan(math.tan(FOV_ASSUMED_RAD / 2) * width / max(width, height))


def fov_x_of_focal(focal_35mm: float, width: int, height: int) -> float:
    """Horizontal field of view, radians, of an upright photo: its longer side is the 36 mm of the film."""
    return 2 * math.atan(FILM_MM / 2 / focal_35mm * width / max(width, height))


def why_no_photo(tags: PhotoTags) -> str:
    """Why this is no photo that one lens took, and what to do with it instead; "" where nothing says so."""
    if tags.sphere is not None and tags.sphere.projection != "equirectangular":
        return f"is a {tags.sphere.projection} panorama by its tags, no photo; give a single photo of the place"
    if tags.sphere is not None:
        part = "" if tags.sphere.whole else " ({:.0f}° x {:.0f}° of one)".format(*tags.sphere.spans_deg)
        return f"is a 360° picture{part} by its tags, no photo; give it as the 360° picture (--panorama)"
    longer, shorter = max(tags.width, tags.height), min(tags.width, tags.height)
    if shorter and longer / shorter > MOST_ASPECT:
        return (
            f"has a side {longer / shorter:.3g} times as long as the other: it is a sweep panorama, which bends"
            " straight lines, no photo; give a single photo of the place, or crop a part that one lens could see"
        )
    return ""


# --- the parts of a file ----------------------------------------------------------------------------------


@dataclass
class _Parts:
    """The blocks of a file that say something, undecoded."""

    size: tuple[int, int] = (0, 0)
    exif: bytes | mmap.mmap = b""
    xmp: list[bytes] = field(default_factory=list)
    profile: bytes = b""
    cicp: Cicp | None = None
    srgb: bool = False
    gamma: float = 0.0
    chromaticities: Chromaticities | None = None
    gain_map: bool = False
    is_tiff: bool = False
    is_exr: bool = False
    is_hdr: bool = False
    turned_by_decoder: bool = False


def _parts(data: mmap.mmap) -> _Parts:
    parts = _Parts(is_exr=data[:4] == b"\x76\x2f\x31\x01", is_hdr=data[:3] == b"#?R")
    readers = (
        (data[:2] == b"\xff\xd8", _read_jpeg),
        (data[:8] == b"\x89PNG\r\n\x1a\n", _read_png),
        (data[:4] == b"RIFF" and data[8:12] == b"WEBP", _read_webp),
        (data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _read_tiff_file),
        (data[4:8] == b"ftyp", _read_boxes),
    )
    for matches, read in readers:
        if matches:
            # cut off: what was found by then stands
            with contextlib.suppress(struct.error, LookupError, ValueError, zlib.error, OverflowError):
                read(data, parts)
    return parts


def _read_jpeg(data: mmap.mmap, parts: _Parts) -> None:
    """Segments of marker, length (itself included), content."""
    position, profile = 2, {}
    while data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker in (0xD9, 0xDA):
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # without a length
            position += 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        content = data[position + 4 : position + 2 + length]
        if marker == 0xE1 and content.startswith(b"Exif\0\0") and not parts.exif:
            parts.exif = content[6:]
        elif marker == 0xE1 and content.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            parts.xmp.append(content[29:])
        elif marker == 0xE2 and content.startswith(b"ICC_PROFILE\0") and len(content) > 14:
            profile[content[12]] = content[14:]
        elif marker == 0xE2 and content.startswith(_ISO_GAIN_MAP):
            parts.gain_map = True
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, 1)
            parts.size = width, height
        parts.profile = b"".join(profile[number] for number in sorted(profile))
        position += 2 + length


def _read_png(data: mmap.mmap, parts: _Parts) -> None:
    """Chunks of length, type, content, checksum."""
    position = 8
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        content = data[position + 8 : position + 8 + length] if kind not in (b"IDAT", b"fdAT") else b""
        if kind == b"IHDR":
            parts.size = struct.unpack_from(">II", content)
        elif kind == b"eXIf" and not parts.exif:
            parts.exif = content
        elif kind == b"iCCP":
            parts.profile = _inflated(content[content.index(b"\0") + 2 :], MAX_PROFILE_BYTES)
        elif kind == b"cICP" and len(content) == 4:
            parts.cicp = Cicp(content[0], content[1])
        elif kind == b"sRGB":
            parts.srgb = True
        elif kind == b"gAMA":
            parts.gamma = struct.unpack(">I", content)[0] / 1e5
        elif kind == b"cHRM":
            xy = [value / 1e5 for value in struct.unpack(">8I", content)]
            parts.chromaticities = Chromaticities(*zip(xy[::2], xy[1::2]))
        elif kind in (b"iTXt", b"tEXt", b"zTXt"):
            _read_png_text(kind, content, parts)
        elif kind == b"IEND":
            break
        position += 12 + length


def _read_png_text(kind: bytes, content: bytes, parts: _Parts) -> None:
    """XMP, and ImageMagick's EXIF as hexadecimal text."""
    keyword, _, rest = content.partition(b"\0")
    if kind == b"iTXt":
        compressed, rest = rest[:1] == b"\1", rest[2:]
        text = rest.split(b"\0", 2)[2]
        text = _inflated(text, MAX_XMP_BYTES) if compressed else text
    else:
        text = _inflated(rest[1:], MAX_XMP_BYTES) if kind == b"zTXt" else rest
    if keyword == b"XML:com.adobe.xmp":
        parts.xmp.append(text)
    elif keyword in (b"Raw profile type exif", b"Raw profile type APP1") and not parts.exif:
        block = bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))
        if block.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            parts.xmp.append(block[29:])
        else:
            parts.exif = block.removeprefix(b"Exif\0\0")
    elif keyword == b"Raw profile type xmp":
        parts.xmp.append(bytes.fromhex(b"".join(text.split()[2:]).decode("ascii")))


def _read_webp(data: mmap.mmap, parts: _Parts) -> None:
    """Chunks of type, length, content padded to even."""
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        content = data[position + 8 : position + 8 + (length if kind in (b"EXIF", b"XMP ", b"ICCP") else 10)]
        if kind == b"VP8X":
            parts.size = int.from_bytes(content[4:7], "little") + 1, int.from_bytes(content[7:10], "little") + 1
        elif kind == b"VP8 " and not any(parts.size):
            width, height = struct.unpack_from("<HH", content, 6)
            parts.size = width & 0x3FFF, height & 0x3FFF
        elif kind == b"VP8L" and not any(parts.size):
            (bits,) = struct.unpack_from("<I", content, 1)
            parts.size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        elif kind == b"EXIF":
            parts.exif = content.removeprefix(b"Exif\0\0")
        elif kind == b"XMP ":
            parts.xmp.append(content)
        elif kind == b"ICCP":
            parts.profile = content
        position += 8 + length + length % 2


def _read_tiff_file(data: mmap.mmap, parts: _Parts) -> None:
    parts.exif, parts.is_tiff = data, True


def _read_boxes(data: mmap.mmap, parts: _Parts) -> None:
    """HEIC and AVIF (ISO 14496-12, 23008-12): items and the properties of the primary one.

    Turning is one of those properties, which every decoder follows: EXIF's orientation says it once more.
    """
    parts.turned_by_decoder = True
    boxes = {kind: (start, end) for kind, start, end in _boxes(data, 0, len(data))}
    if b"meta" not in boxes:
        return
    start, end = boxes[b"meta"]
    meta = {kind: (start, end) for kind, start, end in _boxes(data, start + 4, end)}
    primary = struct.unpack_from(">I" if data[meta[b"pitm"][0]] else ">H", data, meta[b"pitm"][0] + 4)[0]
    _read_properties(data, meta[b"iprp"], primary, parts)
    where = _item_places(data, *meta[b"iloc"], idat=meta.get(b"idat", (0, 0))[0])
    for item, kind, content_type in _items(data, *meta[b"iinf"]):
        if kind == b"tmap":
            parts.gain_map = True
        if item not in where or kind not in (b"Exif", b"mime"):
            continue
        begin, length = where[item]
        content = data[begin : begin + min(length, MAX_PROFILE_BYTES)]
        if kind == b"Exif":
            (offset,) = struct.unpack_from(">I", content)
            parts.exif = content[4 + offset :].removeprefix(b"Exif\0\0")
        elif content_type == b"application/rdf+xml":
            parts.xmp.append(content)


def _read_properties(data: mmap.mmap, box: tuple[int, int], primary: int, parts: _Parts) -> None:
    inner = {kind: (start, end) for kind, start, end in _boxes(data, *box)}
    properties = list(_boxes(data, *inner[b"ipco"]))
    start, _ = inner[b"ipma"]
    version, wide = data[start], data[start + 3] & 1
    (count,) = struct.unpack_from(">I", data, start + 4)
    position = start + 8
    for _ in range(count):
        (item,) = struct.unpack_from(">I" if version else ">H", data, position)
        position += 4 if version else 2
        associations = data[position]
        for index in range(associations):
            at = position + 1 + index * (2 if wide else 1)
            number = struct.unpack_from(">H", data, at)[0] & 0x7FFF if wide else data[at] & 0x7F
            if item != primary or not 1 <= number <= len(properties):
                continue
            kind, begin, end = properties[number - 1]
            if kind == b"ispe":
                parts.size = struct.unpack_from(">II", data, begin + 4)
            elif kind == b"irot" and data[begin] & 1:
                parts.size = parts.size[::-1]
            elif kind == b"colr" and data[begin : begin + 4] in (b"prof", b"rICC"):
                parts.profile = data[begin + 4 : min(end, begin + MAX_PROFILE_BYTES)]
            elif kind == b"colr" and data[begin : begin + 4] == b"nclx":
                parts.cicp = Cicp(*struct.unpack_from(">HH", data, begin + 4))
        position += 1 + associations * (2 if wide else 1)


def _boxes(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, beginning and end of the content of each box."""
    while start + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, start)
        header = 8
        if length == 1:
            (length,), header = struct.unpack_from(">Q", data, start + 8), 16
        stop = end if length == 0 else start + length
        if length and length < header:
            return
        yield kind, start + header, min(stop, end)
        start = stop


def _items(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, type and content type of each item."""
    skip = 6 if data[start] == 0 else 8
    for _, begin, stop in _boxes(data, start + skip, end):
        version = data[begin]
        (item,) = struct.unpack_from(">I" if version == 3 else ">H", data, begin + 4)
        position = begin + (10 if version == 3 else 8)
        kind, rest = data[position : position + 4], data[position + 4 : stop].split(b"\0")
        yield item, kind, rest[1] if len(rest) > 1 else b""


def _item_places(data: mmap.mmap, start: int, end: int, idat: int) -> dict[int, tuple[int, int]]:
    """Beginning and length in the file of each item that lies in one piece."""
    version, sizes = data[start], struct.unpack_from(">H", data, start + 4)[0]
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    position, places = start + 6, {}

    def number(size: int) -> int:
        nonlocal position
        position += size
        return int.from_bytes(data[position - size : position], "big")

    for _ in range(number(4 if version == 2 else 2)):
        item = number(4 if version == 2 else 2)
        method = number(2) & 15 if version else 0
        number(2)
        base, extents = number(base_size), number(2)
        for _ in range(extents):
            number(index_size)
            begin, length = base + number(offset_size), number(length_size)
            if extents == 1 and method in (0, 1):
                places[item] = begin + (idat if method == 1 else 0), length
        if position > end:
            break
    return places


def _inflated(data: bytes, most: int) -> bytes:
    return zlib.decompressobj().decompress(data, most)


# --- what the parts say -----------------------------------------------------------------------------------


def _tags_of(parts: _Parts) -> PhotoTags:
    folder = _Folder()
    with contextlib.suppress(struct.error, LookupError, ValueError, OverflowError):
        folder = _exif_folder(parts.exif)
    numbers = folder.numbers
    profile, packets = parts.profile, list(parts.xmp)
    if parts.is_tiff:
        parts.size = int(numbers.get(_WIDTH, 0)), int(numbers.get(_HEIGHT, 0))
        profile = folder.blocks.get(_PROFILE_TAG, b"")
        packets += [folder.blocks[_XMP_TAG]] if _XMP_TAG in folder.blocks else []
    xmp = [value for packet in packets for value in _xmp_values(packet)]
    told = {(space, name): value for space, name, value in reversed(xmp)}

    orientation = numbers.get(_ORIENTATION) or _number(told.get((_XMP_TIFF, "Orientation"))) or 1
    if parts.turned_by_decoder or not 1 <= orientation <= 8:
        orientation = 1
    focal, doubt = _focal(numbers, _number(told.get((_XMP_EXIF, "FocalLengthIn35mmFilm"))), parts.size)
    # 2: unspecified; and beside a HEIC's or AVIF's profile code points are for decoders of video
    unsaid = parts.cicp is None or 2 in parts.cicp or (parts.turned_by_decoder and profile)
    colours = ColourTags(
        None if unsaid else parts.cicp,
        profile,
        parts.srgb or numbers.get(_COLOUR_SPACE) == 1,
        folder.interoperability == b"R03" or numbers.get(_COLOUR_SPACE) == 2,
        parts.gamma,
        parts.chromaticities,
    )
    return PhotoTags(
        *parts.size,
        focal_35mm=focal,
        focal_doubt=doubt,
        orientation=int(orientation),
        sphere=_sphere({name: value for (space, name), value in told.items() if space == _GPANO}, parts.size),
        colours=colours,
        gain_map=parts.gain_map or any(space in _GAIN_MAPS for space, *_ in xmp),
        linear=parts.is_exr or parts.is_hdr or (parts.is_tiff and numbers.get(_SAMPLE_FORMAT) == 3),
        premultiplied=parts.is_exr or (parts.is_tiff and numbers.get(_EXTRA_SAMPLES) == 1),
        orientation_at=folder.orientation_at if parts.is_tiff else 0,
        byte_order=folder.order,
    )


def _focal(numbers: dict[int, float], xmp: float, size: tuple[int, int]) -> tuple[float, str]:
    """Focal length as on 35 mm film (0: unknown), and why one that is there is not believed."""
    taken = max(numbers.get(_PIXELS_X, 0), 0), max(numbers.get(_PIXELS_Y, 0), 0)
    cropped = all(taken) and all(size) and abs(max(size) / min(size) * min(taken) / max(taken) - 1) > _SAME_ASPECT
    focal, by_sensor = numbers.get(_FOCAL_35MM, 0) or xmp, False
    if not FOCAL_LIMITS_MM[0] <= focal <= FOCAL_LIMITS_MM[1]:
        longer_mm = _sensor_mm(numbers, taken)
        if not (longer_mm and numbers.get(_FOCAL, 0) > 0):
            return 0.0, ""
        focal, by_sensor = round(numbers[_FOCAL] * FILM_MM / longer_mm, 1), True
        few = taken[0] * (taken[1] or taken[0]) < _LEAST_SENSOR_PIXELS
        if few or not any(low <= longer_mm <= high for low, high in _SENSORS_MM):
            return 0.0, (
                f"The file's focal length is not believed: by its sensor tags the sensor is {longer_mm:.3g} mm wide,"
                " which no sensor is; the picture was resized and they were not."
            )
    if cropped:
        return 0.0, (
            "The file's focal length is not believed: its tags are of {:.0f}x{:.0f} pixels and it has {}x{}, so that it"
            " was cropped since.".format(*taken, *size)
        )
    if not FOCAL_LIMITS_MM[0] <= focal <= FOCAL_LIMITS_MM[1]:
        return 0.0, ""
    return (focal if by_sensor else float(focal)), ""


def _sensor_mm(numbers: dict[int, float], taken: tuple[float, float]) -> float:
    """The sensor's longer side by its resolution (pixels per length) and its pixels; 0 if unknown."""
    unit_mm = {2: 25.4, 3: 10.0, 4: 1.0, 5: 1e-3}.get(int(numbers.get(_SENSOR_UNIT, 2)), 0.0)
    across, down = numbers.get(_SENSOR_X, 0), numbers.get(_SENSOR_Y, 0)
    resolution = across if taken[0] >= taken[1] else down or across
    return max(taken) / resolution * unit_mm if resolution > 0 else 0.0


def _sphere(told: dict[str, str], size: tuple[int, int]) -> SphereTags | None:
    projection = told.get("ProjectionType", "").strip().lower()
    if not projection or not all(size):
        return None

    def pixels(name: str, otherwise: int) -> int:
        value = _number(told.get(name))
        return round(value) if value > 0 else otherwise

    width = pixels("CroppedAreaImageWidthPixels", size[0])
    height = pixels("CroppedAreaImageHeightPixels", size[1])
    full_width, full_height = pixels("FullPanoWidthPixels", width), pixels("FullPanoHeightPixels", height)
    left, top = pixels("CroppedAreaLeftPixels", 0), pixels("CroppedAreaTopPixels", 0)
    if not (0 < width <= full_width and 0 < height <= full_height and top + height <= full_height):
        # a sphere by name, its numbers broken: it counts as whole, and what follows asks for its shape
        left, top, (width, height), (full_width, full_height) = 0, 0, size, size
    heading = told.get("PoseHeadingDegrees")
    return SphereTags(
        projection, full_width, full_height, left, top, width, height,
        None if heading is None else _number(heading),
        _number(told.get("PosePitchDegrees")), _number(told.get("PoseRollDegrees")),
    )  # fmt: skip


def _number(text: str | None) -> float:
    """A number of XMP, which writes some as fractions; 0 for what is none."""
    try:
        over, _, under = (text or "0").partition("/")
        value = float(over) / float(under or 1)
        return value if math.isfinite(value) else 0.0
    except (ValueError, ZeroDivisionError):
        return 0.0


def _xmp_values(packet: bytes) -> Iterator[tuple[str, str, str]]:
    """Namespace, name and text of everything that is said in an XMP packet, as an attribute or as an element."""
    packet = packet[:MAX_XMP_BYTES].strip(b" \r\n\t\0")
    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        return
    try:
        root = ElementTree.fromstring(re.sub(rb"<\?xpacket.*?\?>", b"", packet, flags=re.DOTALL).strip())
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError):
        return
    for element in root.iter():
        for name, text in ((element.tag, (element.text or "").strip()), *element.attrib.items()):
            if text and isinstance(name, str) and name.startswith("{"):
                space, _, short = name[1:].partition("}")
                yield space, short, text


@dataclass
class _Folder:
    """Tags of a TIFF folder and those below it."""

    numbers: dict[int, float] = field(default_factory=dict)
    """Single numbers, and the first of a TIFF's sample formats."""
    blocks: dict[int, bytes] = field(default_factory=dict)
    """The ICC profile and the XMP packet."""
    interoperability: bytes = b""
    orientation_at: int = 0
    order: str = "<"


def _exif_folder(block: bytes | mmap.mmap) -> _Folder:
    """The tags of a TIFF structure: its first folder, EXIF's and that of interoperability."""
    order = {b"II": "<", b"MM": ">"}[bytes(block[:2])] if bytes(block[:2]) in (b"II", b"MM") else ""
    if not order:
        raise ValueError("no TIFF header")
    big = struct.unpack_from(f"{order}H", block, 2)[0] == 43
    folder = _Folder(order=order)
    first = struct.unpack_from(f"{order}{'Q' if big else 'I'}", block, 8 if big else 4)[0]
    _read_folder(block, order, big, first, folder)
    for pointer in (_EXIF_FOLDER, _INTEROPERABILITY):
        if pointer in folder.numbers:
            _read_folder(block, order, big, int(folder.numbers[pointer]), folder, pointer)
    return folder


def _read_folder(
    block: bytes | mmap.mmap, order: str, big: bool, offset: int, folder: _Folder, within: int = 0
) -> None:
    """Adds the tags of one folder that are single numbers, and of the blocks those that are wanted."""
    count = struct.unpack_from(f"{order}{'Q' if big else 'H'}", block, offset)[0]
    size, head, inline = (20, 8, 8) if big else (12, 2, 4)
    for index in range(min(count, 4096)):
        at = offset + head + size * index
        tag, kind = struct.unpack_from(f"{order}HH", block, at)
        (length,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", block, at + 4)
        value_at = at + size - inline
        width = {1: 1, 2: 1, 7: 1, 5: 8, 10: 8}.get(kind) or struct.calcsize(_NUMBERS.get(kind, ""))
        if not width:
            continue
        if width * length > inline:
            (value_at,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", block, value_at)
        if within == _INTEROPERABILITY:
            if tag == 1 and kind == 2:
                folder.interoperability = bytes(block[value_at : value_at + 3])
            continue
        if tag in (_XMP_TAG, _PROFILE_TAG) and kind in (1, 2, 7):
            folder.blocks[tag] = bytes(block[value_at : value_at + min(length, MAX_PROFILE_BYTES)])
        elif kind in _NUMBERS and (length == 1 or tag == _SAMPLE_FORMAT):
            (value,) = struct.unpack_from(order + _NUMBERS[kind], block, value_at)
            if math.isfinite(value):
                folder.numbers[tag] = value
            if tag == _ORIENTATION and kind == 3 and not within:
                folder.orientation_at = value_at
        elif length == 1 and kind in (5, 10):
            over, under = struct.unpack_from(f"{order}{'ii' if kind == 10 else 'II'}", block, value_at)
            folder.numbers[tag] = over / under if under else 0.0
