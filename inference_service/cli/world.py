"""`lookbeyond world`: the panorama around a photo, or the distance of an existing panorama."""

import math
from pathlib import Path
from typing import Any

import click

from inference_service.cli import options
from inference_service.cli.local_run import LocalRun
from inference_service.wire.requests import WORLD_FILES, WorldRequest
from inference_service.work.requests import check
from inference_service.work.units.world import ASSUMED_FOV_X_RAD
from lookbeyond.errors import InputError
from lookbeyond.files import check_output_folder, read_panorama_image, read_photo
from lookbeyond.geometry.cameras import placed_camera


@click.command()
@click.argument("photo", type=click.Path(path_type=Path), required=False)
@click.option("--panorama", type=click.Path(path_type=Path), help="An existing 360° picture instead of a photo.")
@options.out
@click.option("--fov-x", "fov_x_deg", type=float, help="The photo's horizontal field of view, degrees.")
@click.option("--focal-mm", type=float, help="Or its focal length as 35 mm equivalent (36 mm wide).")
@click.option("--pitch", "pitch_deg", type=float, default=0.0, help="Degrees; positive looks up.")
@click.option("--roll", "roll_deg", type=float, default=0.0, help="Degrees; positive turns the camera clockwise.")
@click.option("--camera-height", type=float, default=1.6, show_default=True, help="Metres above the floor.")
@click.option("--width", type=int, default=4096, show_default=True, help="Width of the panorama, pixels.")
@click.option("--prompt", default="", help='What the place is, for presets that outpaint: "a living room".')
@options.seed
@options.preset
@options.store
def world(
    photo: Path | None,
    panorama: Path | None,
    out: Path,
    fov_x_deg: float | None,
    focal_mm: float | None,
    pitch_deg: float,
    roll_deg: float,
    store: Path | None,
    **settings: Any,
) -> None:
    """Make the panorama around PHOTO, with distance; or only the distance of --panorama."""
    if (photo is None) == (panorama is None):
        raise InputError("Give either a PHOTO or --panorama PICTURE to build a world from.")
    if panorama and (fov_x_deg is not None or focal_mm is not None or pitch_deg or roll_deg):
        raise InputError("A 360° picture has no field of view, pitch or roll; leave these out with --panorama.")
    check_output_folder(out, WORLD_FILES)
    run = LocalRun(store)
    if photo is not None:
        image = read_photo(photo)
        height, width = image.pixels.shape[:2]
        fov_x_rad = _field_of_view(photo, image.fov_x_rad, fov_x_deg, focal_mm)
        pose = {"pitch_rad": math.radians(pitch_deg), "roll_rad": math.radians(roll_deg)}
        camera = placed_camera(width, height, fov_x_rad, **pose)
        request = WorldRequest(photo=run.store.add_file(photo), camera=camera.to_dict(), **settings)
    else:
        assert panorama is not None
        read_panorama_image(panorama)
        del settings["width"]  # it has its own
        request = WorldRequest(panorama=run.store.add_file(panorama), **settings)
    unit = check(request).first_unit(run.revision(request.preset))
    run.perform([unit])
    run.deliver([unit], out, WORLD_FILES)


def _field_of_view(photo: Path, from_exif_rad: float | None, fov_x_deg: float | None, focal_mm: float | None) -> float:
    """Radians; reports where it comes from if the user did not give it."""
    if fov_x_deg is not None and focal_mm is not None:
        raise InputError("Give --fov-x or --focal-mm, not both.")
    if fov_x_deg is not None:
        if not 5 <= fov_x_deg <= 170:
            raise InputError(f"A --fov-x of {fov_x_deg:g}° is impossible for a photo; give 5 to 170 degrees.")
        return math.radians(fov_x_deg)
    if focal_mm is not None:
        if not 2 <= focal_mm <= 400:
            raise InputError(f"A --focal-mm of {focal_mm:g} is impossible here; give 2 to 400 mm.")
        return 2 * math.atan(18 / focal_mm)
    if from_exif_rad is not None:
        click.echo(f"{photo}: field of view {math.degrees(from_exif_rad):.1f}°, from its EXIF data.")
        return from_exif_rad
    click.echo(
        f"{photo}: it does not record its field of view; {math.degrees(ASSUMED_FOV_X_RAD):.0f}° is assumed "
        "(set it with --fov-x or --focal-mm)."
    )
    return ASSUMED_FOV_X_RAD
