"""How bright sources are: a small network of what is seen of them, learned from places whose radiance is known.

`lookbeyond train light` learns it from `data.lit_places`.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .sources import FEATURES, Source

LEARNED = Path(__file__).with_name("energy.json")
REACH = 3.0
"""Standard deviations beyond which a feature counts no more: what was never learned from is not extrapolated."""
MOST_STOPS = 14.0


@dataclass(frozen=True, eq=False)
class Energy:
    """Features [n] -> normalised -> a hidden layer of tanh -> two numbers of stops, see `of`."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    hidden: NDArray[np.float32]
    """[h, n + 1], the last column the bias."""
    output: NDArray[np.float32]
    """[2, h + 1]"""

    def of(self, sources: Sequence[Source]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Stops of each source's mean above what is displayed, [k], and of its peak above the mean, [k]."""
        return self.of_features(np.stack([source.features for source in sources]))

    def of_features(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same of [k, n] features."""
        values = np.clip((features - self.mean) / self.deviation, -REACH, REACH)
        hidden = np.tanh(values @ self.hidden[:, :-1].T + self.hidden[:, -1])
        stops = _softplus(hidden @ self.output[:, :-1].T + self.output[:, -1])
        return np.minimum(stops[:, 0], MOST_STOPS), np.minimum(stops[:, 1], MOST_STOPS)

    def to_json_dict(self) -> dict[str, Any]:
        """Of `read_energy`."""
        return {
            "features": list(FEATURES),
            **{name: np.round(value, 4).tolist() for name, value in asdict(self).items()},
        }


def _softplus(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.logaddexp(0, values).astype(np.float32)


def read_energy(path: Path) -> Energy:
    """What `to_json_dict` wrote to a file."""
    plain = json.loads(path.read_text(encoding="utf-8"))
    if plain.pop("features") != list(FEATURES):
        raise ValueError(f"{path} was learned of other features; train the light again")
    return Energy(**{name: np.float32(value) for name, value in plain.items()})


@functools.cache
def built_in_energy() -> Energy:
    """What was learned from procedural places."""
    return read_energy(LEARNED)
