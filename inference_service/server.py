"""The service: one socket, one queue, one executor. The socket's thread never runs a model.

`serve` runs until it is told to end (BYE, SIGTERM, Ctrl-C): it then takes no new work, gives the units at
hand a moment to finish, and goes. What it knows is on disk all the time, so being killed loses the units
at hand and no more.
"""

import base64
import collections
import contextlib
import ctypes
import dataclasses
import errno
import hashlib
import json
import logging
import mmap
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil
import zmq

from inference_service import protocol
from inference_service.people import FaceFinder
from inference_service.protocol import MESSAGES, ProtocolError
from inference_service.queue import ACTIVE, MAX_WAITING_CAMERAS, MAX_WAITING_JOBS, REQUESTS, Job, JobQueue, file_inputs
from inference_service.security import (
    Gate,
    allowed_clients_file,
    check_bind,
    client_keys_file,
    load_allowed_clients,
    load_or_make_keys,
    make_private_folder,
    server_keys_file,
    write_private_json,
)
from inference_service.store import MAX_AGE_S, MIN_FREE_BYTES, QUOTA_BYTES, SPARE_S, Store
from inference_service.workers.pool import Executor, ProcessPool
from lookbeyond import presets
from lookbeyond.errors import InputError, LookBeyondError, sentence
from lookbeyond.files import require_space, storage_errors

log = logging.getLogger(__name__)

MAX_SESSIONS = 64
MAX_UPLOADS = 8
"""Unfinished uploads of one session."""
MAX_JOBS_PER_SESSION = 200
"""Jobs to be worked on that one connection submitted."""
SESSION_SILENCE_S = 60.0
SEND_QUEUE = 12
"""Messages kept for a client that does not read; a piece of a file is the largest, so 24 MiB."""
RECEIVE_QUEUE = 8
"""Messages of one client that wait to be read; a client of ours has four questions open at most."""
COPY_BYTES = 64 << 10
"""Payloads from this size on are sent from where they lie."""
MAX_BUFFERS = 8
"""Pieces of files under way whose memory is to be used again."""
DRAIN_S = 3.0
HINT_INTERVAL_S = 1.0
"""Between what clients are told of running jobs where the workers tell nothing."""
PROBE_INTERVAL_S = 3.0
"""How often clients that say nothing are written to: whose connection has ended is forgotten."""
RELOAD_INTERVAL_S = 0.5
"""How often the list of allowed clients is looked at: a revoked client is cut off so soon."""
HOUSEKEEPING_INTERVAL_S = 300.0
TICK_MS = 100
SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
SHORT_OF = "The service is short of something of this machine's: %s"


class Presets:
    """What models there are: `lookbeyond.presets`, as JSON objects."""

    FIELDS = (
        "name", "title", "description", "licence", "memory_gb", "installed", "missing", "views_steps", "takes_prompt",
    )  # fmt: skip

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
    key: str
    """The client's public key."""
    previews: bool
    jobs: set[str] = field(default_factory=set)
    """Those it wants hints about."""
    submitted: set[str] = field(default_factory=set)
    uploads: dict[str, Upload] = field(default_factory=dict)
    piece: zmq.MessageTracker | None = None
    """Of the newest piece of a file that was sent to it: done when that has left the queue to the socket."""
    hints: dict[tuple[str, type], zmq.MessageTracker] = field(default_factory=dict)
    """The same of the newest hint of each type, by job."""

    def wants(self, job: str, hint: object) -> bool:
        """Whether a hint about a job is to be sent now.

        Over a slow line, hints would fill the queue and crowd out replies. So there is one of each type at most in it:
        who gets it asks for the truth. What is only for the eye waits until pieces of files are through.
        """
        if job not in self.jobs or (isinstance(hint, protocol.Preview) and not self.previews):
            return False
        if not isinstance(hint, protocol.Ready) and self.piece and not self.piece.done:
            return False
        last = self.hints.get((job, type(hint)))
        return last is None or last.done


