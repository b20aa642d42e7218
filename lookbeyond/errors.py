"""Errors a user can cause or meet: each says in one sentence which input was wrong and what to do next."""


class LookBeyondError(Exception):
    """Base of all typed errors; `code` is the word that travels through the service's protocol."""

    code = "failed"


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
