"""The presets, as described to clients."""

import math
import time

from lookbeyond import presets
from lookbeyond.errors import InputError

AVAILABLE_S = 5.0
"""How long it is taken for granted what is installed: looking takes some sixty milliseconds, at every greeting."""


class Presets:
    """What `lookbeyond.presets` has, as JSON objects."""

    FIELDS = (
        "name",
        "title",
        "description",
        "licence",
        "memory_gb",
        "installed",
        "missing",
        "views_steps",
        "takes_prompt",
    )

    def __init__(self) -> None:
        self._available: list[dict] = []
        self._looked = -math.inf

    def available(self) -> list[dict]:
        """One object for each preset, as of the last `AVAILABLE_S` seconds."""
        if time.monotonic() - self._looked >= AVAILABLE_S:
            self._available = [{field: getattr(each, field) for field in self.FIELDS} for each in presets.available()]
            self._looked = time.monotonic()
        return self._available

    def revision(self, name: str) -> str:
        """The revision of a preset's weights. InputError, with what is missing, if it cannot run."""
        preset = presets.get(name)
        if not preset.installed:
            raise InputError(f"The preset {name} cannot run here: {preset.missing}.")
        return presets.revision(name)
