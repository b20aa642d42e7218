"""Files that clients send in pieces."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference_service.store.store import MIN_FREE_BYTES, Store
from inference_service.wire.errors import ProtocolError
from inference_service.wire.files import CHUNK_BYTES, MAX_FILE_BYTES
from inference_service.wire.messages import Error, Put, Stored
from inference_service.wire.requests import HASH_PATTERN
from lookbeyond.errors import InputError, LookBeyondError, sentence
from lookbeyond.whole import require_space, storage_errors

MAX_UPLOADS = 8
"""Unfinished uploads of one session."""


@dataclass
class Upload:
    """A file that is being sent in pieces."""

    path: Path
    size: int
    received: int = 0
    hash: Any = field(default_factory=hashlib.sha256)

    def append(self, piece: bytes) -> None:
        """Add a piece. StorageError if it cannot be written."""
        with storage_errors(self.path.parent), self.path.open("ab") as file:
            file.write(piece)
        self.hash.update(piece)
        self.received += len(piece)


def receive(store: Store, uploads: dict[str, Upload], put: Put, piece: bytes, promised_bytes: int) -> Stored | Upload:
    """Take in a piece of a file; how much of the file is there now, or the whole of it, which is to be kept.

    `promised_bytes`: what all unfinished uploads are still to send. Raises ProtocolError for an impossible piece,
    InputError for a file that is too large or has changed, StorageError for a full disk.
    """
    if not HASH_PATTERN.fullmatch(put.sha256) or not 0 <= put.offset <= put.size:
        raise ProtocolError("protocol", "A piece of a file is impossible.")
    if put.size > MAX_FILE_BYTES:
        raise InputError(
            f"{put.name[:100] or 'The file'} has {put.size / 1e6:.0f} MB; "
            f"the service takes at most {MAX_FILE_BYTES / 1e6:.0f} MB."
        )
    if len(piece) > CHUNK_BYTES:
        raise ProtocolError("protocol", "A piece of a file is too large.")
    store.give_name(put.sha256, put.name)
    if store.has_file(put.sha256):
        store.touch_file(put.sha256)
        if overtaken := uploads.pop(put.sha256, None):  # by another client
            overtaken.path.unlink(missing_ok=True)
        return Stored(put.sha256, put.size, True)
    upload = uploads.get(put.sha256)
    if upload is None:
        upload = uploads[put.sha256] = _begin(store, uploads, put, promised_bytes)
    if upload.size != put.size or put.offset + len(piece) > upload.size:
        raise ProtocolError("protocol", "A piece of a file is impossible.")
    if piece and put.offset == upload.received:
        try:
            upload.append(piece)
        except LookBeyondError:
            uploads.pop(put.sha256).path.unlink(missing_ok=True)
            raise
    if upload.received < upload.size:
        return Stored(put.sha256, upload.received, False)
    del uploads[put.sha256]
    if upload.hash.hexdigest() != put.sha256:
        upload.path.unlink(missing_ok=True)
        raise InputError(f"{put.name[:100] or 'The file'} changed while it was being sent; send it again.")
    return upload


def store_upload(store: Store, upload: Upload, sha256: str) -> Stored | Error:
    """Put a whole file into the store and flush it to disk: jobs that need it survive a power cut. In any thread."""
    try:
        store.adopt_file(upload.path, sha256, durable=True)
        return Stored(sha256, upload.size, True)
    except LookBeyondError as error:
        upload.path.unlink(missing_ok=True)
        return Error(error.code, sentence(str(error)))


def _begin(store: Store, uploads: dict[str, Upload], put: Put, promised_bytes: int) -> Upload:
    if len(uploads) >= MAX_UPLOADS:
        raise ProtocolError("busy", "Too many files are being sent at once; send them one by one.")
    require_space(store.root, put.size + promised_bytes + MIN_FREE_BYTES)
    path = store.new_temporary()
    with storage_errors(path):
        path.touch()
    return Upload(path, put.size)
