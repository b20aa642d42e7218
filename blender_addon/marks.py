"""What is written on datablocks of ours, as custom properties: that they are ours, and what made them."""

import json
from collections.abc import Mapping

import bpy

from .kit import KIT_VERSION
from .session import session

PREFIX = "look_beyond_"


def stamp(datablock: bpy.types.ID, record: Mapping[str, object]) -> None:
    """Write on a result what made it, as custom properties; lists and dictionaries as JSON text."""
    for name, value in record.items():
        plain = isinstance(value, (str, int, float))
        # Custom properties hold 32-bit integers; seeds may be larger.
        fits = not isinstance(value, int) or abs(value) < 2**31
        datablock[PREFIX + name] = value if plain and fits else str(value) if plain else json.dumps(value)


def stamped(datablock: bpy.types.ID, name: str, default: object = None) -> object:
    return datablock.get(PREFIX + name, default)


def versions() -> dict[str, str]:
    return {"version": KIT_VERSION, "service_version": str(getattr(session.service, "service", ""))}
