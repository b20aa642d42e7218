"""The errors at both ends of a connection."""


class ProtocolError(Exception):
    """Bytes that are no message of this version, or a message out of place; `code` is one word for programs."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


class ServiceError(Exception):
    """What went wrong, as a sentence with the remedy; `code` is one word for programs.

    Codes of the client: 'not_running', 'timeout', 'wrong_key', 'version', 'lost', 'file'; of the service:
    'input', 'cancelled', 'out_of_memory', 'storage', 'busy', 'unknown_job', 'lost', 'failed'.
    """

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


class DamagedError(ServiceError):
    """A file is damaged, or gone, where the service keeps it."""

    def __init__(self, name: str):
        super().__init__("lost", f"The file {name} arrived damaged; submit the job again.")
        self.name = name


class StrangerError(ServiceError):
    """Something answers, but not like a service that holds the expected key."""
