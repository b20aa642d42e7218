"""The parts of a running service, and what message handlers may use of them."""

import collections
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil
import zmq

from inference_service.jobs.job import Job
from inference_service.jobs.queue import JobQueue
from inference_service.jobs.submission import Submission
from inference_service.security.clients import load_allowed_clients
from inference_service.security.gate import Gate, check_bind
from inference_service.security.keys import allowed_clients_file, client_keys_file, load_or_make_keys, server_keys_file
from inference_service.server.alignment import Aligner
from inference_service.server.dispatch import Dispatcher
from inference_service.server.front import FrontSocket
from inference_service.server.housekeeping import Housekeeper
from inference_service.server.photos import PhotoInspector
from inference_service.server.pieces import Pieces
from inference_service.server.preparer import Preparer
from inference_service.server.presets import Presets
from inference_service.server.sessions import ClientSession, Sessions
from inference_service.store.housekeeping import MAX_AGE_S, QUOTA_BYTES, sweep
from inference_service.store.store import Store
from inference_service.wire.address import ServiceAddress
from inference_service.wire.errors import ProtocolError
from inference_service.wire.messages import ALL, SERVICE_VERSION, ChangeHint, ServiceStatus
from inference_service.workers.executor import Executor
from inference_service.workers.process_pool import ProcessPool
from lookbeyond.errors import LookBeyondError

DRAIN_S = 3.0
LATER = object()
"""Instead of an answer: it comes through `Asker.reply_later`."""

MakeExecutor = Callable[[zmq.Context, Path], Executor]
"""A context and the store's folder -> an executor."""


@dataclass(frozen=True)
class Settings:
    """How a service is run."""

    drain_s: float = DRAIN_S
    """How long the units at work may continue when the service is asked to end."""
    quota_bytes: int = QUOTA_BYTES
    max_age_s: float = MAX_AGE_S


class Reply(NamedTuple):
    """An answer with a payload."""

    message: object
    payload: bytes | zmq.Frame


@dataclass(frozen=True)
class Asker:
    """The sender of a message, and what came with it."""

    peer: bytes
    key: str
    """The client's public key."""
    session: ClientSession
    payload: bytes
    reply_later: Callable[[object], None]
    """From any thread: the answer to the message, if its handler returned `LATER`."""
    submission: Submission | None = None
    """What a large SUBMIT asks for, made ready."""


class Service:
    """The parts of a service, made but not yet running. InputError if the store is in use or the address is taken."""

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
        self.settings, self.presets = settings or Settings(), models or Presets()
        self.epoch, self._began = os.urandom(8).hex(), time.monotonic()
        self.stopping, self.hurry = threading.Event(), threading.Event()
        self.late_replies: collections.deque[tuple[bytes, object, int]] = collections.deque()
        """To whom, what and to which message, from other threads."""
        self.totals: Counter[str] = Counter()
        """Counted since the start: units done and failed, workers' deaths, messages, refusals, bytes."""
        self.sessions, self.pieces = Sessions(), Pieces()
        self.photos, self.alignments = PhotoInspector(), Aligner()
        self.preparer = Preparer(self.presets.revision)
        self.store = Store(store)
        sweep(self.store)
        self._expander, self._writer = ThreadPoolExecutor(1, "units"), ThreadPoolExecutor(1, "files")
        self.writing: list[Future[None]] = []
        """What waits for the disk; then come late replies."""
        self.queue = JobQueue(self.store, self._job_changed, self._expander)
        self.housekeeper = Housekeeper(
            self.store, self.queue.inputs, self.settings.quota_bytes, self.settings.max_age_s
        )
        self.context = zmq.Context()
        keys = load_or_make_keys(server_keys_file())
        self.gate = Gate(self.context, own.public, allowed_clients_file())
        try:
            self.front = FrontSocket(self.context, self.gate, keys, bind, self.sessions, self.totals)
            self.executor = executor(self.context, self.store.root)
        except LookBeyondError:
            self.close()
            raise
        self.dispatcher = Dispatcher(
            self.queue, self.executor, self.store, self.sessions, self.front, self.totals, self.epoch
        )
        self.endpoint = self.front.endpoint
        """What is bound; `service` says how this machine's own clients reach it."""
        self.service = ServiceAddress(
            self.front.own_address,
            keys.public,
            str(client_keys_file()),
            pid=os.getpid(),
            store=str(self.store.root),
        )

    def close(self) -> None:
        """Close the job list and all sockets."""
        self.preparer.close()
        self._expander.shutdown(cancel_futures=True)
        self._writer.shutdown()
        self.queue.close()
        self.gate.close()
        self.context.destroy(linger=0)

    def stop(self) -> None:
        """Ask the service to drain and end; the second time, not to wait for the units at work.

        From any thread, or a signal handler.
        """
        if self.stopping.is_set():
            self.hurry.set()
        self.dispatcher.paused = True
        self.stopping.set()

    def in_thread(self, work: Callable[[], None]) -> None:
        """Do what waits for the disk, and then replies late; one after the other."""
        self.writing.append(self._writer.submit(work))

    def job(self, id: str) -> Job:
        """A job by its id; ProtocolError if there is none."""
        if job := self.queue.jobs.get(id):
            return job
        raise ProtocolError("unknown_job", "The service does not know this job; submit it again.")

    def jobs(self, id: str) -> list[Job]:
        """A job, or `ALL` of them."""
        return list(self.queue.jobs.values()) if id == ALL else [self.job(id)]

    def require_owner(self, asker: Asker, message: str) -> None:
        """ProtocolError with this message for everybody but the user who runs the service."""
        if not self.gate.is_own(asker.key):
            raise ProtocolError("not_allowed", message)

    def status(self) -> ServiceStatus:
        """The state of the service itself."""
        return ServiceStatus(
            epoch=self.epoch,
            service=SERVICE_VERSION,
            pid=os.getpid(),
            uptime_s=time.monotonic() - self._began,
            store=str(self.store.root),
            executor=self.executor.kind,
            devices=tuple(self.executor.devices()),
            states=self.queue.statuses.counts(),
            eta_s=self.queue.statuses.eta_s(),
            sessions=len(self.sessions),
            memory_bytes=psutil.Process().memory_info().rss,
            draining=self.stopping.is_set(),
        )

    def _job_changed(self, job: Job) -> None:
        if len(self.sessions):  # there are none, and no socket, while jobs are loaded
            self.front.hint(job.id, ChangeHint(job.id))
