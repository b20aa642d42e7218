"""A photo's pitch, roll and field of view, from the straight lines in it.

A room's lines run along three directions at right angles (a "Manhattan" frame: Coughlan and Yuille, "Manhattan
World: Compass Direction from a Single Image by Bayesian Inference", 1999), one of them vertical. Pitch, roll, the
room's heading and the focal length are what explains the segments' directions best: a coarse search over all of
them, then expectation maximisation from the best places. What is said about a segment is the angle, about the ray
through its middle, between its great circle and the one towards the vanishing point.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import LEVEL, Camera, placed_camera
from lookbeyond.layout.segments import WORKING_SIDE, find_segments
from lookbeyond.photo.tags import FOV_ASSUMED_RAD, fov_x_assumed

FROM_FILE, FROM_LINES, ASSUMED, GIVEN = "from the file", "from the photo's lines", "assumed", "given"

MOST_LINES = 250
"""The longest segments; more of them are texture."""
END_ERROR_PX = 0.4
"""Standard deviation of a segment's end across it, in pixels of the picture in which it was found."""
MODEL_ERROR_RAD = math.radians(0.25)
"""Of a line's direction, however long: walls are not quite straight, lenses neither."""
AXIS_SHARES = (0.4, 0.3, 0.3)
"""Of the lines that follow the room: along its vertical, and its two horizontal directions."""
WEIGHT = 0.4
"""Weight of the longest segments: they come in groups, an edge as two, a floor as forty."""
PITCH_PRIOR_RAD, ROLL_PRIOR_RAD = math.radians(15), math.radians(8)
LOG_FOCAL_PRIOR = (math.log(28 / 36), 0.3)
"""Mean and standard deviation of the logarithm of the focal length over the longer side."""
LOG_FOCAL_LIMITS = math.log(12 / 36), math.log(100 / 36)

# The coarse search. Beyond these angles "up" would be mixed up with a horizontal direction.
MOST_PITCH_RAD, MOST_ROLL_RAD = math.radians(48), math.radians(24)
FOCALS = np.geomspace(0.42, 1.7, 9)
"""Focal lengths over the longer side: 15 to 61 mm on 35 mm film."""
STEP_RAD, COARSE_RAD = math.radians(3), math.radians(1.5)
"""Of the grid's angles, and what its lines may be off."""
SEARCHED_LINES = 120
STARTS = 12
"""Best places of the grid from which is refined."""

# How sure it is: chosen so that nine in ten errors of pitch and roll lie within, over 96 rooms that are not held-out
# ones, each seen through a perfect lens and one that bends lines by up to 5 % and blurs. (Field of view: eight.)
CALIBRATION = 1.25
LEAST_UNSURE = np.array([math.radians(0.2), math.radians(0.1), 0.0, 0.03])
LEAST_LINES = 6
"""Segments that must follow the room's directions: fewer do so by chance."""
LEAST_EVIDENCE = 0.5
"""What the lines' evidence must be at least: clutter, and lines drawn at random, reach 0.3."""
MOST_UNSURE_PITCH_RAD, MOST_UNSURE_ROLL_RAD, MOST_UNSURE_FOV = math.radians(4), math.radians(2.5), 0.12
"""Uncertainties of pitch, roll and (relative) field of view above which the lines are not believed."""

_KNOWN = 1e-3
"""A prior of a smaller standard deviation is of a focal length that is known."""


@dataclass(frozen=True)
class Estimate:
    """One number of the camera, how sure it is and what says so."""

    value_rad: float
    uncertainty_rad: float | None
    """Nine in ten errors in rendered rooms are smaller, in real photos fewer (`benchmarks/camera_from_lines.py` counts
    them); None for what is not measured."""
    source: str
    """`FROM_FILE`, `FROM_LINES`, `ASSUMED` or `GIVEN`."""

    def __str__(self) -> str:
        degrees = math.degrees(self.value_rad)
        if self.source == ASSUMED:
            return f"{degrees:.3g}° is assumed"
        unsure = "" if self.uncertainty_rad is None else f", ± {math.degrees(self.uncertainty_rad):.1f}°"
        return f"{degrees:.1f}° {self.source}{unsure}"


