"""Whether two worlds fit at the opening between them, and how the second one's light becomes the first one's."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.linked import MOST_GAIN, Link, moved_panorama, upright_pose
from lookbeyond.geometry.opening import Opening
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import sample_equirectangular
from lookbeyond.geometry.warping import warp_to_view

from .find import find_opening

WIDTH = 512
"""Of the panoramas that are compared."""
AGREE = 0.08
"""Relative difference of distances up to which both worlds show one surface."""
LEAST_AGREEING = 0.25
"""Of what both show from the opening; below it, they hardly fit."""
OPEN = 1.15
"""A world sees through the opening where it sees this many times farther."""
SHORT = 0.75
"""A world that sees less than this share of the way to the opening does not reach it."""
MIRRORED, MIRRORED_ALIKE = 0.75, 0.95
"""Share of what the second world shows beyond the opening that the first one shows mirrored before it, and how their
colours correlate, from which on the opening is a mirror. Plain rooms of one size have the share, not the colours."""
LEAST_PIXELS = 150
NO_GAIN = 0.02
"""Relative differences of light up to this are none."""


@dataclass(frozen=True)
class Fit:
    """How two worlds fit."""

    both: float
    """Share of what is seen from the opening that both show."""
    agreeing: float
    """Share of that at whose distance they agree."""
    open_in_first: float
    open_in_second: float
    """Share of the opening that a world sees through."""
    gain: tuple[float, float, float]
    """As in `Link`."""

    @property
    def said(self) -> list[str]:
        """What the artist should know."""
        said = [f"From the opening both worlds show {self.both:.0%} of the view, {self.agreeing:.0%} of it alike."]
        if self.open_in_first < 0.2:
            said.append(
                "The first world shows a wall where the opening is, at the wall's own distance: if it is an open door, "
                "all is well; if it is a closed one or a mirror, do not link the worlds."
            )
        if self.agreeing < LEAST_AGREEING:
            said.append("The worlds hardly agree there; correct the second one's place if the frames show it doubled.")
        if self.gain != (1.0, 1.0, 1.0):
            factors = ", ".join(f"{gain:.2f}" for gain in self.gain)
            said.append(f"The second world's light is made {factors} times as much (red, green, blue), like the first.")
        return said


def judge(first: Panorama, second: Panorama, opening: Opening) -> Fit:
    """How a second world, in the first one's frame, fits to it.

    Raises InputError for worlds that do not reach the opening, and for a mirror.
    """
    first, second = first.shrunk(WIDTH), second.shrunk(WIDTH)
    for world, name in ((first, "first"), (second, "second")):
        _check_reaches(world, opening, name)
    openness = [_open_share(world, opening) for world in (first, second)]
    share, alike = mirrored(first, second, opening)
    if share > MIRRORED and alike > MIRRORED_ALIKE:
        raise InputError(
            "What the second world shows beyond the opening is the first one mirrored: that is a mirror, not a door; "
            "make the second world from a frame that looks through a door."
        )
    here, there, places = _seen_by_both(first, second, opening)
    agree = np.abs(here[1] - there[1]) <= AGREE * np.minimum(here[1], there[1])
    agreeing = float(agree.mean()) if agree.size else 0.0
    # where they hardly agree, what is at the same distance need not be the same
    gain = _gain(here[0][agree], there[0][agree]) if agreeing >= LEAST_AGREEING else (1.0, 1.0, 1.0)
    return Fit(len(here[1]) / places, agreeing, openness[0], openness[1], gain)


def linked(
    first: Panorama, second: Panorama, second_to_first: NDArray[np.float64], opening: Opening
) -> tuple[Link, Fit]:
    """The link of two worlds, judged. Raises InputError where they do not fit."""
    fit = judge(first, Link(opening, second_to_first).placed(second), opening)
    return Link(opening, second_to_first, fit.gain), fit


def link_worlds(
    first: Panorama, second: Panorama, second_to_first: NDArray[np.float64], opening: Opening | None
) -> tuple[Link, list[str]]:
    """The link of two worlds at an opening, or at the one that is found, and what the artist should know of it.

    Raises InputError where none is found, or the worlds do not fit; ValueError for a pose that is not upright.
    """
    said = []
    if opening is None:
        opening, about = find_opening(first, moved_panorama(second, upright_pose(second_to_first)))
        said.append(about)
    elif opening.side(first.position) < 0:
        opening = opening.turned()
    link, fit = linked(first, second, second_to_first, opening)
    return link, [*said, *fit.said]


def _grid(opening: Opening) -> NDArray[np.float64]:
    """Points [N, 3] all over the opening, not at its rim."""
    across = opening.width * (np.arange(12) + 0.5) / 12
    up = opening.bottom_z + (opening.top_z - opening.bottom_z) * (np.arange(16) + 1.5) / 18
    points = np.zeros((len(up), len(across), 3))
    points[..., :2] = np.array(opening.start) + across[:, None] * opening.along[:2]
    points[..., 2] = up[:, None]
    return points.reshape(-1, 3)


def _check_reaches(world: Panorama, opening: Opening, name: str) -> None:
    offset = _grid(opening) - world.position
    away = np.linalg.norm(offset, axis=1)
    if away.min() < 0.5:
        return
    seen = world.distance_at(offset)
    if np.median(seen / away) < SHORT and np.quantile(seen / away, 0.9) < 1:
        raise InputError(
            f"The {name} world does not reach the opening: it shows something {np.median(seen):.1f} m away in its "
            f"direction, and the opening is {np.median(away):.1f} m away; the two worlds do not overlap. Correct the "
            "second world's place, or the opening."
        )


def _open_share(world: Panorama, opening: Opening) -> float:
    offset = _grid(opening) - world.position
    return float((world.distance_at(offset) > OPEN * np.linalg.norm(offset, axis=1)).mean())


def mirrored(first: Panorama, second: Panorama, opening: Opening) -> tuple[float, float]:
    """How much what a second world shows beyond the opening is what the first one shows before it, mirrored: the share
    of it that has the mirrored distance, and the correlation of their colours there."""
    grid = _grid(opening)
    directions = grid - (opening.centre + 1.0 * opening.normal)
    rays = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    places = np.concatenate([grid + away * rays for away in np.linspace(0.3, 6.0, 24)])
    offset = places - second.position
    away, seen = np.linalg.norm(offset, axis=1), second.distance_at(offset)
    at_surface = np.abs(seen - away) <= 0.05 * away
    places, offset = places[at_surface], offset[at_surface]
    if len(places) < 30:
        return 0.0, 0.0
    back = places - 2 * opening.side(places)[:, None] * opening.normal - first.position
    reach = np.linalg.norm(back, axis=1)
    same = np.abs(first.distance_at(back) - reach) <= AGREE * reach
    if same.mean() < 0.3:
        return float(same.mean()), 0.0
    one = sample_equirectangular(first.colour, back, first.heading_rad)[same].astype(float)
    other = sample_equirectangular(second.colour, offset, second.heading_rad)[same].astype(float)
    one, other = one - one.mean(0), other - other.mean(0)
    together = float((one * other).sum() / max(np.sqrt((one**2).sum() * (other**2).sum()), 1e-9))
    return float(same.mean()), together if np.abs(one).mean() > 2 else 0.0


def _seen_by_both(first: Panorama, second: Panorama, opening: Opening):
    """Colour [N, 3] and distance [N] of what both worlds show from the opening, for each, and how many pixels there
    were."""
    heading = math.atan2(opening.normal[1], opening.normal[0])
    parts: list[list[NDArray]] = [[], [], [], []]
    places = 0
    for turn in (0.0, math.pi):  # along the wall nothing is seen well
        position = np.array([*opening.centre[:2], (first.position[2] + second.position[2]) / 2])
        camera = placed_camera(96, 96, math.radians(80), heading_rad=heading + turn, position=position)
        seen = [warp_to_view(world, camera) for world in (first, second)]
        both = seen[0].known & seen[1].known
        places += both.size
        for part, values in zip(parts, (seen[0].colour, seen[0].distance, seen[1].colour, seen[1].distance)):
            part.append(values[both])
    one, near, other, far = (np.concatenate(part) for part in parts)
    return (one, near), (other, far), places


def _gain(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> tuple[float, float, float]:
    """How many times the second's light the first's is, of pixels [N, 3] that show the same."""
    clear = ((first > 8) & (first < 247) & (second > 8) & (second < 247)).all(-1) if len(first) else np.zeros(0, bool)
    if clear.sum() < LEAST_PIXELS:
        return (1.0, 1.0, 1.0)
    light = [((image[clear] / 255 + 0.055) / 1.055) ** 2.4 for image in (first, second)]
    gain = np.exp(np.median(np.log(light[0] / light[1]), 0)).clip(1 / MOST_GAIN, MOST_GAIN)
    if np.abs(gain - 1).max() < NO_GAIN:
        return (1.0, 1.0, 1.0)
    red, green, blue = (round(float(value), 4) for value in gain)
    return red, green, blue
