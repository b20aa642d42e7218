"""A package that is not there is asked for by name, and nothing is begun."""

import sys
from pathlib import Path

import pytest

from lookbeyond.errors import InputError
from lookbeyond.exchange.camera_move import CameraMove
from lookbeyond.exchange.cameras_convert import read_move, write_move
from lookbeyond.exchange.gltf import write_glb
from lookbeyond.geometry.cameras import placed_camera


@pytest.mark.parametrize(
    ("module", "package", "name"), [("pycolmap", "pycolmap", "model"), ("pxr", "usd-core", "m.usda")]
)
def test_camera_files_name_what_to_install(monkeypatch, tmp_path, module, package, name):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "there.usda").write_text("#usda 1.0\n")
    said = f"needs the package {package}.*pip install lookbeyond\\[exchange\\]"
    with pytest.raises(InputError, match=said):
        write_move(tmp_path / name, CameraMove([placed_camera(64, 48, 1.0)]))
    if module == "pxr":
        with pytest.raises(InputError, match=said):
            read_move(tmp_path / "there.usda")
    assert [path.name for path in tmp_path.iterdir()] == ["there.usda"]


def test_gltf_names_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pygltflib", None)
    with pytest.raises(InputError, match="needs the package pygltflib"):
        write_glb(Path(tmp_path / "a.glb"), [], {})
    assert not list(tmp_path.iterdir())