@dataclass(frozen=True)
class CameraFromPhoto:
    """What a photo says about its camera: `placed_camera`'s angles."""

    fov_x: Estimate
    pitch: Estimate
    roll: Estimate
    lines: int
    """Segments that follow the room's three directions."""
    width: int
    height: int
    """Pixels of the photo."""

    def camera(self) -> Camera:
        """The photo's camera, at the origin, its heading along +X."""
        return placed_camera(
            self.width,
            self.height,
            self.fov_x.value_rad,
            pitch_rad=self.pitch.value_rad,
            roll_rad=self.roll.value_rad,
        )

    def description(self) -> str:
        """For people: every number and where it is from."""
        numbers = (("field of view", self.fov_x), ("pitch", self.pitch), ("roll", self.roll))
        return "; ".join(f"{name} {number}" for name, number in numbers) + "."


@dataclass(frozen=True, eq=False)
class _Lines:
    """Segments in units of the photo's longer side, from its centre, for every focal length."""

    middle: NDArray[np.float64]
    """[n, 2]"""
    direction: NDArray[np.float64]
    """[n, 2], unit length."""
    length: NDArray[np.float64]
    """[n]"""
    pixel: float
    """Of the picture in which they were found, in these units."""


@dataclass(frozen=True)
class _Prior:
    """Means and standard deviations of pitch, roll, heading and log focal length."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def logarithm(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        return -0.5 * (((parameters - self.mean) / self.deviation) ** 2).sum(-1)


@dataclass(frozen=True, eq=False)
class _Fit:
    """One explanation of the lines."""

    parameters: NDArray[np.float64]
    """Pitch, roll, heading, logarithm of the focal length over the longer side."""
    unsure: NDArray[np.float64]
    """Of each: nine in ten errors are smaller."""
    evidence: float
    """Mean over the lines of the logarithm of how much likelier they are than lines of no direction in particular."""
    lines: int
    """Segments that follow the room's directions."""

    def tells(self, index: int) -> bool:
        """Whether pitch (0) or roll (1) is to be believed."""
        enough = self.lines >= LEAST_LINES and self.evidence >= LEAST_EVIDENCE
        return enough and self.unsure[index] <= (MOST_UNSURE_PITCH_RAD, MOST_UNSURE_ROLL_RAD)[index]

    @property
    def holds(self) -> bool:
        return self.tells(0) and self.tells(1)


def camera_from_photo(
    photo: NDArray[np.uint8],
    fov_x_rad: float | None = None,
    *,
    fov_source: str = FROM_FILE,
    pitch_rad: float | None = None,
    roll_rad: float | None = None,
) -> CameraFromPhoto:
    """Pitch, roll and horizontal field of view of a photo, uint8 [h, w, 3].

    What is given is kept; a known field of view helps to find the rest. A photo whose lines do not say it has pitch 0
    and roll 0, and the field of view that is assumed; each says so.
    """
    height, width = photo.shape[:2]
    return camera_from_segments(
        find_segments(photo),
        width,
        height,
        fov_x_rad,
        fov_source=fov_source,
        pitch_rad=pitch_rad,
        roll_rad=roll_rad,
    )


