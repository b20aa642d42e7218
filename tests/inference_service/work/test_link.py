"""Links: two worlds become an opening between them, and a shot through it is made of both where both are seen."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from inference_service.client import WORLD_FILES, LinkRequest, ShotRequest
from inference_service.store.store import Store
from inference_service.work.perform import perform_unit
from inference_service.work.requests import check
from inference_service.work.unit import from_json, to_json
from inference_service.work.units import AnyUnit
from inference_service.work.units.plan import read_plan
from lookbeyond.errors import InputError
from lookbeyond.files import save_panorama
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.linked import Link
from tests.inference_service.cli.test_link import WarpingDouble, walk
from tests.lookbeyond.linking.test_linking import SEED, layout
from tests.support.two_rooms import draw_two_rooms

HASHES = dict.fromkeys(WORLD_FILES, "a" * 64)
LINK = {
    "version": 1,
    "opening": {"start": [2, -0.5], "end": [2, 0.5], "bottom_z": -1.6, "top_z": 0.4},
    "second_to_first": np.eye(4).tolist(),
    "gain": [1.0, 1.0, 1.0],
}


def quiet(fraction, message, preview=None):
    pass


def pipelines(preset):
    return WarpingDouble()


@pytest.fixture(scope="module")
def rooms():
    return draw_two_rooms(SEED)


@pytest.fixture(scope="module")
def saved(rooms, tmp_path_factory):
    store, folder = Store(tmp_path_factory.mktemp("store")), tmp_path_factory.mktemp("worlds")
    found = []
    for name, world in (
        ("F", replace(rooms.panorama(np.zeros(3), 256), layout=layout())),
        ("S", rooms.panorama(rooms.second_to_first[:3, 3], 256)),
    ):
        save_panorama(folder / name, world)
        found.append({path.name: store.add_file(path) for path in sorted((folder / name).iterdir())})
    return store, *found


def test_a_link_is_a_unit(saved, rooms):
    store, first, second = saved
    unit = check(LinkRequest(first, second)).first_unit("r")
    assert from_json(to_json(unit), AnyUnit).identity == unit.identity
    perform_unit(unit, store, pipelines, quiet)
    made = json.loads((store.unit(unit.identity) / "link.json").read_text())
    opening = Link.from_json_dict(made).opening
    assert np.linalg.norm(opening.centre - rooms.opening.centre) < 0.1
    assert any("both worlds show" in sentence for sentence in made["said"])


def test_a_given_opening_is_taken(saved, rooms):
    store, first, second = saved
    o = rooms.opening
    given = [*o.end, *o.start, o.bottom_z, o.top_z]  # the other way round
    unit = check(LinkRequest(first, second, opening=given)).first_unit("r")
    perform_unit(unit, store, pipelines, quiet)
    made = json.loads((store.unit(unit.identity) / "link.json").read_text())
    assert Link.from_json_dict(made).opening.start == pytest.approx(o.start, abs=1e-5)


def test_units_that_show_nothing_of_the_second_world_are_those_of_the_first_alone(saved, rooms):
    """The camera looks away from the door first, turns and goes through: what was shot before is not made again."""
    store, first, second = saved
    o = rooms.opening
    ahead = math.atan2(-o.normal[1], -o.normal[0])
    turning = [
        placed_camera(128, 72, 1.0, heading_rad=ahead + math.pi - turn, position=(0.01 * i, 0, 0))
        for i, turn in enumerate(np.linspace(0, math.pi, 9))
    ]
    cameras = [each.to_dict() for each in (*turning, *walk(rooms, (2.5, -1.0), 6))]
    beyond = {
        "world": second,
        "link": LINK | {"opening": o.to_json_dict()},
    }
    units = []
    for request in (ShotRequest(first, cameras=cameras[:9]), ShotRequest(first, cameras=cameras, beyond=beyond)):
        checked = check(request)
        plan = checked.first_unit("r")
        perform_unit(plan, store, pipelines, quiet)
        units.append(checked.units("r", read_plan(store, plan.identity, len(request.cameras))))
    alone, both = ({unit.identity: unit for unit in some} for some in units)
    shared = [both[identity] for identity in alone.keys() & both.keys()]
    assert any(unit.kind == "clip" for unit in shared)
    assert all(unit.beyond is None for unit in shared)
    told = [unit for unit in both.values() if unit.kind in ("anchor", "clip") and unit.beyond is not None]
    assert told and all(set(second.values()) <= unit.input_files for unit in told)
    for unit in units[1]:
        perform_unit(unit, store, pipelines, quiet)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"beyond": {"world": {}, "link": LINK}}, "second world of a shot needs the files"),
        ({"beyond": {"world": HASHES}}, "cannot be joined"),
        ({"beyond": {"world": HASHES, "link": LINK | {"gain": [100, 1, 1]}}}, "gain"),
        ({"beyond": {"world": HASHES, "link": LINK}, "former": [HASHES]}, "leave former worlds out"),
        ({"beyond": {"world": HASHES, "link": LINK | {"second_to_first": [[1]]}}}, "4 by 4"),
    ],
)
def test_what_cannot_be_joined_is_said(changes, said):
    cameras = [placed_camera(32, 18, 1.0, position=(x, 0, 0)).to_dict() for x in (0.0, 0.1)]
    with pytest.raises(InputError, match=said):
        check(ShotRequest(**({"world": HASHES, "cameras": cameras} | changes)))


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"second": {}}, "second world needs the files"),
        ({"opening": [1, 2, 3]}, "both sides"),
        ({"opening": [1, 2, 1, 2, 0, 2]}, "wide"),
        ({"pose": [[1, 0], [0, 1]]}, "4 by 4"),
        ({"pose": (2 * np.eye(4)).tolist()}, "scale"),
    ],
)
def test_what_cannot_be_linked_is_said(changes, said):
    with pytest.raises(InputError, match=said):
        check(LinkRequest(**({"world": HASHES, "second": HASHES} | changes)))
