"""The figures of one place, by method, and the files that keep them for an interrupted run."""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lookbeyond.files import write_png
from lookbeyond.whole import storage_errors, whole_file

OURS, PAINTED = "ours", "as painted"


LOWER_IS_BETTER = ("jump", "edges", "AbsRel", "Fréchet", "seam", "LPIPS", "FID", "FVD", "floor line")


@dataclass
class Result:
    """What was found out about one scene."""

    figures: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    """metric -> method -> value."""
    frames: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(dict))
    """metric -> method -> value of every frame or pair of frames."""
    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    """method -> its panorama, for the Fréchet distance over all scenes."""
    features: dict[str, dict[str, np.ndarray]] = field(default_factory=lambda: defaultdict(dict))
    """FID or FVD -> method -> what they compare over all scenes."""

    def save(self, path: Path) -> None:
        """Write the figures as JSON, whole or not at all; pictures and features are not in it."""
        with storage_errors(path), whole_file(path) as temporary:
            temporary.write_text(json.dumps({"figures": self.figures, "frames": self.frames}), "utf-8")

    @classmethod
    def load(cls, path: Path) -> "Result":
        """Read what `save` wrote."""
        known = json.loads(path.read_text("utf-8"))
        return cls(known["figures"], known["frames"])


def remembered(folder: Path, key: str, make: Callable[[], tuple[Result, np.ndarray]]) -> Result:
    """Made now, or read where an earlier run had come as far; its sheet is beside it."""
    path, pictures = folder / f"{key}.json", folder / f"{key}.npz"
    if path.exists() and pictures.exists():
        result = Result.load(path)
        with np.load(pictures) as stored:
            for name, values in stored.items():
                figure, _, method = name.rpartition("/")
                (result.features[figure] if figure else result.pictures)[method] = values
        return result
    result, sheet = make()
    with whole_file(folder / f"{key}.png") as temporary:
        write_png(temporary, sheet)
    features = {f"{figure}/{method}": of for figure, by in result.features.items() for method, of in by.items()}
    with storage_errors(pictures), whole_file(pictures) as temporary:
        np.savez_compressed(temporary, **result.pictures, **features)
    result.save(path)
    return result
