"""No class, function or file grows beyond what a reader can take in at once."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [
    *(path for name in ("blender_addon", "inference_service", "lookbeyond") for path in (ROOT / name).rglob("*.py")),
    ROOT / "build_addon.py",
    ROOT / "dev.py",
]
MOST_LINES = {"file": 450, "class": 250, "function": 60}


def sizes(source: str) -> list[tuple[str, str, int]]:
    """Kind, name and lines of a module, its classes and its functions, those inside others included.

    What a function is called with on the command line (its decorators) and its docstring do not count.
    """
    found = [("file", "it", len(source.splitlines()))]
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if isinstance(node, ast.ClassDef):
            found.append(("class", node.name, lines))
            continue
        first = node.body[0]
        if ast.get_docstring(node) is not None:
            lines -= (first.end_lineno or first.lineno) - first.lineno + 1
        found.append(("function", node.name, lines))
    return found


def too_long(source: str) -> list[str]:
    return [
        f"the {kind} {name} has {lines} lines, at most {MOST_LINES[kind]} are allowed"
        for kind, name, lines in sizes(source)
        if lines > MOST_LINES[kind]
    ]


@pytest.mark.parametrize("path", sorted(FILES), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_everything_fits_the_limits(path):
    assert not too_long(path.read_text("utf-8"))


def test_what_is_too_long_is_found():
    body = "\n".join(f"    a{number} = {number}" for number in range(60))
    assert not too_long(f"@first\n@second\ndef short():\n    '''Two\n\n    lines.'''\n{body[: body.rindex(chr(10))]}\n")
    (found,) = too_long(f"class Outer:\n    def inner():\n{body.replace('    ', '        ')}\n")
    assert "function inner has 61 lines" in found
    (found,) = too_long("class Long:\n" + "    a = 0\n" * 250)
    assert "class Long has 251 lines" in found
    (found,) = too_long("# line\n" * 451)
    assert "file it has 451 lines" in found
