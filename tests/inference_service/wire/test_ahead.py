"""Frames reach their client as they are written, before their clip is whole; in the end it has what was made."""

import dataclasses
import sys
from types import SimpleNamespace

import psutil
import pytest

from inference_service.client import Client, Finished, ServiceError
from inference_service.wire.download import Downloads
from inference_service.wire.events import FileArrived
from inference_service.wire.files import artifact_of
from inference_service.wire.messages import JobStatus, Locate, Located, ReportDamage
from inference_service.wire.nearby import unit_folder
from tests.support.double import HOLD, worker_command
from tests.support.service import contents, fetch, running, shot_request, until, world_request

FIRST_CLIP = {f"frames/{number:04d}.png" for number in range(1, 6)}
TEMPORARY, UNIT, JOB = f"w{'0' * 16}-{'1' * 16}", "a" * 64, "b" * 64


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """A service whose clips wait, once written, while the file `hold` in its folder is there; and a world of it."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("service")
        patch.setenv("LOOKBEYOND_RUNTIME_DIR", str(folder / "runtime"))
        patch.setenv(HOLD, str(folder / "hold"))
        with running(folder, worker_command()) as service:
            with service.client() as client:
                fetch(client, client.submit(world_request(client, folder)), folder / "W")
            yield service


@pytest.mark.skipif(sys.platform == "win32", reason="a folder with open files is not renamed there")
@pytest.mark.parametrize("way", ["copied", "sent", "the worker dies"])
def test_frames_arrive_before_their_clip_is_whole(held, tmp_path, way):
    hold = held.folder / "hold"
    hold.touch()
    seed = ["copied", "sent", "the worker dies"].index(way)
    address = dataclasses.replace(held.address, pid=0, store="") if way == "sent" else held.address
    with Client(address, timeout_s=20) as client:
        job = client.submit(shot_request(client, held.folder / "W", seed=seed))
        events, arrived = client.follow(job, tmp_path / "out"), []
        while not set(arrived) >= FIRST_CLIP:
            event = next(events)
            arrived += [event.name] if isinstance(event, FileArrived) else []
        status = client.status(job)
        assert status.state == "running" and not status.artifacts
        assert {each.name for each in status.ahead} >= FIRST_CLIP
        if way == "the worker dies":
            worker = next(each for each in held.server.executor.devices() if each.get("pid"))
            psutil.Process(worker["pid"]).kill()
            until(lambda: not client.status(job).ahead)
        hold.unlink()
        rest = list(events)
        arrived += [event.name for event in rest if isinstance(event, FileArrived)]
        assert isinstance(rest[-1], Finished) and len(arrived) == len(set(arrived)) == len(rest[-1].files)
        fetch(client, job, tmp_path / "again")
    assert contents(tmp_path / "out") == contents(tmp_path / "again")


class FakeConnection:
    """To a service on this machine that says where files lie, and has nothing to send."""

    def __init__(self, store):
        self.service = SimpleNamespace(pid=1, store=str(store))
        self.welcome = SimpleNamespace(limits={"chunk_bytes": 1 << 20})
        self.where, self.asked = UNIT, []

    def ask(self, question):
        self.asked.append(question)
        return (
            Located((self.where,) * len(question.artifacts), question.artifacts)
            if isinstance(question, Locate)
            else None
        )

    def send(self, message) -> int:
        return 1

    def wait(self, id):
        yield

    def answer(self, id):
        raise ServiceError("lost", "The file is gone.")

    def forget(self, ids) -> None:
        pass


def test_another_file_in_the_end_replaces_the_one_that_came_ahead(tmp_path):
    connection, downloads = FakeConnection(tmp_path), Downloads(tmp_path / "out")
    artifacts = {}
    for name, text in ((TEMPORARY, "first"), (UNIT, "second")):
        folder = unit_folder(tmp_path, name)
        folder.mkdir(parents=True)
        (folder / "0001.png").write_text(text)
        artifacts[name] = artifact_of(folder / "0001.png", "0001.png")
    connection.where = TEMPORARY
    ahead = JobStatus(JOB, "shot", "running", 0.5, "", ahead=(artifacts[TEMPORARY],))
    assert [event for event in downloads.fetch_ahead(connection, ahead) if isinstance(event, FileArrived)]
    assert (tmp_path / "out/0001.png").read_text() == "first"
    assert not list(downloads.fetch_ahead(connection, ahead))  # once
    connection.where = UNIT
    done = JobStatus(JOB, "shot", "done", 1.0, "", artifacts=(artifacts[UNIT],))
    assert [event for event in downloads.fetch(connection, done) if isinstance(event, FileArrived)]
    assert (tmp_path / "out/0001.png").read_text() == "second"


def test_what_is_gone_meanwhile_is_left_out_and_is_no_damage(tmp_path):
    connection, downloads = FakeConnection(tmp_path), Downloads(tmp_path / "out")
    (tmp_path / "file").write_text("x")
    connection.where = TEMPORARY
    status = JobStatus(JOB, "shot", "running", 0.5, "", ahead=(artifact_of(tmp_path / "file", "0001.png"),))
    assert not [event for event in downloads.fetch_ahead(connection, status) if isinstance(event, FileArrived)]
    assert not downloads.files and not any(isinstance(each, ReportDamage) for each in connection.asked)
    with pytest.raises(ServiceError, match="arrived damaged"):
        list(downloads.fetch(connection, dataclasses.replace(status, artifacts=status.ahead)))
    assert any(isinstance(each, ReportDamage) for each in connection.asked)