class Pieces:
    """Pieces of files, read into memory that is used again as soon as the socket is done with it.

    New memory costs a page fault for every 4 KiB, which takes longer than reading them.
    """

    def __init__(self):
        self._free: list[mmap.mmap] = []
        self._under_way: collections.deque[tuple[zmq.MessageTracker, mmap.mmap]] = collections.deque()
        self._idle = True

    def rest(self) -> None:
        """Called now and then: give the memory back if nothing was read since the last time."""
        if self._idle:
            self._free.clear()
            self._under_way.clear()
        self._idle = True

    def read(self, path: str, offset: int, size: int) -> bytes | zmq.Frame:
        """Up to `size` bytes of a file from `offset` on, as something to be sent once. OSError if it is gone."""
        size = max(0, min(size, protocol.CHUNK_BYTES))
        with open(path, "rb", buffering=0) as file:
            if offset:
                file.seek(offset)
            if size < COPY_BYTES:
                return file.read(size)
            buffer, self._idle = self._buffer(), False
            count = file.readinto(memoryview(buffer)[:size])
        frame = zmq.Frame(memoryview(buffer)[:count], track=True, copy=False)
        assert frame.tracker
        self._under_way.append((frame.tracker, buffer))
        return frame

    def _buffer(self) -> mmap.mmap:
        while self._under_way and self._under_way[0][0].done:
            self._free.append(self._under_way.popleft()[1])
        if len(self._under_way) >= MAX_BUFFERS:  # some client does not read: its pieces are no longer waited for
            self._under_way.popleft()
        # memory of its own: what the heap gives for it, the heap would keep
        return self._free.pop() if self._free else mmap.mmap(-1, protocol.CHUNK_BYTES)


@dataclass(frozen=True)
class Settings:
    """How a service is run."""

    drain_s: float = DRAIN_S
    """How long the units at work may go on when the service is told to end."""
    quota_bytes: int = QUOTA_BYTES
    max_age_s: float = MAX_AGE_S


MakeExecutor = Callable[[zmq.Context, Path], Executor]
"""A context and the store's folder -> an executor."""


