"""Identities stay what they are, or everybody's finished work is made again: these were written down once."""

import msgspec
import pytest

from inference_service.client import WORLD_FILES, ShotRequest, WorldRequest
from inference_service.work.requests import check
from inference_service.work.unit import hash_of
from inference_service.work.units.plan import Plan
from lookbeyond.geometry.cameras import placed_camera

HASH = "a" * 64


@pytest.fixture(autouse=True)
def written_down_at_version_3(monkeypatch):
    """What the version changes is meant to change."""
    monkeypatch.setattr("inference_service.work.unit.UNIT_VERSION", 3)


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
    assert plain.job_id("rev") == "520701c680b8e9e53c8995e1011adc7b7d9127e892ad847cfb7a2b1ba7dedd76"
    unit = plain.first_unit("rev")
    assert unit.identity == "ec4daf20a774b37e32fc573f2d339ce4f2d84658c1d0c21d5e14e5e587853c8b"
    request = check(WorldRequest(photo=HASH, preset="sd", prompt="a barn"))
    assert request.job_id("rev") == "a185a57962ec8562ebd175c742dce7c6ea23598295998c9e7cac41c7cfc037e1"
    unit = request.first_unit("rev")
    assert unit.identity == "12b30bd9887cedc8541fa5c0cd5435c5b51b602692547f0e1b3aca35955e42be"
    asked = check(WorldRequest(photo=HASH, room="off", unseen="plain"))
    assert asked.job_id("rev") == "7746ce4deb5eecbaf4f82c2d50b96f290aa4f30646382afc2d9b934ae9e6df37"
    unit = asked.first_unit("rev")
    assert unit.identity == "16f4def72eb08f78fc18f079374c85378c8a7997101fa9bcbdf7de97654f6096"
    lit = check(WorldRequest(photo=HASH, room="off", unseen="plain", hdr=True))
    assert lit.job_id("rev") != asked.job_id("rev") and lit.first_unit("rev").identity != unit.identity
    dull = check(WorldRequest(photo=HASH, room="off", unseen="plain", hdr=False))
    assert dull.job_id("rev") == asked.job_id("rev") and dull.first_unit("rev").identity == unit.identity


def test_shots():
    world, plan = dict.fromkeys(WORLD_FILES, HASH), msgspec.convert(PLAN, Plan)
    shot = check(ShotRequest(world=world, cameras=path(), first_frame=101, seed=5))
    assert shot.job_id("rev") == "67bdee5b0760b566a5c6462f5661864ab1aaf17da7d75a68f090ec9371e428c8"
    assert shot.first_unit("rev").identity == "73e64187f057b2fc385b3670f730350229f31c38bba700fb4418dc83a5854130"
    few = check(ShotRequest(world=world, cameras=path(), steps=3, tau_position=0.123456789))
    assert few.job_id("rev") == "479df96274ef05bb43a8fa339fbb035b9df0f37a9f34528c0eddaf96f01563dd"
    units = {name: [unit.identity for unit in request.units("rev", plan)] for name, request in (("", shot), ("3", few))}
    assert hash_of(units) == "44dce7dc4a46669a3fd30d872eaebc93b105ad49d035cc4a4351ceb487b51ba1"
