"""Figures that sentences and small tables of documents quote are those of the JSON files that programs wrote.

Whole tables are compared by `tests/lookbeyond/evaluation/test_bench.py`.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from benchmarks.kept_tables import keep_proofs, keep_rows, keep_table

ROOT = Path(__file__).parents[1]
CARD, README, STATUS = "lookbeyond/presets/builtin/README.md", "README.md", "docs/status.md"
BENCH, SERVICE = "docs/research/bench.md", "docs/service.md"
MEASURED_SECTIONS = ("Beyond one machine: Ray", "What was proven, and how")
"""Of the service's document."""
DECIBELS = r"[\d.]+ dB.*"
MEASURED = r"\d[\d.,]*\s?(?:ms|s|MB|GB)\b.*"
SETTINGS = ("quota (20 GB)", "*needs 30.2 GB*", "63.0 MB in bfloat16")
"""What documents say in seconds or bytes that was set, or is an example, and not measured."""
COSTS = r"[\d.,]*\d\s*(?:s|ms|min|minutes|hours|[kKMG]i?B(?:/s)?|times|x)\b|[\d.,]*\d\s*%"
ROOMS, REAL, MOVES, CAMERA = "bench_rooms.json", "bench_real.json", "moves.json", "camera_from_lines.json"


@dataclass(frozen=True)
class Quote:
    """Figures of a document, and where each of them comes from."""

    document: str
    pattern: str
    """Regular expression that is found once, with a group for each figure."""
    file: str
    """In docs/research."""
    paths: tuple[str, ...]
    """Of each figure: keys with "/" between; in a table the title of a row, then the number of a column."""


def bench(document: str, pattern: str, figure: str, *methods: str, file: str = ROOMS) -> Quote:
    """Means of a bench's figure by method."""
    return Quote(document, pattern, file, tuple(f"table/{figure}/{method}/mean" for method in methods))


def card(title: str, figure: str, *methods: str) -> Quote:
    """A row of the built-in weights' card."""
    cells = r" \| ".join(["–" if method == "–" else r"([\d.]+)(?: dB)?" for method in methods])
    return bench(CARD, rf"\| {title} \| {cells} \|", figure, *(method for method in methods if method != "–"))


COLOURED = ("ours", "as painted", "mean colour", "mirrored", "inpainted")
DISTANT = ("ours", "as painted", "constant", "–", "box")
QUOTES = [
    bench(README, r"PSNR; as painted \| (\S+) dB; (\S+) dB", "hidden PSNR, one sample", *COLOURED[:2]),
    bench(
        README,
        r"straight lines there, of the truth's; as painted \| (\S+); (\S+) \|",
        "hidden straight lines, of the truth's",
        *COLOURED[:2],
    ),
    bench(README, r"as beside it; as painted \| (\S+); (\S+) \|", "jump across the photo's border", *COLOURED[:2]),
    bench(README, r"AbsRel; as painted \| (\S+); (\S+) \|", "hidden AbsRel, one sample", *COLOURED[:2]),
    *(
        Quote(
            README,
            rf"field of view {known}.* \| (\S+)°, (\S+) %; (\S+)°, (\S+) % \|",
            CAMERA,
            tuple(
                f"tables/angles/field of view {known}, all: {angle}/{column}"
                for angle in ("pitch", "roll")
                for column in (6, 7)
            ),
        )
        for known in ("known", "unknown")
    ),
    Quote(
        README,
        r"determine it \((\S+) of 64\): median error \| (\S+) %",
        CAMERA,
        ("tables/fields of view/all/1", "tables/fields of view/all/2"),
    ),
    Quote(README, r"compared with the photo \| (\S+) dB", "demo.json", ("figures/preview_psnr_db",)),
    card("colour that nobody saw, PSNR", "hidden PSNR, one sample", *COLOURED),
    card("the same, Fréchet excess", "hidden Fréchet excess", *COLOURED),
    card("straight lines there, of the truth's", "hidden straight lines, of the truth's", *COLOURED),
    card("distance that nobody saw, AbsRel", "hidden AbsRel, one sample", *DISTANT),
    card("distance within the photo, AbsRel", "seen AbsRel, one sample", *DISTANT),
    card("jump across the seam, relative to its neighbours", "seam", *COLOURED),
    bench(
        CARD,
        r"one painted sample has (\S+) dB, the mean colour (\S+) dB",
        "real hidden PSNR, one sample",
        "as painted",
        "mean colour",
        file=REAL,
    ),
    bench(
        CARD,
        r"its Fréchet excess is (\S+), the mirrored photo's (\S+),",
        "real hidden Fréchet excess",
        "as painted",
        "mirrored",
        file=REAL,
    ),
    bench(STATUS, r"the jump across it is (\S+) times", "jump across the photo's border", "ours"),
    bench(STATUS, r"\*\*Walls\*\* are (\S+) off where", "walls, seen AbsRel", "ours"),
    bench(STATUS, r"where the photo shows them and (\S+) where it does not", "walls, hidden AbsRel", "ours"),
    *(
        Quote(
            BENCH,
            rf"{worlds} (\S+) of (\S+)(?: openings were found)?, (\S+) m off",
            "doors.json",
            tuple(f"settings/doors/{kind}/{key}" for key in ("openings_found", "pairs", "off_m_at_most")),
        )
        for worlds, kind in (("Between true panoramas", "exact"), ("between worlds of photos", "photos"))
    ),
    Quote(STATUS, r"(\S+) % of those planned hit nothing", MOVES, ("tables/moves/all planned/2",)),
    Quote(
        STATUS,
        r"The soak ran for (\S+) minutes",
        "service.json",
        ("tables/proven/worlds and shots for 3 clients, of which one after another is killed/2",),
    ),
    Quote(SERVICE, r"as (\S+) frames of a clip", "service.json", ("settings/scaling/double/anchor_in_frames",)),
    Quote(SERVICE, r"Clips are (\S+) % of the", "service.json", ("settings/scaling/double/clips_percent_of_work",)),
    Quote(
        SERVICE,
        r"longest chain decides, (\S+) % of it",
        "service.json",
        ("settings/scaling/double/longest_chain_percent_of_work",),
    ),
]


