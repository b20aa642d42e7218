"""The `lookbeyond` command: world, shot, train, evaluate, and the commands around the service.

`world` and `shot` run the same units as the service, in this process and through the same store, so that
nothing is computed twice and both give the same bytes. A user's mistake is one line on the standard error
and exit code 2.
"""

import contextlib
import importlib
import math
import pkgutil
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from inference_service.client import ServiceError
from inference_service.commands import COMMANDS
from inference_service.protocol import WORLD_FILES, WORLD_LAYERS, ShotRequest, WorldRequest
from inference_service.server import Presets
from inference_service.store import MIN_FREE_BYTES, Store, default_store
from inference_service.units import (
    ROOMS,
    UNSEEN,
    Pipelines,
    Unit,
    check_shot_request,
    check_world_request,
    first_unit,
    perform_unit,
    read_plan,
    shot_units,
)
from inference_service.workers.process import (
    CachedPipelines,
    load_scene_pipeline,
)
from lookbeyond import __version__
from lookbeyond.errors import InputError, LookBeyondError
from lookbeyond.files import (
    Photo,
    check_output_folder,
    load_panorama,
    read_json,
    read_panorama_image,
    read_photo,
    require_space,
    whole_folder,
    world_files,
)
from lookbeyond.geometry.cameras import Camera, CameraError, PathError
from lookbeyond.geometry.transforms import read_transforms
from lookbeyond.layout.camera import FROM_FILE, GIVEN, camera_from_photo

SHOT_ENTRIES = ("frames", "depth", "transforms.json", "shot.json")

AUTO = "auto"


class Angle(click.ParamType):
    """`AUTO`, or a number of degrees."""

    name = "auto|DEG"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        if value == AUTO:
            return AUTO
        try:
            degrees = float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number of degrees nor {AUTO}.", param, ctx)
        if not math.isfinite(degrees):
            self.fail(f"{value} degrees are not finite; give a number of degrees, or {AUTO}.", param, ctx)
        return degrees


_folder = click.Path(path_type=Path, file_okay=True)
_seed = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Same seed, same images.")
_preset = click.option("--preset", default="builtin", show_default=True, help="Which models and settings.")
_out = click.option("--out", type=_folder, required=True, help="Folder for the result; new, or an earlier result.")
_store = click.option("--store", type=_folder, help="Where finished work is kept.  [default: the user's cache]")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lookbeyond")
def command() -> None:
    """From one photo to a 360° panorama, and from there to the frames of a camera move."""


