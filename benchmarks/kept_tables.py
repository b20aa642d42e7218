"""Tables of figures, kept in JSON files; documents quote them by `python -m lookbeyond.evaluation.table DOCUMENT`.

A table's rows are lists of cells, its head first; the first cell of a row is its title.
"""

import json
from pathlib import Path


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
