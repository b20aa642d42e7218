"""Functions compiled by Numba, which is slow to import: so are modules that use this."""

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Any:
    """Compiled for this machine when it is first called, and cached beside its file or in the user's cache folder.

    Where neither is writable, every process compiles again.
    """
    try:
        return njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:
        return njit(nogil=True, error_model="numpy")(function)