@command.command()
@click.argument("photo", type=click.Path(path_type=Path), required=False)
@click.option("--panorama", type=click.Path(path_type=Path), help="An existing 360° picture instead of a photo.")
@_out
@click.option("--fov-x", type=float, help="The photo's horizontal field of view, degrees.")
@click.option("--focal-mm", type=float, help="Or its focal length as 35 mm equivalent (36 mm wide).")
@click.option("--pitch", type=Angle(), default=AUTO, help="Degrees, positive looks up; auto: from the photo's lines.")
@click.option("--roll", type=Angle(), default=AUTO, help="Degrees, positive turns the camera clockwise; or auto.")
@click.option("--camera-height", type=float, default=1.6, show_default=True, help="Metres above the floor.")
@click.option("--width", type=int, default=4096, show_default=True, help="Width of the panorama, pixels.")
@click.option("--prompt", default="", help='What the place is, for presets that outpaint: "a living room".')
@click.option(
    "--room", type=click.Choice(ROOMS), default="auto", show_default=True,
    help="Draw the room: where sure, always, never.",
)  # fmt: skip
@click.option("--unseen", type=click.Choice(UNSEEN), help="What nobody saw.  [default: the preset's way]")
@_seed
@_preset
@_store
def world(
    photo: Path | None,
    panorama: Path | None,
    out: Path,
    fov_x: float | None,
    focal_mm: float | None,
    pitch: float | str,
    roll: float | str,
    camera_height: float,
    width: int,
    prompt: str,
    room: str,
    unseen: str | None,
    seed: int,
    preset: str,
    store: Path | None,
) -> None:
    """Make the panorama around PHOTO, with distance; or only the distance of --panorama."""
    if (photo is None) == (panorama is None):
        raise InputError("Give either a PHOTO or --panorama PICTURE to build a world from.")
    if panorama and (fov_x is not None or focal_mm is not None or AUTO != pitch or AUTO != roll):
        raise InputError("A 360° picture has no field of view, pitch or roll; leave these out with --panorama.")
    check_output_folder(out, (*WORLD_FILES, *WORLD_LAYERS))
    settings: dict[str, Any] = {"camera_height": camera_height, "seed": seed, "preset": preset, "prompt": prompt}
    settings |= {"room": room, "unseen": unseen or ""}
    keep = _open_store(store)
    if photo is not None:
        image = read_photo(photo)
        camera = _camera_of(photo, image, _field_of_view(fov_x, focal_mm), _given(pitch), _given(roll))
        request = WorldRequest(photo=keep.add_file(photo), camera=camera.to_dict(), width=width, **settings)
    else:
        assert panorama is not None
        read_panorama_image(panorama)
        request = WorldRequest(panorama=keep.add_file(panorama), **settings)
    request = check_world_request(request)
    unit = first_unit(request, Presets().revision(preset))
    pipelines = CachedPipelines(load_scene_pipeline, "auto")
    with _progress([unit]) as perform:
        perform(unit, keep, pipelines)
    _deliver(keep, [unit], out, (*WORLD_FILES, *WORLD_LAYERS))
    place = read_json(out / "world.json").get("place", {})
    if place.get("reason"):
        click.echo(f"{out}: {place['reason']} (confidence {place['confidence']:.2f})")


def _open_store(chosen: Path | None) -> Store:
    store = Store(chosen or default_store())
    store.sweep()
    return store


def _camera_of(
    path: Path, photo: Photo, fov_x_rad: float | None, pitch_rad: float | None, roll_rad: float | None
) -> Camera:
    """The photo's camera by what was given, else by the file, else by the photo's lines; says what comes from where."""
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


def _given(angle: float | str) -> float | None:
    return None if isinstance(angle, str) else math.radians(angle)


def _field_of_view(fov_x: float | None, focal_mm: float | None) -> float | None:
    """Radians; None when nobody gave it."""
    if fov_x is not None and focal_mm is not None:
        raise InputError("Give --fov-x or --focal-mm, not both.")
    if fov_x is not None:
        if not 5 <= fov_x <= 170:
            raise InputError(f"A --fov-x of {fov_x:g}° is impossible for a photo; give 5 to 170 degrees.")
        return math.radians(fov_x)
    if focal_mm is not None:
        if not 2 <= focal_mm <= 400:
            raise InputError(f"A --focal-mm of {focal_mm:g} is impossible here; give 2 to 400 mm.")
        return 2 * math.atan(18 / focal_mm)
    return None


