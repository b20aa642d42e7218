"""Anchors and clips: the laws a plan keeps whatever the path."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookbeyond.geometry import keyframes
from lookbeyond.geometry.cameras import Camera, PathError, placed_camera, rotation_angle
from lookbeyond.geometry.keyframes import (
    REACH,
    Reach,
    anchor_seed,
    clip_seed,
    plan_shot,
)
from lookbeyond.geometry.panorama import Panorama
from tests.support.box_room import BoxRoom

PANORAMA = BoxRoom().panorama(256, 256)
LIMIT = math.radians(40)


def path(headings, positions):
    return [placed_camera(48, 32, 1.2, heading_rad=h, position=p) for h, p in zip(headings, positions, strict=True)]


@st.composite
def paths(draw, least=2, most=60):
    """Random walks within half a metre of the origin, with turns from none to violent."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    frames = draw(st.integers(least, most))
    turn, step = draw(st.sampled_from([0.0, 0.02, 0.1, 0.6])), draw(st.sampled_from([0.0, 0.01, 0.1]))
    headings = np.cumsum(rng.normal(turn, turn, frames))
    positions = np.cumsum(rng.normal(0, step, (frames, 3)), 0)
    positions /= max(1.0, 2 * np.linalg.norm(positions, axis=-1).max())
    return path(headings, positions)


@settings(max_examples=20)
@given(paths(), st.integers(2, 20))
def test_clips_cover_the_path_once_and_keep_their_limits(cameras, frames_per_clip):
    plan = plan_shot(cameras, PANORAMA, frames_per_clip=frames_per_clip)
    assert plan.clips[0].first == 0 and plan.clips[-1].last == len(cameras) - 1
    for before, clip in zip(plan.clips, plan.clips[1:], strict=False):
        assert clip.first == before.last and clip.source == before.target
    for clip in plan.clips:
        assert plan.anchors[clip.source].camera == cameras[clip.first]
        assert plan.anchors[clip.target].camera == cameras[clip.last]
        assert 2 <= clip.last - clip.first + 1 <= frames_per_clip
        if clip.last > clip.first + 1:
            for camera in cameras[clip.first : clip.last + 1]:
                assert rotation_angle(cameras[clip.first].rotation, camera.rotation) <= LIMIT
                moved = np.linalg.norm(camera.position - cameras[clip.first].position)
                assert moved <= 0.25 * PANORAMA.median_distance
    assert len({anchor.camera for anchor in plan.anchors}) == len(plan.anchors)
    for number, anchor in enumerate(plan.anchors):
        assert len(anchor.before) <= 3 and all(0 <= other < number for other in anchor.before)
        assert cameras[anchor.frame] == anchor.camera


@settings(max_examples=20)
@given(paths(least=10), paths(least=2), st.data())
def test_an_edit_of_the_paths_end_leaves_the_beginning(cameras, others, data):
    edit = data.draw(st.integers(2, len(cameras) - 1))
    before, after = plan_shot(cameras, PANORAMA), plan_shot(cameras[:edit] + others, PANORAMA)
    kept = [clip for clip in before.clips if clip.last < edit - 1]
    assert list(after.clips[: len(kept)]) == kept
    used = 1 + max((clip.target for clip in kept), default=0)
    assert after.anchors[:used] == before.anchors[:used]


def test_a_closed_path_closes():
    angles = np.linspace(0, 2 * math.pi, 49)
    positions = [(0.4 * math.cos(a) - 0.4, 0.4 * math.sin(a), 0) for a in angles]
    plan = plan_shot(path(angles, positions), PANORAMA)
    assert plan.clips[-1].target == 0 and plan.clips[-1].last == 48
    assert plan.anchors[0].frame == 0


def test_a_still_camera_is_one_anchor():
    plan = plan_shot(path([0.3] * 30, [(0.1, 0, 0)] * 30), PANORAMA)
    assert len(plan.anchors) == 1 and [clip.last for clip in plan.clips] == [12, 24, 29]


def test_a_cut_gets_a_clip_of_its_own_two_frames():
    plan = plan_shot(path([0, 0.01, 2.0, 2.01], [(0, 0, 0)] * 4), PANORAMA)
    assert [(clip.first, clip.last) for clip in plan.clips] == [(0, 1), (1, 2), (2, 3)]


def test_only_overlapping_anchors_help():
    plan = plan_shot(path([0, 0.6, 3.0], [(0, 0, 0)] * 3), PANORAMA)
    assert plan.anchors[1].before == (0,)
    assert plan.anchors[2].before == ()


