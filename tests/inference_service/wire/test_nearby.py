"""On the service's own machine results are copied from its store, checked; what cannot be copied is sent."""

import dataclasses
import random
from pathlib import Path

import pytest

from benchmarks.fuzz import guest
from inference_service.client import Client, Finished, ServiceError
from inference_service.wire import nearby
from inference_service.wire.events import FileArrived
from inference_service.wire.files import artifact_of
from inference_service.wire.messages import LOCATED_AT_ONCE, Locate, Located
from tests.support.damage import KINDS, damage
from tests.support.service import contents, fetch, shot_request, until, world_request


@pytest.fixture(scope="module")
def shot(service, tmp_path_factory):
    """A finished shot: its job, and its files as they were sent."""
    folder = tmp_path_factory.mktemp("shot")
    with Client(far(service), timeout_s=20) as client:
        fetch(client, client.submit(world_request(client, folder, tint=41)), folder / "W")
        job = client.submit(shot_request(client, folder / "W"))
        fetch(client, job, folder / "sent")
        client.ping()  # the last piece is counted once it is sent, perhaps after it has arrived
    return job, contents(folder / "sent")


def far(service):
    """The service's address as another machine knows it."""
    return dataclasses.replace(service.address, pid=0, store="")


def sent_bytes(service) -> int:
    return service.server.totals["bytes_sent"]


def test_nothing_is_sent_to_this_machine_and_the_files_are_the_same(service, shot, tmp_path):
    job, files = shot
    before = sent_bytes(service)
    with service.client() as client:
        events = fetch(client, job, tmp_path / "copied")
        assert sent_bytes(service) == before
        assert contents(tmp_path / "copied") == files
        assert [event.name for event in events if isinstance(event, FileArrived)] == [
            artifact.name for artifact in client.status(job).artifacts
        ]
        assert isinstance(events[-1], Finished)
    with Client(far(service), timeout_s=20) as client:
        fetch(client, job, tmp_path / "sent")
    assert contents(tmp_path / "sent") == files and sent_bytes(service) > before + sum(map(len, files.values())) - 1


@pytest.mark.parametrize("at_once", [1, 4, LOCATED_AT_ONCE])
def test_where_the_store_is_not_seen_everything_is_sent(service, shot, tmp_path, monkeypatch, at_once):
    job, files = shot
    monkeypatch.setattr(nearby, "LOCATED_AT_ONCE", at_once)
    asked = []
    sources = nearby._sources
    monkeypatch.setattr(nearby, "_sources", lambda *arguments: asked.append(1) or sources(*arguments))
    with Client(dataclasses.replace(service.address, store=str(tmp_path / "elsewhere")), timeout_s=20) as client:
        fetch(client, job, tmp_path / "out")
        assert contents(tmp_path / "out") == files and len(asked) == 1
    with service.client() as client:
        fetch(client, job, tmp_path / "out2")
    assert contents(tmp_path / "out2") == files


def test_a_guest_does_not_learn_where_files_lie(service, shot, tmp_path):
    job, files = shot
    address = guest(service.address, tmp_path)

    def connected():
        try:
            return Client(address, timeout_s=20)
        except ServiceError:
            return None

    with until(connected) as client:  # the list of guests is read twice a second
        with pytest.raises(ServiceError) as refused:
            client._ask(Locate(job, ("shot.json",)))
        assert refused.value.code == "not_allowed"
        fetch(client, job, tmp_path / "out")
    assert contents(tmp_path / "out") == files


@pytest.mark.parametrize(
    "units, names",
    [
        (("../../secret",), ("key.json",)),
        (("a" * 64,), ("../key.json",)),
        (("a" * 64,), ("/etc/hostname",)),
        (("a" * 64,), ("x/../../key.json",)),
        (("a" * 64, "a" * 64), ("a", "b")),
        ((), ()),
    ],
)
def test_what_a_service_says_leads_nowhere_else(tmp_path, units, names):
    class Answers:
        def ask(self, question):
            return Located(units, names)

    assert nearby._sources(Answers(), "b" * 64, tmp_path, ["shot.json"]) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_not_the_one_that_was_made_does_not_arrive(tmp_path, kind):
    source, target = tmp_path / "source.png", tmp_path / "out" / "target.png"
    source.write_bytes(random.Random(0).randbytes(700_000))
    artifact = artifact_of(source, "target.png")
    assert nearby.copied(source, artifact, target) and target.read_bytes() == source.read_bytes()
    damage(source, kind, random.Random(2))
    kept = target.read_bytes()
    assert not nearby.copied(source, artifact, target)
    assert not nearby.copied(tmp_path, artifact, target) and not nearby.copied(tmp_path / "gone", artifact, target)
    assert contents(tmp_path / "out") == {"target.png": kept}  # the one before, and nothing half-written


def test_an_empty_file_is_copied(tmp_path):
    (tmp_path / "empty").touch()
    assert nearby.copied(tmp_path / "empty", artifact_of(tmp_path / "empty", "empty"), tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b""


def test_a_copy_that_cannot_be_written_is_told(service, shot, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "frames").touch()  # a file where a folder is needed
    with service.client() as client, pytest.raises(ServiceError, match="results could not be written to") as error:
        fetch(client, shot[0], tmp_path / "out")
    assert error.value.code == "file"


def test_who_stops_listening_leaves_nothing_half_written(service, shot, tmp_path, monkeypatch):
    with service.client() as client:
        events = client.follow(shot[0], tmp_path / "out")
        while not isinstance(next(events), FileArrived):
            pass
        events.close()
    assert not [name for name in contents(tmp_path / "out") if Path(name).name.startswith(".")]
