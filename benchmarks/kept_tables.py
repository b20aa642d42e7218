"""Tables of figures, kept in JSON files; documents quote them by `python -m lookbeyond.evaluation.table DOCUMENT`.

A table's rows are lists of cells, its head first; the first cell of a row is its title.
"""

import json
import shlex
import subprocess
import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROVEN = ["what was done", "printed by", "result"]


def keep_proofs(path: Path | None, results: dict[str, str]) -> None:
    """Put results, by what was done, into the table `proven`, with the command of this process, the date and the code.

    path: None keeps nothing.
    """
    if path is None:
        return
    arguments = sys.argv[1:]
    if "--json" in arguments:
        at = arguments.index("--json")
        del arguments[at : at + 2]
    command = f"`{shlex.join([f'benchmarks/{Path(sys.argv[0]).name}', *arguments])}`"
    rows = [[title, command, result] for title, result in results.items()]
    keep_rows(path, "proven", [PROVEN, *rows], **dict.fromkeys(results, day_and_code()))


def day_and_code() -> dict[str, str]:
    """Today, and the last commit that changed what benchmarks measure, and whether it was changed since."""
    measured = ["inference_service", "lookbeyond"]

    def git(*arguments: str) -> str:
        command = ["git", *arguments, "--", *measured]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()

    code = git("log", "-1", "--format=%h") + (", changed" if git("status", "--porcelain") else "")
    return {"date": date.today().isoformat(), "code": code}


def keep_table(path: Path | None, name: str, rows: list[list[str]], **settings: object) -> None:
    """Put a table, and what it was made with, into a JSON file, beside the file's other tables.

    path: None keeps nothing.
    """
    if path is None:
        return
    known = _known(path)
    known["tables"][name] = rows
    if settings:
        known.setdefault("settings", {})[name] = settings
    path.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", "utf-8")


def keep_rows(path: Path | None, name: str, rows: list[list[str]], **settings: object) -> None:
    """Put rows into a table of a JSON file, in the place of earlier ones of the same title; settings likewise."""
    if path is None:
        return
    known = _known(path)
    kept = {row[0]: row for row in known["tables"].get(name, [])[1:]} | {row[0]: row for row in rows[1:]}
    earlier = known.get("settings", {}).get(name, {})
    keep_table(path, name, [rows[0], *kept.values()], **(earlier | settings))


def _known(path: Path) -> dict:
    return json.loads(path.read_text("utf-8")) if path.exists() else {"tables": {}}
