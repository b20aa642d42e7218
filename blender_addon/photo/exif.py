"""What a photo's file says about itself, read with the service's reader so that both agree. No bpy here.

Blender has no EXIF reader, and ignores orientation and profiles.
"""

from dataclasses import dataclass, field
from pathlib import Path

from ..kit import FOV_ASSUMED_RAD, PhotoTags, fov_x_assumed, fov_x_of_focal, read_tags

DEFAULT_FOV_RAD = FOV_ASSUMED_RAD
default_fov_x_rad = fov_x_assumed
fov_x_rad_of_focal = fov_x_of_focal


@dataclass(frozen=True)
class Exif:
    """What placing needs; absent, damaged and unbelievable values have their defaults."""

    focal_35mm: float = 0.0
    """35 mm equivalent focal length, millimetres; 0 if unknown."""
    orientation: int = 1
    """EXIF orientation 1..8; from 5 on, width and height are swapped."""
    tags: PhotoTags = field(default=PhotoTags(), compare=False, repr=False)
    """All that the file says."""

    @property
    def turned(self) -> bool:
        return self.orientation >= 5


def read_exif(path: Path) -> Exif:
    """What an image file says; defaults if it says nothing. Raises OSError."""
    tags = read_tags(path)
    return Exif(tags.focal_35mm, tags.orientation, tags)
