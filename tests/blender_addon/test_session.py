"""The session: words reach the artist as they were said, cancel ends, leaving joins. No Blender in here."""

import itertools
import subprocess
import sys
import threading
import time
import types

import pytest

from tests.support.played import turns_until


@pytest.fixture
def module(part):
    return part("session")


@pytest.fixture
def tasks(part):
    return part("tasks")


@pytest.fixture
def session(module):
    session = module.Session()
    yield session
    session.close()


def saying(*events):
    """Steps that say these, one after another."""

    def steps(cancelled):
        yield from events

    return steps


@pytest.fixture
def client():
    from lookbeyond_kit import client

    return client


def test_progress_and_result_arrive_in_order(tasks, session, client):
    go = threading.Event()

    def steps(cancelled):
        yield client.Progress(0.5, "Half way", 3.0)
        go.wait()
        yield tasks.Succeeded("All is done.")

    done = []
    session.begin(tasks.Task("Work", steps, lambda result: done.append(result.message) or "Finished well."))
    turns_until(session, lambda: session.task.fraction == 0.5)
    assert (session.task.message, session.task.eta_s) == ("Half way", 3.0)
    go.set()
    turns_until(session, lambda: not session.busy)
    assert done == ["All is done."] and session.notice == "Finished well." and not session.error


def test_a_service_error_is_told_word_for_word(tasks, session, client):
    def steps(cancelled):
        yield client.Progress(0.1, "Sending", None)
        raise client.ServiceError("out_of_memory", "The device's memory is full: choose a smaller size.")

    session.begin(tasks.Task("Shoot", steps))
    session.run()
    assert session.error == "The device's memory is full: choose a smaller size."
    assert session.error_code == "out_of_memory"


def test_an_error_of_the_finish_is_told_too(tasks, session):
    def finish(done):
        raise ValueError("The frame 0007.png did not arrive: shoot again.")

    session.begin(tasks.Task("Shoot", saying(tasks.Succeeded()), finish))
    session.run()
    assert session.error == "The frame 0007.png did not arrive: shoot again."


def test_a_full_disk_is_a_sentence(tasks, session):
    def steps(cancelled):
        raise OSError(28, "No space left on device", "/shots/0001.png")
        yield

    session.begin(tasks.Task("Shoot", steps))
    session.run()
    assert "No space left on device (/shots/0001.png)" in session.error


def test_cancel_reaches_the_steps_and_is_no_error(tasks, session, client):
    def steps(cancelled):
        while not cancelled.is_set():
            yield client.Progress(0.2, "Denoising", 9.0)
            time.sleep(0.001)
        raise client.ServiceError("cancelled", "The job was cancelled.")

    session.begin(tasks.Task("Build World", steps))
    turns_until(session, lambda: session.task.message == "Denoising")
    session.cancel()
    assert session.task.message == "Cancelling"
    session.run()
    assert not session.error and session.notice == "Build World was cancelled."


def test_only_one_thing_runs(tasks, session):
    held = threading.Event()

    def steps(cancelled):
        held.wait()
        yield tasks.Succeeded()

    session.begin(tasks.Task("Shoot", steps))
    with pytest.raises(RuntimeError, match="Shoot is still running"):
        session.begin(tasks.Task("Build World", steps))
    held.set()
    session.run()


def test_leaving_joins_the_thread_and_closes_the_steps(tasks, session, client):
    closed = []

    def steps(cancelled):
        try:
            while True:
                yield client.Progress(0.2, "Denoising", None)
                time.sleep(0.001)
        finally:
            closed.append(True)

    session.begin(tasks.Task("Shoot", steps))
    turns_until(session, lambda: session.task.fraction > 0)
    session.close()
    assert closed and not session.busy
    assert not any(thread.name == "look_beyond" for thread in threading.enumerate())


def test_leaving_ends_the_service_that_was_started_here(tasks, session):
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    process = subprocess.Popen(command)
    session.begin(tasks.Task("Start", saying(tasks.ServiceLaunched(process), tasks.Succeeded())))
    session.run()
    session.close()
    assert process.poll() is not None


def test_a_flood_of_events_does_not_hold_a_tick(tasks, module, session, client, monkeypatch):
    """On a clock that moves 1 ms at each look, a tick ends when its time is up; the rest waits for the next."""
    said = threading.Event()

    def steps(cancelled):
        for number in range(1000):
            yield client.Progress(number / 1000, "Denoising", None)
        said.set()
        yield tasks.Succeeded()

    session.begin(tasks.Task("Shoot", steps))
    said.wait()
    clock = (n / 1000 for n in itertools.count())
    monkeypatch.setattr(module, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    session.tick()
    taken = round(1000 * session.task.fraction) + 1
    assert 1 <= taken <= 1000 * module.TICK_S
    monkeypatch.undo()
    session.run()
    assert not session.error


def test_a_result_is_put_in_place_piece_by_piece(tasks, session):
    """As long as the finish gives nothing it is asked again, once in each tick."""
    pieces = []

    def finish(done):
        pieces.append(done.job)
        return "All is there." if len(pieces) == 5 else None

    session.begin(tasks.Task("Shoot", saying(tasks.Succeeded(job="j")), finish))
    turns_until(session, lambda: pieces)
    assert len(pieces) == 1 and session.tick() and len(pieces) == 2
    session.run()
    assert pieces == ["j"] * 5 and session.notice == "All is there." and not session.busy


def test_the_window_does_not_wait_for_what_closes(tasks, session, client):
    """Steps whose connection takes its time to close say their last word only then; no tick waits for it."""
    closing, closed = threading.Event(), threading.Event()

    def steps(cancelled):
        try:
            yield client.Progress(0.9, "Nearly", None)
            yield tasks.Succeeded()
        finally:
            closing.set()
            closed.wait(20)

    session.begin(tasks.Task("Shoot", steps))
    closing.wait(20)
    for _ in range(3):
        session.tick()
    assert session.busy and session.task.message == "Nearly"
    closed.set()
    session.run()
    assert not session.error and not session.busy


def test_previews_are_files_while_the_work_goes_on(tasks, module, session, client):
    go = threading.Event()

    def steps(cancelled):
        for number in range(10):
            yield client.Preview(b"%d" % number)
        go.wait(20)
        yield tasks.Succeeded()

    session.begin(tasks.Task("Shoot", steps))
    turns_until(session, lambda: session.preview is not None and session.preview.name == "10.jpg")
    assert session.preview.read_bytes() == b"9"
    folder = session.preview.parent
    assert len(list(folder.iterdir())) == module.PreviewFiles.KEPT
    go.set()
    session.run()
    assert session.preview is None and not folder.exists()
