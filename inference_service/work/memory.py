"""Out of memory: how to recognise it, and what can be released."""

import ctypes
import gc
import re
import sys

from inference_service.work.inputs import forget_files

_MEMORY_WORDS = re.compile("out of memory|can't allocate memory|not enough memory|ALLOC(ATION)?_FAILED", re.IGNORECASE)
"""CUDA's and MPS's own, the CPU allocator's on POSIX and on Windows, the status codes of cuBLAS, cuDNN and others."""

_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def give_back_memory() -> None:
    """Return freed memory to the system: glibc keeps it where anything above it is still used, hundreds of megabytes
    after frames of 1920 x 1080."""
    if _malloc_trim:
        _malloc_trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python or torch reports, in one of their ways, that the machine or its device has too little memory."""
    # torch.OutOfMemoryError, told by its name: torch is imported only where a pipeline needs it
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and bool(_MEMORY_WORDS.search(str(error)))


def release_caches() -> None:
    """Return what is cached and no longer used to the machine and the device."""
    forget_files()
    gc.collect()
    if torch := sys.modules.get("torch"):
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        elif torch.backends.mps.is_available():
            torch.mps.empty_cache()