def camera_from_segments(
    segments: NDArray[np.float64],
    width: int,
    height: int,
    fov_x_rad: float | None = None,
    *,
    fov_source: str = FROM_FILE,
    pitch_rad: float | None = None,
    roll_rad: float | None = None,
) -> CameraFromPhoto:
    """The same from the segments [n, 4] that `find_segments` found in a photo of so many pixels."""
    lines = _lines(segments, width, height)
    half = width / 2 / max(width, height)
    log_focal = None if fov_x_rad is None else math.log(half / math.tan(fov_x_rad / 2))
    fit = _fit(lines, log_focal)
    if fov_x_rad is not None:
        fov_x = Estimate(fov_x_rad, None, fov_source)
    else:
        found = 2 * math.atan(half / math.exp(fit.parameters[3]))
        uncertainty = math.sin(found) * fit.unsure[3]  # d fov = -sin(fov) d log(focal length)
        if fit.holds and uncertainty <= MOST_UNSURE_FOV * found:
            fov_x = Estimate(_rounded(found), uncertainty, FROM_LINES)
        else:  # pitch and roll are to be right for the field of view that is used
            fov_x = Estimate(fov_x_assumed(width, height), None, ASSUMED)
            again = _fit(lines, -math.log(2 * math.tan(FOV_ASSUMED_RAD / 2)))
            fit = replace(again, unsure=np.maximum(again.unsure, fit.unsure))
    pitch, roll = (
        Estimate(given, None, GIVEN)
        if given is not None
        else Estimate(_rounded(fit.parameters[index]), float(fit.unsure[index]), FROM_LINES)
        if fit.tells(index)
        else Estimate(0.0, None, ASSUMED)
        for index, given in enumerate((pitch_rad, roll_rad))
    )
    return CameraFromPhoto(fov_x, pitch, roll, fit.lines, width, height)


def _rounded(angle_rad: float) -> float:
    """To a hundredth of a degree: finer is noise, which differs between processors."""
    return math.radians(round(math.degrees(angle_rad), 2))


def _lines(segments: NDArray[np.float64], width: int, height: int) -> _Lines:
    longer = max(width, height)
    ends = (segments[:MOST_LINES].reshape(-1, 2, 2) - (width / 2, height / 2)) / longer
    along = ends[:, 1] - ends[:, 0]
    length = np.linalg.norm(along, axis=1)
    return _Lines(ends.mean(1), along / length[:, None], length, max(1.0, longer / WORKING_SIDE) / longer)


def _deviation(lines: _Lines) -> NDArray[np.float64]:
    """Standard deviation of the lines' directions [n], radians."""
    return np.hypot(math.sqrt(2) * END_ERROR_PX * lines.pixel / lines.length, MODEL_ERROR_RAD)


