"""`lookbeyond world`: the panorama around a photo, or the distance of an existing panorama."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from inference_service.cli import options
from inference_service.cli.from_frame import check_is_frame, taken_frame
from inference_service.cli.local_run import LocalRun
from inference_service.cli.photo_camera import AUTO, AngleType, field_of_focal_rad, field_of_view_rad, report_camera
from inference_service.wire.requests import CARDS_FILE, WORLD_FILES, WORLD_LAYERS, WORLD_LIGHT, WorldRequest
from inference_service.work.requests import ROOMS, UNSEEN, check
from lookbeyond.cards.cutting import marked_pixels
from lookbeyond.editing.edit import read_mask
from lookbeyond.errors import InputError
from lookbeyond.files import read_json, write_png
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.transforms import read_camera_path
from lookbeyond.photo.reading import Photo, Sphere, read_photo, read_sphere
from lookbeyond.whole import check_output_folder

ENTRIES = (*WORLD_FILES, *WORLD_LAYERS, CARDS_FILE, "cards", WORLD_LIGHT)


@click.command()
@click.argument("photos", metavar="[PHOTO]...", type=click.Path(path_type=Path), nargs=-1)
@click.option("--panorama", type=click.Path(path_type=Path), help="An existing 360° picture instead of a photo.")
@click.option(
    "--cameras",
    "cameras_file",
    type=click.Path(path_type=Path),
    help="Cameras of several PHOTOs of one place, as `lookbeyond photos align` writes them.",
)
@click.option(
    "--from-frame",
    type=click.Path(path_type=Path),
    help="Or a frame of a shot, SHOT/frames/0042.png: a second world where it was taken, for `lookbeyond link`.",
)
@options.out
@click.option("--fov-x", "fov_x_deg", type=float, help="The photo's horizontal field of view, degrees.")
@click.option("--focal-mm", type=float, help="Or its focal length as 35 mm equivalent (36 mm: the longer side).")
@click.option(
    "--exposure", "stops", type=float, help="Stops, for EXR, HDR and float TIFF; 0: 1 is white.  [default: found]"
)
@click.option(
    "--pitch",
    "pitch_rad",
    type=AngleType(),
    default=AUTO,
    help="Degrees, positive looks up; auto: from the photo's lines.",
)
@click.option(
    "--roll", "roll_rad", type=AngleType(), default=AUTO, help="Degrees, positive turns the camera clockwise; or auto."
)
@click.option("--camera-height", type=float, default=1.6, show_default=True, help="Metres above the floor.")
@click.option("--width", type=int, default=4096, show_default=True, help="Width of the panorama, pixels.")
@click.option("--prompt", default="", help='What the place is, for presets that outpaint: "a living room".')
@click.option(
    "--room", type=click.Choice(ROOMS), default="auto", show_default=True, help="Draw the room: if sure, always, never."
)
@click.option("--unseen", type=click.Choice(UNSEEN), help="How the unseen is shown.  [default: the preset's way]")
@click.option(
    "--cut",
    "masks",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A PNG as large as the photo, white over a person or thing to take out; once for each.",
)
@click.option(
    "--hdr",
    is_flag=True,
    help="Its light, too: panorama.exr, linear, with windows, lamps and sun as bright as they are.",
)
@options.seed
@options.preset
@options.store
def world(
    photos: tuple[Path, ...],
    panorama: Path | None,
    cameras_file: Path | None,
    from_frame: Path | None,
    out: Path,
    fov_x_deg: float | None,
    focal_mm: float | None,
    stops: float | None,
    pitch_rad: float | None,
    roll_rad: float | None,
    unseen: str | None,
    masks: tuple[Path, ...],
    store: Path | None,
    **settings: Any,
) -> None:
    """Make the panorama around PHOTO, or several of one place, with distance; or only the distance of --panorama."""
    own = {"--fov-x": fov_x_deg, "--focal-mm": focal_mm, "--pitch": pitch_rad, "--roll": roll_rad}
    given = [name for name, value in own.items() if value is not None]
    if from_frame is not None:
        photos = _frame_alone(from_frame, photos, panorama, given)
    _check_sources(photos, panorama, cameras_file, [*given, *(["--prompt"] if settings["prompt"] else [])])
    if len(photos) != 1:
        _check_for_one(bool(masks), bool(unseen), panorama)
    check_output_folder(out, ENTRIES)
    settings["unseen"] = unseen or ""
    run = LocalRun(store)
    pictures: Mapping[Path, Photo | Sphere]
    if cameras_file is not None:
        pictures = {path: read_photo(path, stops=stops) for path in photos}
        request = _request_for_several(run, pictures, _cameras_of(photos, cameras_file), stops, settings)
    elif photos:
        (path,) = photos
        photo = read_photo(path, stops=stops)
        pictures = {path: photo}
        _report(path, photo, stops)
        if from_frame is not None:
            taken = taken_frame(path, run.store, settings["camera_height"])
            camera, settings["camera_height"] = taken.camera, taken.camera_height
        else:
            fov_x_rad = field_of_view_rad(fov_x_deg) if focal_mm is None else field_of_focal_rad(focal_mm, photo)
            camera = report_camera(path, photo, fov_x_rad, pitch_rad=pitch_rad, roll_rad=roll_rad)
        cut = [_stored_mask(run, mask, photo) for mask in masks]
        request = WorldRequest(photo=_stored(run, path, photo, stops), camera=camera.to_dict(), cut=cut, **settings)
    else:
        assert panorama is not None
        sphere = read_sphere(panorama, stops=stops)
        pictures = {panorama: sphere}
        request = _request_for_sphere(run, panorama, sphere, stops, settings)
    unit = check(request).first_unit(run.revision(request.preset))

    def make() -> None:
        for path, picture in pictures.items():
            _stored(run, path, picture, stops)
        for mask in masks:
            run.store.add_file(mask)
        run.perform([unit])
        run.deliver([unit], out, ENTRIES)

    run.heal(make)
    _report_made(out)


def _check_for_one(is_cut: bool, has_unseen: bool, panorama: Path | None) -> None:
    """Raise InputError for options that have no effect on several photos, or on a 360° picture."""
    if is_cut:
        raise InputError("--cut takes things out of one PHOTO; leave it out with several, and with --panorama.")
    if has_unseen:
        raise InputError(
            "--unseen says how what one PHOTO does not show is drawn; around several it is the preset's own way, and a "
            "360° picture shows everything: leave it out."
        )
    width = click.get_current_context().get_parameter_source("width")
    if panorama is not None and width is not ParameterSource.DEFAULT:
        raise InputError("A 360° picture keeps its own size; leave --width out with --panorama.")


def _stored_mask(run: LocalRun, mask: Path, photo: Photo) -> str:
    marked_pixels(read_mask(mask), photo.pixels, str(mask))  # said before any model is loaded
    return run.store.add_file(mask)


def _request_for_sphere(
    run: LocalRun, panorama: Path, sphere: Sphere, stops: float | None, settings: dict[str, Any]
) -> WorldRequest:
    _report(panorama, sphere, stops)
    settings = {name: value for name, value in settings.items() if name != "width"}  # it has its own
    if stops is not None and sphere.heading_rad is not None:  # the developed picture has no compass any more
        settings["camera"] = placed_camera(64, 64, 1.0, heading_rad=sphere.heading_rad).to_dict()
    return WorldRequest(panorama=_stored(run, panorama, sphere, stops), **settings)


def _request_for_several(
    run: LocalRun,
    photos: Mapping[Path, Photo | Sphere],
    cameras: Sequence[Camera],
    stops: float | None,
    settings: dict[str, Any],
) -> WorldRequest:
    for path, photo in photos.items():
        _report(path, photo, stops)
    hashes = [_stored(run, path, photo, stops) for path, photo in photos.items()]
    first, *beside = [
        {"photo": sha256, "camera": camera.to_dict()} for sha256, camera in zip(hashes, cameras, strict=True)
    ]
    return WorldRequest(**first, beside=beside, **settings)


def _frame_alone(frame: Path, photos: Sequence[Path], panorama: Path | None, given: Sequence[str]) -> tuple[Path, ...]:
    """The frame as the only photo. InputError with another picture, or with a camera that the frame has already."""
    if photos or panorama is not None:
        raise InputError("Give either --from-frame FRAME, or a PHOTO, or --panorama PICTURE.")
    if given:
        raise InputError(f"A shot's frame has its own camera; leave {', '.join(given)} out with --from-frame.")
    check_is_frame(frame)
    return (frame,)


def _check_sources(
    photos: Sequence[Path], panorama: Path | None, cameras_file: Path | None, given: Sequence[str]
) -> None:
    """Raise InputError unless there is one photo, several with cameras, or a panorama, and nothing that it cannot use.

    given: options of one photo's camera, and --prompt, that were set.
    """
    if bool(photos) == (panorama is not None):
        raise InputError("Give either a PHOTO or --panorama PICTURE to build a world from.")
    if (len(photos) > 1) != (cameras_file is not None):
        raise InputError(
            "Several photos of one place need --cameras PHOTOS.json, and one photo has no use for it; "
            "`lookbeyond photos align` writes such a file."
        )
    if len(photos) > 1 and given:
        raise InputError(
            "Several photos take their fields of view and directions from --cameras, and no prompt; "
            "leave --fov-x, --focal-mm, --pitch, --roll and --prompt out."
        )
    if panorama and set(given) - {"--prompt"}:
        raise InputError("A 360° picture has no field of view, pitch or roll; leave these out with --panorama.")
    if {"--fov-x", "--focal-mm"} <= set(given):
        raise InputError("Give --fov-x or --focal-mm, not both.")


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
        f"{cameras_file} has {len(frames)} cameras and none for {', '.join(missing)}; write it again with "
        "`lookbeyond photos align`, or correct its file_path."
    )


def _report(path: Path, picture: Photo | Sphere, stops: float | None) -> None:
    """Say what was decided in reading a picture. InputError for an exposure of what has none."""
    if stops is not None and picture.stops is None:
        raise InputError(f"{path} is not a picture in linear light (EXR, HDR, float TIFF); leave --exposure out.")
    for sentence in picture.said:
        click.echo(f"{path}: {sentence}")


def _report_made(out: Path) -> None:
    """Say how photos were joined, and what the place was taken for."""
    made = read_json(out / "world.json")
    for sentence in made.get("joined", ()):
        click.echo(sentence)
    place = made.get("place", {})
    if place.get("reason"):
        click.echo(f"{out}: {place['reason']} (confidence {place['confidence']:.2f})")


def _stored(run: LocalRun, path: Path, picture: Photo | Sphere, stops: float | None) -> str:
    """The picture's SHA-256 in the store: the file itself, or, with an exposure of the user's, what was developed."""
    if stops is None:
        return run.store.add_file(path)
    with tempfile.TemporaryDirectory() as folder:
        developed = Path(folder) / f"{path.stem}.png"
        write_png(developed, picture.with_holes)
        return run.store.add_file(developed)
