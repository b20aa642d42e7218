"""Marks on the datablocks that the add-on made: custom properties that say so, and what made them."""

import json
from collections.abc import Mapping

import bpy

from .kit import KIT_VERSION
from .session import session

PREFIX = "look_beyond_"


def set_marks(datablock: bpy.types.ID, record: Mapping[str, object]) -> None:
    """Write `record` to a datablock as custom properties; lists and dictionaries as JSON text."""
    for name, value in record.items():
        plain = isinstance(value, (str, int, float))
        # Custom properties hold 32-bit integers; seeds may be larger.
        fits = not isinstance(value, int) or abs(value) < 2**31
        datablock[PREFIX + name] = value if plain and fits else str(value) if plain else json.dumps(value)


def mark_of(datablock: bpy.types.ID, name: str, default: object = None) -> object:
    """The value that `set_marks` wrote, or the default."""
    return datablock.get(PREFIX + name, default)


def versions() -> dict[str, str]:
    """Versions of the add-on and of the service, for `set_marks`."""
    return {"version": KIT_VERSION, "service_version": str(getattr(session.service, "service", ""))}
