"""Packages that only some formats need: imported on demand, with a message if they are missing."""

import importlib
from typing import Any

from lookbeyond.errors import InputError


def optional(module: str, package: str, purpose: str) -> Any:
    """The module, or InputError that says what to install. `package` is its name for pip."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{purpose} needs the package {package}, which is not installed; run `pip install lookbeyond[exchange]`."
        ) from error
