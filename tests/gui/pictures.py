"""The guide's pictures, of the screenshots of a window check: PYTHON pictures.py OUT (default: out/gui)."""

import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PICTURES = {
    "start": "01_start",
    "known_length": "06_known_length",
    "stage": "11_stage",
    "path": "09_path_too_far",
    "shot": "13_shot",
}


def main(out: Path) -> None:
    for name, screenshot in PICTURES.items():
        picture = Image.open(out / f"{screenshot}.png").convert("RGB")
        picture = picture.resize((1080, round(1080 * picture.height / picture.width)), Image.Resampling.LANCZOS)
        picture.save(ROOT / "docs" / "images" / f"artist_{name}.jpg", quality=88, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "out" / "gui")
