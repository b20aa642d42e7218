"""`lookbeyond world`: the panorama around a photo, or the distance of an existing panorama."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from inference_service.cli import options
from inference_service.cli.local_run import LocalRun
from inference_service.wire.requests import WORLD_FILES, WORLD_LAYERS, WorldRequest
from inference_service.work.requests import ROOMS, UNSEEN, check
from lookbeyond.errors import InputError
from lookbeyond.files import read_json, write_png
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.transforms import read_camera_path
from lookbeyond.layout.camera import FROM_FILE, GIVEN, camera_from_photo
from lookbeyond.photo.reading import Photo, Sphere, read_photo, read_sphere
from lookbeyond.photo.tags import fov_x_of_focal
from lookbeyond.whole import check_output_folder

AUTO = "auto"
ENTRIES = (*WORLD_FILES, *WORLD_LAYERS)


class Angle(click.ParamType):
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


@click.command()
@click.argument("photos", metavar="[PHOTO]...", type=click.Path(path_type=Path), nargs=-1)
@click.option("--panorama", type=click.Path(path_type=Path), help="An existing 360° picture instead of a photo.")
@click.option(
    "--cameras",
    "cameras_file",
    type=click.Path(path_type=Path),
    help="Where several PHOTOs of one place look: `lookbeyond photos align` writes it.",
)
@options.out
@click.option("--fov-x", "fov_x_deg", type=float, help="The photo's horizontal field of view, degrees.")
@click.option("--focal-mm", type=float, help="Or its focal length as 35 mm equivalent (36 mm: the longer side).")
@click.option(
    "--exposure", "stops", type=float, help="Stops, of EXR, HDR and float TIFF; 0: 1 is white.  [default: found]"
)
@click.option(
    "--pitch", "pitch_rad", type=Angle(), default=AUTO, help="Degrees, positive looks up; auto: from the photo's lines."
)
@click.option(
    "--roll", "roll_rad", type=Angle(), default=AUTO, help="Degrees, positive turns the camera clockwise; or auto."
)
@click.option("--camera-height", type=float, default=1.6, show_default=True, help="Metres above the floor.")
@click.option("--width", type=int, default=4096, show_default=True, help="Width of the panorama, pixels.")
@click.option("--prompt", default="", help='What the place is, for presets that outpaint: "a living room".')
@click.option(
    "--room",
    type=click.Choice(ROOMS),
    default="auto",
    show_default=True,
    help="Draw the room: where sure, always, never.",
)
@click.option("--unseen", type=click.Choice(UNSEEN), help="What nobody saw.  [default: the preset's way]")
@options.seed
@options.preset
@options.store
def world(
    photos: tuple[Path, ...],
    panorama: Path | None,
    cameras_file: Path | None,
    out: Path,
    fov_x_deg: float | None,
    focal_mm: float | None,
    stops: float | None,
    pitch_rad: float | None,
    roll_rad: float | None,
    unseen: str | None,
    store: Path | None,
    **settings: Any,
) -> None:
    """Make the panorama around PHOTO, or several of one place, with distance; or only the distance of --panorama."""
    lens_given = any(value is not None for value in (fov_x_deg, focal_mm, pitch_rad, roll_rad))
    _check_sources(photos, panorama, cameras_file, lens_given, settings["prompt"])
    photo = photos[0] if photos else None
    check_output_folder(out, ENTRIES)
    settings["unseen"] = unseen or ""
    run = LocalRun(store)
    pictures: Mapping[Path, Photo | Sphere]
    if cameras_file is not None:
        pictures = {path: read_photo(path, stops=stops) for path in photos}
        first, *others = _cameras_of(photos, cameras_file)
        for path, each in pictures.items():
            _report(path, each, stops)
        hashes = [_stored(run, path, each, stops) for path, each in pictures.items()]
        beside = [
            {"photo": sha256, "camera": camera.to_dict()} for sha256, camera in zip(hashes[1:], others, strict=True)
        ]
        request = WorldRequest(photo=hashes[0], camera=first.to_dict(), beside=beside, **settings)
    elif photo is not None:
        image = read_photo(photo, stops=stops)
        pictures = {photo: image}
        _report(photo, image, stops)
        height, width = image.pixels.shape[:2]
        fov_x_rad = _field_of_view_rad(fov_x_deg, focal_mm, width, height)
        camera = _camera_of(photo, image, fov_x_rad, pitch_rad, roll_rad)
        request = WorldRequest(photo=_stored(run, photo, image, stops), camera=camera.to_dict(), **settings)
    else:
        assert panorama is not None
        sphere = read_sphere(panorama, stops=stops)
        pictures = {panorama: sphere}
        _report(panorama, sphere, stops)
        del settings["width"]  # it has its own
        if stops is not None and sphere.heading_rad is not None:  # the developed picture has no compass any more
            settings["camera"] = placed_camera(64, 64, 1.0, heading_rad=sphere.heading_rad).to_dict()
        request = WorldRequest(panorama=_stored(run, panorama, sphere, stops), **settings)
    unit = check(request).first_unit(run.revision(request.preset))

    def make() -> None:
        for path, picture in pictures.items():
            _stored(run, path, picture, stops)
        run.perform([unit])
        run.deliver([unit], out, ENTRIES)

    run.heal(make)
    made = read_json(out / "world.json")
    for sentence in made.get("joined", ()):
        click.echo(sentence)
    place = made.get("place", {})
    if place.get("reason"):
        click.echo(f"{out}: {place['reason']} (confidence {place['confidence']:.2f})")


def _check_sources(
    photos: Sequence[Path], panorama: Path | None, cameras_file: Path | None, lens_given: bool, prompt: str
) -> None:
    """InputError for pictures and options that do not go together."""
    if bool(photos) == (panorama is not None):
        raise InputError("Give either a PHOTO or --panorama PICTURE to build a world from.")
    if (len(photos) > 1) != (cameras_file is not None):
        raise InputError(
            "Several photos of one place need --cameras PHOTOS.json, and one photo has no use for it; "
            "`lookbeyond photos align` writes such a file."
        )
    if len(photos) > 1 and (prompt or lens_given):
        raise InputError(
            "Several photos have their fields of view and directions from --cameras and take no prompt; "
            "leave --fov-x, --focal-mm, --pitch, --roll and --prompt out."
        )
    if panorama and lens_given:
        raise InputError("A 360° picture has no field of view, pitch or roll; leave these out with --panorama.")


def _cameras_of(photos: Sequence[Path], cameras_file: Path) -> list[Camera]:
    """A camera for each photo, by the names of their files, or by their order where the file names none of them."""
    frames = read_camera_path(cameras_file).frames
    named = {Path(frame.file_path).name: frame.camera for frame in frames if frame.file_path}
    if all(path.name in named for path in photos):
        return [named[path.name] for path in photos]
    if not any(path.name in named for path in photos) and len(frames) == len(photos):
        return [frame.camera for frame in frames]
    missing = [path.name for path in photos if path.name not in named]
    raise InputError(
        f"{cameras_file} has {len(frames)} cameras and none for {', '.join(missing)}; have it written anew by "
        "`lookbeyond photos align`, or name its file_path so."
    )


def _report(path: Path, picture: Photo | Sphere, stops: float | None) -> None:
    """Say what was decided in reading a picture. InputError for an exposure of what has none."""
    if stops is not None and picture.stops is None:
        raise InputError(f"{path} is no picture of linear light (EXR, HDR, float TIFF); leave --exposure out.")
    for sentence in picture.said:
        click.echo(f"{path}: {sentence}")


def _stored(run: LocalRun, path: Path, picture: Photo | Sphere, stops: float | None) -> str:
    """The picture's SHA-256 in the store: the file itself, or, with an exposure of the user's, what was developed."""
    if stops is None:
        return run.store.add_file(path)
    with tempfile.TemporaryDirectory() as folder:
        developed = Path(folder) / f"{path.stem}.png"
        write_png(developed, picture.with_holes)
        return run.store.add_file(developed)


def _camera_of(
    path: Path, photo: Photo, fov_x_rad: float | None, pitch_rad: float | None, roll_rad: float | None
) -> Camera:
    """The photo's camera as given, else by the file, else by the photo's lines; reports which."""
    given = fov_x_rad is not None
    found = camera_from_photo(
        photo.pixels,
        fov_x_rad if given else photo.fov_x_rad,
        fov_source=GIVEN if given else FROM_FILE,
        pitch_rad=pitch_rad,
        roll_rad=roll_rad,
    )
    click.echo(f"{path}: {found.description()}")
    return found.camera()


def _field_of_view_rad(fov_x_deg: float | None, focal_mm: float | None, width: int, height: int) -> float | None:
    """As the user gave it for a photo of this size, or None."""
    if fov_x_deg is not None and focal_mm is not None:
        raise InputError("Give --fov-x or --focal-mm, not both.")
    if fov_x_deg is not None:
        if not 5 <= fov_x_deg <= 170:
            raise InputError(f"A --fov-x of {fov_x_deg:g}° is impossible for a photo; give 5 to 170 degrees.")
        return math.radians(fov_x_deg)
    if focal_mm is not None:
        if not 2 <= focal_mm <= 400:
            raise InputError(f"A --focal-mm of {focal_mm:g} is impossible here; give 2 to 400 mm.")
        return fov_x_of_focal(focal_mm, width, height)
    return None
