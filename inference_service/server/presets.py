"""The presets, as described to clients."""

from lookbeyond import presets
from lookbeyond.errors import InputError


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

    def available(self) -> list[dict]:
        """One object for each preset."""
        return [{field: getattr(preset, field) for field in self.FIELDS} for preset in presets.available()]

    def revision(self, name: str) -> str:
        """The revision of a preset's weights. InputError, with what is missing, if it cannot run."""
        preset = presets.get(name)
        if not preset.installed:
            raise InputError(f"The preset {name} cannot run here: {preset.missing}.")
        return presets.revision(name)
