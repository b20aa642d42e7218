"""What a picture file says about itself: size, which way is up, focal length, colours, and whether it is a sphere.

One reader for the command line, the service and Blender (which brings none): the standard library only. JPEG, PNG,
WebP, TIFF, BigTIFF, AVIF and HEIC; EXIF, TIFF tags, XMP (also its GPano), ICC profiles, cICP, gAMA and cHRM. Pixels are
not decoded, and whatever is broken counts as absent.
"""

import contextlib
import math
import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from .colour_tags import ColourTags
from .containers import MAX_XMP_BYTES, Parts, parts_of
from .exif import ExifFolder, Tag, read_exif

FOV_ASSUMED_RAD = math.radians(65)
"""Field of view across the longer side of a photo that says nothing about it: a phone's or a reportage lens."""
FILM_MM = 36.0
"""The longer side of a frame of 35 mm film, to which focal lengths "as on 35 mm film" belong here."""
FOCAL_LIMITS_MM = 4.0, 2000.0
MOST_ASPECT = 3.0
"""Longer over shorter side from which on a picture is a sweep, no photo that one lens took."""


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


_GPANO = "http://ns.google.com/photos/1.0/panorama/"
_XMP_TIFF = "http://ns.adobe.com/tiff/1.0/"
_XMP_EXIF = "http://ns.adobe.com/exif/1.0/"
_GAIN_MAPS = ("http://ns.adobe.com/hdr-gain-map/1.0/", "http://ns.apple.com/HDRGainMap/1.0/")


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
    """Why the file's focal length is not trusted: a sentence for people."""
    orientation: int = 1
    """1..8, as EXIF counts; from 5 on, the upright photo is as wide as the pixels are high."""
    sphere: SphereTags | None = None
    colours: ColourTags = field(default_factory=ColourTags)
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
                return _tags_of(parts_of(data))
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


# --- what the parts say -----------------------------------------------------------------------------------


def _tags_of(parts: Parts) -> PhotoTags:
    folder = ExifFolder()
    with contextlib.suppress(struct.error, LookupError, ValueError, OverflowError):
        folder = read_exif(parts.exif)
    numbers = folder.numbers
    profile, packets = parts.profile, list(parts.xmp)
    if parts.is_tiff:
        parts.size = int(numbers.get(Tag.WIDTH, 0)), int(numbers.get(Tag.HEIGHT, 0))
        profile = folder.blocks.get(Tag.PROFILE_TAG, b"")
        packets += [folder.blocks[Tag.XMP_TAG]] if Tag.XMP_TAG in folder.blocks else []
    xmp = [value for packet in packets for value in _xmp_values(packet)]
    properties = {(space, name): value for space, name, value in reversed(xmp)}

    orientation = numbers.get(Tag.ORIENTATION) or _number(properties.get((_XMP_TIFF, "Orientation"))) or 1
    if parts.turned_by_decoder or not 1 <= orientation <= 8:
        orientation = 1
    focal, doubt = _focal(numbers, _number(properties.get((_XMP_EXIF, "FocalLengthIn35mmFilm"))), parts.size)
    # 2: unspecified; and beside a HEIC's or AVIF's profile code points are for decoders of video
    unsaid = parts.cicp is None or 2 in parts.cicp or (parts.turned_by_decoder and profile)
    colours = ColourTags(
        None if unsaid else parts.cicp,
        profile,
        parts.srgb or numbers.get(Tag.COLOUR_SPACE) == 1,
        folder.interoperability == b"R03" or numbers.get(Tag.COLOUR_SPACE) == 2,
        parts.gamma,
        parts.chromaticities,
    )
    return PhotoTags(
        *parts.size,
        focal_35mm=focal,
        focal_doubt=doubt,
        orientation=int(orientation),
        sphere=_sphere({name: value for (space, name), value in properties.items() if space == _GPANO}, parts.size),
        colours=colours,
        gain_map=parts.gain_map or any(space in _GAIN_MAPS for space, *_ in xmp),
        linear=parts.is_exr or parts.is_hdr or (parts.is_tiff and numbers.get(Tag.SAMPLE_FORMAT) == 3),
        premultiplied=parts.is_exr or (parts.is_tiff and numbers.get(Tag.EXTRA_SAMPLES) == 1),
        orientation_at=folder.orientation_at if parts.is_tiff else 0,
        byte_order=folder.order,
    )


