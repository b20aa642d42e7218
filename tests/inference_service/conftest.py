"""Fixtures: a runtime folder, a store and a queue per test, a service per module, and the command in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from inference_service.cli import main
from inference_service.jobs.queue import JobQueue
from inference_service.store.store import Store
from tests.support.double import worker_command
from tests.support.service import Service, running


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime folder (and keys) of the test's own."""
    folder = tmp_path / "runtime"
    monkeypatch.setenv("LOOKBEYOND_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the tests of a module."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("service")
        patch.setenv("LOOKBEYOND_RUNTIME_DIR", str(folder / "runtime"))
        with running(folder, worker_command()) as service:
            yield service


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def jobs(store: Store) -> Iterator[JobQueue]:
    queue = JobQueue(store)
    yield queue
    queue.close()


@pytest.fixture
def lookbeyond(capfd):
    """Run the command in this process: exit code, output, errors."""

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return end.value.code, captured.out, captured.err

    return run
