"""The service: one socket, one queue, one worker. The socket's thread never runs a model.

`serve` runs until it is told to end (BYE, SIGTERM, Ctrl-C): it then takes no new work, gives the unit at
hand a moment to finish, and goes. What it knows is on disk all the time, so being killed loses the unit at
hand and no more.
"""

import base64
import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import zmq

from inference_service import protocol
from inference_service.protocol import MESSAGES, ProtocolError
from inference_service.queue import MAX_WAITING_JOBS, REQUESTS, Job, JobQueue, file_inputs
from inference_service.security import (
    Gate,
    check_bind,
    keys_folder,
    load_or_make_keys,
    make_private_folder,
    write_private_json,
)
from inference_service.store import MIN_FREE_BYTES, Store
from inference_service.units import Unit
from inference_service.workers.process import WORKER_COMMAND, WorkerProcess
from lookbeyond import presets
from lookbeyond.errors import InputError, LookBeyondError, StorageError, sentence
from lookbeyond.files import require_space, storage_errors

log = logging.getLogger(__name__)

MAX_SESSIONS = 64
MAX_UPLOADS = 8
"""Unfinished uploads of one session."""
SESSION_SILENCE_S = 60.0
CANCEL_PATIENCE_S = 30.0
"""A worker that has not stopped so long after a cancel is killed."""
DRAIN_S = 3.0
MAX_RESTARTS = 5
"""Workers that died in a row, before the service stops starting new ones until new work is submitted."""
TICK_MS = 100


class Presets:
    """What models there are: `lookbeyond.presets`, as JSON objects."""

    FIELDS = ("name", "title", "description", "licence", "memory_gb", "installed", "missing")

    def available(self) -> list[dict]:
        """One object for each preset."""
        return [{field: getattr(preset, field) for field in self.FIELDS} for preset in presets.available()]

    def revision(self, name: str) -> str:
        """The revision of a preset's weights. InputError, with what is missing, if it cannot run."""
        preset = presets.get(name)
        if not preset.installed:
            raise InputError(f"The preset {name} cannot run here: {preset.missing}.")
        return presets.revision(name)


@dataclass
class Upload:
    """A file that is being sent in pieces."""

    path: Path
    size: int
    received: int = 0
    hash: Any = field(default_factory=hashlib.sha256)


@dataclass
class Session:
    """A client that said HELLO."""

    last_seen: float
    jobs: set[str] = field(default_factory=set)
    """Those it wants hints about."""
    uploads: dict[str, Upload] = field(default_factory=dict)


