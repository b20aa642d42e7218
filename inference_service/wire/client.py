"""A client of the service: uploads, jobs, results. Used from one thread; every failure is a `ServiceError`."""

import dataclasses
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import messages
from .address import ServiceAddress
from .connection import LISTEN_S, Connection
from .download import Downloads, chunk_bytes
from .errors import DamagedError, ServiceError, StrangerError
from .events import Event, Finished, Preview, Progress
from .files import file_sha256
from .messages import JobStatus, ServiceStatus
from .requests import REQUESTS, Request

STATUS_INTERVAL_S = 2.0
"""How often `Client.follow` asks for the status without a hint."""
PATIENCE_S = 90.0
"""How long `Client.follow` waits for a service that went away."""
MAX_DAMAGES = 3
"""How often files that were damaged in the store are made again before a job is given up."""
_GONE = ("not_running", "timeout")


class Client:
    """A connection to a service (`find_service()` if none is given), open until `close`."""

    def __init__(self, service: ServiceAddress | None = None, timeout_s: float = 5.0, previews: bool = True):
        self.connection = Connection(service, timeout_s, previews)
        self._ask = self.connection.ask

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; jobs go on without it."""
        self.connection.close()

    @property
    def welcome(self) -> messages.Welcome:
        """How the service introduced itself: its version, presets, devices and limits."""
        return self.connection.welcome

    # questions

    def upload(self, path: Path) -> str:
        """Send a file unless the service has it; its SHA-256."""
        path = Path(path)
        try:
            sha256, size = file_sha256(path), path.stat().st_size
            with path.open("rb") as file:
                stored = self._ask(messages.Put(sha256, size, 0, path.name))
                while not stored.complete:
                    file.seek(stored.received)
                    piece = file.read(chunk_bytes(self.connection))
                    if not piece and size:
                        raise ServiceError("file", f"The file {path} changed while it was being sent; try again.")
                    stored = self._ask(messages.Put(sha256, size, stored.received, path.name), piece)
        except OSError as error:
            message = f"The file {path} cannot be read ({error.strerror}); check its path and permissions."
            raise ServiceError("file", message) from error
        return sha256

    def inspect_photo(self, sha256: str, fov_x_rad: float = 0.0, patience_s: float = 60.0) -> messages.PhotoFindings:
        """What an uploaded picture shows: faces, and how its camera was held; not `ready` if that takes too long.

        fov_x_rad: its horizontal field of view if it is known, else 0.
        """
        ends = time.monotonic() + patience_s
        while not (seen := self._ask(messages.InspectPhoto(sha256, fov_x_rad))).ready and time.monotonic() < ends:
            time.sleep(0.1)
        return seen

    def align(self, pictures: Sequence[str], cameras: Sequence[dict], patience_s: float = 120.0) -> messages.Aligned:
        """Where the last of several uploaded pictures of one place looks; not `ready` if finding it takes too long.

        cameras: `Camera.to_dict()` of each; of the last one only the lens counts.
        """
        ends, question = time.monotonic() + patience_s, messages.Align(tuple(pictures), tuple(cameras))
        while not (aligned := self._ask(question)).ready and time.monotonic() < ends:
            time.sleep(0.1)
        return aligned

    def submit(self, request: Request) -> str:
        """Submit a job; its id. The same request again is the same job and costs nothing."""
        kind = next(kind for kind, asked in REQUESTS.items() if isinstance(request, asked))
        return self._ask(messages.Submit(kind, dataclasses.asdict(request))).job

    def status(self, job: str, after: int = 0) -> JobStatus:
        """The state of a job, without the first `after` of its artifacts."""
        return self._ask(messages.Status(job, after))

    def service_status(self) -> ServiceStatus:
        """The state of the service itself: workers, store, when everything will be done."""
        return self._ask(messages.ServiceQuestion())

    def price(self, question: messages.PriceQuestion) -> messages.Price:
        """What a shot, or worlds, would cost here."""
        return self._ask(question)

    def jobs(self) -> list[JobStatus]:
        """All jobs the service knows, in order, without their artifacts."""
        return list(self._ask(messages.ListJobs()).jobs)

    def cancel(self, job: str) -> bool:
        """Stop a job, or `ALL`, within one denoising step; what was finished is kept. False: it had ended already."""
        return isinstance(self._ask(messages.Cancel(job)), messages.Cancelled)

    def cancel_unit(self, unit: str, job: str = "") -> bool:
        """Stop one unit, for one job or for all that need it; they go on with what does not depend on it.

        `service_status().devices` names the units at work. A job that lacks one ends as cancelled; submitted again,
        it is completed. False: the unit was finished already.
        """
        return isinstance(self._ask(messages.Cancel(job, unit)), messages.Cancelled)

    def pause(self, job: str, paused: bool) -> None:
        """Start no more units of a job, or of `ALL` (those at work are finished), or resume it."""
        self._ask(messages.Pause(job, paused))

    def reorder(self, job: str, position: int) -> None:
        """Move a job to this place (0 is next) among those that have not ended."""
        self._ask(messages.Reorder(job, position))

    def release(self) -> None:
        """Unload the models from memory; they load again when needed."""
        self._ask(messages.Release())

    def prune(self, quota_bytes: int, max_age_s: float) -> tuple[int, int]:
        """Remove entries of the store that no job needs until the rest fits; how many entries and bytes went."""
        pruned = self._ask(messages.Prune(quota_bytes, max_age_s))
        return pruned.entries, pruned.bytes

    def shutdown(self) -> None:
        """Shut the service down; unfinished jobs go on when it starts again."""
        self._ask(messages.Bye())

    def ping(self) -> str:
        """The service's epoch, which changes at every start."""
        return self._ask(messages.Ping()).epoch

    # results

    def follow(self, job: str, folder: Path, patience_s: float = PATIENCE_S) -> Iterator[Event]:
        """Wait for a job and fetch its files into `folder` as they become ready.

        Yields at least twice a second, so that the caller can `cancel` the job between two events or stop listening.
        A file that is there already, undamaged, is not fetched again. Every file appears whole, and a second time if
        its worker died and another file was made in the end. When the service goes away, the client looks for it
        again for `patience_s`. Ends with `Finished`, or raises ServiceError: 'cancelled', 'lost', or the job's own
        error.
        """
        downloads = Downloads(Path(folder))
        last = Progress(0.0, "Waiting")
        gone_since: float | None = None
        delay_s = 0.1
        while True:
            try:
                if gone_since is not None:
                    # this machine's service may have come back at another address, another machine's may not
                    service = self.connection.service
                    self.connection.connect(None if service.pid else service)
                for event in self._follow(job, downloads):
                    gone_since, delay_s = None, 0.1
                    if isinstance(event, Progress):
                        last = event
                    yield event
                return
            except ServiceError as error:
                if error.code == "hello":  # we were silent (suspended, perhaps) for so long that we were forgotten
                    self.connection.say_hello()
                    continue
                # while it starts or ends, a service may hang up in the middle of the handshake
                if error.code not in _GONE and not (gone_since and isinstance(error, StrangerError)):
                    raise
                now = time.monotonic()
                gone_since = gone_since or now
                if now - gone_since > patience_s:
                    raise ServiceError(
                        "lost",
                        f"The service went away and did not come back within {patience_s:.0f} s; start it and "
                        "submit the job again. Everything it had finished is kept.",
                    ) from error
            yield Progress(last.fraction, "Waiting for the service to come back")
            time.sleep(delay_s * random.uniform(0.5, 1.0))
            delay_s = min(2 * delay_s, LISTEN_S)

    def _follow(self, job: str, downloads: Downloads) -> Iterator[Event]:
        """Follow a job for as long as the service is there."""
        self.connection.subscribe(job)
        known, epoch, damages = 0, self.welcome.epoch, 0
        asked = -STATUS_INTERVAL_S
        status: JobStatus | None = None
        last: JobStatus | messages.ProgressHint | None = None
        while True:
            hints = self.connection.take_hints(job)
            now = time.monotonic()
            if status is None or messages.ChangeHint in hints or now - asked > STATUS_INTERVAL_S:
                status, asked = self.status(job, known), now
                if self.welcome.epoch != epoch:  # a restarted service lists the files in a different order
                    known, epoch, status = 0, self.welcome.epoch, None
                    continue
                yield Progress(status.fraction, status.message, status.eta_s)
                try:
                    yield from downloads.fetch(self.connection, status)
                except DamagedError as damage:
                    damages += 1
                    if damages > MAX_DAMAGES:
                        raise
                    yield Progress(0.0, f"Making {damage.name} again, which was damaged in the store")
                    known, status = 0, None
                    continue
                known = status.after + len(status.artifacts)
                if status.state == "done":
                    yield Finished(dict(downloads.files))
                    return
                if status.state in ("failed", "cancelled"):
                    raise ServiceError(status.error_code or status.state, status.error or "The job ended.")
                yield from downloads.fetch_ahead(self.connection, status)
                last = status
            else:
                last = hints[messages.ProgressHint][0] if messages.ProgressHint in hints else last
                assert last is not None
                yield Progress(last.fraction, last.message, last.eta_s)
            if messages.PreviewHint in hints:
                yield Preview(bytes(hints[messages.PreviewHint][1]))
            self.connection.wait_for_hint(job)
