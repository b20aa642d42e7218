"""The service's loop: listens to the socket, the gate and the workers, and does everything else ten times a second.

`serve` runs until it is asked to end (BYE, SIGTERM, Ctrl-C): it then takes no new work, gives the units at work a
moment to finish, and exits. Everything it knows is always on disk, so being killed costs only the units at work.
"""

import contextlib
import dataclasses
import json
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from inference_service.jobs.job import Job
from inference_service.security.keys import (
    client_keys_file,
    make_private,
    make_private_folder,
    server_keys_file,
    write_private_json,
)
from inference_service.server.decoding import decode_strictly
from inference_service.server.front import MAX_FRAMES, SHORT_OF, SHORTAGES, surviving_shortage
from inference_service.server.logs import rotate_screen
from inference_service.server.preparer import LARGE_BYTES, Prepared
from inference_service.server.replies import reply, welcome
from inference_service.server.service import LATER, Asker, Reply, Service
from inference_service.wire.address import runtime_file, runtime_folder
from inference_service.wire.errors import ProtocolError
from inference_service.wire.messages import Acknowledged, Error, Hello, Pong, ServiceStatus
from inference_service.work.memory import give_back_memory
from lookbeyond.errors import LookBeyondError, sentence

log = logging.getLogger(__name__)

TICK_MS = 100
BEHIND_MS = 2
"""How soon answers that wait for a slow client are retried."""
RELOAD_INTERVAL_S = 0.5
"""How often the list of allowed clients is checked; a revoked client is cut off within this time."""
PROBE_INTERVAL_S = 3.0
"""How often silent clients are sent something: those whose connection has ended are forgotten."""
HOUSEKEEPING_INTERVAL_S = 300.0
HINT_INTERVAL_S = 1.0
"""How often clients hear of running jobs while the workers report nothing."""