def _towards(lines: _Lines, focal: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two vectors [n, 3] whose products with an axis (camera axes) are, but for one factor, the sine and the cosine of
    the angle in the picture between a line and the way from its middle to the axis's vanishing point.

    The first is the normal of the line's great circle. In the picture, and not about the ray: there lines of no
    direction in particular have every direction alike, whatever the focal length.
    """
    (x, y), (dx, dy) = lines.middle.T, lines.direction.T
    return (
        np.stack([-dy * focal, dx * focal, dy * x - dx * y], 1),
        np.stack([dx * focal, dy * focal, -dx * x - dy * y], 1),
    )


def _axes(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """[..., 4] -> [..., 3, 3]: up and the room's two horizontal directions (rows) in camera axes."""
    pitch, roll, heading = (parameters[..., index] for index in range(3))
    zero, one = np.zeros_like(pitch), np.ones_like(pitch)
    tilt = _matrix([one, zero, zero], [zero, np.cos(pitch), -np.sin(pitch)], [zero, np.sin(pitch), np.cos(pitch)])
    turn = _matrix([np.cos(roll), -np.sin(roll), zero], [np.sin(roll), np.cos(roll), zero], [zero, zero, one])
    ahead = np.stack([np.cos(heading), np.sin(heading), zero], -1)
    aside = np.stack([-np.sin(heading), np.cos(heading), zero], -1)
    world = np.stack([np.stack([zero, zero, one], -1), ahead, aside], -2)
    return world @ (LEVEL @ tilt @ turn)


def _matrix(*rows: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.stack([np.stack(row, -1) for row in rows], -2)


def _belief(lines: _Lines) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of every line by its length: the share of such lines that follows the room, and how much it counts."""
    return np.clip(0.35 + 2.4 * lines.length, 0, 0.85), WEIGHT * np.minimum(1.0, lines.length / 0.13)


def _fit(lines: _Lines, log_focal: float | None) -> _Fit:
    """The best of all cameras, with the spread of those that are nearly as good.

    log_focal: of the focal length over the longer side, where it is known.
    """
    mean = np.array([0.0, 0.0, 0.0, LOG_FOCAL_PRIOR[0]])
    deviation = np.array([PITCH_PRIOR_RAD, ROLL_PRIOR_RAD, 1e3, LOG_FOCAL_PRIOR[1]])
    if log_focal is not None:
        mean[3], deviation[3] = log_focal, _KNOWN / 100
    prior = _Prior(mean, deviation)
    if not len(lines.length):
        return _Fit(mean, np.full(4, np.inf), 0.0, 0)
    fits = [_refined(lines, start, prior) for start in _search(lines, prior)]
    best = max(fits, key=lambda fit: fit.evidence)  # not yet by the line
    weights = np.exp([fit.evidence - best.evidence for fit in fits])
    away = np.stack([fit.parameters - best.parameters for fit in fits])
    away[:, 2] = 0.0
    spread = weights @ away**2 / weights.sum()
    unsure = np.sqrt((CALIBRATION * best.unsure) ** 2 + spread + LEAST_UNSURE**2)
    return _Fit(best.parameters, unsure, best.evidence / _belief(lines)[1].sum(), best.lines)


def _search(lines: _Lines, prior: _Prior) -> list[NDArray[np.float64]]:
    """The best cameras of a grid, none near another."""
    angles = np.meshgrid(_grid(MOST_PITCH_RAD), _grid(MOST_ROLL_RAD), indexing="ij")
    held = np.stack([angle.ravel() for angle in angles], -1)
    focals = [math.exp(prior.mean[3])] if prior.deviation[3] < _KNOWN else FOCALS
    headings = np.arange(0, math.pi / 2, STEP_RAD)
    n = SEARCHED_LINES
    few = _Lines(lines.middle[:n], lines.direction[:n], lines.length[:n], lines.pixel)
    found, scores = [], []
    for focal in focals:
        across, along = _towards(few, focal)
        share, weight = _belief(few)
        parameters = np.concatenate([held, np.zeros((len(held), 1)), np.full((len(held), 1), math.log(focal))], 1)
        axes = _axes(parameters).astype(np.float32)
        variance = (_deviation(few) ** 2 + COARSE_RAD**2).astype(np.float32)
        height = (share * math.sqrt(math.pi / 2) / np.sqrt(variance)).astype(np.float32)  # of a density over pi
        # [3 axes, cameras, lines]
        sines, cosines = (np.moveaxis(axes @ part.astype(np.float32).T, 1, 0) for part in (across, along))
        vertical = AXIS_SHARES[0] * _bell(sines[0], cosines[0], variance)
        for heading in headings:
            c, s = math.cos(heading), math.sin(heading)
            first = _bell(c * sines[1] + s * sines[2], c * cosines[1] + s * cosines[2], variance)
            second = _bell(c * sines[2] - s * sines[1], c * cosines[2] - s * cosines[1], variance)
            bells = vertical + AXIS_SHARES[1] * first + AXIS_SHARES[2] * second
            score = np.log(1 - share + height * bells) @ weight
            parameters[:, 2] = heading
            found.append(parameters.copy())
            scores.append(score + prior.logarithm(parameters))
    candidates, values = np.concatenate(found), np.concatenate(scores)
    kept: list[NDArray[np.float64]] = []
    for index in np.argsort(-values, kind="stable")[:2000]:
        candidate = candidates[index]
        if all(_apart(candidate, other) for other in kept):
            kept.append(candidate)
            if len(kept) == STARTS:
                break
    return kept


def _grid(most: float) -> NDArray:
    count = round(most / STEP_RAD)
    return np.arange(-count, count + 1) * STEP_RAD


def _bell(sine: NDArray, cosine: NDArray, variance: NDArray) -> NDArray:
    squared = sine * sine
    return np.exp(-0.5 * squared / ((squared + cosine * cosine + 1e-9) * variance))


def _apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    away = np.abs(one - other)
    away[2] = min(away[2], math.pi / 2 - away[2])
    return bool((away > (math.radians(5), math.radians(5), math.radians(7), 0.3)).any())


def _directions(lines: _Lines, parameters: NDArray[np.float64]):
    """Angles [n, 3] between lines and axes, their standard deviations [n, 3], share and weight [n]."""
    focal = math.exp(parameters[3])
    across, along = _towards(lines, focal)
    axes = _axes(parameters).T
    sine, cosine = across @ axes, along @ axes
    angle = np.arctan2(sine * np.sign(cosine), np.abs(cosine))
    # where the vanishing point is near the line, how far aside the line lies counts too
    aside = END_ERROR_PX * lines.pixel * np.abs(axes[2]) / np.maximum(np.hypot(sine, cosine), 1e-6)
    return angle, np.hypot(_deviation(lines)[:, None], aside), *_belief(lines)


def _refined(lines: _Lines, start: NDArray[np.float64], prior: _Prior) -> _Fit:
    """Expectation maximisation with what counts as near getting less."""
    parameters = start.copy()
    information = np.diag(prior.deviation**-2)
    steps = np.array([1e-5, 1e-5, 1e-5, 1e-5])
    for coarse in np.radians([1.5, 1.0, 0.7, 0.5, 0.3, 0.2, 0.1, 0, 0, 0]):
        angle, spread, share, weight = _directions(lines, parameters)
        spread = np.hypot(spread, coarse)
        bells = _densities(angle, spread, share)
        follows = bells / (1 - share + bells.sum(1))[:, None] * weight[:, None] / spread**2
        slopes = np.stack(
            [(_turned(_directions(lines, parameters + step)[0] - angle)) / step.sum() for step in np.diag(steps)], -1
        )
        information = np.einsum("nk,nki,nkj->ij", follows, slopes, slopes) + np.diag(prior.deviation**-2)
        gradient = np.einsum("nk,nki,nk->i", follows, slopes, angle)
        gradient += (parameters - prior.mean) / prior.deviation**2
        change = -np.linalg.solve(information, gradient)
        change *= min(1.0, 0.2 / np.abs(change).max())
        parameters = parameters + change
        if prior.deviation[3] > _KNOWN:
            parameters[3] = np.clip(parameters[3], *LOG_FOCAL_LIMITS)
    angle, spread, share, weight = _directions(lines, parameters)
    bells = _densities(angle, spread, share)
    total = 1 - share + bells.sum(1)
    evidence = float(np.log(total) @ weight + prior.logarithm(parameters))
    follow = int((bells.sum(1) > 0.5 * total).sum())
    # what the lines that follow really scatter, of what they were taken to
    mass = bells / total[:, None] * weight[:, None]
    scatter = math.sqrt(max(1.0, (mass * (angle / spread) ** 2).sum() / max(mass.sum(), 1e-9)))
    return _Fit(parameters, scatter * np.sqrt(np.diag(np.linalg.inv(information))), evidence, follow)


def _densities(angle: NDArray[np.float64], spread: NDArray[np.float64], share: NDArray[np.float64]):
    """Of a line's direction along each axis [n, 3], relative to any direction alike (1 / pi)."""
    bells = np.exp(-0.5 * (angle / spread) ** 2) * math.sqrt(math.pi / 2) / spread
    return share[:, None] * np.array(AXIS_SHARES) * bells


def _turned(angle: NDArray) -> NDArray:
    """Into -pi/2..pi/2."""
    return (angle + math.pi / 2) % math.pi - math.pi / 2