def _jumps(kind: str, count: int, room: Panorama) -> list[Camera]:
    """A path of which each frame is an anchor."""
    rng = np.random.default_rng(3)
    cameras = []
    for i in range(count):
        turn, pitch, fov, place = rng.uniform(-3, 3), rng.uniform(-0.5, 0.5), 1.2, rng.uniform(-0.5, 0.5, 3)
        if kind == "turning":  # in even steps: many are equally near
            turn, pitch, place = i * math.radians(45), 0.0, np.array([0.4 * math.sin(i / 900), 0, 1e-5 * i])
        elif kind == "two crowds":
            turn, pitch, place = 3.0 * (i % 2) + 1e-5 * (i // 2), 0.0, np.zeros(3)
        elif kind == "narrow":  # hardly any overlap
            fov = 0.02
        elif kind == "zooming":
            fov = rng.uniform(0.05, 2.5)
        cameras.append(placed_camera(96, 64, fov, heading_rad=turn, pitch_rad=pitch, position=room.position + place))
    return cameras


@pytest.mark.parametrize("kind", ["random", "turning", "two crowds", "narrow", "zooming"])
def test_thousands_of_anchors_have_the_same_helpers_as_when_all_are_looked_at(kind):
    room = BoxRoom().panorama(256, 256)
    cameras = _jumps(kind, 1200, room)
    plan = plan_shot(cameras, room, frames_per_clip=2)
    assert len(plan.anchors) == 1200
    scale = room.median_distance
    for number in np.random.default_rng(4).integers(0, 1200, 30):
        camera, near = cameras[number], {}
        for other, earlier in enumerate(cameras[:number]):
            turn = rotation_angle(earlier.rotation, camera.rotation)
            moved = float(np.linalg.norm(earlier.position - camera.position)) / scale
            if turn < 0.9 * max(camera.fov_x, earlier.fov_x) and moved < 1:
                near[other] = turn + moved
        assert plan.anchors[number].before == tuple(sorted(near, key=lambda n: (near[n], -n))[:3])


@pytest.mark.parametrize("kind", ["random", "turning", "two crowds", "narrow", "zooming"])
def test_the_time_of_a_plan_grows_with_its_length_not_with_its_square(kind, monkeypatch):
    """Counted in anchors that are looked at for one new anchor."""
    room, looked_at = BoxRoom().panorama(256, 256), []
    rough = keyframes._Helpful._rough

    def counted(self, point, fov, rows):
        looked_at.append(len(rows))
        return rough(self, point, fov, rows)

    monkeypatch.setattr(keyframes._Helpful, "_rough", counted)
    means = []
    for count in (1000, 3000):
        looked_at.clear()
        plan_shot(_jumps(kind, count, room), room, frames_per_clip=2)
        means.append(sum(looked_at) / count)
    assert means[1] < 2 * means[0] and means[1] < 700, means


def test_reach_is_four_fifths_of_what_is_free():
    """The room's walls stand 3.5 m ahead and 2.5 m behind; a cone of 10 degrees sees nothing nearer there."""
    assert Reach(PANORAMA).free((1, 0, 0)) == pytest.approx(REACH * 3.5, rel=0.02)
    assert Reach(PANORAMA).free((-5, 0, 0)) == pytest.approx(REACH * 2.5, rel=0.02)
    table = np.array([1.2, -0.8, -0.9])
    assert Reach(PANORAMA).free(table) < REACH * np.linalg.norm(table) * 1.02


@pytest.mark.parametrize(
    ("cameras", "words"),
    [
        (path([0], [(0, 0, 0)]), "1 camera"),
        ([], "0 camera"),
        (path([0, 0, 0], [(0, 0, 0), (0.1, 0, 0), (3.2, 0, 0)]), r"frame 3: .* 3\.2 m .* only 2\.8 m"),
        ([placed_camera(48, 32, 1.2), placed_camera(32, 32, 1.2)], "frame 2 .* 32 x 32 .* one size"),
    ],
)
def test_impossible_paths_name_the_frame_and_the_remedy(cameras, words):
    with pytest.raises(PathError, match=words):
        plan_shot(cameras, PANORAMA)


def test_reach_counts_from_the_origin_of_the_panorama():
    moved = replace(PANORAMA, origin=(100.0, 50.0, 1.6))
    plan_shot(path([0, 0.1], [(100, 50, 1.6), (100.5, 50, 1.6)]), moved)
    with pytest.raises(PathError, match="frame 1"):
        plan_shot(path([0, 0.1], [(0, 0, 0), (0.1, 0, 0)]), moved)


def test_seeds_come_from_the_poses_and_nothing_else():
    first, second = path([0, 0.3], [(0, 0, 0), (0.1, 0, 0)])
    nudged = placed_camera(48, 32, 1.2, position=(1e-9, 0, 0))
    assert clip_seed(1, first, second) == clip_seed(1, nudged, second)
    seeds = {
        clip_seed(1, first, second),
        clip_seed(1, second, first),
        clip_seed(2, first, second),
        anchor_seed(1, first),
        anchor_seed(1, second),
    }
    assert len(seeds) == 5 and all(0 <= seed < 2**63 for seed in seeds)
    assert anchor_seed(0, first) == 734890344256004045  # stored shots stay valid only while this holds
