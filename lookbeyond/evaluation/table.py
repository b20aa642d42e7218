"""The bench's table: figures of all places together, as JSON, as Markdown and as plots.

python -m lookbeyond.evaluation.table docs/research/bench.md    writes a document's tables anew from their JSON files
"""

import json
import math
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from . import metrics
from .results import LOWER_IS_BETTER, OURS, Result


def tabulate(results: Iterable[Result]) -> dict[str, dict[str, dict]]:
    """metric -> method -> mean, 95 % interval, and the paired difference of ours from it with its interval."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        for metric, by_method in result.figures.items():
            for method in by_method:
                values[metric][method].append(by_method[method])
    table: dict[str, dict[str, dict]] = {}
    for metric, by_method in values.items():
        ours = np.array(by_method.get(OURS, []))
        table[metric] = {}
        for method, one in by_method.items():
            cell = {"mean": metrics.mean_of_known(one), "interval": metrics.interval(np.array(one)), "scenes": len(one)}
            if method != OURS and len(one) == len(ours):
                difference = ours - np.array(one)
                cell |= {
                    "ours_minus": metrics.mean_of_known(difference),
                    "ours_minus_interval": metrics.interval(difference),
                }
            table[metric][method] = cell
    return table


def add_frechet(table: dict[str, dict[str, dict]], results: list[Result], hidden: list[np.ndarray], name: str) -> None:
    """The Fréchet excess of the hidden parts of all panoramas together: one figure per method, no interval."""
    truth = [result.pictures["truth"] for result in results]
    table[f"{name}hidden Fréchet excess"] = {
        method: {"mean": metrics.frechet_excess([result.pictures[method] for result in results], truth, hidden)}
        for method in results[0].pictures
        if method != "truth"
    }


def add_perceptual(table: dict[str, dict[str, dict]], results: list[Result], kind: str) -> None:
    """FID and FVD of a kind of path over all scenes, where their networks are; of few scenes they say little."""
    for figure in results[0].features:
        of = {
            method: np.concatenate([result.features[figure][method] for result in results])
            for method in results[0].features[figure]
        }
        truth = of.pop("truth")
        if len(truth) < 2:
            continue
        scale = np.ones(truth.shape[1])
        table[f"{kind}: {figure}"] = {
            method: {"mean": metrics.frechet(features, truth, scale)} for method, features in of.items()
        }


def as_markdown(table: dict[str, dict[str, dict]]) -> str:
    lines = ["| figure | ours | others: mean (ours minus it, 95 % interval) |", "|---|---|---|"]
    for metric, by_method in table.items():
        arrow = "↓" if any(word in metric for word in LOWER_IS_BETTER) else "↑"
        cells = []
        for method, cell in by_method.items():
            text = f"{cell['mean']:.3f}"
            if method == OURS and "interval" in cell:
                text += " [{:.3f}, {:.3f}]".format(*cell["interval"])
            elif "ours_minus" in cell:
                low, high = cell["ours_minus_interval"]
                text = f"{method} {text} ({cell['ours_minus']:+.3f}, {low:+.3f} … {high:+.3f})"
            elif method != OURS:
                text = f"{method} {text}"
            cells.append((method, text))
        ours = next((text for method, text in cells if method == OURS), "–")
        others = "; ".join(text for method, text in cells if method != OURS)
        lines.append(f"| {metric} {arrow} | {ours} | {others} |")
    return "\n".join(lines) + "\n"


def rows_as_markdown(rows: list[list[str]]) -> str:
    """Cells as a Markdown table; the first row is its head."""
    head, *others = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *others]) + "\n"


def with_tables(text: str, folder: Path) -> str:
    """A Markdown text whose figures are those of JSON files in `folder`.

    `<!-- table: FILE -->` is followed by the table of a bench, `<!-- table: FILE NAME -->` by the one of that name
    among a file's `tables`, `<!-- study: FILE -->` by the findings of a study, each up to the next `<!-- end -->`.
    """

    def table_of(found: re.Match) -> str:
        known = json.loads((folder / found[2]).read_text("utf-8"))
        table = rows_as_markdown(known["tables"][found[3]]) if found[3] else as_markdown(known["table"])
        return f"{found[1]}\n\n{table}\n<!-- end -->"

    def study_of(found: re.Match) -> str:
        from .study_report import markdown_of  # with everything that a study needs

        return f"{found[1]}\n\n{markdown_of(folder / found[2])}\n<!-- end -->"

    text = re.sub(r"(<!-- table: (\S+)(?: (\S+))? -->).*?<!-- end -->", table_of, text, flags=re.DOTALL)
    return re.sub(r"(<!-- study: (\S+) -->).*?<!-- end -->", study_of, text, flags=re.DOTALL)


def plot_frames(results: list[Result], kind: str, folder: Path) -> None:
    """For every metric its mean over the scenes for each frame number."""
    from matplotlib.figure import Figure  # no window, no global state

    names = sorted({metric for result in results for metric in result.frames})
    if not names:
        return
    figure = Figure(figsize=(4 * len(names), 3), layout="constrained")
    for axes, metric in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        having = [result.frames[metric] for result in results if metric in result.frames]
        for method in having[0]:
            course = metrics.mean_course([frames[method] for frames in having])
            axes.plot(np.arange(len(course)) + 1, course, label=method)
        axes.set(title=metric, xlabel="frame")
    axes.legend()
    figure.savefig(folder / f"{kind.replace(' ', '_')}.png", dpi=100)


def worse_than(table: dict[str, dict[str, dict]], earlier: dict[str, dict[str, dict]]) -> list[str]:
    """The figures of ours that are worse than an earlier table's by more than half that one's interval."""
    worse = []
    for metric, by_method in earlier.items():
        old = by_method.get(OURS, {})
        if not np.isfinite(old.get("mean", math.nan)) or "interval" not in old:
            continue
        new = table.get(metric, {}).get(OURS, {}).get("mean", math.nan)
        low, high = old["interval"]
        slack = max((high - low) / 2, 0.02 * abs(old["mean"]))
        sign = -1 if any(word in metric for word in LOWER_IS_BETTER) else 1
        if not sign * new >= sign * old["mean"] - slack:
            worse.append(f"{metric}: {new:.3f}, was {old['mean']:.3f} ± {slack:.3f}")
    return worse


if __name__ == "__main__":
    for document in map(Path, sys.argv[1:]):
        document.write_text(with_tables(document.read_text("utf-8"), document.parent), "utf-8")
