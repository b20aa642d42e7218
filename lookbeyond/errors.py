"""Errors a user can cause or meet: each says in one sentence which input was wrong and what to do next."""


class LookBeyondError(Exception):
    """Base of all typed errors; `code` is the word that travels through the service's protocol."""

    code = "failed"


def sentence(text: str) -> str:
    """The text as a sentence: a capital at its start (unless that is a file's name), a full stop at its end."""
    if text.partition(" ")[0].isalpha():
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."


def one_line(error: BaseException, most: int = 300) -> str:
    """What an error says, on one line; its type where it says nothing."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def typed_line(error: BaseException) -> str:
    """An error's type and what it says, on one line."""
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
