"""`lookbeyond photos`: several photos of one place."""

import math
from pathlib import Path

import click

from lookbeyond.errors import InputError
from lookbeyond.geometry.transforms import write_transforms
from lookbeyond.layout.camera import FROM_FILE, GIVEN, camera_from_photo
from lookbeyond.photo.align import align_photos
from lookbeyond.photo.limits import MOST_PHOTOS
from lookbeyond.photo.reading import read_photo


@click.group()
def photos() -> None:
    """Several photos of one place."""


@photos.command("align")
@click.argument("pictures", metavar="PHOTO...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to write, photos.json.")
@click.option("--fov-x", "fov_x_deg", type=float, help="Horizontal field of view of all of them, degrees.")
def align(pictures: tuple[Path, ...], out: Path, fov_x_deg: float | None) -> None:
    """Find where each PHOTO looks, by what it shares with the others; taken from one place, overlapping by a quarter.

    The first one looks along +X, as for `lookbeyond world`, which takes the file as --cameras.
    """
    if not 2 <= len(pictures) <= MOST_PHOTOS:
        raise InputError(f"{len(pictures)} photos cannot be aligned; give 2 to {MOST_PHOTOS}.")
    if len({path.name for path in pictures}) < len(pictures):
        raise InputError("Two of the photos have one name, by which their cameras are told apart; rename one.")
    if fov_x_deg is not None and not 5 <= fov_x_deg <= 170:
        raise InputError(f"A --fov-x of {fov_x_deg:g}° is impossible for a photo; give 5 to 170 degrees.")
    read = [read_photo(path) for path in pictures]
    found = []
    for path, photo in zip(pictures, read, strict=True):
        given = None if fov_x_deg is None else math.radians(fov_x_deg)
        own = camera_from_photo(
            photo.pixels, given or photo.fov_x_rad, fov_source=FROM_FILE if given is None else GIVEN
        )
        click.echo(f"{path}: {own.description()}")
        found.append(own.camera())
    cameras, alignments = align_photos([photo.pixels for photo in read], found, [path.name for path in pictures])
    for path, how in zip(pictures[1:], alignments, strict=True):
        click.echo(
            f"{path}: {how.matches} details agree with {pictures[how.to].name}, to {how.residual_deg:.2f}° (median)."
        )
    try:
        write_transforms(out, cameras, [path.name for path in pictures])
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror}); give another --out.") from error
    click.echo(f"{out}: {len(cameras)} cameras.")
