"""The blocks of a picture file that describe it: JPEG, PNG, WebP, TIFF, BigTIFF, AVIF and HEIC."""

import contextlib
import mmap
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from .colour_tags import Chromaticities, Cicp

MAX_XMP_BYTES = 1 << 20
MAX_PROFILE_BYTES = 8 << 20
_ISO_GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\0"


@dataclass
class Parts:
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


def parts_of(data: mmap.mmap) -> Parts:
    parts = Parts(is_exr=data[:4] == b"\x76\x2f\x31\x01", is_hdr=data[:3] == b"#?R")
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


def _read_jpeg(data: mmap.mmap, parts: Parts) -> None:
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


def _read_png(data: mmap.mmap, parts: Parts) -> None:
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


def _read_png_text(kind: bytes, content: bytes, parts: Parts) -> None:
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


def _read_webp(data: mmap.mmap, parts: Parts) -> None:
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


def _read_tiff_file(data: mmap.mmap, parts: Parts) -> None:
    parts.exif, parts.is_tiff = data, True


def _read_boxes(data: mmap.mmap, parts: Parts) -> None:
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


def _read_properties(data: mmap.mmap, box: tuple[int, int], primary: int, parts: Parts) -> None:
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