def _focal(numbers: dict[int, float], xmp: float, size: tuple[int, int]) -> tuple[float, str]:
    """Focal length as on 35 mm film (0: unknown), and why a given one is not trusted."""
    taken = max(numbers.get(Tag.PIXELS_X, 0), 0), max(numbers.get(Tag.PIXELS_Y, 0), 0)
    cropped = all(taken) and all(size) and abs(max(size) / min(size) * min(taken) / max(taken) - 1) > _SAME_ASPECT
    focal, by_sensor = numbers.get(Tag.FOCAL_35MM, 0) or xmp, False
    if not FOCAL_LIMITS_MM[0] <= focal <= FOCAL_LIMITS_MM[1]:
        longer_mm = _sensor_mm(numbers, taken)
        if not (longer_mm and numbers.get(Tag.FOCAL, 0) > 0):
            return 0.0, ""
        focal, by_sensor = round(numbers[Tag.FOCAL] * FILM_MM / longer_mm, 1), True
        few = taken[0] * (taken[1] or taken[0]) < _LEAST_SENSOR_PIXELS
        if few or not any(low <= longer_mm <= high for low, high in _SENSORS_MM):
            return 0.0, (
                f"The file's focal length is not trusted: its sensor tags give a width of {longer_mm:.3g} mm,"
                " which no sensor has; the picture was resized but the tags were not updated."
            )
    if cropped:
        return 0.0, (
            "The file's focal length is not trusted: its tags say {:.0f}x{:.0f} pixels but it has {}x{}, so it has been"
            " cropped.".format(*taken, *size)
        )
    if not FOCAL_LIMITS_MM[0] <= focal <= FOCAL_LIMITS_MM[1]:
        return 0.0, ""
    return (focal if by_sensor else float(focal)), ""


def _sensor_mm(numbers: dict[int, float], taken: tuple[float, float]) -> float:
    """The sensor's longer side by its resolution (pixels per length) and its pixels; 0 if unknown."""
    unit_mm = {2: 25.4, 3: 10.0, 4: 1.0, 5: 1e-3}.get(int(numbers.get(Tag.SENSOR_UNIT, 2)), 0.0)
    across, down = numbers.get(Tag.SENSOR_X, 0), numbers.get(Tag.SENSOR_Y, 0)
    resolution = across if taken[0] >= taken[1] else down or across
    return max(taken) / resolution * unit_mm if resolution > 0 else 0.0


def _sphere(properties: dict[str, str], size: tuple[int, int]) -> SphereTags | None:
    projection = properties.get("ProjectionType", "").strip().lower()
    if not projection or not all(size):
        return None

    def pixels(name: str, otherwise: int) -> int:
        value = _number(properties.get(name))
        return round(value) if value > 0 else otherwise

    width = pixels("CroppedAreaImageWidthPixels", size[0])
    height = pixels("CroppedAreaImageHeightPixels", size[1])
    full_width, full_height = pixels("FullPanoWidthPixels", width), pixels("FullPanoHeightPixels", height)
    left, top = pixels("CroppedAreaLeftPixels", 0), pixels("CroppedAreaTopPixels", 0)
    if not (0 < width <= full_width and 0 < height <= full_height and top + height <= full_height):
        # a sphere by name, its numbers broken: it counts as whole, and what follows asks for its shape
        left, top, (width, height), (full_width, full_height) = 0, 0, size, size
    heading = properties.get("PoseHeadingDegrees")
    return SphereTags(
        projection, full_width, full_height, left, top, width, height,
        None if heading is None else _number(heading),
        _number(properties.get("PosePitchDegrees")), _number(properties.get("PoseRollDegrees")),
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
    """Namespace, name and text of everything in an XMP packet, whether attribute or element."""
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
