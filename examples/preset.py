"""A preset of one's own: the built-in models, with more steps for the panorama and surroundings as painted.

    python examples/preset.py
    lookbeyond world photo.jpg --preset patient --out out/world

A stage may come from any other preset and have settings and components of one's own: docs/presets.md.
"""

import json
from pathlib import Path

from lookbeyond import presets

PATIENT = {
    "title": "Built-in, patient",
    "description": "The built-in models with 40 steps; what nobody saw stays as diffusion painted it.",
    "licence": "GPL-3.0-or-later",
    "memory_gb": 1.3,
    "stages": {"panorama": {"preset": "builtin"}, "views": {"preset": "builtin"}},
    "panorama_steps": 40,
    "unseen": "as-painted",
}


def main() -> Path:
    folder = presets.user_root() / "patient"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "preset.json").write_text(json.dumps(PATIENT, indent=2))
    preset = presets.get("patient")  # InputError says what is wrong with it
    print(f"{preset.title}: {preset.panorama_steps} steps, revision {presets.revision('patient')[:12]}")
    return folder


if __name__ == "__main__":
    main()
