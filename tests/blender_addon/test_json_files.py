"""Files that a .blend leads to are read as strangers' files."""

import os
import sys

import pytest


@pytest.fixture
def read_json(part):
    return part("json_files").read_json


def test_a_pipe_is_not_waited_for(read_json, tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no pipes in folders")
    os.mkfifo(tmp_path / "request.json")
    with pytest.raises(ValueError, match="is not a file"):
        read_json(tmp_path / "request.json")


def test_deep_nesting_and_endless_files_are_refused(read_json, part, tmp_path, monkeypatch):
    file = tmp_path / "world.json"
    depth = 50 * sys.getrecursionlimit()
    file.write_text("[" * depth + "]" * depth)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(file)
    monkeypatch.setattr(part("json_files"), "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="MiB"):
        read_json(file)


def test_opening_a_file_survives_what_lies_in_its_results(part, tmp_path):
    """Where it raised RecursionError, or never returned, the artist's file did not open."""
    requests = part("service.requests")
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / requests.FILE_NAME).write_text("[" * 100_000)
    with pytest.raises(requests.RequestError, match="cannot be read"):
        requests.read_request(folder)
    assert requests.known_request(folder) is None


@pytest.mark.parametrize(
    ("folder", "blend", "foreign"),
    [
        (r"\\studio\projects\results", r"C:\work\a.blend", True),
        (r"\\studio\projects\results", r"\\Studio\Projects\a.blend", False),
        (r"\\other\projects\results", r"\\studio\projects\a.blend", True),
        (r"D:\results", r"C:\work\a.blend", False),
    ],
)
def test_a_file_from_elsewhere_makes_nobody_look_at_its_server(part, folder, blend, foreign):
    assert part("json_files").is_foreign_share(folder, blend) is foreign


@pytest.mark.parametrize(
    ("folder", "name", "allowed"),
    [
        (r"C:\work\results", "../a.blend", True),
        (r"C:\work\results", "//evil/share/a.blend", False),
        (r"C:\work\results", r"\\evil\share\a.blend", False),
        (r"C:\work\results", r"\\?\UNC\evil\share\a.blend", False),
        (r"C:\work\results", "D:/b.blend", True),
        (r"\\studio\projects\results", "../a.blend", False),
    ],
)
def test_no_name_in_strangers_data_makes_windows_look_at_a_server(part, folder, name, allowed):
    from pathlib import PureWindowsPath

    may_look_at = part("json_files").may_look_at
    assert may_look_at(PureWindowsPath(folder), name, r"C:\work\b.blend", on_windows=True) is allowed
    assert may_look_at(PureWindowsPath(folder), name, r"C:\work\b.blend", on_windows=False)
