"""The report of a study: a self-contained page, the same as Markdown, and the data as JSON."""

import base64
import html
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lookbeyond.whole import storage_errors, whole_file

from .metrics import mean_of_known
from .paired import claim, difference
from .results import LOWER_IS_BETTER, OURS
from .study_claims import SHOWN, Said, said_of
from .table import rows_as_markdown

if TYPE_CHECKING:
    from .study import Study
    from .study_settings import Experiment

PLOT_WIDTH_IN, PLOT_DPI = 4.4, 190
"""Narrow, so that a phone shows its letters large enough to read."""
LEAST_SPAN = {"PSNR": 2.0, "PSNR in holes": 2.0, "SSIM": 0.1, "mTSED": 0.2, "drift": 1.0, "LPIPS": 0.1}
"""What an axis spans at least: a difference that is nothing is to look like nothing."""
OTHERS = "All other comparisons"
COLOURS = ("#1f5fa8", "#c4581c", "#3c8a4b", "#8a4ba0", "#7a6a2a", "#b03060")


@dataclass
class Section:
    """One finding."""

    title: str
    plot: bytes = b""
    """A PNG."""
    said: Said = field(default_factory=Said)
    table: list[list[str]] = field(default_factory=list)
    """Its first row is its head."""
    paper: str = ""


def write(folder: Path, study: "Study", experiments: Sequence["Experiment"]) -> None:
    """index.html, report.md with plots/, and study.json."""
    sections = sections_of(study, experiments)
    plots = folder / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    for old in plots.glob("*.png"):
        old.unlink()
    for number, section in enumerate(sections, 1):
        if section.plot:
            _write_whole(plots / f"{number:02d}.png", section.plot)
    _write_whole(folder / "study.json", json.dumps(_plain(asdict(study)), indent=1, allow_nan=False))
    _write_whole(folder / "report.md", _markdown(study, sections))
    _write_whole(folder / "index.html", _page(study, sections))


def sections_of(study: "Study", experiments: Sequence["Experiment"]) -> list[Section]:
    """All findings, in the report's order."""
    return [
        *_panorama_sections(study),
        *_capture_sections(study),
        *_walk_sections(study, experiments),
        *_course_sections(study),
    ]