class Server(Service):
    """A service and its loop. `stop` (from any thread, or a signal handler) ends `run`."""

    last_status: ServiceStatus | None = None
    """As of the last half second; for other threads."""
    tick_at = 0.0
    _reload_at = _probe_at = _hint_at = 0.0
    _tidy_at = math.inf

    def run(self) -> None:
        """Serve until stopped."""
        poller = zmq.Poller()
        for socket in (self.front.router, self.gate.socket, self.executor.socket):
            poller.register(socket, zmq.POLLIN)
        drain_until: float | None = None
        try:
            self._begin()
            while True:
                for socket, _ in poller.poll(BEHIND_MS if self._hurries() else TICK_MS):
                    if socket is self.front.router:
                        self._receive()
                    elif socket is self.executor.socket:
                        self.dispatcher.take_in(self.executor.messages())
                    else:
                        with surviving_shortage():
                            self.gate.admit()
                self._answer_prepared()
                self._go_on()
                self.front.flush()
                if self.front.is_filling:
                    self.front.bound_incoming()
                if self.stopping.is_set():
                    if drain_until is None:
                        drain_until = time.monotonic() + self.settings.drain_s
                        log.info("ending", extra={"units_at_work": len(self.queue.working)})
                    if not self.queue.working or self.hurry.is_set() or time.monotonic() > drain_until:
                        return
                if time.monotonic() >= self.tick_at:  # not after every message
                    self.tick_at = time.monotonic() + TICK_MS / 1000
                    with surviving_shortage():
                        self._tick()
        finally:
            self._end()

    # life

    def _begin(self) -> None:
        for job in self.queue.active():
            if reason := self._reason_to_give_up(job):
                self.queue.give_up(job, reason)
        self._tidy_at = time.monotonic() + HOUSEKEEPING_INTERVAL_S
        self.housekeeper.tidy()
        self.executor.start()
        make_private_folder(runtime_folder())
        write_private_json(runtime_file(), dataclasses.asdict(self.service))
        about = {"address": self.endpoint, "store": str(self.store.root), "epoch": self.epoch, "pid": os.getpid()}
        log.info("serving", extra=about)

    def _reason_to_give_up(self, job: Job) -> str:
        """Why a job of an earlier run cannot go on; '' if it can."""
        preset = job.request.preset
        try:
            same = self.presets.revision(preset) == job.revision
            return "" if same else "The models have changed meanwhile; submit the job again."
        except LookBeyondError as error:
            return sentence(str(error))
        except Exception:
            log.exception("a preset cannot be looked at", extra={"job": job.id})
            return f"The preset {preset} cannot be read; see the log, then submit the job again."

    def _end(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            if json.loads(runtime_file().read_text()).get("pid") == os.getpid():
                runtime_file().unlink()
        self.executor.close()
        self.photos.close()
        self.alignments.close()
        self.housekeeper.join(self.settings.drain_s)
        self.close()
        log.info("ended", extra={"epoch": self.epoch})

    def _tick(self) -> None:
        now = time.monotonic()
        if now >= self._reload_at:
            self._reload_at = now + RELOAD_INTERVAL_S
            self._reload_clients()
            self.last_status = self.status()
        self.front.bound_incoming()
        self.sessions.forget_silent()
        if now >= self._probe_at:
            self._probe_at = now + PROBE_INTERVAL_S
            self.pieces.rest()
            self.queue.drop_unasked()
            give_back_memory()
            for peer in self.sessions.silent_for(PROBE_INTERVAL_S):
                self.front.send(peer, Pong(self.epoch))
        if now >= self._tidy_at:
            self._tidy_at = now + HOUSEKEEPING_INTERVAL_S
            self.housekeeper.tidy()
            rotate_screen()
        if now >= self._hint_at:
            self._hint_at = now + HINT_INTERVAL_S
            self.dispatcher.hint_progress()
        self.dispatcher.take_in(self.executor.tick())

    def _reload_clients(self) -> None:
        try:
            for path in (server_keys_file(), client_keys_file()):
                if path.exists() and make_private(path):
                    log.error("The key file %s could be read by others, and is private again; make new keys", path)
        except OSError as error:
            log.error(SHORT_OF, error)
        try:
            if not self.gate.reload():
                return
        except LookBeyondError as error:
            log.error("%s", error)
        for peer, session in self.sessions.items():
            if not self.gate.is_allowed(session.key):
                self.front.send(peer, Error("wrong_key", "This client's key was removed from the service's list."))
                self.front.forget(peer)
        log.info("list of clients read")

    # messages

    def _receive(self) -> None:
        for frames in self.front.received():
            self.totals["messages"] += 1
            self._handle(frames)
        self.dispatcher.dispatch()

    def _hurries(self) -> bool:
        behind = self.front.is_behind or self.front.is_filling
        return behind or self.preparer.is_busy or self.queue.expands or len(self.writing) > 0

    def _go_on(self) -> None:
        self.writing = [each for each in self.writing if not each.done()]
        while self.late_replies:
            self.front.send(*self.late_replies.popleft())
        if self.queue.expands:
            taken = True
            try:
                taken = self.queue.take_expanded()
            except LookBeyondError as error:  # a full disk must not end the service
                log.error("%s", error)
            if taken:
                self.dispatcher.dispatch()

    def _answer_prepared(self) -> None:
        prepared = list(self.preparer.done())
        for each in prepared:
            self._reply_to(each)
        if prepared:
            self.dispatcher.dispatch()

    def _handle(self, frames: list[zmq.Frame]) -> None:
        """Answer a message, whatever it is; a large one when it is prepared."""
        peer = frames[0].bytes
        try:
            key = str(frames[-1].get("User-Id"))
            if not self.gate.is_allowed(key):
                raise ProtocolError("wrong_key", "This client is not allowed here.")
            if len(frames) > MAX_FRAMES:  # before they are copied
                raise ProtocolError("protocol", "A message has two or three frames.")
            if len(frames) > 2 and len(frames[2]) >= LARGE_BYTES:
                return self.preparer.put(peer, key, frames[1:])
            message, id, payload = decode_strictly([frame.bytes for frame in frames[1:]])
            self._reply_to(Prepared(peer, key, message, id, payload))
        except Exception as error:
            self._reply_to(Prepared(peer, "", error=error))

    def _reply_to(self, asked: Prepared) -> None:
        peer, id = asked.peer, asked.id
        try:
            if asked.error:
                raise asked.error
            answer = self._answer(asked)
        except (ProtocolError, LookBeyondError) as error:
            self.totals["refused"] += 1
            answer = Error(error.code, str(error) if isinstance(error, ProtocolError) else sentence(str(error)))
        except Exception as error:
            answer = self._unforeseen(error)
        if isinstance(answer, Reply):
            self.front.send(peer, answer.message, id, answer.payload)
        elif answer is not LATER:
            self.front.send(peer, answer, id)

    def _answer(self, asked: Prepared) -> object:
        peer, key, message, id = asked.peer, asked.key, asked.message, asked.id
        if isinstance(message, Hello):
            return welcome(message, self, peer, key)
        session = self.sessions.get(peer)
        if session is None:
            raise ProtocolError("hello", "The connection was forgotten; say HELLO first.")
        session.last_seen = time.monotonic()

        def reply_later(answer: object) -> None:
            self.late_replies.append((peer, answer, id))  # sent by the socket's thread

        answer = reply(message, self, Asker(peer, key, session, asked.payload, reply_later, asked.submission))
        return Acknowledged() if answer is None else answer

    def _unforeseen(self, error: Exception) -> Error:
        if isinstance(error, OSError) and error.errno in SHORTAGES:
            log.error(SHORT_OF, error.strerror)
            return Error("failed", f"{SHORT_OF % error.strerror}. Ask again.")
        self.totals["unhandled"] += 1
        log.exception("a message could not be answered")
        return Error("failed", "The service had an internal error; see its log and report it.")


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
    """Raise the limit of descriptors as far as allowed: every connection takes one, even if it is refused."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