class Server:
    """The service's state and its loop. `stop` (any thread, or a signal handler) ends `run`."""

    def __init__(
        self,
        store: Path,
        bind: str = "tcp://127.0.0.1:0",
        models: Presets | None = None,
        executor: MakeExecutor = ProcessPool,
        settings: Settings | None = None,
    ):
        own = load_or_make_keys(client_keys_file())
        bind = check_bind(bind, load_allowed_clients(allowed_clients_file()).values())
        self._presets = models or Presets()
        self._settings = settings or Settings()
        self._sessions: dict[bytes, Session] = {}
        self._store = Store(store)
        self._store.sweep()
        self._queue = JobQueue(self._store.root / "jobs.sqlite", self._store, self._job_changed)
        self._epoch = os.urandom(8).hex()
        self._began = time.monotonic()
        self._tick_at = self._reload_at = self._probe_at = self._hint_at = 0.0
        self._tidy_at = time.monotonic() + HOUSEKEEPING_INTERVAL_S
        self._tidying: threading.Thread | None = None
        self._replies: collections.deque[tuple[bytes, object, int]] = collections.deque()
        """To whom, what and to which message, from another thread."""
        self._faces = FaceFinder()
        self._pieces = Pieces()
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self.totals: Counter[str] = Counter()
        """What was counted since the start: units done and failed, workers' deaths, messages, refusals, bytes."""

        self.last_status: protocol.ServiceStatus | None = None
        """As of the last half second; for other threads."""

        # the first makes pyzmq's thread for such frames and its sockets, which later there might be no descriptors for
        zmq.Frame(b"", track=True, copy=False)
        self._context = zmq.Context()
        keys = load_or_make_keys(server_keys_file())
        self._gate = Gate(self._context, own.public, allowed_clients_file())
        self._router = self._context.socket(zmq.ROUTER)
        self._gate.guard(self._router, keys)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.ROUTER_MANDATORY, 1),
            (zmq.SNDHWM, SEND_QUEUE),
            (zmq.RCVHWM, RECEIVE_QUEUE),
            (zmq.MAXMSGSIZE, protocol.MAX_FRAME_BYTES),
            (zmq.HANDSHAKE_IVL, 5000),
            (zmq.BACKLOG, 128),
            (zmq.IPV6, int("[" in bind)),
        ):
            self._router.setsockopt(option, value)
        try:
            self._router.bind(bind)
            self._executor = executor(self._context, self._store.root)
        except (zmq.ZMQError, LookBeyondError) as error:
            self._close_sockets()
            self._queue.close()
            if isinstance(error, LookBeyondError):
                raise
            raise InputError(f"The address {bind} is taken or not allowed ({error}); choose another port.") from error
        address = self._router.getsockopt_string(zmq.LAST_ENDPOINT)
        self.endpoint = address
        """What is bound; `service` says how this machine's own clients reach it."""
        for everywhere, loopback in (("//0.0.0.0:", "//127.0.0.1:"), ("//[::]:", "//[::1]:")):
            address = address.replace(everywhere, loopback)
        self.service = protocol.ServiceAddress(
            address=address,
            server_key=keys.public,
            client_keys=str(client_keys_file()),
            pid=os.getpid(),
        )

    def stop(self) -> None:
        """Ask `run` to drain and return; the second time, not to wait for the units at work."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def run(self) -> None:
        """Serve until stopped."""
        poller = zmq.Poller()
        for socket in (self._router, self._gate.socket, self._executor.socket):
            poller.register(socket, zmq.POLLIN)
        drain_until: float | None = None
        try:
            self._begin()
            while True:
                for socket, _ in poller.poll(TICK_MS):
                    if socket is self._router:
                        self._receive()
                    elif socket is self._executor.socket:
                        self._hear(self._executor.messages())
                    else:
                        with surviving_shortage():
                            self._gate.admit()
                if self._stop.is_set():
                    if drain_until is None:
                        drain_until = time.monotonic() + self._settings.drain_s
                        log.info("ending", extra={"units_at_work": len(self._queue.working)})
                    if not self._queue.working or self._hurry.is_set() or time.monotonic() > drain_until:
                        return
                if time.monotonic() >= self._tick_at:  # not after every message
                    self._tick_at = time.monotonic() + TICK_MS / 1000
                    with surviving_shortage():
                        self._tick()
        finally:
            self._end()

    # life

    def _begin(self) -> None:
        for job in list(self._queue.jobs.values()):
            if job.state in ACTIVE:
                reason = "The models were changed meanwhile; submit the job again."
                try:
                    if self._presets.revision(job.request.preset) == job.revision:
                        continue
                except LookBeyondError as error:
                    reason = sentence(str(error))
                except Exception:
                    log.exception("a preset cannot be looked at", extra={"job": job.id})
                    reason = f"The preset {job.request.preset} cannot be read; see the log, then submit the job again."
                self._queue.give_up(job, reason)
        self._tidy()
        self._executor.start()
        make_private_folder(protocol.runtime_folder())
        write_private_json(protocol.runtime_file(), dataclasses.asdict(self.service))
        log.info(
            "serving",
            extra={"address": self.endpoint, "store": str(self._store.root), "epoch": self._epoch, "pid": os.getpid()},
        )

    def _end(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            if json.loads(protocol.runtime_file().read_text()).get("pid") == os.getpid():
                protocol.runtime_file().unlink()
        self._executor.close()
        self._faces.close()
        if self._tidying:
            self._tidying.join(self._settings.drain_s)
        self._queue.close()
        self._close_sockets()
        log.info("ended", extra={"epoch": self._epoch})

    def _close_sockets(self) -> None:
        self._router.close(0)
        self._gate.close()
        self._context.destroy(linger=0)

    def _tick(self) -> None:
        now = time.monotonic()
        while self._replies:
            self._send(*self._replies.popleft())
        if now >= self._reload_at:
            self._reload_at = now + RELOAD_INTERVAL_S
            self._reload_clients()
            self.last_status = self._service_status()
        for peer in [p for p, s in self._sessions.items() if now - s.last_seen > SESSION_SILENCE_S]:
            self._forget(peer)
        if now >= self._probe_at:
            self._probe_at = now + PROBE_INTERVAL_S
            self._pieces.rest()
            give_back_memory()
            for peer in [p for p, s in self._sessions.items() if now - s.last_seen > PROBE_INTERVAL_S]:
                self._send(peer, protocol.Pong(self._epoch))
        if now >= self._tidy_at:
            self._tidy_at = now + HOUSEKEEPING_INTERVAL_S
            self._tidy()
        if now >= self._hint_at:
            self._hint_at = now + HINT_INTERVAL_S
            for job in {
                job.id: job for identity in self._queue.working for job in self._queue.jobs_of(identity)
            }.values():
                status = self._queue.status(job, with_artifacts=False)
                self._hint(job, protocol.Progress(job.id, status.fraction, status.message, status.eta_s))
        self._hear(self._executor.tick())

    def _reload_clients(self) -> None:
        try:
            if not self._gate.reload():
                return
        except LookBeyondError as error:
            log.error("%s", error)
        for peer, session in list(self._sessions.items()):
            if not self._gate.is_allowed(session.key):
                self._send(peer, protocol.Error("wrong_key", "This client's key was taken off the service's list."))
                self._forget(peer)
        log.info("list of clients read")

    def _tidy(self) -> None:
        if not (self._tidying and self._tidying.is_alive()):
            self._prune(self._settings.quota_bytes, self._settings.max_age_s, SPARE_S, lambda reply: None)

    def _prune(self, quota_bytes: int, max_age_s: float, spare_s: float, tell: Callable[[object], None]) -> None:
        """Sweep and prune the store, in a thread, for there may be many files; `tell` is called there at the end."""
        keep, asked, before = self._queue.inputs(), time.monotonic(), self._tidying

        def prune() -> None:
            if before:
                before.join()
            try:
                self._store.sweep()
                # what is used from now on is not in `keep`
                spared_s = spare_s + time.monotonic() - asked
                removed = self._store.prune(keep, quota_bytes, max_age_s, spared_s)
                pruned = protocol.Pruned(len(removed), sum(entry.bytes for entry in removed))
                if removed:
                    log.info("store pruned", extra={"entries": pruned.entries, "bytes": pruned.bytes})
                tell(pruned)
            except (OSError, LookBeyondError) as error:
                tell(protocol.Error(getattr(error, "code", "storage"), sentence(str(error))))

        self._tidying = threading.Thread(target=prune, daemon=True)
        self._tidying.start()

    def _forget(self, peer: bytes) -> None:
        if session := self._sessions.pop(peer, None):
            for upload in session.uploads.values():
                upload.path.unlink(missing_ok=True)

    # the workers

    def _dispatch(self) -> None:
        while not self._stop.is_set() and self._executor.has_room() and (unit := self._queue.next_unit()):
            jobs = self._queue.jobs_of(unit.identity)
            work = self._queue.started(unit)
            names: dict[str, str] = {}
            for job in jobs:
                names |= self._store.names(file_inputs(job.request))
            previews = any(session.previews for session in self._sessions.values())
            device = self._executor.run(unit, names, previews)
            log.info("unit begun", extra={**self._keys(unit.identity, jobs), "attempt": work.attempt, "device": device})

    def _keys(self, identity: str, jobs: Sequence[Job]) -> dict[str, Any]:
        """What every line of the log about a unit says."""
        work = self._queue.working.get(identity)
        about = {"kind": work.unit.kind, "attempt": work.attempt} if work else {}
        return {"unit": identity, "jobs": [job.id for job in jobs], "epoch": self._epoch, **about}

    def _hear(self, messages: Iterable[dict]) -> None:
        for message in messages:
            try:
                self._heard(message)
            except LookBeyondError as error:  # a full disk must not end the service
                log.error("%s", error)
            except Exception:
                log.exception("a worker's message could not be taken in")
        self._stop_unwanted()  # what else was made for a job that has failed
        self._queue.workers = max(1, sum(device["state"] != "stopped" for device in self._executor.devices()))
        self._dispatch()

    def _heard(self, message: dict) -> None:
        kind = next(iter(message))
        identity = message[kind]
        jobs = self._queue.jobs_of(identity)
        keys = self._keys(identity, jobs)
        if kind == "progress":
            self._queue.progressed(identity, message["fraction"], message["message"])
            preview = base64.b64decode(message["preview"]) if "preview" in message else b""
            for job in jobs:
                status = self._queue.status(job, with_artifacts=False)
                self._hint(job, protocol.Progress(job.id, status.fraction, status.message, status.eta_s))
                if preview:
                    self._hint(job, protocol.Preview(job.id), preview)
            return
        if kind == "planned":
            for job in jobs:
                if job.memory_plan != message["plan"]:  # once, not for each of its clips
                    job.memory_plan = message["plan"]
                    log.info("memory planned", extra={**keys, "jobs": [job.id], "plan": job.memory_plan})
            return
        if kind == "done":
            self.totals["units_done"] += 1
            log.info("unit done", extra={**keys, "seconds": message.get("seconds")})
            self._queue.finished(identity)
        elif kind == "failed" and message["code"] != "cancelled":
            self.totals["units_failed"] += 1
            about = {"traceback": message["traceback"]} if "traceback" in message else {}
            log.warning("unit failed", extra={**keys, "code": message["code"], "reason": message["message"], **about})
            self._queue.failed(identity, message["code"], message["message"])
        elif kind in ("given_back", "failed"):
            log.info("unit cancelled", extra=keys)
            self._queue.interrupted(identity)
        elif kind == "crashed":
            self.totals["worker_deaths"] += 1
            log.warning("unit lost with its worker", extra=keys)
            self._queue.crashed(identity)
        elif kind == "broken":
            for job in list(self._queue.jobs.values()):
                if job.state in ACTIVE:
                    self._queue.give_up(job, message["broken"])

    # the socket

    def _send(self, peer: bytes, message: object, id: int = 0, payload: bytes | zmq.Frame = b"") -> None:
        if isinstance(payload, zmq.Frame) and (session := self._sessions.get(peer)):
            session.piece = payload.tracker
        self._send_frames(peer, protocol.encode(message, id, payload), copy=len(payload) < COPY_BYTES)
        self.totals["bytes_sent"] += len(payload)

    def _send_frames(self, peer: bytes, frames: Sequence[bytes | zmq.Frame], copy: bool) -> None:
        try:
            self._router.send_multipart([peer, *frames], zmq.NOBLOCK, copy=copy)
        except zmq.Again:
            pass  # the client does not read: it will ask again
        except zmq.ZMQError:
            self._forget(peer)

    def _hint(self, job: Job, message: object, payload: bytes = b"") -> None:
        magic, header, *rest = protocol.encode(message, 0, payload)
        for peer, session in list(self._sessions.items()):
            if session.wants(job.id, message):
                try:
                    tracked = zmq.Frame(header, track=True, copy=False)
                except (OSError, zmq.ZMQError) as error:  # the client will ask by itself
                    log.error(SHORT_OF, error)
                    return
                session.hints[job.id, type(message)] = tracked.tracker
                self._send_frames(peer, [magic, tracked, *rest], copy=False)

    def _job_changed(self, job: Job) -> None:
        self._hint(job, protocol.Ready(job.id))

    def _receive(self) -> None:
        for _ in range(100):  # then the worker and the clock have their turn
            try:
                frames = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            peer, id = frames[0].bytes, 0
            reply: object
            data: bytes | zmq.Frame = b""
            self.totals["messages"] += 1
            try:
                key = str(frames[-1].get("User-Id"))
                if not self._gate.is_allowed(key):
                    raise ProtocolError("wrong_key", "This client is not allowed here.")
                if len(frames) > 4:  # before they are copied
                    raise ProtocolError("protocol", "A message has two or three frames.")
                message, id, payload = decode_strictly([frame.bytes for frame in frames[1:]])
                reply, data = self._answer(peer, key, message, id, payload)
            except ProtocolError as error:
                self.totals["refused"] += 1
                reply = protocol.Error(error.code, str(error))
            except LookBeyondError as error:
                self.totals["refused"] += 1
                reply = protocol.Error(error.code, sentence(str(error)))
            except Exception as error:
                if isinstance(error, OSError) and error.errno in SHORTAGES:
                    log.error(SHORT_OF, error.strerror)
                    reply = protocol.Error("failed", f"{SHORT_OF % error.strerror}. Ask again.")
                else:
                    self.totals["unhandled"] += 1
                    log.exception("a message could not be answered")
                    reply = protocol.Error("failed", "The service met an error of its own; see its log and report it.")
            if reply is not None:
                self._send(peer, reply, id, data)
        self._dispatch()

    def _answer(
        self, peer: bytes, key: str, message: object, id: int, payload: bytes
    ) -> tuple[object, bytes | zmq.Frame]:
        """The reply, or None if it comes later, and its payload."""
        if isinstance(message, protocol.Hello):
            return self._welcome(peer, key, message), b""
        session = self._sessions.get(peer)
        if session is None:
            raise ProtocolError("hello", "The connection was forgotten; say HELLO first.")
        session.last_seen = time.monotonic()
        match message:
            case protocol.Ping():
                return protocol.Pong(self._epoch), b""
            case protocol.Put():
                return self._put(session, message, payload), b""
            case protocol.Look():
                return self._look(message), b""
            case protocol.Submit():
                return self._submit(session, message), b""
            case protocol.Status():
                return self._queue.status(self._job(message.job), after=message.after), b""
            case protocol.ListJobs():
                return protocol.Jobs(tuple(self._queue.statuses())), b""
            case protocol.Events():
                session.jobs.add(self._job(message.job).id)
            case protocol.Get():
                return self._get(message)
            case protocol.Doubt():
                self._doubt(message)
            case protocol.Cancel():
                if self._cancel(message):
                    return protocol.Cancelled(), b""
            case protocol.Pause():
                self._queue.pause(self._jobs(message.job), message.paused)
            case protocol.Reorder():
                self._queue.reorder(self._job(message.job), message.position)
            case protocol.PriceQuestion():
                presets.get(message.preset)
                counts = (message.width, message.height, message.anchors, message.frames)
                if min(counts) < 1 or max(counts) > 10**6:
                    raise InputError("A shot's price is told for frames, anchors and sizes from 1 to a million.")
                return protocol.Price(*self._queue.paces.price(message.preset, *counts, self._queue.workers)), b""
            case protocol.ServiceQuestion():
                return self._service_status(), b""
            case protocol.Prune():
                if not self._gate.is_own(key):
                    raise ProtocolError("not_allowed", "Only the user who runs the service can prune its store.")
                if message.quota_bytes < 0 or not message.max_age_s >= 0:
                    raise InputError("A store is pruned to a quota and an age of at least 0; give such numbers.")
                later = self._replies.append  # sent by the socket's thread
                self._prune(message.quota_bytes, message.max_age_s, 0.0, lambda reply: later((peer, reply, id)))
                return None, b""
            case protocol.Leave():
                self._forget(peer)
            case protocol.Release():
                self._executor.release()
            case protocol.Bye():
                if not self._gate.is_own(key):
                    raise ProtocolError("not_allowed", "Only the user who runs the service can end it; ask them.")
                self.stop()
            case _:
                raise ProtocolError("protocol", f"{type(message).__name__} is no message for a service.")
        return protocol.Done(), b""

    def _welcome(self, peer: bytes, key: str, hello: protocol.Hello) -> object:
        if protocol.VERSION not in hello.versions:
            newest = min(max(hello.versions, default=0), 10**6)
            side = "the add-on" if newest < protocol.VERSION else "the service (pip install -U lookbeyond)"
            spoken = f"The client speaks protocol {newest}, the service {protocol.VERSION}"
            return protocol.Error("version", f"{spoken}; update {side}.")
        if peer not in self._sessions and len(self._sessions) >= MAX_SESSIONS:
            self._forget(min(self._sessions, key=lambda other: self._sessions[other].last_seen))
        submitted = self._sessions[peer].submitted if peer in self._sessions else set()
        self._forget(peer)
        self._sessions[peer] = Session(time.monotonic(), key, "previews" in hello.features, submitted=submitted)
        return protocol.Welcome(
            version=protocol.VERSION,
            epoch=self._epoch,
            service=protocol.SERVICE_VERSION,
            presets=tuple(self._presets.available()),
            devices=tuple(self._executor.devices()),
            limits={
                "cameras": protocol.MAX_CAMERAS,
                "file_bytes": protocol.MAX_FILE_BYTES,
                "chunk_bytes": protocol.CHUNK_BYTES,
                "image_side": protocol.MAX_IMAGE_SIDE,
                "jobs": MAX_WAITING_JOBS,
                "waiting_cameras": MAX_WAITING_CAMERAS,
            },
        )

    def _job(self, identity: str) -> Job:
        if job := self._queue.jobs.get(identity):
            return job
        raise ProtocolError("unknown_job", "The service does not know this job; submit it again.")

    def _jobs(self, identity: str) -> list[Job]:
        return list(self._queue.jobs.values()) if identity == protocol.ALL else [self._job(identity)]

    def _cancel(self, message: protocol.Cancel) -> bool:
        """Whether there was anything to cancel."""
        if message.unit:
            if not self._queue.knows(message.unit):
                raise ProtocolError(
                    "unknown_job", "No job here has such a unit; `lookbeyond status` shows those at work."
                )
            found = self._queue.cancel_unit(message.unit, message.job)
            self._stop_unwanted()
            return found
        active = [job for job in self._jobs(message.job) if job.state in ACTIVE]
        try:
            for job in active:
                self._queue.cancel(job)
        finally:  # also if the job list cannot be written
            self._stop_unwanted()
        return bool(active)

    def _stop_unwanted(self) -> None:
        for identity in self._queue.unwanted():
            self._executor.cancel(identity)

    def _service_status(self) -> protocol.ServiceStatus:
        return protocol.ServiceStatus(
            epoch=self._epoch,
            service=protocol.SERVICE_VERSION,
            pid=os.getpid(),
            uptime_s=time.monotonic() - self._began,
            store=str(self._store.root),
            executor=self._executor.kind,
            devices=tuple(self._executor.devices()),
            states=self._queue.counts(),
            eta_s=self._queue.eta_s(),
            sessions=len(self._sessions),
            memory_bytes=psutil.Process().memory_info().rss,
            draining=self._stop.is_set(),
        )

    def _submit(self, session: Session, message: protocol.Submit) -> object:
        if self._stop.is_set():
            raise ProtocolError("busy", "The service is ending; start it again and submit the job then.")
        if message.kind not in REQUESTS:
            raise ProtocolError("protocol", "A job is a world or a shot.")
        try:
            request = msgspec.convert(message.request, REQUESTS[message.kind])
        except (msgspec.ValidationError, RecursionError) as error:
            raise InputError(f"The request is not complete ({error}); update the add-on.") from error
        jobs = self._queue.jobs
        session.submitted = {id for id in session.submitted if id in jobs and jobs[id].state in ACTIVE}
        if len(session.submitted) >= MAX_JOBS_PER_SESSION:
            raise InputError(f"{MAX_JOBS_PER_SESSION} jobs of this client are waiting already; cancel some first.")
        revision = self._presets.revision(request.preset)
        job, new = self._queue.submit(message.kind, request, revision)
        for sha256 in file_inputs(job.request):
            self._store.touch_file(sha256)
        if job.state in ACTIVE:
            session.submitted.add(job.id)
        self._executor.revive()
        event = "job accepted" if new else "job is known"
        log.info(event, extra={"job": job.id, "kind": job.kind, "state": job.state, "epoch": self._epoch})
        return protocol.Accepted(job.id, new)

    def _look(self, look: protocol.Look) -> protocol.Seen:
        if not protocol.HASH_PATTERN.fullmatch(look.sha256) or not self._store.has_file(look.sha256):
            raise InputError("The picture to look at is not here; upload it first.")
        self._store.touch_file(look.sha256)
        return self._faces.ask(look.sha256, self._store.file(look.sha256), look.fov_x_rad)

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
            self._store.touch_file(put.sha256)
            if overtaken := session.uploads.pop(put.sha256, None):  # by another client
                overtaken.path.unlink(missing_ok=True)
            return protocol.Stored(put.sha256, put.size, True)
        upload = session.uploads.get(put.sha256)
        if upload is None:
            if len(session.uploads) >= MAX_UPLOADS:
                raise ProtocolError("busy", "Too many files are being sent at once; send them one by one.")
            promised = sum(
                upload.size - upload.received for other in self._sessions.values() for upload in other.uploads.values()
            )
            require_space(self._store.root, put.size + promised + MIN_FREE_BYTES)
            path = self._store.new_temporary()
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

    def _place(self, job: str, artifact: str) -> tuple[str, str]:
        """The unit that holds a file of a job, and the file's name in it."""
        artifacts = self._job(job).artifacts
        if artifact not in artifacts:
            raise ProtocolError("protocol", "The job has no such file yet.")
        identity, _, name = artifacts[artifact][1].partition("/")
        return identity, name

    def _doubt(self, doubt: protocol.Doubt) -> None:
        identity, name = self._place(doubt.job, doubt.artifact)
        if self._store.discard_if_damaged(identity, name):
            self._queue.lost(identity)
            log.warning("a damaged unit was thrown away", extra={"unit": identity, "job": doubt.job, "file": name})

    def _get(self, get: protocol.Get) -> tuple[object, bytes | zmq.Frame]:
        if not 0 <= get.offset <= protocol.MAX_FILE_BYTES:
            raise ProtocolError("protocol", "A piece of a file that cannot be.")
        identity, name = self._place(get.job, get.artifact)
        if get.offset == 0:
            self._store.touch_unit(identity)
        try:
            payload = self._pieces.read(f"{self._store.unit(identity)}/{name}", get.offset, get.size)
        except FileNotFoundError as error:
            raise ProtocolError("lost", "The file is gone from the store; submit the job again.") from error
        except OSError as error:
            raise ProtocolError(
                "storage", f"A file of the store could not be read ({error.strerror}); try again, and see the disk."
            ) from error
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


@contextlib.contextmanager
def surviving_shortage() -> Iterator[None]:
    """Log it if the system has no more to give: somebody who holds all descriptors, for one, must not end us."""
    try:
        yield
    except OSError as error:
        log.error(SHORT_OF, error)


def give_back_memory() -> None:
    """Return to the system what was freed: glibc keeps it where anything above it is still used, tens of megabytes."""
    if _malloc_trim:
        _malloc_trim(0)


_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def serve(
    store: Path,
    bind: str = "tcp://127.0.0.1:0",
    announce: Callable[[Server], None] = lambda server: None,
    **settings: Any,
) -> None:
    """Serve in this thread (the main one) until a signal or a client ends it; a second signal does not wait.

    Raises InputError if another service runs on the same store or the address cannot be used.
    """
    _allow_many_connections()
    server = Server(store, bind, **settings)
    for name in ("SIGTERM", "SIGINT", "SIGHUP" if sys.platform != "win32" else "SIGBREAK"):
        signal.signal(getattr(signal, name), lambda *_: server.stop())
    announce(server)
    server.run()


def _allow_many_connections() -> None:
    """Take as many descriptors as this user may have: every connection is one, also of those who are not let in."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
