"""Shipped presets of public weights, with tiny random components in the layout of the hub in their place."""

import json
from pathlib import Path

from lookbeyond import presets
from tests.support.tiny import wan_vace
from tests.support.tiny_public import tiny_depth_anything

DEPTH = "depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf"
SMALL_WIDE = (64, 32)
"""Width and height of frames that tiny networks are shown."""


def save_tiny_vace(root: Path) -> dict[str, Path]:
    """Where what the hub has under each id lies."""
    wan_vace().save_pretrained(root / "vace")
    tiny_depth_anything().save_pretrained(root / "depth")
    return {"Wan-AI/Wan2.1-VACE-1.3B-diffusers": root / "vace", DEPTH: root / "depth"}


def write_local(shipped: str, folders: dict[str, Path], into: Path, **changes) -> str:
    """`my-...`: a shipped preset among the user's own whose hub ids are folders here; its name."""
    values = json.loads((presets.ROOT / shipped / "preset.json").read_text("utf-8")) | changes
    values["stages"]["distance"] = json.loads((presets.ROOT / "depth-anything/preset.json").read_text("utf-8"))[
        "stages"
    ]["distance"] | {"settings": {"size": 56}}
    for stage in values["stages"].values():
        for component in stage.get("components", {}).values():
            if hub := component.pop("hub", None):
                component["folder"] = str(folders[hub])
    mine = into / f"my-{shipped}"
    mine.mkdir(parents=True)
    (mine / "preset.json").write_text(json.dumps(values))
    return mine.name
