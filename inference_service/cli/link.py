"""`lookbeyond link`: a second world joined to a first one at an opening, for shots that go through."""

import math
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from inference_service.cli import options
from lookbeyond.errors import InputError, sentence
from lookbeyond.files import load_panorama
from lookbeyond.geometry.linked import moved_panorama, upright_pose
from lookbeyond.geometry.opening import Opening
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.transforms import read_camera_path

USUAL_TOP_M = 2.05
"""Of an opening that is given on the floor plan, above the floor."""


@click.command()
@click.argument("first", type=options.FOLDER)
@click.argument("second", type=options.FOLDER)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The link's file, for `shot --through`.")
@click.option(
    "--at",
    type=float,
    nargs=4,
    metavar="X Y Z TURN",
    help="SECOND's viewpoint in FIRST, metres, and how far it is turned to the left, degrees.",
)
@click.option(
    "--camera",
    type=click.Path(path_type=Path),
    help="Or a transforms.json of one camera: that of SECOND's photo in FIRST.",
)
@click.option("--match", is_flag=True, help="Or find it from what both worlds show.")
@click.option(
    "--opening",
    type=float,
    nargs=4,
    metavar="X1 Y1 X2 Y2",
    help="The opening's two sides on FIRST's floor plan, metres.  [default: found in FIRST's walls]",
)
@click.option("--top", type=float, default=USUAL_TOP_M, show_default=True, help="Of --opening, metres above the floor.")
def link(
    first: Path,
    second: Path,
    out: Path,
    at: tuple[float, float, float, float] | None,
    camera: Path | None,
    match: bool,
    opening: tuple[float, float, float, float] | None,
    top: float,
) -> None:
    """Join the world SECOND to the world FIRST at the door between them.

    A SECOND that `lookbeyond world --from-frame` made is in its place already.
    """
    from lookbeyond.linking.judge import link_worlds
    from lookbeyond.linking.record import LinkRecord, write_link

    if [at is not None, camera is not None, match].count(True) > 1:
        raise InputError("Give one of --at, --camera and --match, or none for a world made with --from-frame.")
    here, there = load_panorama(first), load_panorama(second)
    pose, said = _pose(here, there, at, camera, match)
    if np.linalg.norm(moved_panorama(there, upright_pose(pose)).position - here.position) < 0.05:
        raise InputError(
            f"{second} stands where {first} does, so that nothing leads from one to the other; say where it is with "
            "--at X Y Z TURN, --camera or --match, or make it with `lookbeyond world --from-frame`."
        )
    made, about = link_worlds(here, there, pose, _given(here, opening, top) if opening is not None else None)
    said += about
    write_link(out, LinkRecord(made, first, second), said)
    for each in said:
        click.echo(each)
    click.echo(f"{out}: done.")


def _pose(
    first: Panorama,
    second: Panorama,
    at: tuple[float, float, float, float] | None,
    camera: Path | None,
    match: bool,
) -> tuple[NDArray[np.float64], list[str]]:
    """Where the second world is, and what is to be said of that."""
    from lookbeyond.linking.match import match_worlds, pose_at, pose_of_camera

    if at is not None:
        return pose_at(second, np.array(at[:3]), math.radians(at[3])), []
    if camera is not None:
        cameras = read_camera_path(camera).cameras
        if len(cameras) != 1:
            raise InputError(f"{camera} has {len(cameras)} cameras; give the one of the second world's photo.")
        return pose_of_camera(second, cameras[0]), []
    if not match:
        return np.eye(4), []
    found = match_worlds(first, second)
    x, y, z = found.second_to_first[:3, :3] @ second.position + found.second_to_first[:3, 3]
    return found.second_to_first, [
        f"{found.matches} details of both worlds agree to {found.residual_deg:.2f}°: the second one stands at "
        f"{x:.2f}, {y:.2f}, {z:.2f} m."
    ]


def _given(first: Panorama, ends: tuple[float, float, float, float], top: float) -> Opening:
    floor = float(first.position[2]) - first.camera_height
    try:
        return Opening(ends[:2], ends[2:], floor, floor + top)
    except ValueError as error:
        raise InputError(sentence(f"The opening cannot be used: {error}")) from error
