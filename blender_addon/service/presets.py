"""What the service says of its presets. No bpy here."""

from collections.abc import Mapping


def steps_of(welcome: object, preset: str, share: float) -> int:
    """A share of the denoising steps of a preset; 0, which is its own number, where the service does not say that."""
    own = (known_preset(welcome, preset) or {}).get("views_steps", 0)
    return 0 if abs(share - 1) < 1e-6 or not own else max(1, round(own * share))


def known_preset(welcome: object, preset: str) -> Mapping[str, object] | None:
    """What the service says of a preset; None where it has said nothing."""
    return next((one for one in getattr(welcome, "presets", ()) if one.get("name") == preset), None)


def takes_prompt(welcome: object, preset: str) -> bool:
    """Whether a preset can be told what the place is; one that nobody knows yet may."""
    known = known_preset(welcome, preset)
    return preset != "builtin" if known is None else bool(known.get("takes_prompt"))


def room_for(welcome: object, preset: str) -> str:
    """In a few words whether a preset can run on the service's devices; empty where that is not known."""
    known = known_preset(welcome, preset)
    if known is None:
        return ""
    if not known.get("installed", True):
        return "not downloaded"
    said = [device.get("presets", {}).get(preset, "") for device in getattr(welcome, "devices", ())]
    # One device that it fits into is enough; the shortest words are the best news.
    return min((words for words in said if words.startswith("fits")), key=len, default=next(filter(None, said), ""))


def fetch_command(preset: str) -> str:
    """What downloads a preset on the service's machine, typed there."""
    return f"lookbeyond fetch {preset}"
