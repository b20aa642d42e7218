"""Presets of public weights by the command and by the service, with tiny random components in the hub's layout."""

import json
import math
import sys

import numpy as np
import pytest
from huggingface_hub import constants

from inference_service.client import Client, ShotRequest, WorldRequest, start_service
from inference_service.wire.requests import WORLD_FILES, WORLD_LAYERS
from lookbeyond import presets
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.transforms import read_transforms, write_transforms
from tests.support.hub import running_hub
from tests.support.public_presets import SMALL_WIDE, save_tiny_vace, write_local
from tests.support.service import contents


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return save_tiny_vace(tmp_path_factory.mktemp("hub"))


@pytest.fixture
def vace(tmp_path, monkeypatch, folders, runtime):
    monkeypatch.setenv("LOOKBEYOND_PRESETS_DIR", str(tmp_path / "presets"))
    presets.revision.cache_clear()
    yield write_local("vace", folders, tmp_path / "presets", frames_per_clip=9, views_steps=2)
    presets.revision.cache_clear()


@pytest.fixture
def photo(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 255, (12, 16, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def walk(frames: int, height_m: float = 0.0) -> list[Camera]:
    width, height = SMALL_WIDE
    return [
        placed_camera(width, height, math.radians(70), heading_rad=0.02 * k, position=(0.1 * k, 0.05 * k, height_m))
        for k in range(frames)
    ]


def test_the_whole_way_by_command_and_by_service(vace, photo, tmp_path, lookbeyond):
    """6 frames, no 4 k + 1: by `lookbeyond world` and `shot`, then the same by a service; the same bytes."""
    cameras = walk(6)
    write_transforms(tmp_path / "path.json", cameras, [f"{i}.png" for i in range(6)])
    store = ("--store", tmp_path / "store")
    flags = ("--preset", vace, "--width", 512, "--fov-x", 70, "--pitch", 0, "--roll", 0, "--room", "off", *store)
    code, _, err = lookbeyond("world", photo, "--out", tmp_path / "W", *flags)
    assert code == 0, err
    code, _, err = lookbeyond(
        "shot", tmp_path / "W", "--cameras", tmp_path / "path.json", "--out", tmp_path / "S", "--preset", vace, *store
    )
    assert code == 0, err
    made = contents(tmp_path / "S")
    assert sum(name.startswith("frames/") for name in made) == 6
    assert json.loads(made["shot.json"])["settings"]["preset"] == vace
    assert len(read_transforms(tmp_path / "S/transforms.json")) == 6

    command = [
        sys.executable,
        "-m",
        "inference_service.cli",
        "serve",
        "--bind",
        "tcp://127.0.0.1:0",
        "--store",
        str(tmp_path / "other"),
    ]
    process, address = start_service(command)
    try:
        with Client(address, timeout_s=30) as client:
            known = {preset["name"]: preset for preset in client.welcome.presets}
            assert known[vace]["installed"] and not known["vace"]["installed"]
            camera = placed_camera(128, 96, math.radians(70)).to_dict()
            request = WorldRequest(photo=client.upload(photo), camera=camera, width=512, preset=vace, room="off")
            list(client.follow(client.submit(request), tmp_path / "W2"))
            world = contents(tmp_path / "W2")
            files = {name: client.upload(tmp_path / "W2" / name) for name in (*WORLD_FILES, *WORLD_LAYERS)}
            shot = ShotRequest(world=files, cameras=[one.to_dict() for one in cameras], preset=vace)
            list(client.follow(client.submit(shot), tmp_path / "S2"))
    finally:
        process.terminate()
        process.wait(60)
    assert set(world) == {*WORLD_FILES, *WORLD_LAYERS}
    frames = [name for name in made if name.startswith("frames/")]
    assert [contents(tmp_path / "S2")[name] for name in frames] == [made[name] for name in frames]


def test_what_it_lacks_is_fetched_from_a_hub_and_then_it_runs(folders, tmp_path, monkeypatch, lookbeyond):
    """`lookbeyond fetch vace` from a hub that runs here, into an empty cache; before it, what is lacking is said."""
    root = tmp_path / "hub"
    for hub, folder in folders.items():
        (root / hub).parent.mkdir(parents=True, exist_ok=True)
        (root / hub).symlink_to(folder)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    presets.revision.cache_clear()
    assert "run `lookbeyond fetch vace`" in presets.get("vace").missing
    with running_hub(root) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        code, out, err = lookbeyond("fetch", "vace", "--yes")
    assert code == 0 and "Apache-2.0" in out + err
    assert presets.get("vace").installed, presets.get("vace").missing
    fetched = {path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert {"model_index.json", "tokenizer.json", "scheduler_config.json"} <= fetched
    presets.revision.cache_clear()
