"""What the rooms of a study can say: sentences that claim a difference only outside of its interval."""

import math
from dataclasses import dataclass, field

from .metrics import mean_of_known
from .paired import Difference, claim, difference, signed
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


@dataclass
class Said:
    """Sentences about a finding."""

    found: list[str] = field(default_factory=list)
    """What one wants to know: differences that are told, and where figures fall off."""
    others: list[str] = field(default_factory=list)
    """Every other comparison."""

    def add(self, sentence: str, is_found: bool) -> None:
        (self.found if is_found else self.others).append(sentence)


def said_of(experiment: Experiment, table: Table) -> Said:
    """Of a map what it spans; else every setting against its reference, and where the lines of a plot fall off."""
    if experiment.grid:
        return Said(_grid_claims(experiment, table))
    said = Said(_falls_off(experiment, table))
    for setting in experiment.settings:
        reference = experiment.reference_of(setting)
        if setting == reference or setting.key == reference.key:
            continue
        for name, unit, more in CLAIMED:
            apart = _apart(table, setting, reference, name)
            if apart:
                sentence = claim(setting.label, reference.label, name, unit, more, apart)
                said.add(sentence, apart.is_told and setting.x is None)  # of a line it is told where it falls off
    if experiment.note:
        said.found.append(experiment.note)
    return said


def _apart(table: Table, one: Setting, other: Setting, name: str) -> Difference | None:
    values, usual = (table.get(each.label, {}).get(name) for each in (one, other))
    return difference(values, usual) if values and usual and len(values) == len(usual) else None


def _grid_claims(experiment: Experiment, table: Table) -> list[str]:
    """Of a map how far its figures are apart; the best of many places is best by chance, too, and no claim."""
    claims = []
    for name, unit, more in CLAIMED:
        means = {each: mean_of_known(table.get(each.label, {}).get(name, [])) for each in experiment.settings}
        means = {each: mean for each, mean in means.items() if math.isfinite(mean)}
        if not means:
            continue
        low, high, unit = min(means.values()), max(means.values()), f" {unit}" if unit else ""
        best = (max if more else min)(means, key=lambda each: means[each])
        apart = means[best] - means.get(experiment.reference, math.nan)
        claims.append(f"{name}: from {low:.2f} to {high:.2f}{unit} over the whole map.")
        if math.isfinite(apart) and apart:
            beside = f"{signed(apart)}{unit} beside {experiment.reference.label}"
            claims[-1] += f" The best of its {len(means)} places is {best.label}: {beside}, which claims nothing."
    return claims


def _falls_off(experiment: Experiment, table: Table) -> list[str]:
    """For every line of a plot where, away from its reference, figures are told to be worse, or better."""
    sentences = []
    for line in dict.fromkeys(each.line for each in experiment.settings if each.x is not None):
        along = [each for each in experiment.settings if each.line == line and each.x is not None]
        reference = experiment.reference_of(along[-1])
        parts, level = [], []
        for name, _, more in CLAIMED:
            found = {each.x or 0.0: _apart(table, each, reference, name) for each in along if each != reference}
            known = {x: apart for x, apart in found.items() if apart and apart.interval}
            told = {x: (apart.mean > 0) == more for x, apart in known.items() if apart.is_told}
            parts += _ends(name, reference.x or 0.0, told)
            if known and not told:
                level.append(name)
        if level:
            xs = [each.x or 0.0 for each in (*along, reference)]
            parts.append(f"nothing can be told of {', '.join(level)} between {min(xs):g} and {max(xs):g}")
        if parts:
            what = line or experiment.axis
            sentences.append(f"{what[0].upper()}{what[1:]} ({reference.label}): {'; '.join(parts)}.")
    return sentences


def _ends(name: str, start: float, told: dict[float, bool]) -> list[str]:
    """From which values on a figure falls off, and at which it is better. told: whether it is better, by value."""
    worse, better = (sorted(x for x, is_better in told.items() if is_better == side) for side in (False, True))
    nearest = [x for x in worse if x > start][:1] + [x for x in worse if x < start][-1:]
    parts = [f"{name} falls off {' and '.join(f'from {x:g} on' for x in nearest)}"] if nearest else []
    return parts + ([f"{name} is better at {', '.join(f'{x:g}' for x in better)}"] if better else [])
