"""Errors a user can cause or meet: each says in one sentence which input was wrong and what to do next."""


class LookBeyondError(Exception):
    """Base of all typed errors; `code` is the word that the service's protocol carries."""

    code = "failed"


def sentence(text: str) -> str:
    """The text as a sentence: capitalised (unless it starts with a file's name), with a full stop."""
    if text.partition(" ")[0].isalpha():
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."


def one_line(error: BaseException, most: int = 300) -> str:
    """An error's message on one line; its type if it has none."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def typed_line(error: BaseException) -> str:
    """An error's type and message, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


class InputError(LookBeyondError):
    """Unusable input; the command line exits with 2."""

    code = "input"


class Cancelled(LookBeyondError):
    """Raised out of a progress callback when the user wants the work to end."""

    code = "cancelled"


class OutOfMemory(LookBeyondError):
    """The device (or this machine) has too little memory for what was asked."""

    code = "out_of_memory"


class StorageError(LookBeyondError):
    """A disk is full, or a file could not be read or written."""

    code = "storage"
