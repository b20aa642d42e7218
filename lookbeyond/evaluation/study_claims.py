"""What the rooms of a study can say: sentences that claim a difference only outside of its interval."""

import math

from .metrics import mean_of_known
from .paired import Difference, claim, difference
from .study_settings import Experiment, Setting

SHOWN = (
    ("PSNR", "dB", True),
    ("PSNR in holes", "dB", True),
    ("SSIM", "", True),
    ("mTSED", "", True),
    ("drift", "% of pixels", False),
    ("LPIPS", "", False),
)
"""Figures of walks that are told: name, unit, whether more is better."""
CLAIMED = [each for each in SHOWN if each[0] in ("PSNR", "PSNR in holes", "mTSED")]

Table = dict[str, dict[str, list[float]]]
"""label of a setting -> figure -> one value a room."""


def claims_of(experiment: Experiment, table: Table) -> list[str]:
    """Of a map what it spans; else every setting against its reference, then where the lines of a plot fall off."""
    if experiment.grid:
        return _grid_claims(experiment, table)
    claims = []
    for setting in experiment.settings:
        reference = experiment.reference_of(setting)
        if setting == reference or setting.key == reference.key:
            continue
        for name, unit, more in CLAIMED:
            found = _apart(table, setting, reference, name)
            if found:
                claims.append(claim(setting.label, reference.label, name, unit, more, found))
    return claims + _falls_off(experiment, table)


def _apart(table: Table, one: Setting, other: Setting, name: str) -> Difference | None:
    values, usual = (table.get(each.label, {}).get(name) for each in (one, other))
    return difference(values, usual) if values and usual and len(values) == len(usual) else None


def _grid_claims(experiment: Experiment, table: Table) -> list[str]:
    """Of a map only how far its figures are apart, and whether its best place is better than the reference."""
    claims = []
    for name, unit, more in CLAIMED:
        means = {each: mean_of_known(table.get(each.label, {}).get(name, [])) for each in experiment.settings}
        means = {each: mean for each, mean in means.items() if math.isfinite(mean)}
        if not means:
            continue
        low, high = min(means.values()), max(means.values())
        unit_said = f" {unit}" if unit else ""
        claims.append(f"{name}: from {low:.2f} to {high:.2f}{unit_said} over the whole map.")
        best = (max if more else min)(means, key=lambda each: means[each])
        found = _apart(table, best, experiment.reference, name)
        if best != experiment.reference and found:
            claims.append(claim(f"{best.label}, the best,", experiment.reference.label, name, unit, more, found))
    return claims


def _falls_off(experiment: Experiment, table: Table) -> list[str]:
    """For every line of a plot the least step away from its reference from which on a figure is told to be worse."""
    sentences = []
    for line in dict.fromkeys(each.line for each in experiment.settings if each.x is not None):
        along = [each for each in experiment.settings if each.line == line and each.x is not None]
        reference = experiment.reference_of(along[-1])
        start, what = reference.x or 0.0, line or experiment.axis
        for name, _, more in CLAIMED:
            found = {each.x or 0.0: _apart(table, each, reference, name) for each in along if each != reference}
            known = {x: apart for x, apart in found.items() if apart and apart.interval}
            if not known:
                continue
            worse = [x for x, apart in known.items() if apart.is_told and (apart.mean < 0) == more]
            ends = [
                f"from {pick(side):g} on"
                for side, pick in (([x for x in worse if x > start], min), ([x for x in worse if x < start], max))
                if side
            ]
            if ends:
                sentences.append(f"{name} falls off with {what} ({reference.label}): {' and '.join(ends)}.")
            else:
                low, high = min(*known, start), max(*known, start)
                sentences.append(f"{name}: no fall with {what} can be told between {low:g} and {high:g}.")
    return sentences