def _write_whole(path: Path, content: str | bytes) -> None:
    with storage_errors(path), whole_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def _plain(value: Any) -> Any:
    """NaN is no JSON: null."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- sections ---------------------------------------------------------------------------------------------


def _walk_sections(study: "Study", experiments: Sequence["Experiment"]) -> list[Section]:
    sections = []
    for experiment in experiments:
        table = study.walks.get(experiment.name, {})
        reference = table.get(experiment.reference.label, {})
        if not any(reference.values()):
            continue
        section = Section(experiment.title, paper=experiment.paper)
        figures = [each for each in SHOWN if any(each[0] in figures for figures in table.values())]
        section.table = [["", *(_titled(name, unit) for name, unit, _ in figures)]]
        for label, values in table.items():
            section.table.append([label, *(_cell(values.get(name, [])) for name, _, _ in figures)])
        if experiment.name == "keyframes":
            section.table.append(
                ["warp + inpainting", *(_cell(study.baseline.get(name, [])) for name, _, _ in figures)]
            )
        section.said = said_of(experiment, table)
        section.plot = _heat_map(experiment, table) if experiment.grid else _plot(experiment, table)
        sections.append(section)
    return sections


def _panorama_sections(study: "Study") -> list[Section]:
    sections = []
    for kind, table in study.panoramas.items():
        places = max((len(values) for methods in table.values() for values in methods.values()), default=0)
        section = Section(f"Panorama quality: {kind} ({places} photos)")
        methods = sorted(
            {method for figure in table.values() for method in figure}, key=lambda name: (name != OURS, name)
        )
        section.table = [["", *methods]]
        for figure, values in table.items():
            section.table.append([figure, *(_cell(values.get(method, [])) for method in methods)])
        frechet = study.frechet.get(kind, {})
        section.table.append(
            ["hidden Fréchet excess", *(f"{frechet[m]:.2f}" if m in frechet else "–" for m in methods)]
        )
        for figure, unit in (("hidden PSNR, one sample", "dB"), ("hidden AbsRel, one sample", "")):
            values = table.get(figure, {})
            for method in methods[1:]:
                if method in values and OURS in values and len(values[method]) == len(values[OURS]):
                    more = not any(word in figure for word in LOWER_IS_BETTER)
                    apart = difference(values[OURS], values[method])
                    section.said.add(claim(OURS, method, figure, unit, more, apart), apart.is_told)
        section.plot = _bars(table.get("hidden PSNR, one sample", {}), "hidden PSNR, dB")
        sections.append(section)
    return sections


def _capture_sections(study: "Study") -> list[Section]:
    """What was filmed, beside the same moves through worlds made from first frames."""
    if not study.captures:
        return []
    frames = study.captures["frames"][OURS]
    section = Section(f"Captures ({len(frames)})")
    figures = [each for each in SHOWN if each[0] in study.captures]
    methods = sorted({method for name, _, _ in figures for method in study.captures[name]})
    section.table = [["", *(_titled(name, unit) for name, unit, _ in figures)]]
    for method in methods:
        section.table.append([method, *(_cell(study.captures[name].get(method, [])) for name, _, _ in figures)])
    for name, unit, more in figures:
        for method in methods:
            values = study.captures[name].get(method, [])
            if method != OURS and len(values) == len(frames):
                apart = difference(study.captures[name][OURS], values)
                section.said.add(claim(OURS, method, name, unit, more, apart), apart.is_told)
    values = study.captures.get("PSNR", {})
    section.plot = _bars(values, "PSNR, dB")
    return [section]


def _course_sections(study: "Study") -> list[Section]:
    if not study.courses:
        return []
    section = Section("Frames against their number, as shipped")
    section.plot = _courses(study.courses)
    count = max(len(values) for methods in study.courses.values() for values in methods.values())
    numbers = np.unique(np.linspace(1, count, min(count, 8)).round().astype(int))
    section.table = [["frame", *(str(number) for number in numbers)]]
    for name, unit, _ in [each for each in SHOWN if each[0] in study.courses]:
        for method, values in study.courses[name].items():
            # a figure of pairs begins at the second frame
            row = [
                values[at] if 0 <= (at := number - 1 - (name == "mTSED")) < len(values) else math.nan
                for number in numbers
            ]
            section.table.append([f"{_titled(name, unit)}: {method}", *(_cell([value]) for value in row)])
    return [section]


def _titled(name: str, unit: str) -> str:
    return f"{name}, {unit}" if unit else name


def _cell(values: Sequence[float]) -> str:
    known = int(np.isfinite(values).sum())
    if not known:
        return "–"
    text = f"{mean_of_known(values):.2f}"
    return text if known == len(values) else f"{text} (of {known})"


# --- plots ------------------------------------------------------------------------------------------------


def _figure(rows: int, columns: int, height_in: float = 2.6):
    from matplotlib.figure import Figure  # no window, no global state

    figure = Figure(figsize=(PLOT_WIDTH_IN, height_in * rows), layout="constrained")
    return figure, np.atleast_1d(figure.subplots(rows, columns)).ravel()


def _png(figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=PLOT_DPI)
    return buffer.getvalue()


def _span(place, name: str, *, upright: bool = True) -> None:
    """Widens an axis to what it spans at least; few numbers stand along it."""
    low, high = place.get_ylim() if upright else place.get_xlim()
    margin = max(0.0, LEAST_SPAN.get(name, 0.0) - (high - low)) / 2
    (place.set_ylim if upright else place.set_xlim)(low - margin, high + margin)
    place.locator_params(axis="both" if upright else "x", nbins=4)
    place.set_title(name, fontsize=8)
    place.tick_params(labelsize=7)


def _points(settings: Sequence[Any], table: dict[str, dict[str, list[float]]], name: str) -> tuple[list, list]:
    """x and mean of every setting that was shot, in the order of x."""
    known = [each for each in settings if each.label in table]
    points = sorted((each.x, mean_of_known(table[each.label].get(name, []))) for each in known)
    return [x for x, _ in points], [y for _, y in points]


def _plot(experiment: "Experiment", table: dict[str, dict[str, list[float]]]) -> bytes:
    """Every shown figure over x, one line a kind; bars where there is no x."""
    names = [name for name, _, _ in SHOWN if any(name in values for values in table.values())][:4]
    lines: dict[str, list[Any]] = {}
    for setting in experiment.settings:
        if setting.x is not None:
            lines.setdefault(setting.line, []).append(setting)
    shared = lines.pop("", []) if len(lines) > 1 else []
    if len(lines) > 1:  # each has its own unit
        # a wrong distance is seen by the drift, hardly by TSED
        told = ("PSNR", "PSNR in holes", "drift" if experiment.name == "distance" else "mTSED")
        return _lines(lines, shared, table, [name for name in told if any(name in of for of in table.values())])
    if not lines:
        return _grouped_bars(names, table)
    figure, axes = _figure(math.ceil(len(names) / 2), 2, 1.9)
    (settings,) = lines.values()
    for place, name in zip(axes, names):
        place.plot(*_points(settings, table, name), "o-", color=COLOURS[0], markersize=4)
        _span(place, name)
    for place in axes[len(names) :]:
        place.axis("off")
    figure.supxlabel(experiment.axis, fontsize=8)
    return _png(figure)


def _grouped_bars(names: Sequence[str], table: dict[str, dict[str, list[float]]]) -> bytes:
    labels = list(table)
    figure, axes = _figure(len(names), 1, 0.5 + 0.22 * len(labels))
    for place, name in zip(axes, names):
        values = [mean_of_known(table[label].get(name, [])) for label in labels]
        place.barh(range(len(labels)), values, color=COLOURS[0])
        place.set_yticks(range(len(labels)), labels)
        place.invert_yaxis()
        known = [value for value in values if math.isfinite(value)]
        if known and name.startswith("PSNR"):  # differences of decibels are what matters
            place.set_xlim(min(known) - 2, max(known) + 0.5)
        _span(place, name, upright=False)
    return _png(figure)


def _lines(
    lines: dict[str, list[Any]], shared: list[Any], table: dict[str, dict[str, list[float]]], names: list[str]
) -> bytes:
    """A row a kind, a column a figure."""
    figure, axes = _figure(len(lines), len(names), 1.5)
    places = iter(axes)
    for colour, (line, settings) in zip(COLOURS, lines.items()):
        row = [next(places) for _ in names]
        row[0].set_xlabel(line, fontsize=8, loc="left")
        for place, name in zip(row, names):
            across, up = _points([*shared, *settings], table, name)
            if not np.isfinite(up).any():
                place.axis("off")
                continue
            place.plot(across, up, "o-", color=colour, markersize=4)
            _span(place, name)
    return _png(figure)


def _heat_map(experiment: "Experiment", table: dict[str, dict[str, list[float]]]) -> bytes:
    across = sorted({setting.x for setting in experiment.settings if setting.x is not None})
    down = sorted({setting.line for setting in experiment.settings}, key=float)
    figure, axes = _figure(1, 2, 2.3)
    size = 9 if len(across) < 4 else 5
    for place, name in zip(axes, ("PSNR", "mTSED")):
        values = np.full((len(down), len(across)), np.nan)
        for setting in experiment.settings:
            known = table.get(setting.label, {}).get(name, [])
            values[down.index(setting.line), across.index(setting.x)] = mean_of_known(known)
        middle, span = (0.0, 1.0)
        if np.isfinite(values).any():
            middle = (np.nanmax(values) + np.nanmin(values)) / 2
            span = max(np.nanmax(values) - np.nanmin(values), LEAST_SPAN[name])
        place.imshow(values, cmap="viridis", origin="lower", vmin=middle - span / 2, vmax=middle + span / 2)
        for (row, column), value in np.ndenumerate(values):
            ink = "black" if value > middle + 0.1 * span else "white"
            place.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=size)
        place.set_xticks(range(len(across)), [f"{each:g}" for each in across], fontsize=7)
        place.set_yticks(range(len(down)), down, fontsize=7)
        place.set_title(name, fontsize=8)
        place.set_xlabel("τ_T", fontsize=8)
        place.set_ylabel("τ_q", fontsize=8)
    return _png(figure)


def _bars(values: dict[str, list[float]], name: str) -> bytes:
    if not values:
        return b""
    figure, (place,) = _figure(1, 1, 2.2)
    labels = sorted(values, key=lambda label: (label != OURS, label))
    place.barh(
        range(len(labels)),
        [mean_of_known(values[label]) for label in labels],
        color=[COLOURS[label != OURS] for label in labels],
    )
    place.set_yticks(range(len(labels)), labels, fontsize=8)
    place.invert_yaxis()
    place.set_xlabel(name, fontsize=8)
    return _png(figure)


def _courses(courses: dict[str, dict[str, list[float]]]) -> bytes:
    names = [name for name, _, _ in SHOWN if name in courses]
    figure, axes = _figure(math.ceil(len(names) / 2), 2, 1.9)
    for place, name in zip(axes, names):
        for colour, (method, values) in zip(COLOURS, courses[name].items()):
            # a figure of pairs begins at the second frame
            first = 1 + (name == "mTSED")
            place.plot(np.arange(first, first + len(values)), values, "o-", markersize=3, color=colour, label=method)
        _span(place, name)
        place.set_xlabel("frame", fontsize=7)
        place.xaxis.get_major_locator().set_params(integer=True)
    for place in axes[len(names) :]:
        place.axis("off")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=7)
    return _png(figure)


# --- texts ------------------------------------------------------------------------------------------------


def _markdown(study: "Study", sections: Sequence[Section]) -> str:
    return "\n".join(["# Study", "", *_markdown_lines(study, sections, with_plots=True)])


def _markdown_lines(study: "Study", sections: Sequence[Section], *, with_plots: bool) -> list[str]:
    lines = [f"    {study.command}", ""]
    lines += [f"- {name}: {value}" for name, value in study.about.items()]
    lines += ["", "Left out:", "", *(f"- {text}" for text in study.left_out), ""]
    for number, section in enumerate(sections, 1):
        lines += [f"## {section.title}", ""]
        if section.plot and with_plots:
            lines += [f"![{section.title}](plots/{number:02d}.png)", ""]
        lines += [*(f"- {text}" for text in section.said.found), ""] if section.said.found else []
        if section.table:
            lines += [rows_as_markdown(section.table)]
        if section.said.others:
            lines += [f"{OTHERS}:", "", *(f"- {text}" for text in section.said.others), ""]
        if section.paper:
            lines += [f"*The paper*: {section.paper}", ""]
    return lines


def markdown_of(path: Path) -> str:
    """The findings of a study.json as Markdown, without plots."""
    from .study import Study  # which writes its report by this module
    from .study_settings import experiments

    study = Study(**_with_nan(json.loads(path.read_text("utf-8"))))
    size = next((size for size in ("quick", "full") if f"--{size}" in study.command.split()), "default")
    return "\n".join(_markdown_lines(study, sections_of(study, experiments(size)), with_plots=False))


def _with_nan(value: Any) -> Any:
    """The inverse of `_plain`."""
    if isinstance(value, dict):
        return {name: _with_nan(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_nan(each) for each in value]
    return math.nan if value is None else value


STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:46rem;padding:1rem;color:#222;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin:2.2rem 0 .6rem;border-top:1px solid #ddd;padding-top:1rem}
img{max-width:100%;height:auto;display:block}code,pre{background:#f3f3f3;white-space:pre-wrap;word-break:break-word}
pre{padding:.6rem}.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.8rem;margin:.8rem 0}
td,th{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}
td:first-child,th:first-child{text-align:left;position:sticky;left:0;background:#fff}
summary{cursor:pointer;margin:.6rem 0}.paper{color:#555;font-style:italic}dt{font-weight:600}dd{margin:0 0 .4rem 0}
"""


