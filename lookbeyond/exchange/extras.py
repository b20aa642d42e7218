"""Packages that only some of the exchange needs: asked for when they are, missed with a sentence."""

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
