"""The guide's pictures, of the screenshots of window checks: PYTHON pictures.py OUT [OTHER_OUT] (default: out/gui).

OTHER_OUT are those of a smaller screen, of which only the tab is shown.
"""

import json
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PICTURES = {
    "known_length": "06_known_length",
    "stage": "11_stage",
    "path": "09_path_too_far",
    "known": "11_known",
    "shot": "13_shot",
    "card": "13_card",
}
TAB = ("20_empty", "30_placed", "21_example_builds", "31_built", "32_path", "35_shot")
"""The tab from the empty file to a shot."""
GAP_PX = 12


def main(out: Path, smaller: Path | None) -> None:
    for name, screenshot in PICTURES.items():
        picture = Image.open(out / f"{screenshot}.png").convert("RGB")
        save(picture.resize((1080, round(1080 * picture.height / picture.width)), Image.Resampling.LANCZOS), name)
    save(tab(out), "tab")
    if smaller is not None:
        save(tab(smaller), "tab_small")


def tab(out: Path) -> Image.Image:
    """The sidebar in each of its states, side by side."""
    x, y, width, height = json.loads((out / "sidebar.json").read_text())
    sheet = Image.new("RGB", (len(TAB) * (width + GAP_PX) - GAP_PX, height), "white")
    for number, screenshot in enumerate(TAB):
        shown = Image.open(out / f"{screenshot}.png").convert("RGB").crop((x, y, x + width, y + height))
        sheet.paste(shown, (number * (width + GAP_PX), 0))
    return sheet


def save(picture: Image.Image, name: str) -> None:
    picture.save(ROOT / "docs" / "images" / f"artist_{name}.jpg", quality=86, optimize=True)


if __name__ == "__main__":
    folders = [Path(argument) for argument in sys.argv[1:]] or [ROOT / "out" / "gui"]
    main(folders[0], folders[1] if len(folders) > 1 else None)
