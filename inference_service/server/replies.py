"""What the service does with each message: one handler per message, found by the message's class.

A handler returns the answer: a message, a `Reply` with a payload, None for `Acknowledged`, or `LATER` if
`asker.reply_later` will be called. It raises ProtocolError for what no client of ours says, and LookBeyondError for
what the user can do something about.
"""

import functools
import logging

from inference_service.jobs.queue import MAX_WAITING_CAMERAS, MAX_WAITING_JOBS
from inference_service.jobs.submission import prepare
from inference_service.server.preparer import request_of
from inference_service.server.service import LATER, Asker, Reply, Service
from inference_service.server.uploads import receive, store_upload
from inference_service.wire import messages
from inference_service.wire.codec import VERSION
from inference_service.wire.errors import ProtocolError
from inference_service.wire.files import CHUNK_BYTES, MAX_FILE_BYTES
from inference_service.wire.nearby import unit_folder
from inference_service.wire.requests import HASH_PATTERN, MAX_CAMERAS, MAX_IMAGE_SIDE, REQUESTS
from lookbeyond import presets
from lookbeyond.errors import InputError

log = logging.getLogger(__name__)

MAX_JOBS_PER_SESSION = 200
"""Unfinished jobs that one connection submitted."""


@functools.singledispatch
def reply(message: object, service: Service, asker: Asker) -> object:
    """The answer to a message of a client that has said HELLO."""
    raise ProtocolError("protocol", f"{type(message).__name__} is not a message for a service.")


# --- connections ------------------------------------------------------------------------------------------


def welcome(hello: messages.Hello, service: Service, peer: bytes, key: str) -> object:
    """Begin a client's session, if both speak the same protocol."""
    if VERSION not in hello.versions:
        newest = min(max(hello.versions, default=0), 10**6)
        side = "the add-on" if newest < VERSION else "the service (pip install -U lookbeyond)"
        text = f"The client speaks protocol {newest}, the service {VERSION}; update {side}."
        return messages.Error("version", text)
    service.sessions.open(peer, key, "previews" in hello.features)
    return messages.Welcome(
        version=VERSION,
        epoch=service.epoch,
        service=messages.SERVICE_VERSION,
        presets=tuple(service.presets.available()),
        devices=tuple(service.executor.devices()),
        limits={
            "cameras": MAX_CAMERAS,
            "file_bytes": MAX_FILE_BYTES,
            "chunk_bytes": CHUNK_BYTES,
            "image_side": MAX_IMAGE_SIDE,
            "jobs": MAX_WAITING_JOBS,
            "waiting_cameras": MAX_WAITING_CAMERAS,
        },
    )


@reply.register
def _(message: messages.Ping, service: Service, asker: Asker) -> object:
    return messages.Pong(service.epoch)


@reply.register
def _(message: messages.Events, service: Service, asker: Asker) -> None:
    asker.session.jobs.add(service.job(message.job).id)


@reply.register
def _(message: messages.Leave, service: Service, asker: Asker) -> None:
    service.sessions.forget(asker.peer)


# --- files ------------------------------------------------------------------------------------------------


@reply.register
def _(message: messages.Put, service: Service, asker: Asker) -> object:
    uploads, promised_bytes = asker.session.uploads, service.sessions.promised_bytes()
    received = receive(service.store, uploads, message, asker.payload, promised_bytes)
    if isinstance(received, messages.Stored):
        return received
    service.in_thread(lambda: asker.reply_later(store_upload(service.store, received, message.sha256)))
    return LATER


@reply.register
def _(message: messages.InspectPhoto, service: Service, asker: Asker) -> object:
    if not HASH_PATTERN.fullmatch(message.sha256) or not service.store.has_file(message.sha256):
        raise InputError("The picture to look at is not here; upload it first.")
    service.store.touch_file(message.sha256)
    return service.photos.ask(message.sha256, service.store.file(message.sha256), message.fov_x_rad)


@reply.register
def _(message: messages.Align, service: Service, asker: Asker) -> object:
    for sha256 in message.pictures:
        if not HASH_PATTERN.fullmatch(sha256) or not service.store.has_file(sha256):
            raise InputError("A picture to align is not here; upload it first.")
        service.store.touch_file(sha256)
    return service.alignments.ask(message, service.store)


@reply.register
def _(message: messages.Get, service: Service, asker: Asker) -> object:
    if not 0 <= message.offset <= MAX_FILE_BYTES:
        raise ProtocolError("protocol", "A piece of a file is impossible.")
    temporary, unit, name = _place(service, message.job, message.artifact)
    folder = unit_folder(service.store.root, temporary or unit)
    if temporary and not folder.exists():  # the unit is whole, and its worker about to say so
        folder = service.store.unit(unit)
    if message.offset == 0:
        service.store.touch_unit(unit)
    try:
        piece = service.pieces.read(folder / name, message.offset, message.size)
    except FileNotFoundError as error:
        raise ProtocolError("lost", "The file is gone from the store; submit the job again.") from error
    except OSError as error:
        raise ProtocolError(
            "storage", f"A file of the store could not be read ({error.strerror}); check the disk and try again."
        ) from error
    return Reply(messages.Data(message.job, message.artifact, message.offset), piece)


