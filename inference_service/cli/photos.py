"""`lookbeyond photos`: several photos of one place."""

from pathlib import Path

import click

from inference_service.cli.photo_camera import field_of_view_rad, report_camera
from lookbeyond.errors import InputError
from lookbeyond.geometry.transforms import write_transforms
from lookbeyond.photo.align import align_photos
from lookbeyond.photo.limits import MOST_PHOTOS
from lookbeyond.photo.reading import read_photo
from lookbeyond.whole import storage_errors


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
        raise InputError("Two of the photos have the same name, but names identify their cameras; rename one.")
    fov_x_rad = field_of_view_rad(fov_x_deg)
    read = [read_photo(path) for path in pictures]
    found = [report_camera(path, photo, fov_x_rad) for path, photo in zip(pictures, read, strict=True)]
    cameras, alignments = align_photos([photo.pixels for photo in read], found, [path.name for path in pictures])
    for path, how in zip(pictures[1:], alignments, strict=True):
        click.echo(
            f"{path}: {how.matches} details agree with {pictures[how.to].name}, to {how.residual_deg:.2f}° (median)."
        )
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_transforms(out, cameras, [path.name for path in pictures])
    click.echo(f"{out}: {len(cameras)} cameras.")
