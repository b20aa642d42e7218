"""What the service says about its presets. No bpy here."""

from collections.abc import Mapping
from typing import Any


def find_preset(welcome: object, preset: str) -> Mapping[str, Any] | None:
    """The service's description of a preset; None if it gave none."""
    return next((one for one in getattr(welcome, "presets", ()) if one.get("name") == preset), None)


def step_count(welcome: object, preset: str, share: float) -> int:
    """A share of the preset's denoising steps; 0, the preset's own number, if the service does not say how many."""
    own = int((find_preset(welcome, preset) or {}).get("views_steps", 0))
    return 0 if abs(share - 1) < 1e-6 or not own else max(1, round(own * share))


def takes_prompt(welcome: object, preset: str) -> bool:
    """Whether a preset takes a prompt; an unknown preset may."""
    known = find_preset(welcome, preset)
    return preset != "builtin" if known is None else bool(known.get("takes_prompt"))


def preset_status(welcome: object, preset: str) -> str:
    """In a few words, whether a preset can run on the service's devices; empty if that is unknown."""
    known = find_preset(welcome, preset)
    if known is None:
        return ""
    if not known.get("installed", True):
        return "not downloaded"
    by_device = [device.get("presets", {}).get(preset, "") for device in getattr(welcome, "devices", ())]
    # One device with room is enough; the shortest "fits" is the best.
    fits = [status for status in by_device if status.startswith("fits")]
    return min(fits, key=len, default=next(filter(None, by_device), ""))


def fetch_command(preset: str) -> str:
    """The command that downloads a preset, to be run on the service's machine."""
    return f"lookbeyond fetch {preset}"
