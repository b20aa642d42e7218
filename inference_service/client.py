"""A client of the service: uploads, jobs, results. Standard library and pyzmq only; the Blender add-on
carries it.

A client is used from one thread. Nothing here waits for ever: every question has a time-out, and every
failure is a `ServiceError` whose text is a sentence for the user.
"""

import collections
import contextlib
import dataclasses
import json
import os
import random
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq
import zmq.utils.monitor
import zmq.utils.z85

from . import protocol
from .protocol import ALL, Artifact, JobStatus, Price, ServiceAddress, ServiceStatus, ShotRequest, Welcome, WorldRequest

__all__ = [
    "Client",
    "FileArrived",
    "Finished",
    "JobStatus",
    "Preview",
    "Progress",
    "ServiceAddress",
    "ServiceError",
    "ShotRequest",
    "WorldRequest",
    "find_service",
    "runtime_file",
    "start_service",
]

runtime_file = protocol.runtime_file

PULL_WINDOW = 4
"""Pieces asked for ahead of their arrival."""
REMOTE_CHUNK_BYTES = 512 << 10
"""Pieces of files to and from another machine: over a slow line, each must arrive within the time-out."""
FOLLOW_TICK_S = 0.5
"""`Client.follow` yields at least this often."""
STATUS_INTERVAL_S = 2.0
PATIENCE_S = 90.0
"""How long `Client.follow` waits for a service that went away."""
HANDSHAKE_S = 1.5
"""How long the other side may take over the handshake: ours answers in milliseconds."""
RECONNECT_MS = 200
DESCRIPTORS = 16
"""A connection takes eight file descriptors on Linux, up to twice as many elsewhere."""
LEAVE_MS = 100
"""How long a last word may take to leave; mostly it is gone in a millisecond."""
_EVENTS = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
_STRANGE = (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
_GONE = ("not_running", "timeout")


class ServiceError(Exception):
    """What went wrong, as a sentence with the remedy; `code` is one word for programs.

    Codes of the client: 'not_running', 'timeout', 'wrong_key', 'version', 'lost', 'file'; of the service:
    'input', 'cancelled', 'out_of_memory', 'storage', 'busy', 'unknown_job', 'lost', 'failed'.
    """

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


class _StrangerError(ServiceError):
    """Somebody answers, but not in the way of a service that has the key."""


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    fraction: float
    message: str
    eta_s: float | None = None


@dataclass(frozen=True)
class Preview:
    """A small picture of what is being made."""

    jpeg: bytes


@dataclass(frozen=True)
class FileArrived:
    """A result lies on disk, whole."""

    name: str
    path: Path


@dataclass(frozen=True)
class Finished:
    """All results lie on disk, by name."""

    files: dict[str, Path]


Event = Progress | Preview | FileArrived | Finished


def find_service() -> ServiceAddress:
    """The service of this user on this machine. ServiceError 'not_running' if none says where it is."""
    path = runtime_file()
    try:
        service = protocol.from_plain(ServiceAddress, json.loads(path.read_text()))
    except FileNotFoundError:
        raise ServiceError(
            "not_running", "The inference service is not running; start it with `lookbeyond serve`."
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise ServiceError(
            "not_running", f"The file {path} is damaged; start the service again with `lookbeyond serve`."
        ) from error
    if not _process_lives(service.pid):
        raise ServiceError(
            "not_running",
            "The inference service has ended without a word; start it again with `lookbeyond serve`. "
            "What it had finished is kept.",
        )
    return service


def start_service(
    command: Sequence[str] | None = None, timeout_s: float = 60
) -> tuple[subprocess.Popen, ServiceAddress]:
    """Start a service as its own process and wait until it answers.

    `command` defaults to the installed `lookbeyond serve`. What the service prints goes to service.log beside
    `runtime_file()`. ServiceError if it cannot be started, with its own last words.
    """
    if command is None:
        program = shutil.which("lookbeyond")
        if program is None:
            raise ServiceError(
                "not_running",
                "The command `lookbeyond` is not on the PATH; install it with `pip install lookbeyond`, "
                "or name the command in the add-on's preferences.",
            )
        command = [program, "serve"]
    path = runtime_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    before = path.read_bytes() if path.exists() else b""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONHOME"}
    log_path = path.with_name("service.log")
    try:
        with open(log_path, "wb") as log:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
    except OSError as error:
        raise ServiceError(
            "not_running",
            f"The service could not be started ({command[0]}: {error.strerror}); check the command.",
        ) from error
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if path.exists() and path.read_bytes() != before:
            service = find_service()
            with Client(service, timeout_s=max(1.0, deadline - time.monotonic())):
                return process, service
        if process.poll() is not None:
            lines = log_path.read_text(errors="replace").strip().splitlines()
            words = lines[-1] if lines else f"exit code {process.returncode}"
            raise ServiceError("not_running", f"The service did not start: {words}")
        time.sleep(0.05)
    process.terminate()
    raise ServiceError("timeout", f"The service did not start within {timeout_s:.0f} s; see {log_path}.")


def _process_lives(pid: int) -> bool:
    if sys.platform == "win32" or pid <= 0:  # os.kill would end the process there: connecting will tell
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


class Client:
    """A connection to a service (`find_service()` if none is given), open until `close`."""

    welcome: Welcome
    """What the service said of itself."""

    def __init__(self, service: ServiceAddress | None = None, timeout_s: float = 5.0, previews: bool = True):
        self._timeout_s = timeout_s
        self._features = ("previews",) if previews else ()
        self._connected_at, self._welcomed = 0.0, False
        self._followed: set[str] = set()
        self._context: zmq.Context | None = None
        self._socket: zmq.Socket | None = None
        self._monitor: zmq.Socket | None = None
        self._poller = zmq.Poller()
        self._next_id = 1
        self._replies: dict[int, tuple[object, bytes | memoryview]] = {}
        self._waited_for: set[int] = set()
        self._hints: dict[str, dict[str, tuple[Any, bytes | memoryview]]] = collections.defaultdict(dict)
        """Newest hint of each type, by job: the older ones are of no use to anybody."""
        try:
            self._connect(service)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; jobs go on without it."""
        if self._socket is not None and self._welcomed:
            with contextlib.suppress(zmq.ZMQError):  # the service need not wait to see that nobody is there
                self._socket.send_multipart(protocol.encode(protocol.Leave()), zmq.NOBLOCK)
        self._disconnect(linger_ms=LEAVE_MS)
        if self._context is not None:
            self._context.destroy(linger=0)

    # questions

    def upload(self, path: Path) -> str:
        """Send a file unless the service has it; its SHA-256."""
        path = Path(path)
        try:
            sha256, size = protocol.file_sha256(path), path.stat().st_size
            with open(path, "rb") as file:
                stored = self._ask(protocol.Put(sha256, size, 0, path.name))
                while not stored.complete:
                    file.seek(stored.received)
                    piece = file.read(self._chunk_bytes)
                    if not piece and size:
                        raise ServiceError("file", f"The file {path} changed while it was sent; try again.")
                    stored = self._ask(protocol.Put(sha256, size, stored.received, path.name), piece)
        except OSError as error:
            message = f"The file {path} cannot be read ({error.strerror}); check its path and permissions."
            raise ServiceError("file", message) from error
        return sha256

    def look(self, sha256: str, fov_x_rad: float = 0.0, patience_s: float = 60.0) -> protocol.Seen:
        """What is seen in an uploaded picture: faces, and how its camera was held; not ready if it takes too long.

        fov_x_rad: its horizontal field of view where it is known, else 0.
        """
        ends = time.monotonic() + patience_s
        while not (seen := self._ask(protocol.Look(sha256, fov_x_rad))).ready and time.monotonic() < ends:
            time.sleep(0.1)
        return seen

    def submit(self, request: WorldRequest | ShotRequest) -> str:
        """Hand in a job; its id. The same request again is the same job and costs nothing."""
        kind = "world" if isinstance(request, WorldRequest) else "shot"
        return self._ask(protocol.Submit(kind, dataclasses.asdict(request))).job

    def status(self, job: str, after: int = 0) -> JobStatus:
        """The truth about a job; without the first `after` of its artifacts, if the service knows how."""
        return self._ask(protocol.Status(job, after))

    def service_status(self) -> ServiceStatus:
        """How the service itself is: workers, store, when all will be done."""
        return self._ask(protocol.ServiceQuestion())

    def price(self, preset: str, width: int, height: int, anchors: int, frames: int) -> Price:
        """What a shot would take here, before it is submitted: the numbers are its plan's (`plan_shot`)."""
        return self._ask(protocol.PriceQuestion(preset, width, height, anchors, frames))

    def jobs(self) -> list[JobStatus]:
        """All jobs the service knows, in order, without their artifacts."""
        return list(self._ask(protocol.ListJobs()).jobs)

    def cancel(self, job: str) -> bool:
        """Stop a job within one denoising step; what it had finished is kept. False: it had ended already."""
        return isinstance(self._ask(protocol.Cancel(job)), protocol.Cancelled)

    def cancel_unit(self, unit: str, job: str = "") -> bool:
        """Stop one unit, for one job or for all that need it; they go on with what does not depend on it.

        Units at work are named in `service_status().devices`. A job that misses one ends as cancelled; submitted
        again it is made whole. False: the unit was made already.
        """
        return isinstance(self._ask(protocol.Cancel(job, unit)), protocol.Cancelled)

    def cancel_all(self) -> None:
        """Stop every job, everybody's; what they had finished is kept."""
        self._ask(protocol.Cancel(ALL))

    def pause_all(self, paused: bool) -> None:
        """Begin no more of any job, or go on with all of them."""
        self._ask(protocol.Pause(ALL, paused))

    def pause(self, job: str, paused: bool) -> None:
        """Begin no more of a job (what is at work is finished), or go on."""
        self._ask(protocol.Pause(job, paused))

    def reorder(self, job: str, position: int) -> None:
        """Move a job to this place (0 is next) among those that are not done."""
        self._ask(protocol.Reorder(job, position))

    def release(self) -> None:
        """Unload the models from memory; they load again when they are needed."""
        self._ask(protocol.Release())

    def prune(self, quota_bytes: int, max_age_s: float) -> tuple[int, int]:
        """Remove from the store what no job needs, until the rest fits; how many entries and bytes went."""
        pruned = self._ask(protocol.Prune(quota_bytes, max_age_s))
        return pruned.entries, pruned.bytes

    def shutdown(self) -> None:
        """End the service; jobs that are not done go on when it starts again."""
        self._ask(protocol.Bye())

    def ping(self) -> str:
        """The service's epoch; changes when it starts anew."""
        return self._ask(protocol.Ping()).epoch

    # results

    def follow(self, job: str, folder: Path, patience_s: float = PATIENCE_S) -> Iterator[Event]:
        """Wait for a job and fetch its files into `folder` as they become ready.

        Yields at least twice a second, so that the caller can cancel (`cancel`, between two events) or stop
        listening. A file that is there already, with the right content, is not fetched again; every file
        appears whole. When the service goes away, it is looked for again for `patience_s`. Ends with
        `Finished`, or raises ServiceError: 'cancelled', 'lost', or the job's own error.
        """
        folder = Path(folder)
        files: dict[str, Path] = {}
        last = Progress(0.0, "Waiting")
        gone_since: float | None = None
        delay_s = 0.1
        while True:
            try:
                if gone_since is not None:
                    # one of this machine may have come back elsewhere, another's may not
                    self._connect(None if self._service.pid else self._service)
                for event in self._follow(job, folder, files):
                    gone_since, delay_s = None, 0.1
                    if isinstance(event, Progress):
                        last = event
                    yield event
                return
            except ServiceError as error:
                if error.code == "hello":  # we were silent for so long (suspended, perhaps) that we were forgotten
                    self._say_hello()
                    continue
                # while it starts or ends, a service may hang up in the middle of the handshake
                if error.code not in _GONE and not (gone_since and isinstance(error, _StrangerError)):
                    raise
                now = time.monotonic()
                gone_since = gone_since or now
                if now - gone_since > patience_s:
                    raise ServiceError(
                        "lost",
                        f"The service went away and did not come back within {patience_s:.0f} s; "
                        "start it and submit the job again: what was finished is kept.",
                    ) from error
            yield Progress(last.fraction, "Waiting for the service to come back")
            time.sleep(delay_s * random.uniform(0.5, 1.0))
            delay_s = min(2 * delay_s, FOLLOW_TICK_S)

    def _follow(self, job: str, folder: Path, files: dict[str, Path]) -> Iterator[Event]:
        self._ask(protocol.Events(job))
        self._followed.add(job)
        known, epoch = 0, self.welcome.epoch
        asked = -STATUS_INTERVAL_S
        status: JobStatus | None = None
        last: Any = None
        while True:
            hints = self._hints.pop(job, {})
            now = time.monotonic()
            if status is None or "Ready" in hints or now - asked > STATUS_INTERVAL_S:
                status, asked = self.status(job, known), now
                if self.welcome.epoch != epoch:  # another life of the service lists the files in its own order
                    known, epoch, status = 0, self.welcome.epoch, None
                    continue
                yield Progress(status.fraction, status.message, status.eta_s)
                for event in self._pull(job, status, files, folder):
                    if isinstance(event, FileArrived):
                        files[event.name] = event.path
                    yield event
                known = status.after + len(status.artifacts)
                if status.state == "done":
                    yield Finished(dict(files))
                    return
                if status.state in ("failed", "cancelled"):
                    raise ServiceError(status.error_code or status.state, status.error or "The job ended.")
                last = status
            else:
                last = hints["Progress"][0] if "Progress" in hints else last
                yield Progress(last.fraction, last.message, last.eta_s)
            if "Preview" in hints:
                yield Preview(bytes(hints["Preview"][1]))
            if not self._hints.get(job):  # some may have come while files were fetched
                self._listen(FOLLOW_TICK_S, until_hint_of=job)

    def _pull(self, job: str, status: JobStatus, there: Container[str], folder: Path) -> Iterator[Event]:
        """Fetch into `folder` the files that are not `there`; several pieces are under way at once."""
        wanted, told = [], time.monotonic()
        for artifact in [artifact for artifact in status.artifacts if artifact.name not in there]:
            path = place_inside(folder, artifact.name)
            if path.is_file() and path.stat().st_size == artifact.size:
                if protocol.file_sha256(path) == artifact.sha256:
                    yield FileArrived(artifact.name, path)
                    continue
            wanted.append((artifact, path))
        chunk = self._chunk_bytes

        def offsets(artifact: Artifact) -> range:
            return range(0, max(artifact.size, 1), chunk)

        pieces = [(artifact, offset) for artifact, _ in wanted for offset in offsets(artifact)]
        under_way: collections.deque[int] = collections.deque()
        asked = 0
        try:
            for artifact, path in wanted:
                with _writing(path) as (file, temporary):
                    checksum = protocol.Checksum(artifact)
                    for _ in offsets(artifact):
                        while asked < len(pieces) and len(under_way) < PULL_WINDOW:
                            of, offset = pieces[asked]
                            get = protocol.Get(job, of.name, offset, chunk)
                            under_way.append(self._send(get))
                            asked += 1
                        for _ in self._until(under_way[0]):
                            if time.monotonic() - told >= FOLLOW_TICK_S:
                                yield Progress(status.fraction, f"Fetching {artifact.name}", status.eta_s)
                                told = time.monotonic()
                        _, payload = self._await(under_way.popleft())
                        checksum.update(payload)
                        file.write(payload)
                    file.close()
                    if not checksum.is_right():
                        with contextlib.suppress(ServiceError):  # an older service does not know the word
                            self._ask(protocol.Doubt(job, artifact.name))
                        raise ServiceError("lost", f"The file {artifact.name} arrived damaged; submit the job again.")
                    os.replace(temporary, path)
                yield FileArrived(artifact.name, path)
        except OSError as error:
            raise ServiceError(
                "file",
                f"The results could not be written to {folder} ({error.strerror}); free some space or choose "
                "another folder.",
            ) from error
        finally:
            self._waited_for.difference_update(under_way)
            for id in under_way:
                self._replies.pop(id, None)

    @property
    def _chunk_bytes(self) -> int:
        """Largest piece of a file that both sides take; a service that does not say takes 1 MiB."""
        own = protocol.CHUNK_BYTES if self._service.pid else REMOTE_CHUNK_BYTES
        return min(own, self.welcome.limits.get("chunk_bytes", 1 << 20))

    # the socket

    def _connect(self, service: ServiceAddress | None) -> None:
        _see_descriptors()
        self._service = service = service or find_service()
        self._disconnect()
        try:
            keys = json.loads(Path(service.client_keys).read_text())
            public, secret = keys["public"].encode("ascii"), keys["secret"].encode("ascii")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ServiceError(
                "wrong_key",
                f"The key file {service.client_keys} cannot be read; start the service as the same user.",
            ) from error
        try:
            self._context = self._context or zmq.Context()
            self._socket = self._context.socket(zmq.DEALER)
            self._socket.linger = 0
            self._socket.rcvhwm = 1000
            self._socket.maxmsgsize = protocol.MAX_FRAME_BYTES
            self._socket.reconnect_ivl = RECONNECT_MS
            self._socket.handshake_ivl = int(1000 * HANDSHAKE_S)
            self._socket.curve_publickey = public
            self._socket.curve_secretkey = secret
            self._socket.curve_serverkey = _z85_key(service.server_key)
            self._monitor = self._socket.get_monitor_socket(_EVENTS)
            self._poller = zmq.Poller()
            self._poller.register(self._socket, zmq.POLLIN)
            self._poller.register(self._monitor, zmq.POLLIN)
            self._socket.connect(service.address)
        except (zmq.ZMQError, ValueError) as error:
            raise ServiceError(
                "not_running",
                f"The address {service.address} cannot be used ({error}); start the service again.",
            ) from error
        self._connected_at, self._welcomed = 0.0, False
        self._say_hello()

    def _say_hello(self) -> None:
        self.welcome = self._ask(protocol.Hello((protocol.VERSION,), self._features))
        self._welcomed = True
        for job in self._followed:
            with contextlib.suppress(ServiceError):  # a job it forgot: asking for its status will tell
                self._ask(protocol.Events(job))

    def _disconnect(self, linger_ms: int = 0) -> None:
        if self._monitor is not None and self._socket is not None:
            with contextlib.suppress(zmq.Again):  # a monitor whose events nobody reads blocks when it is to end
                while True:
                    self._monitor.recv_multipart(zmq.NOBLOCK)
            self._socket.disable_monitor()
            self._monitor.close(0)
        if self._socket is not None:
            self._socket.close(linger_ms)
        self._socket = self._monitor = None
        self._replies.clear()
        self._waited_for.clear()

    def _ask(self, message: object, payload: bytes = b"") -> Any:
        try:
            return self._await(self._send(message, payload))[0]
        except ServiceError as error:
            if error.code != "hello" or isinstance(message, protocol.Hello):
                raise
        self._say_hello()  # we were silent for so long that we were forgotten
        return self._await(self._send(message, payload))[0]

    def _send(self, message: object, payload: bytes = b"") -> int:
        if self._socket is None:
            raise ServiceError("not_running", "The connection to the service is closed; connect again.")
        id, self._next_id = self._next_id, self._next_id + 1
        try:
            frames = protocol.encode(message, id, payload)
        except (ValueError, TypeError) as error:
            raise ServiceError(
                "input", f"The request holds a number that is not finite ({error}); check the cameras."
            ) from error
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                self._socket.send_multipart(frames, zmq.NOBLOCK)
                break
            except zmq.Again:  # too much is under way, or a connection that failed at once took the way out with it
                self._wait_for_room(deadline - time.monotonic())
        self._waited_for.add(id)
        return id

    def _wait_for_room(self, timeout_s: float) -> None:
        """Until something can be sent, or the connection says why nothing can be."""
        assert self._monitor is not None
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLOUT)
        poller.register(self._monitor, zmq.POLLIN)
        ready = dict(poller.poll(1000 * timeout_s)) if timeout_s > 0 else {}
        if self._monitor in ready:
            self._check_connection()
        elif not ready:
            raise self._silent()

    def _await(self, id: int) -> tuple[Any, bytes | memoryview]:
        """The reply to a message and its payload. ServiceError if it is an error or does not come."""
        for _ in self._until(id):
            pass
        self._waited_for.discard(id)
        message, payload = self._replies.pop(id)
        if isinstance(message, protocol.Error):
            raise ServiceError(message.code, message.message)
        return message, payload

    def _until(self, id: int) -> Iterator[None]:
        """Wait for the reply to a message; yields at once, then twice a second. ServiceError if it does not come."""
        yield
        silent_s = 0.0  # the caller's own time, at each yield, is not the service's
        if id not in self._replies and self._socket is not None:
            self._receive()  # what is there already needs no polling
        while id not in self._replies:
            if silent_s >= self._timeout_s:
                self._waited_for.discard(id)
                raise self._silent()
            begun, replies = time.monotonic(), len(self._replies)
            self._listen(min(FOLLOW_TICK_S, self._timeout_s - silent_s), until_reply=id)
            # hints are no sign that this one is still to come
            silent_s = 0.0 if len(self._replies) > replies else silent_s + time.monotonic() - begun
            yield

    def _silent(self) -> ServiceError:
        return ServiceError(
            "timeout",
            f"The service at {self._service.address} does not answer; see whether it runs "
            "(`lookbeyond doctor`) and start it again if not.",
        )

    def _listen(self, timeout_s: float, until_reply: int | None = None, until_hint_of: str = "") -> bool:
        """Take in what arrives, at least until something did or the time is over; whether something did."""
        if self._socket is None or self._monitor is None:
            raise ServiceError("not_running", "The connection to the service is closed; connect again.")
        deadline = time.monotonic() + timeout_s
        heard = False
        while (remaining := deadline - time.monotonic()) > 0:
            ready = dict(self._poller.poll(max(1, int(1000 * remaining))))
            if self._socket in ready:
                heard = self._receive() or heard
            elif self._monitor in ready:
                self._check_connection()
            if until_reply in self._replies or self._hints.get(until_hint_of) or (heard and until_reply):
                break
        return heard

    def _receive(self) -> bool:
        assert self._socket is not None
        heard = False
        for _ in range(64):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            heard = True
            try:
                message, id, payload = protocol.decode([frame.buffer for frame in frames])
            except protocol.ProtocolError as error:
                if error.code == "version":
                    raise ServiceError("version", str(error)) from error
                continue
            if id:
                if id in self._waited_for:
                    self._replies[id] = message, payload
            elif isinstance(message, protocol.Error):
                raise ServiceError(message.code, message.message)
            elif job := getattr(message, "job", ""):
                self._hints[job][type(message).__name__] = message, payload
        return heard

    def _check_connection(self) -> None:
        """Turn what the socket says of its connection into an error at once, where waiting is of no use."""
        assert self._monitor is not None
        while self._monitor.poll(0):
            event = zmq.utils.monitor.recv_monitor_message(self._monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                raise ServiceError(
                    "wrong_key",
                    "The service does not accept this client's key; start it as the same user, or have the key "
                    "added there with `lookbeyond keys add`.",
                )
            if event == zmq.EVENT_CONNECTED:
                self._connected_at = time.monotonic()
                continue
            shaking_hands = self._connected_at > 0 and not self._welcomed
            late = shaking_hands and time.monotonic() - self._connected_at > 0.9 * HANDSHAKE_S
            if late and self._service.pid:  # this machine's own says where it is: it is only busy, and is tried again
                continue
            if event in _STRANGE or (event == zmq.EVENT_DISCONNECTED and shaking_hands):
                raise self._stranger(late)
            raise ServiceError(
                "not_running",
                f"No service answers at {self._service.address}; start it with `lookbeyond serve`.",
            )

    def _stranger(self, late: bool) -> ServiceError:
        busy = ", or is a service too busy to open the door; try again, then" if late else ";"
        return _StrangerError(
            "wrong_key",
            f"What answers at {self._service.address} does not have the service's key{busy} check the address and "
            "the key, or start the service again.",
        )


def _see_descriptors() -> None:
    """ServiceError where there are too few descriptors: libzmq ends the whole process when it gets none."""
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(DESCRIPTORS):
                stack.enter_context(open(os.devnull, "rb"))
    except OSError as error:
        raise ServiceError(
            "not_running",
            f"The service cannot be reached, for this program may open no more files ({error.strerror}); "
            "start it again, or raise its limit (`ulimit -n`) before.",
        ) from error


def _z85_key(text: str) -> bytes:
    """A public key in Z85, given so or in hex."""
    text = text.strip()
    return zmq.utils.z85.encode(bytes.fromhex(text)) if len(text) == 64 else text.encode("ascii")


def place_inside(folder: Path, name: str) -> Path:
    """Where the service's file of this name lies in `folder`; judged by the name alone, links are the user's own."""
    if not name or "\\" in name or ":" in name or not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise ServiceError("lost", "The service named a file outside the job's folder; update the service.")
    return folder / name


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[tuple[Any, Path]]:
    """A new file beside `path`, open for writing, to be renamed; it is gone if the block fails."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        file = open(temporary, "xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(temporary, "xb")
    try:
        yield file, temporary
    except BaseException:
        file.close()
        temporary.unlink(missing_ok=True)
        raise