@cache
def known(file: str) -> dict:
    return json.loads((ROOT / "docs" / "research" / file).read_text("utf-8"))


def at(value, path: str) -> float:
    """The number at a path; of a cell its first one."""
    for key in path.split("/"):
        if not isinstance(value, list):
            value = value[key]
        elif key.isdigit():
            value = value[int(key)]
        else:
            (value,) = (row for row in value if row[0] == key)
    return float(re.findall(r"-?[\d.]+", str(value))[0])


def _spaced(pattern: str) -> str:
    """Found across the ends of lines, too."""
    return re.sub(" +", r"\\s+", pattern)


def wrong_figures(text: str, quote: Quote) -> list[str]:
    """What a document's text quotes otherwise than the JSON file has it."""
    found = [*re.finditer(_spaced(quote.pattern), text)]
    if len(found) != 1:
        return [f"{quote.document} has {quote.pattern!r} {len(found)} times"]
    wrong = []
    for figure, path in zip(found[0].groups(), quote.paths, strict=True):
        decimals = len(figure.partition(".")[2])
        true = at(known(quote.file), path)
        if f"{true:.{decimals}f}" != figure:
            wrong.append(f"{quote.document} quotes {figure} for {path} of {quote.file}, which is {true}")
    return wrong


def unbacked(document: str, text: str, figures: str = DECIBELS) -> list[str]:
    """Figures of a document's text, by a regular expression, that are in no generated table and no quote."""
    text = re.sub(r"<!-- (?:table|study): .*?<!-- end -->", "", text, flags=re.DOTALL)
    for quote in QUOTES:
        if quote.document == document:
            text = re.sub(_spaced(quote.pattern), "", text)
    return re.findall(figures, text)


@pytest.mark.parametrize("quote", QUOTES, ids=lambda quote: f"{Path(quote.document).stem}: {quote.pattern[:40]}")
def test_quoted_figures_are_those_of_the_json(quote):
    assert not wrong_figures((ROOT / quote.document).read_text("utf-8"), quote)


