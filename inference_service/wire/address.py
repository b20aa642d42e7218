"""Where a running service publishes its address, and how a client finds it."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from .codec import from_plain
from .errors import ServiceError
from .messages import SERVICE_VERSION


@dataclass(frozen=True)
class ServiceAddress:
    """How to reach a running service. Stored as JSON in a file that only its user can read."""

    address: str
    """ZeroMQ endpoint, for instance tcp://127.0.0.1:50211."""
    server_key: str
    """The service's public CURVE key, Z85."""
    client_keys: str
    """Path of the 0600 JSON file with the client's own key pair: {"public": ..., "secret": ...}, Z85."""
    pid: int = 0
    """Its process if it runs on this machine, else 0."""
    version: str = SERVICE_VERSION
    store: str = ""
    """Its store's folder if it runs on this machine: from there its own user's clients copy results."""


def runtime_folder() -> Path:
    """The user's folder for running programs' files; `LOOKBEYOND_RUNTIME_DIR` overrides it."""
    if chosen := os.environ.get("LOOKBEYOND_RUNTIME_DIR"):
        return Path(chosen)
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(local) / "lookbeyond" / "run"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "lookbeyond" / "run"
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "lookbeyond"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lookbeyond" / "run"


def runtime_file() -> Path:
    """The file in which a running service publishes its address."""
    return runtime_folder() / "service.json"


def find_service() -> ServiceAddress:
    """This user's service on this machine. ServiceError 'not_running' if there is none."""
    path = runtime_file()
    try:
        service = from_plain(ServiceAddress, json.loads(path.read_text()))
    except FileNotFoundError:
        raise ServiceError(
            "not_running", "The inference service is not running; start it with `lookbeyond serve`."
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise ServiceError(
            "not_running", f"The file {path} is damaged; start the service again with `lookbeyond serve`."
        ) from error
    if not _is_alive(service.pid):
        raise ServiceError(
            "not_running",
            "The inference service ended unexpectedly; start it again with `lookbeyond serve`. "
            "Everything it had finished is kept.",
        )
    return service


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32" or pid <= 0:  # os.kill would end the process there: connecting will tell
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
