"""Logs: one line for each event, as text for people or as JSON for programs, keyed by job, unit and attempt."""

import contextlib
import json
import logging
import logging.handlers
import os
import shutil
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

from inference_service.wire.address import runtime_folder
from lookbeyond.whole import storage_errors

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
LOG_BYTES = 8 << 20
KEPT_LOGS = 3


def fields_of(record: logging.LogRecord) -> dict:
    """What the logging call passed as `extra`."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD and value is not None}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, event, the fields of the event, and a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "event": record.getMessage(), **fields_of(record)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """Time, level, event, then the fields as key=value; long identities are cut."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        fields = [f"{key}={str(value)[:12] if key in ('job', 'unit') else value}" for key, value in _short(record)]
        return " ".join([super().formatMessage(record), *fields])


def _short(record: logging.LogRecord) -> list[tuple[str, object]]:
    fields = fields_of(record)
    return [(key, ",".join(v[:12] for v in value) if key == "jobs" else value) for key, value in fields.items()]


def rotate_screen(descriptor: int = 2) -> None:
    """Keep what a service started by a client prints (`service.log`) within bounds: the older part goes beside it."""
    with contextlib.suppress(OSError):
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_size <= LOG_BYTES:
            return
        path = runtime_folder() / "service.log"
        if path.exists() and os.path.samestat(about, path.stat()):
            shutil.copyfile(path, path.with_name("service.log.1"))
            os.ftruncate(descriptor, 0)  # it is written to at its end, wherever that is


def set_up_logs(json_lines: bool = False, folder: Path | None = None) -> None:
    """Log to the standard error, and as JSON into `folder`/service.jsonl (a few files of 8 MiB, then the oldest goes).

    Raises StorageError if the folder cannot be written.
    """
    to_screen = logging.StreamHandler(sys.stderr)
    to_screen.setFormatter(JsonFormatter() if json_lines else TextFormatter())
    handlers: list[logging.Handler] = [to_screen]
    if folder is not None:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            to_file = logging.handlers.RotatingFileHandler(
                folder / "service.jsonl", maxBytes=LOG_BYTES, backupCount=KEPT_LOGS, encoding="utf-8"
            )
        to_file.setFormatter(JsonFormatter())
        handlers.append(to_file)
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    logging.raiseExceptions = False  # a full disk must not flood the standard error too
