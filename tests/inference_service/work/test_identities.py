"""Identities stay what they are, or everybody's finished work is made again: these were written down once."""

import msgspec

from inference_service.client import WORLD_FILES, ShotRequest, WorldRequest
from inference_service.work.requests import check
from inference_service.work.unit import hash_of
from inference_service.work.units.plan import Plan
from lookbeyond.geometry.cameras import placed_camera

HASH = "a" * 64
PLAN = {
    "anchors": [
        {"frame": frame, "before": before} for frame, before in ((0, []), (4, [0]), (8, [0, 1]), (12, [1]), (16, [0]))
    ],
    "clips": [{"source": i, "target": i + 1, "first": 4 * i, "last": 4 * i + 4} for i in range(4)],
}


def path():
    """There and back."""
    there = [
        placed_camera(96, 64, 1.2, heading_rad=0.03 * i, position=(0.02 * i, -1e-9, 1.6)).to_dict() for i in range(9)
    ]
    return there + there[-2::-1]


def test_worlds():
    camera = placed_camera(128, 96, 1.2, position=(0, 0, 1.6)).to_dict()
    plain = check(WorldRequest(photo=HASH, camera=camera, width=512, seed=3))
    assert plain.identity("rev") == "b4dafdd09a9f8ca4a9ea61016fd78f66b53e1751528e9f846a7a792d21a592e3"
    unit = plain.first_unit("rev")
    assert unit.identity == "f60e615999f2ceda2d92b97690c259683075c45ac5bb130594bc32272d7d4ac4"
    told = check(WorldRequest(photo=HASH, preset="sd", prompt="a barn"))
    assert told.identity("rev") == "bd1a9c768f4efa0023e7ab67c9c7b71fd00f3e8e1d5d5a7622ce5e1a42e7dd66"
    unit = told.first_unit("rev")
    assert unit.identity == "da924fa67949f29f3311330fb6639f2eaa923b764349bae650d1f6adfe8312c4"


def test_shots():
    world, plan = dict.fromkeys(WORLD_FILES, HASH), msgspec.convert(PLAN, Plan)
    shot = check(ShotRequest(world=world, cameras=path(), first_frame=101, seed=5))
    assert shot.identity("rev") == "8327e52b19a3d941135a764949ac3acd228daac38b30ae0a92e0f26659c41170"
    assert shot.first_unit("rev").identity == "e16796f30b3c61c594e0c11890fe52fa7b79fe06c622a919f850ebb4a4ccec16"
    few = check(ShotRequest(world=world, cameras=path(), steps=3, tau_position=0.123456789))
    assert few.identity("rev") == "f14e4373548def276ce2b7dbae35d5d399780a410db519bf545ff39d099e0d65"
    units = {name: [unit.identity for unit in request.units("rev", plan)] for name, request in (("", shot), ("3", few))}
    assert hash_of(units) == "e5e237286c7a2befc8a4e6749eb229a22dc7e77e5ddef577ecf8fea88743e727"
