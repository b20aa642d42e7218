"""The wheel and the zip are what Blender's own tool wants, the same each time, and complete."""

import ast
import base64
import csv
import hashlib
import importlib.util
import json
import sys
import tomllib
import zipfile

import build_addon


def test_same_sources_give_the_same_wheel_bytes(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    first, second = (build_addon.build_kit_wheel(tmp_path / name) for name in "ab")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_wheel_record_is_true(tmp_path):
    with zipfile.ZipFile(build_addon.build_kit_wheel(tmp_path)) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith("RECORD"))
        rows = list(csv.reader(wheel.read(name).decode().splitlines()))
        assert sorted(row[0] for row in rows) == sorted(wheel.namelist())
        for path, digest, size in rows:
            if path != name:
                data = wheel.read(path)
                sha = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                assert (digest, size) == (f"sha256={sha}", str(len(data)))


def test_kit_needs_numpy_zmq_and_itself_only():
    allowed = {"numpy", "zmq", *sys.stdlib_module_names}
    for name, source in build_addon.kit_sources().items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            else:
                continue
            for module in names:
                assert module.split(".")[0] in allowed, f"{name} imports {module}"


def test_blender_reads_all_supported_pythons_from_the_wheels(built_zip):
    """5.1 and later refuse a zip whose wheels' names seem to say "3.11 only"."""
    tool = build_addon.blender_extension_tool()
    spec = importlib.util.spec_from_file_location("blender_ext", tool)
    blender_ext = importlib.util.module_from_spec(spec)
    sys.modules["blender_ext"] = blender_ext
    spec.loader.exec_module(blender_ext)
    wheels = manifest(built_zip)["wheels"]
    if hasattr(blender_ext, "python_versions_from_wheels"):  # 4.2 does not look
        versions = blender_ext.python_versions_from_wheels(wheels)
        assert {(3, 11), (3, 12), (3, 13), (3, 14), (3, 15)} <= versions
    assert sum("pyzmq" in wheel for wheel in wheels) == 2
    assert not any("numpy" in wheel for wheel in wheels)


def test_manifest_keeps_blenders_rules(built_zip):
    values = manifest(built_zip)
    assert values["version"] == build_addon.version()
    assert values["platforms"] == [build_addon.this_platform()]
    assert "Blender" not in values["name"]
    for text in (values["tagline"], *values["permissions"].values()):
        assert len(text) <= 64 and not text.endswith(".")
    closed_list = {"Animation", "Camera", "Lighting", "Render", "Sequencer"}
    assert set(values["tags"]) <= closed_list


def test_zip_holds_no_leftovers(built_zip):
    with zipfile.ZipFile(built_zip) as archive:
        names = archive.namelist()
    assert "__init__.py" in names and "LICENSE" in names
    assert not any("__pycache__" in name or name.startswith(".") for name in names)


def test_a_repository_names_the_zip_by_its_hash(built_zip, tmp_path):
    index = build_addon.make_repository(tmp_path / "repository", [built_zip])
    (entry,) = json.loads(index.read_text())["data"]
    assert (entry["id"], entry["version"]) == ("look_beyond", build_addon.version())
    archive = index.parent / entry["archive_url"]
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert entry["archive_hash"] == f"sha256:{digest}" and entry["archive_size"] == archive.stat().st_size
    assert archive.read_bytes() == built_zip.read_bytes()
    assert (index.parent / "index.html").is_file()


def manifest(built_zip) -> dict:
    with zipfile.ZipFile(built_zip) as archive:
        return tomllib.loads(archive.read("blender_manifest.toml").decode())
