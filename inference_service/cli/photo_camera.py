"""The camera of a photo on the command line: as the user says, else as the file says, else by the photo's lines."""

import math
from pathlib import Path
from typing import Any

import click

from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera
from lookbeyond.layout.camera import FROM_FILE, GIVEN, camera_from_photo
from lookbeyond.photo.reading import Photo
from lookbeyond.photo.tags import fov_x_of_focal

AUTO = "auto"


class AngleType(click.ParamType):
    """A number of degrees, or `AUTO`; its value is in radians, or None for `AUTO`."""

    name = "auto|DEG"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value == AUTO:
            return None
        try:
            degrees = float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number of degrees nor {AUTO}.", param, ctx)
        if not math.isfinite(degrees):
            self.fail(f"{value} degrees are not finite; give a number of degrees, or {AUTO}.", param, ctx)
        return math.radians(degrees)


def field_of_view_rad(fov_x_deg: float | None) -> float | None:
    """The value of --fov-x in radians. Raises InputError for one that no photo has."""
    if fov_x_deg is None:
        return None
    if not 5 <= fov_x_deg <= 170:
        raise InputError(f"A --fov-x of {fov_x_deg:g}° is impossible for a photo; give 5 to 170 degrees.")
    return math.radians(fov_x_deg)


def field_of_focal_rad(focal_mm: float, photo: Photo) -> float:
    """The horizontal field of view of a --focal-mm. Raises InputError for an impossible one."""
    if not 2 <= focal_mm <= 400:
        raise InputError(f"A --focal-mm of {focal_mm:g} is impossible here; give 2 to 400 mm.")
    height, width = photo.pixels.shape[:2]
    return fov_x_of_focal(focal_mm, width, height)


def report_camera(
    path: Path,
    photo: Photo,
    fov_x_rad: float | None,
    *,
    pitch_rad: float | None = None,
    roll_rad: float | None = None,
) -> Camera:
    """The photo's camera; what is None is found. Says where each part comes from."""
    found = camera_from_photo(
        photo.pixels,
        photo.fov_x_rad if fov_x_rad is None else fov_x_rad,
        fov_source=FROM_FILE if fov_x_rad is None else GIVEN,
        pitch_rad=pitch_rad,
        roll_rad=roll_rad,
    )
    click.echo(f"{path}: {found.description()}")
    return found.camera()