@command.command()
@click.argument("world", type=_folder)
@click.option("--cameras", type=click.Path(path_type=Path), required=True, help="The path: a transforms.json.")
@_out
@_seed
@_preset
@click.option("--tau-position", type=float, default=0.2, show_default=True, help="Reach of an anchor's noise.")
@click.option("--tau-rotation", type=float, default=0.2, show_default=True, help="The same, for turning.")
@click.option("--steps", type=int, default=0, help="Denoising steps of every view; 0: the preset's own.")
@_store
def shot(
    world: Path,
    cameras: Path,
    out: Path,
    seed: int,
    preset: str,
    tau_position: float,
    tau_rotation: float,
    steps: int,
    store: Path | None,
) -> None:
    """Make the frames of a camera path through the folder WORLD that `lookbeyond world` made."""
    check_output_folder(out, SHOT_ENTRIES)
    path = read_transforms(cameras)
    load_panorama(world)
    keep = _open_store(store)
    request = ShotRequest(
        world={name: keep.add_file(world / name) for name in world_files(world)},
        cameras=[camera.to_dict() for camera in path],
        seed=seed,
        preset=preset,
        tau_position=tau_position,
        tau_rotation=tau_rotation,
        steps=steps,
    )
    request = check_shot_request(request)
    revision = Presets().revision(preset)
    pipelines = CachedPipelines(load_scene_pipeline, "auto")
    plan = first_unit(request, revision)
    with _progress([plan]) as perform:
        perform(plan, keep, pipelines)
    units = shot_units(request, revision, read_plan(keep, plan))
    with _progress(units) as perform:
        for unit in units:
            perform(unit, keep, pipelines)
    _deliver(keep, units, out, SHOT_ENTRIES)


@contextlib.contextmanager
def _progress(units: Sequence[Unit]) -> Iterator[Callable[[Unit, Store, Pipelines], None]]:
    """A progress bar over units, and the function that performs one of them."""
    total = sum(unit.weight for unit in units)
    form = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    with tqdm(total=total, bar_format=form, disable=None, leave=False, file=sys.stderr) as bar:
        done = 0.0

        def perform(unit: Unit, store: Store, pipelines: Pipelines) -> None:
            nonlocal done

            def callback(fraction: float, message: str, preview: np.ndarray | None = None) -> None:
                bar.set_description_str(message or unit.kind, refresh=False)
                bar.update(max(0.0, done + fraction * unit.weight - bar.n))

            perform_unit(unit, store, pipelines, callback)
            done += unit.weight
            bar.update(max(0.0, done - bar.n))

        yield perform


def _deliver(store: Store, units: Sequence[Unit], out: Path, owned: tuple[str, ...]) -> None:
    """Copy what the units deliver into the output folder, all at once."""
    sizes = {a.name: a.size for unit in units for a in store.record(unit.identity).artifacts}
    require_space(out, sum(sizes.values()) + MIN_FREE_BYTES // 16)
    with whole_folder(out, owned) as folder:
        for unit in units:
            for name, own_name in unit.delivers.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(store.unit(unit.identity) / own_name, folder / name)
    click.echo(f"{out}: done.")


for _command in COMMANDS:
    command.add_command(_command)


_forwarded = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@command.command(context_settings=_forwarded, add_help_option=False)
@click.argument("stage")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def train(stage: str, arguments: tuple[str, ...]) -> None:
    """Train one STAGE of the models; `lookbeyond train STAGE --help` says how."""
    from lookbeyond import training

    names = sorted(module.name for module in pkgutil.iter_modules(training.__path__))
    if (name := stage.replace("-", "_")) in names:
        run = getattr(importlib.import_module(f"{training.__name__}.{name}"), "main", None)
        if run is not None:
            return run(list(arguments))
    modules = {name: importlib.import_module(f"{training.__name__}.{name}") for name in names}
    stages = [name for name, module in modules.items() if hasattr(module, "main")]
    raise InputError(f"There is no training stage {stage!r}; choose one of {', '.join(stages)}.")


@command.command(context_settings=_forwarded, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def evaluate(arguments: tuple[str, ...]) -> None:
    """Measure the quality of a preset; `lookbeyond evaluate --help` says how."""
    importlib.import_module("lookbeyond.evaluation.bench").main(list(arguments))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; exits with 0, 2 for unusable input (one line says why), 130 after Ctrl-C."""
    try:
        code = command.main(arguments, standalone_mode=False)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "lookbeyond"
        _fail(f"{error.format_message()} See `{where} --help`.")
    except (LookBeyondError, CameraError, PathError, ServiceError) as error:
        _fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        click.echo("Stopped; no output was written.", err=True)
        sys.exit(130)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    click.echo("lookbeyond: " + " ".join(message.split()), err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
