"""A camera move is a job like a world and a shot: asked for by hashes, checked at once, made once, delivered."""

import json

import numpy as np
import pytest

from inference_service.client import Finished, MoveRequest
from inference_service.store.store import Store
from inference_service.work.perform import perform_unit
from inference_service.work.requests import check
from inference_service.work.unit import from_json, to_json
from inference_service.work.units import AnyUnit
from lookbeyond.errors import InputError
from lookbeyond.files import save_panorama, world_files
from lookbeyond.geometry.transforms import read_camera_path
from lookbeyond.planning.goals import EndOn
from lookbeyond.planning.plan import first_view, plan_move
from tests.lookbeyond.planning.test_plan import room

HASHES = {name: "a" * 64 for name in ("panorama.png", "distance.exr", "from_photo.png", "world.json")}
LENS = first_view(room(), 160, 90).to_dict()


def no_models(preset: str):
    raise AssertionError("a move needs no models")


def test_a_unit_makes_what_the_library_plans(tmp_path):
    save_panorama(tmp_path / "W", room())
    store = Store(tmp_path / "store")
    files = {name: store.add_file(tmp_path / "W" / name) for name in world_files(tmp_path / "W")}
    unit = check(MoveRequest(files, "end-on", target=[4.0, -1.0, 1.2], lens=LENS)).first_unit("r")
    assert from_json(to_json(unit), AnyUnit) == unit
    perform_unit(unit, store, no_models, lambda *_: None)
    made = store.unit(unit.identity)
    cameras = read_camera_path(made / "transforms.json").cameras
    planned = plan_move(room(), EndOn((4.0, -1.0, 1.2)), first_view(room(), 160, 90))
    assert len(cameras) == len(planned.cameras)
    assert np.allclose([c.camera_to_world for c in cameras], [c.camera_to_world for c in planned.cameras], atol=2e-3)
    about = json.loads((made / "move.json").read_text())
    assert len(about["way"]) == len(about["targets"]) == len(cameras) and len(about["curve"]) % 3 == 1


def test_models_have_no_say_in_it():
    request = check(MoveRequest(HASHES, "show-room", lens=LENS))
    other = check(MoveRequest(HASHES, "show-room", lens=LENS, preset="vace"))
    assert request.first_unit("r").identity == other.first_unit("s").identity
    slower = check(MoveRequest(HASHES, "show-room", lens=LENS, speed=0.2))
    assert slower.first_unit("r").identity != request.first_unit("r").identity
    assert slower.job_id("r") != request.job_id("r")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"world": {}}, "needs the files"),
        ({"goal": "dance"}, "cannot be for 'dance'"),
        ({"goal": "go-to"}, "give these numbers"),
        ({"goal": "go-to", "target": [1.0, 2.0, 3.0]}, "give these numbers"),
        ({"goal": "end-on", "target": [1.0, 2.0, 3.0], "start": [0.0, 0.0]}, "give these numbers"),
        ({"speed": 0.0}, "speed"),
        ({"fps": float("nan")}, "frames a second"),
        ({"clearance": -1.0}, "clearance"),
        ({"lens": {}}, "The move's camera"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(changes, words):
    with pytest.raises(InputError, match=words):
        check(MoveRequest(**({"world": HASHES, "lens": LENS} | changes)))


def test_over_the_wire(service, tmp_path):
    save_panorama(tmp_path / "W", room())
    with service.client() as client:
        files = {name: client.upload(tmp_path / "W" / name) for name in world_files(tmp_path / "W")}
        job = client.submit(MoveRequest(files, "go-to", target=[2.4, -0.8], lens=LENS))
        *_, last = client.follow(job, tmp_path / "M")
        assert isinstance(last, Finished) and (tmp_path / "M" / "move.json").is_file()
        assert client.status(job).kind == "move"
        wall = client.submit(MoveRequest(files, "go-to", target=[8.0, 0.0], lens=LENS))
        with pytest.raises(Exception, match="inside or behind a wall"):
            list(client.follow(wall, tmp_path / "N"))
