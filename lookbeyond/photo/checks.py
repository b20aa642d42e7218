"""Checks of a picture file before any pixel is decoded."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from lookbeyond.errors import InputError

from .tags import PhotoTags, read_tags

MIN_SIDE = 64
MAX_SIDE = 16384
MAX_PIXELS = 150_000_000


def tags_of(path: Path, name: str) -> PhotoTags:
    """What the file says of itself, its size checked."""
    with file_errors(name):
        tags = read_tags(path)
    if tags.width and tags.height:
        check_size((tags.width, tags.height), name)
    return tags


def head_of(path: Path, name: str) -> bytes:
    """The first 64 bytes."""
    with file_errors(name), path.open("rb") as file:
        return file.read(64)


@contextlib.contextmanager
def file_errors(name: str) -> Iterator[None]:
    """Turn OSError into InputError with a sentence that names the file."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"There is no file {name}; check the path.") from error
    except IsADirectoryError as error:
        raise InputError(f"{name} is a folder; give the image file itself.") from error
    except PermissionError as error:
        raise InputError(f"The file {name} may not be read; check its permissions.") from error
    except OSError as error:
        raise InputError(f"The file {name} cannot be read ({error.strerror}); check the disk.") from error


def check_size(size: tuple[int, int], name: str) -> None:
    """Raise InputError for a width and height that are too small or too large."""
    width, height = size
    if min(size) < MIN_SIDE:
        raise InputError(
            f"The image {name} is only {width}x{height} pixels; give one of at least {MIN_SIDE}x{MIN_SIDE} pixels."
        )
    if max(size) > MAX_SIDE or width * height > MAX_PIXELS:
        raise InputError(
            f"The image {name} is {width}x{height} pixels; scale it down to at most {MAX_SIDE} pixels a side "
            f"and {MAX_PIXELS // 10**6} million pixels in all."
        )
