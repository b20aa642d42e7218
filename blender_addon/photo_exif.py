"""What a photo's file says that placing it needs: its 35 mm focal length and which way is up.

The reader is the service's own (`lookbeyond.photo.tags`); Blender reads the pixels of a photo as they lie.
"""

from dataclasses import dataclass
from pathlib import Path

from lookbeyond_kit.photo.tags import fov_x_assumed, fov_x_of_focal, read_tags

__all__ = ["Exif", "fov_x_assumed", "fov_x_of_focal", "read_exif"]


@dataclass(frozen=True)
class Exif:
    """What was found; what is absent, broken or not to be believed has its default."""

    focal_35mm: float = 0.0
    """Focal length in millimetres as on 35 mm film; 0 when unknown."""
    orientation: int = 1
    """EXIF orientation 1..8; from 5 on, the upright photo is as wide as the pixels are high."""

    @property
    def turned(self) -> bool:
        return self.orientation >= 5


def read_exif(path: Path) -> Exif:
    """What an image file says; defaults for a file that says nothing, or brokenly. Raises OSError."""
    tags = read_tags(path)
    return Exif(tags.focal_35mm, tags.orientation)
