"""CURVE keys, in files that only their user can read."""

import json
import os
import secrets
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import zmq

from inference_service.wire.files import written_whole
from lookbeyond.errors import InputError, StorageError
from lookbeyond.whole import storage_errors


@dataclass(frozen=True)
class KeyPair:
    """CURVE keys, Z85. Never printed: the secret stays out of `repr`."""

    public: str
    secret: str

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public!r})"


def keys_folder() -> Path:
    """The folder of the service's keys and of this user's clients'."""
    if chosen := os.environ.get("LOOKBEYOND_RUNTIME_DIR"):
        return Path(chosen) / "keys"
    return platformdirs.user_config_path("lookbeyond") / "keys"


def server_keys_file() -> Path:
    return keys_folder() / "server.json"


def client_keys_file() -> Path:
    return keys_folder() / "client.json"


def allowed_clients_file() -> Path:
    """The list of other clients that are allowed: a JSON object, name -> public key (Z85)."""
    return keys_folder() / "allowed_clients.json"


def load_or_make_keys(path: Path) -> KeyPair:
    """The key pair in a 0600 JSON file, made on first use. InputError if others may read the file."""
    make_private_folder(path.parent)
    if not path.exists():
        public, secret = zmq.curve_keypair()
        _make_once(path, {"public": public.decode(), "secret": secret.decode()})
    check_private(path, "delete it, and new keys will be made")
    try:
        plain = json.loads(path.read_text())
        keys = KeyPair(plain["public"], plain["secret"])
        if zmq.curve_public(keys.secret.encode()).decode() != keys.public:
            raise ValueError("the keys do not belong together")
        return keys
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zmq.ZMQError) as error:
        raise InputError(f"The key file {path} is damaged; delete it, and new keys will be made.") from error


def _make_once(path: Path, value: dict) -> None:
    """Write a private file unless another process is there first: then that one's counts."""
    mine = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    write_private_json(mine, value)
    try:
        with storage_errors(path):
            if sys.platform == "win32":
                mine.rename(path)  # which there replaces nothing
            else:
                os.link(mine, path)
    except StorageError:
        if not path.exists():
            raise
    finally:
        mine.unlink(missing_ok=True)


def check_private(path: Path, remedy: str) -> None:
    """InputError, with the remedy, if others may read the file."""
    if sys.platform != "win32" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise InputError(f"The key file {path} can be read by others; {remedy}.")


def make_private(path: Path) -> bool:
    """Take from others what they may do with a file; whether there was anything. OSError if that is impossible."""
    if sys.platform == "win32" or not stat.S_IMODE(path.stat().st_mode) & 0o077:
        return False
    path.chmod(0o600)
    return True


def make_private_folder(path: Path) -> None:
    """Make a folder (0700, as those above it that are missing) unless it is there; InputError if it is another's."""
    with storage_errors(path):
        for folder in reversed([each for each in path.absolute().parents if not each.exists()]):
            folder.mkdir(exist_ok=True, mode=0o700)
        path.mkdir(exist_ok=True, mode=0o700)
        if sys.platform != "win32":
            if path.stat().st_uid != os.getuid():
                raise InputError(f"The folder {path} belongs to another user; remove it or use another one.")
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                path.chmod(0o700)


def write_private_json(path: Path, value: dict) -> None:
    """Write a JSON file whole that only its user may read (0600)."""
    with storage_errors(path), written_whole(path, mode=0o600, durable=True) as file:
        file.write(json.dumps(value).encode())