def test_a_figure_that_is_not_the_jsons_is_found():
    quote = Quote(README, r"PSNR of (\S+) dB, (\S+) of all", ROOMS, ("table/hidden PSNR, one sample/ours/mean",) * 2)
    mean = at(known(ROOMS), quote.paths[0])
    assert not wrong_figures(f"PSNR of {mean:.2f}\ndB, {mean:.0f} of all", quote)
    (wrong,) = wrong_figures(f"PSNR of {mean + 0.1:.2f} dB, {mean:.1f} of all", quote)
    assert f"quotes {mean + 0.1:.2f}" in wrong
    assert "0 times" in wrong_figures("PSNR of nothing", quote)[0]


def test_no_decibels_are_written_by_hand():
    documents = {ROOT / README, ROOT / CARD, *(ROOT / "docs").rglob("*.md")}
    texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in documents}
    assert not [found for name, text in texts.items() for found in unbacked(name, text)]
    assert unbacked(README, texts[README] + "3 dB") == ["3 dB"]


def test_no_times_or_memory_are_written_by_hand():
    """The presets' document is left out: it has sizes of GPUs, and memory that is reckoned, not measured."""
    documents = {ROOT / README, ROOT / CARD, *(ROOT / "docs").rglob("*.md")} - {ROOT / "docs/presets.md"}
    found = {}
    for path in documents:
        text = path.read_text("utf-8")
        for phrase in SETTINGS:
            text = text.replace(phrase, "")
        found |= (
            {path.name: figures} if (figures := unbacked(path.relative_to(ROOT).as_posix(), text, MEASURED)) else {}
        )
    assert not found
    assert unbacked(README, "It took 3.4 s.", MEASURED) == ["3.4 s."]


@pytest.mark.parametrize("title", MEASURED_SECTIONS)
def test_no_costs_of_the_service_are_written_by_hand(title):
    (section,) = re.findall(
        rf"^## {title}$.*?(?=^## |\Z)", (ROOT / SERVICE).read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert not unbacked(SERVICE, section, COSTS)
    for figure in ("2.87 s", "40 ms", "121 minutes", "104.7 MB", "91 MiB", "570 MB/s", "1.86 times", "2.0 x", "3.2 %"):
        assert unbacked(SERVICE, f"{section} It was {figure}, once.", COSTS) == [figure]


def test_tables_are_kept_beside_others_and_rows_take_the_place_of_their_like(tmp_path):
    path = tmp_path / "figures.json"
    keep_table(None, "moves", [["move", "hits"]])
    keep_table(path, "moves", [["move", "hits"], ["walk", "3"]], rooms=2)
    keep_rows(path, "doors", [["worlds", "PSNR"], ["true", "30.1"]], true={"pairs": 2})
    keep_rows(path, "doors", [["worlds", "PSNR"], ["made", "20.5"]], made={"pairs": 1})
    keep_rows(path, "doors", [["worlds", "PSNR"], ["true", "31.2"]], true={"pairs": 3})
    kept = json.loads(path.read_text("utf-8"))
    assert kept["tables"]["moves"] == [["move", "hits"], ["walk", "3"]]
    assert kept["tables"]["doors"] == [["worlds", "PSNR"], ["true", "31.2"], ["made", "20.5"]]
    assert kept["settings"] == {"moves": {"rooms": 2}, "doors": {"true": {"pairs": 3}, "made": {"pairs": 1}}}
    assert at(kept, "tables/doors/made/1") == 20.5
    keep_table(path, "moves", [["move", "hits"]])
    assert json.loads(path.read_text("utf-8"))["tables"]["moves"] == [["move", "hits"]]


def test_what_was_proven_is_kept_with_its_command_and_its_code(tmp_path, monkeypatch):
    path = tmp_path / "figures.json"
    monkeypatch.setattr("sys.argv", ["/somewhere/benchmarks/soak.py", "--minutes", "3", "--json", str(path)])
    keep_proofs(None, {"work": "nothing"})
    keep_proofs(path, {"work": "3 minutes"})
    monkeypatch.setattr("sys.argv", ["benchmarks/soak.py", "--json", str(path), "--kinds", ""])
    keep_proofs(path, {"work": "4 minutes", "kills": "none"})
    kept = json.loads(path.read_text("utf-8"))
    command = "`benchmarks/soak.py --kinds ''`"
    assert kept["tables"]["proven"][1:] == [["work", command, "4 minutes"], ["kills", command, "none"]]
    assert set(kept["settings"]["proven"]["kills"]) == {"date", "code"}
