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
    assert plain.identity("rev") == "56eecd26785a318b40833a3e5408378969cca3f146fde13f6a41bb8b51012a59"
    unit = plain.first_unit("rev")
    assert unit.identity == "c5dae4dc7f989990ac870370f3732cf0da2d62373bdeb6594f1154d4fbb7c4c4"
    told = check(WorldRequest(photo=HASH, preset="sd", prompt="a barn"))
    assert told.identity("rev") == "23387f6090587539d7ba363fb43d983f02f2e8b495f22696c927c7805dce1dec"
    unit = told.first_unit("rev")
    assert unit.identity == "aeef2a89e03549f8e37ef9f6669b96a077f88a35ec17f01b5c03a0fa7a75363b"
    asked = check(WorldRequest(photo=HASH, room="off", unseen="plain"))
    assert asked.identity("rev") == "cb5f2c11fea20e4f04317f2ec835902963bbc4eaf155dbed77d5a1dfc1482203"
    unit = asked.first_unit("rev")
    assert unit.identity == "20cfa14cdddaccc8cad00a44e297e5992503c0d63426fcaf597c6dd1f8f10b79"


def test_shots():
    world, plan = dict.fromkeys(WORLD_FILES, HASH), msgspec.convert(PLAN, Plan)
    shot = check(ShotRequest(world=world, cameras=path(), first_frame=101, seed=5))
    assert shot.identity("rev") == "a4fca0266c4419fe325a0acb1e8541d249a2b28860747601cc8b60e7a8b4446e"
    assert shot.first_unit("rev").identity == "2e19fbb486f6c8f50bfd856a68b74d603ed3e7dfabe77244a2cf07a03796dc7c"
    few = check(ShotRequest(world=world, cameras=path(), steps=3, tau_position=0.123456789))
    assert few.identity("rev") == "c3b6350ddf40e95cebed923252782d819f68414ed28409490a4ddec4b7d2c13b"
    units = {name: [unit.identity for unit in request.units("rev", plan)] for name, request in (("", shot), ("3", few))}
    assert hash_of(units) == "32e727199fbe154ff5ac9708b03d7d59e27056f3daab21c173b37fe28efff08b"