@reply.register
def _(message: messages.Locate, service: Service, asker: Asker) -> object:
    service.require_owner(asker, "Only the user who runs the service can copy from its store.")
    if len(message.artifacts) > messages.LOCATED_AT_ONCE:
        raise ProtocolError("protocol", "Too many files are asked for at once.")
    places = [_place(service, message.job, artifact) for artifact in message.artifacts]
    for unit in {unit for _, unit, _ in places}:
        service.store.touch_unit(unit)
    return messages.Located(
        tuple(temporary or unit for temporary, unit, _ in places), tuple(name for _, _, name in places)
    )


@reply.register
def _(message: messages.ReportDamage, service: Service, asker: Asker) -> None:
    temporary, unit, name = _place(service, message.job, message.artifact)
    if not temporary and service.store.discard_if_damaged(unit, name):
        service.queue.lost(unit)
        service.queue.reopen(service.job(message.job))


def _place(service: Service, job: str, artifact: str) -> tuple[str, str, str]:
    """The temporary folder that holds a file of a job ('' once its unit is whole), the unit, and its name in both."""
    place = service.queue.place(service.job(job), artifact)
    if place is None:
        raise ProtocolError("protocol", "The job has no such file yet.")
    temporary, delivery = place
    return temporary, delivery.unit, delivery.own_name


# --- jobs -------------------------------------------------------------------------------------------------


@reply.register
def _(message: messages.Submit, service: Service, asker: Asker) -> object:
    if service.stopping.is_set():
        raise ProtocolError("busy", "The service is ending; start it again, then submit the job.")
    if message.kind not in REQUESTS:
        raise ProtocolError("protocol", "A job is a world or a shot.")
    submission = asker.submission
    if submission is None:
        request = request_of(message)
        submission = prepare(request, service.presets.revision(request.preset))
    known, session = service.queue.jobs, asker.session
    session.submitted = {id for id in session.submitted if id in known and known[id].is_active}
    if len(session.submitted) >= MAX_JOBS_PER_SESSION:
        raise InputError(f"{MAX_JOBS_PER_SESSION} jobs of this client are waiting already; cancel some first.")
    job, new = service.queue.take(submission)
    for sha256 in job.request.input_files:
        service.store.touch_file(sha256)
    if job.is_active:
        session.submitted.add(job.id)
    service.executor.revive()
    event = "job accepted" if new else "job is known"
    log.info(event, extra={"job": job.id, "kind": job.kind, "state": job.state, "epoch": service.epoch})
    return messages.Accepted(job.id, new)


@reply.register
def _(message: messages.Status, service: Service, asker: Asker) -> object:
    return service.queue.statuses.of(service.queue.recall(service.job(message.job)), after=message.after)


@reply.register
def _(message: messages.ListJobs, service: Service, asker: Asker) -> object:
    return messages.Jobs(tuple(service.queue.statuses.all()))


@reply.register
def _(message: messages.Cancel, service: Service, asker: Asker) -> object:
    cancel = _cancel_unit if message.unit else _cancel_jobs
    try:
        anything = cancel(message, service)
    finally:  # also if the job list cannot be written
        service.dispatcher.stop_unwanted()
    return messages.Cancelled() if anything else None


def _cancel_unit(message: messages.Cancel, service: Service) -> bool:
    if not service.queue.knows(message.unit):
        raise ProtocolError("unknown_job", "No job here has such a unit; `lookbeyond status` shows those at work.")
    return service.queue.cancel_unit(message.unit, message.job)


def _cancel_jobs(message: messages.Cancel, service: Service) -> bool:
    active = [job for job in service.jobs(message.job) if job.is_active]
    for job in active:
        service.queue.cancel(job)
    return bool(active)


@reply.register
def _(message: messages.Pause, service: Service, asker: Asker) -> None:
    service.queue.pause(service.jobs(message.job), message.paused)


@reply.register
def _(message: messages.Reorder, service: Service, asker: Asker) -> None:
    service.queue.reorder(service.job(message.job), message.position)


@reply.register
def _(message: messages.PriceQuestion, service: Service, asker: Asker) -> object:
    presets.get(message.preset)
    size = (message.width, message.height)
    counts = (message.anchors, message.frames, message.steps, message.worlds)
    if min(size) < 1 or min(counts) < 0 or max(size + counts) > 10**6:
        raise InputError("A price can be asked for sizes from 1 and counts from 0 to a million.")
    queue = service.queue
    return messages.Price(*queue.paces.price(message, workers=queue.estimates.workers))


# --- the service itself -----------------------------------------------------------------------------------


@reply.register
def _(message: messages.ServiceQuestion, service: Service, asker: Asker) -> object:
    return service.status()


@reply.register
def _(message: messages.Prune, service: Service, asker: Asker) -> object:
    service.require_owner(asker, "Only the user who runs the service can prune its store.")
    if message.quota_bytes < 0 or not message.max_age_s >= 0:
        raise InputError("A store is pruned to a quota and an age of at least 0; give such numbers.")
    service.housekeeper.prune(message.quota_bytes, message.max_age_s, asker.reply_later)
    return LATER


@reply.register
def _(message: messages.Release, service: Service, asker: Asker) -> None:
    service.executor.release()


@reply.register
def _(message: messages.Bye, service: Service, asker: Asker) -> None:
    service.require_owner(asker, "Only the user who runs the service can end it; ask them.")
    service.stop()
