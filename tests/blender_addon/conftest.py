"""The built zip, installed for real into a clean Blender, and a service that these tests play themselves."""

import importlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.pictures import picture
from tests.support.played import PlayedService

if importlib.util.find_spec("bpy") is None:  # another environment's test run
    collect_ignore_glob = ["*"]

ROOT = Path(__file__).resolve().parents[2]
ADDON = "bl_ext.user_default.look_beyond"

# Blender reads where its settings lie when it is loaded.
_resources = tempfile.TemporaryDirectory(prefix="look_beyond_blender_")
os.environ["BLENDER_USER_RESOURCES"] = _resources.name


@pytest.fixture(scope="session")
def built_zip() -> Path:
    sys.path.insert(0, str(ROOT))
    import build_addon

    return build_addon.build_extension(ROOT / "dist", [build_addon.this_platform()])[0]


@pytest.fixture(scope="session")
def addon(built_zip: Path) -> Iterator[ModuleType]:
    """The installed extension's package."""
    import bpy

    bpy.ops.extensions.package_install_files(repo="user_default", filepath=str(built_zip), enable_on_install=True)
    assert ADDON in bpy.context.preferences.addons
    yield importlib.import_module(ADDON)
    bpy.ops.preferences.addon_disable(module=ADDON)


@pytest.fixture
def part(addon):
    """Gives a module of the installed add-on by its name."""
    return lambda name: importlib.import_module(f"{ADDON}.{name}")


@pytest.fixture(autouse=True)
def empty_file(addon):
    """Every test begins in an empty scene, with nothing running."""
    import bpy

    session = importlib.import_module(f"{ADDON}.session").session
    session.close()
    session.clear()
    session.service = None
    importlib.import_module(f"{ADDON}.service.price_watch").prices.close()
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    yield
    session.close()


@pytest.fixture
def scene():
    import bpy

    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = 96, 64
    scene.frame_start, scene.frame_end = 11, 16
    return scene


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A JPEG of 120 x 80 pixels."""
    return picture(tmp_path / "photo.jpg", 120, 80)


@pytest.fixture
def service(part, monkeypatch, tmp_path: Path) -> PlayedService:
    """The service that the operators get to talk to."""
    (tmp_path / "played").mkdir()
    played = PlayedService(tmp_path / "played")
    monkeypatch.setattr(part("service.preferences"), "connection", lambda: played)
    return played