class Server:
    """The service's state and its loop. `stop` (any thread, or a signal handler) ends `run`."""

    def __init__(
        self,
        store: Path,
        bind: str = "tcp://127.0.0.1:0",
        models: Presets | None = None,
        worker_command: Sequence[str] = WORKER_COMMAND,
        drain_s: float = DRAIN_S,
    ):
        bind = check_bind(bind)
        self._presets = models or Presets()
        self._worker_command = worker_command
        self._drain_s = drain_s
        self._sessions: dict[bytes, Session] = {}
        self._store = Store(store)
        self._store.sweep()
        self._queue = JobQueue(self._store.root / "jobs.sqlite", self._store, self._job_changed)
        self._epoch = secrets.token_hex(8)
        self._worker: WorkerProcess | None = None
        self._worker_ready = False
        self._unit: Unit | None = None
        """The unit the worker has; it may be cancelled already and still be working on it."""
        self._kill_at: float | None = None
        self._deaths = 0
        self._start_at = 0.0
        self._devices: list[dict] = []
        self._stop = threading.Event()

        self._context = zmq.Context()
        client_keys = keys_folder() / "client.json"
        keys = load_or_make_keys(keys_folder() / "server.json")
        self._gate = Gate(self._context, [load_or_make_keys(client_keys).public])
        self._router = self._context.socket(zmq.ROUTER)
        self._gate.guard(self._router, keys)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.ROUTER_MANDATORY, 1),
            (zmq.SNDHWM, 64),
            (zmq.RCVHWM, 64),
            (zmq.MAXMSGSIZE, protocol.MAX_FRAME_BYTES),
            (zmq.HANDSHAKE_IVL, 5000),
            (zmq.BACKLOG, 128),
        ):
            self._router.setsockopt(option, value)
        try:
            self._router.bind(bind)
        except zmq.ZMQError as error:
            self._close_sockets()
            self._queue.close()
            raise InputError(f"The address {bind} is taken or not allowed ({error}); choose another port.") from error
        self._lines = self._context.socket(zmq.PULL)
        self._lines.set_hwm(0)
        self._lines.bind("inproc://workers")
        self.service = protocol.ServiceAddress(
            address=self._router.getsockopt_string(zmq.LAST_ENDPOINT),
            server_key=keys.public,
            client_keys=str(client_keys),
            pid=os.getpid(),
        )

    def stop(self) -> None:
        """Ask `run` to drain and return."""
        self._stop.set()

    def run(self) -> None:
        """Serve until stopped."""
        poller = zmq.Poller()
        for socket in (self._router, self._gate.socket, self._lines):
            poller.register(socket, zmq.POLLIN)
        self._begin()
        drain_until: float | None = None
        try:
            while True:
                for socket, _ in poller.poll(TICK_MS):
                    if socket is self._router:
                        self._receive()
                    elif socket is self._lines:
                        self._hear_worker()
                    else:
                        self._gate.admit()
                if self._stop.is_set():
                    drain_until = drain_until or time.monotonic() + self._drain_s
                    if self._unit is None or time.monotonic() > drain_until:
                        return
                self._tick()
        finally:
            self._end()

    # life

    def _begin(self) -> None:
        for job in list(self._queue.jobs.values()):
            if job.state in ("queued", "paused"):
                with contextlib.suppress(Exception):
                    if self._presets.revision(job.request.preset) == job.revision:
                        continue
                self._queue.give_up(job, "The models were changed meanwhile; submit the job again.")
        with contextlib.suppress(OSError, StorageError):
            self._store.prune(keep=self._queue.inputs())
        self._start_worker()
        make_private_folder(protocol.runtime_folder())
        write_private_json(protocol.runtime_file(), dataclasses.asdict(self.service))
        log.info("serving at %s, store %s", self.service.address, self._store.root)

    def _end(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            if json.loads(protocol.runtime_file().read_text()).get("pid") == os.getpid():
                protocol.runtime_file().unlink()
        if self._worker:
            self._worker.close(timeout_s=1.0)
        self._queue.close()
        self._lines.close(0)
        self._close_sockets()
        log.info("ended")

    def _close_sockets(self) -> None:
        self._router.close(0)
        self._gate.close()
        self._context.destroy(linger=0)

    def _tick(self) -> None:
        now = time.monotonic()
        if self._kill_at and now > self._kill_at and self._worker:
            log.warning("the worker did not stop in time and is killed")
            self._kill_at = None
            self._worker.kill()
        if self._worker is None and self._deaths < MAX_RESTARTS and now >= self._start_at:
            self._start_worker()
        for peer in [p for p, s in self._sessions.items() if now - s.last_seen > SESSION_SILENCE_S]:
            self._forget(peer)
        self._dispatch()

    def _forget(self, peer: bytes) -> None:
        if session := self._sessions.pop(peer, None):
            for upload in session.uploads.values():
                upload.path.unlink(missing_ok=True)

    # the worker

    def _start_worker(self) -> None:
        lines = threading.local()

        def on_line(worker: WorkerProcess, line: bytes) -> None:
            if not hasattr(lines, "socket"):  # a socket belongs to one thread: the one that reads this worker
                lines.socket = self._context.socket(zmq.PUSH)
                lines.socket.set_hwm(0)
                lines.socket.linger = 0
                lines.socket.connect("inproc://workers")
            lines.socket.send_multipart([str(worker.pid).encode(), line])
            if not line:
                lines.socket.close(1000)

        self._worker_ready = False
        try:
            self._worker = WorkerProcess(self._worker_command, self._store.root, on_line)
        except OSError as error:
            log.error("the worker could not be started: %s", error)
            self._deaths += 1
            self._start_at = time.monotonic() + 0.5 * 2**self._deaths

    def _dispatch(self) -> None:
        if self._stop.is_set() or not self._worker or not self._worker_ready or self._unit:
            return
        if unit := self._queue.next_unit():
            self._unit = unit
            self._queue.started(unit)
            names = {}
            for job in self._queue.jobs_of(unit.identity):
                names |= self._store.names(file_inputs(job.request))
            self._worker.send({"run": dataclasses.asdict(unit), "names": names})
            log.info("unit %s %s begun", unit.kind, unit.identity[:12])

    def _hear_worker(self) -> None:
        while True:
            try:
                pid, line = self._lines.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            if not self._worker or pid != str(self._worker.pid).encode():
                continue
            if not line:
                self._worker_died()
                continue
            try:
                message = json.loads(line)
            except ValueError:
                continue
            try:
                self._worker_said(message)
            except LookBeyondError as error:  # a full disk must not end the service
                log.error("%s", error)
        self._dispatch()

    def _worker_said(self, message: dict) -> None:
        if "ready" in message:
            self._worker_ready = True
            self._devices = message["ready"]["devices"]
        elif "progress" in message:
            identity = message["progress"]
            self._queue.progressed(identity, message["fraction"], message["message"])
            for job in self._queue.jobs_of(identity):
                status = self._queue.status(job, with_artifacts=False)
                self._hint(job, protocol.Progress(job.id, status.fraction, status.message, status.eta_s))
                if "preview" in message:
                    self._hint(job, protocol.Preview(job.id), base64.b64decode(message["preview"]))
        elif "done" in message:
            self._deaths = 0
            self._unit, self._kill_at = None, None
            log.info("unit %s done", message["done"][:12])
            self._queue.finished(message["done"])
        elif "failed" in message:
            identity, code = message["failed"], message["code"]
            self._deaths = 0
            self._unit, self._kill_at = None, None
            log.info("unit %s ended: %s %s", identity[:12], code, message["message"])
            if code == "cancelled":
                self._queue.interrupted(identity)
            else:
                self._queue.failed(identity, code, message["message"])

    def _worker_died(self) -> None:
        assert self._worker
        self._worker.close()
        log.warning("the worker (process %d) died", self._worker.pid)
        killed_by_us = self._unit is not None and not self._queue.jobs_of(self._unit.identity)
        unit, self._worker, self._unit, self._kill_at = self._unit, None, None, None
        if unit and killed_by_us:
            self._queue.interrupted(unit.identity)
        elif unit:
            self._queue.crashed(unit.identity)
        self._deaths += 0 if killed_by_us else 1
        self._start_at = time.monotonic() + min(0.1 * 2**self._deaths, 30.0)
        if self._deaths >= MAX_RESTARTS:
            log.error("the worker died %d times in a row; waiting for new work", self._deaths)
            for job in list(self._queue.jobs.values()):
                if job.state in ("queued", "paused"):
                    self._queue.give_up(
                        job,
                        "The worker process cannot be kept running; run `lookbeyond doctor` and see the log.",
                    )

    def _cancel_units(self, identities: list[str]) -> None:
        if self._unit and self._unit.identity in identities and self._worker:
            self._worker.send({"cancel": self._unit.identity})
            self._kill_at = self._kill_at or time.monotonic() + CANCEL_PATIENCE_S

    # the socket

    def _send(self, peer: bytes, message: object, id: int = 0, payload: bytes = b"") -> None:
        try:
            self._router.send_multipart([peer, *protocol.encode(message, id, payload)], zmq.NOBLOCK)
        except zmq.Again:
            pass  # the client does not read: it will ask again
        except zmq.ZMQError:
            self._forget(peer)

    def _hint(self, job: Job, message: object, payload: bytes = b"") -> None:
        for peer, session in list(self._sessions.items()):
            if job.id in session.jobs:
                self._send(peer, message, payload=payload)

    def _job_changed(self, job: Job) -> None:
        self._hint(job, protocol.Ready(job.id))

    def _receive(self) -> None:
        for _ in range(100):  # then the worker and the clock have their turn
            try:
                frames = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            peer, body = frames[0].bytes, [frame.bytes for frame in frames[1:]]
            try:
                if not self._gate.is_allowed(str(frames[-1].get("User-Id"))):
                    raise ProtocolError("wrong_key", "This client is not allowed here.")
                message, id, payload = decode_strictly(body)
            except ProtocolError as error:
                self._send(peer, protocol.Error(error.code, str(error)))
                continue
            try:
                reply, data = self._answer(peer, message, payload)
            except LookBeyondError as error:
                reply, data = protocol.Error(error.code, sentence(str(error))), b""
            except ProtocolError as error:
                reply, data = protocol.Error(error.code, str(error)), b""
            except Exception:
                log.exception("a message could not be answered")
                reply = protocol.Error("failed", "The service met an error of its own; see its log and report it.")
                data = b""
            self._send(peer, reply, id, data)

    def _answer(self, peer: bytes, message: object, payload: bytes) -> tuple[object, bytes]:
        if isinstance(message, protocol.Hello):
            return self._welcome(peer, message), b""
        session = self._sessions.get(peer)
        if session is None:
            raise ProtocolError("hello", "The connection was forgotten; say HELLO first.")
        session.last_seen = time.monotonic()
        match message:
            case protocol.Ping():
                return protocol.Pong(self._epoch), b""
            case protocol.Put():
                return self._put(session, message, payload), b""
            case protocol.Submit():
                return self._submit(message), b""
            case protocol.Status():
                return self._queue.status(self._job(message.job)), b""
            case protocol.ListJobs():
                return protocol.Jobs(tuple(self._queue.statuses())), b""
            case protocol.Events():
                session.jobs.add(self._job(message.job).id)
            case protocol.Get():
                return self._get(message)
            case protocol.Cancel():
                self._cancel_units(self._queue.cancel(self._job(message.job)))
            case protocol.Pause():
                self._queue.pause(self._job(message.job), message.paused)
            case protocol.Reorder():
                self._queue.reorder(self._job(message.job), message.position)
            case protocol.Release():
                if self._worker:
                    self._worker.send({"release": True})
            case protocol.Bye():
                self.stop()
            case _:
                raise ProtocolError("protocol", f"{type(message).__name__} is no message for a service.")
        return protocol.Done(), b""

    def _welcome(self, peer: bytes, hello: protocol.Hello) -> object:
        if protocol.VERSION not in hello.versions:
            newest = max(hello.versions, default=0)
            side = "the add-on" if newest < protocol.VERSION else "the service (pip install -U lookbeyond)"
            spoken = f"The client speaks protocol {newest}, the service {protocol.VERSION}"
            return protocol.Error("version", f"{spoken}; update {side}.")
        if peer not in self._sessions and len(self._sessions) >= MAX_SESSIONS:
            self._forget(min(self._sessions, key=lambda other: self._sessions[other].last_seen))
        self._sessions[peer] = Session(time.monotonic())
        return protocol.Welcome(
            version=protocol.VERSION,
            epoch=self._epoch,
            service=protocol.SERVICE_VERSION,
            presets=tuple(self._presets.available()),
            devices=tuple(self._devices),
            limits={
                "cameras": protocol.MAX_CAMERAS,
                "file_bytes": protocol.MAX_FILE_BYTES,
                "image_side": protocol.MAX_IMAGE_SIDE,
                "jobs": MAX_WAITING_JOBS,
            },
        )

    def _job(self, identity: str) -> Job:
        if job := self._queue.jobs.get(identity):
            return job
        raise ProtocolError("unknown_job", "The service does not know this job; submit it again.")

    def _submit(self, message: protocol.Submit) -> object:
        if self._stop.is_set():
            raise ProtocolError("busy", "The service is ending; start it again and submit the job then.")
        if message.kind not in REQUESTS:
            raise ProtocolError("protocol", "A job is a world or a shot.")
        try:
            request = msgspec.convert(message.request, REQUESTS[message.kind])
        except (msgspec.ValidationError, RecursionError) as error:
            raise InputError(f"The request is not complete ({error}); update the add-on.") from error
        revision = self._presets.revision(request.preset)
        job, new = self._queue.submit(message.kind, request, revision)
        if self._deaths >= MAX_RESTARTS:  # somebody asks for it: try again
            self._deaths, self._start_at = 0, 0.0
        log.info("job %s %s %s", job.kind, job.id[:12], "accepted" if new else "is known")
        return protocol.Accepted(job.id, new)

    def _put(self, session: Session, put: protocol.Put, payload: bytes) -> object:
        if not protocol.HASH_PATTERN.fullmatch(put.sha256) or not 0 <= put.offset <= put.size:
            raise ProtocolError("protocol", "A piece of a file that cannot be.")
        if put.size > protocol.MAX_FILE_BYTES:
            raise InputError(
                f"{put.name[:100] or 'The file'} has {put.size / 1e6:.0f} MB; "
                f"the service takes at most {protocol.MAX_FILE_BYTES / 1e6:.0f} MB."
            )
        if len(payload) > protocol.CHUNK_BYTES:
            raise ProtocolError("protocol", "A piece of a file that is too large.")
        self._store.give_name(put.sha256, put.name)
        if self._store.has_file(put.sha256):
            return protocol.Stored(put.sha256, put.size, True)
        upload = session.uploads.get(put.sha256)
        if upload is None:
            if len(session.uploads) >= MAX_UPLOADS:
                raise ProtocolError("busy", "Too many files are being sent at once; send them one by one.")
            require_space(self._store.root, put.size + MIN_FREE_BYTES)
            path = self._store.root / "temporary" / f"{os.getpid()}-{secrets.token_hex(8)}"
            with storage_errors(path):
                path.touch()
            upload = session.uploads[put.sha256] = Upload(path, put.size)
        if upload.size != put.size or put.offset + len(payload) > upload.size:
            raise ProtocolError("protocol", "A piece of a file that cannot be.")
        if payload and put.offset == upload.received:
            try:
                with storage_errors(self._store.root), open(upload.path, "ab") as file:
                    file.write(payload)
            except LookBeyondError:
                session.uploads.pop(put.sha256).path.unlink(missing_ok=True)
                raise
            upload.hash.update(payload)
            upload.received += len(payload)
        if upload.received < upload.size:
            return protocol.Stored(put.sha256, upload.received, False)
        del session.uploads[put.sha256]
        if upload.hash.hexdigest() != put.sha256:
            upload.path.unlink(missing_ok=True)
            raise InputError(f"{put.name[:100] or 'The file'} changed while it was sent; send it again.")
        self._store.adopt_file(upload.path, put.sha256)
        return protocol.Stored(put.sha256, upload.size, True)

    def _get(self, get: protocol.Get) -> tuple[object, bytes]:
        job = self._job(get.job)
        if get.artifact not in job.artifacts or get.offset < 0:
            raise ProtocolError("protocol", "The job has no such file yet.")
        _, place = job.artifacts[get.artifact]
        identity, _, name = place.partition("/")
        try:
            with open(self._store.unit(identity) / name, "rb") as file:
                file.seek(get.offset)
                payload = file.read(max(0, min(get.size, protocol.CHUNK_BYTES)))
        except OSError as error:
            raise ProtocolError("lost", "The file is gone from the store; submit the job again.") from error
        return protocol.Data(get.job, get.artifact, get.offset), payload


def decode_strictly(frames: list[bytes]) -> tuple[object, int, bytes]:
    """A client's message, its id and payload. Raises ProtocolError for anything else, and nothing else."""
    protocol.check_magic(frames)
    try:
        header = msgspec.json.decode(frames[1])
        cls = MESSAGES[header["type"]]
        id = msgspec.convert(header.get("id", 0), int)
        message = msgspec.convert(header, cls)
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ProtocolError("protocol", "A header could not be understood.") from error
    if not 0 <= id < 2**53:
        raise ProtocolError("protocol", "An id is out of range.")
    return message, id, frames[2] if len(frames) == 3 else b""


def serve(
    store: Path,
    bind: str = "tcp://127.0.0.1:0",
    announce: Callable[[protocol.ServiceAddress], None] = lambda service: None,
    **settings: Any,
) -> None:
    """Serve in this thread (the main one) until a signal or a client ends it.

    Raises InputError if another service runs on the same store or the address cannot be used.
    """
    server = Server(store, bind, **settings)
    for name in ("SIGTERM", "SIGINT", "SIGHUP" if sys.platform != "win32" else "SIGBREAK"):
        signal.signal(getattr(signal, name), lambda *_: server.stop())
    announce(server.service)
    server.run()