def _page(study: "Study", sections: Sequence[Section]) -> str:
    text = html.escape
    body = ["<h1>Study</h1>", f"<pre>{text(study.command)}</pre>", "<dl>"]
    body += [f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in study.about.items()]
    body += ["</dl><details open><summary>What was left out, and why</summary><ul>"]
    body += [*(f"<li>{text(each)}</li>" for each in study.left_out), "</ul></details>"]
    for section in sections:
        body.append(f"<h2>{text(section.title)}</h2>")
        if section.plot:
            picture = base64.b64encode(section.plot).decode()
            body.append(f'<img alt="{text(section.title)}" src="data:image/png;base64,{picture}">')
        if section.said.found:
            body.append(f"<ul>{''.join(f'<li>{text(each)}</li>' for each in section.said.found)}</ul>")
        if section.table:
            head, *rows = (
                "".join(f"<{tag}>{text(cell)}</{tag}>" for cell in row)
                for tag, row in zip(["th", *["td"] * len(section.table)], section.table)
            )
            body.append(
                '<div class="wide"><table>' + "".join(f"<tr>{row}</tr>" for row in (head, *rows)) + "</table></div>"
            )
        if section.said.others:
            others = "".join(f"<li>{text(each)}</li>" for each in section.said.others)
            body.append(f"<details><summary>{OTHERS}</summary><ul>{others}</ul></details>")
        if section.paper:
            body.append(f'<p class="paper">The paper: {text(section.paper)}</p>')
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Look Beyond: study</title><style>{STYLE}</style><body>{''.join(body)}</body></html>\n"
    )
