"""Whatever a file or a message holds, the answer is a sentence: properties over the whole schema of requests."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_service.wire.requests import ShotRequest, WorldRequest
from inference_service.work.requests import check
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera, CameraError, PathError
from lookbeyond.geometry.transforms import read_transforms
from tests.support.service import path_cameras

NUMBERS = st.one_of(
    st.floats(), st.integers(), st.sampled_from([0, -1, 1e300, 5e-324, 10**400, float("nan"), float("inf"), True])
)
JUNK = st.recursive(
    st.one_of(st.none(), st.text(max_size=4), NUMBERS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
MATRIX = st.lists(st.lists(NUMBERS, min_size=3, max_size=4), min_size=3, max_size=4)
CAMERA = st.fixed_dictionaries(
    {}, optional={"width": JUNK, "height": JUNK, "intrinsics": MATRIX | JUNK, "camera_to_world": MATRIX | JUNK}
)
GOOD = path_cameras(2)[0]
NEARLY = st.builds(lambda odd: GOOD | odd, CAMERA)
"""A good camera of which some parts are odd."""
HASH = st.sampled_from(["", "a" * 64, "../x", "A" * 64])
WORLD = st.builds(
    WorldRequest,
    photo=HASH,
    panorama=HASH,
    camera=st.none() | CAMERA | NEARLY,
    camera_height=NUMBERS.map(lambda value: min(value, 1e308) if value == value else value),
    width=st.integers(),
    seed=st.integers(),
    prompt=st.text(max_size=5),
    room=st.text(max_size=4) | st.just("auto"),
    unseen=st.text(max_size=4) | st.just(""),
)
SHOT = st.builds(
    ShotRequest,
    world=st.dictionaries(st.sampled_from(["panorama.png", "x"]), HASH, max_size=2),
    world_job=HASH,
    cameras=st.lists(CAMERA | NEARLY | st.just(GOOD), max_size=4),
    first_frame=st.integers(),
    seed=st.integers(0, 2**64),
    tau_position=st.floats(),
    tau_rotation=st.floats(),
    steps=st.integers(),
)


@settings(max_examples=150, deadline=None)
@given(WORLD | SHOT)
def test_a_request_is_checked_or_refused_with_a_sentence(request_):
    try:
        checked = check(request_)
    except InputError as error:
        assert len(str(error)) < 1000
        return
    assert len(checked.job_id("r")) == 64


@settings(max_examples=150, deadline=None)
@given(CAMERA | NEARLY)
def test_a_camera_is_one_or_refused(plain):
    try:
        camera = Camera.from_dict(plain)
    except CameraError as error:
        assert len(str(error)) < 400
        return
    assert 0 <= camera.fov_x < 3.15 and camera == Camera.from_dict(camera.to_dict())


@settings(max_examples=100, deadline=None)
@given(st.recursive(JUNK, lambda inner: st.fixed_dictionaries({"frames": st.lists(inner, max_size=2)}), max_leaves=3))
def test_a_cameras_file_is_read_or_refused(tmp_path_factory, plain):
    path = tmp_path_factory.mktemp("odd") / "transforms.json"
    path.write_text(json.dumps(plain))
    with pytest.raises(PathError):
        read_transforms(path)


POSE = "[[1,0,0,0],[0,0,-1,0],[0,1,0,0],[0,0,0,1]]"
LONG = "1" + "0" * 400


def _file(numbers: str, pose: str = POSE) -> str:
    return f'{{{numbers}, "frames": [{{"transform_matrix": {pose}}}]}}'


SIZE = '"w": 96, "h": 64'


@pytest.mark.parametrize(
    "text",
    [
        _file('"w": NaN, "h": 64, "fl_x": 50'),
        _file('"w": 96, "h": Infinity, "fl_x": 50'),
        _file(f'"w": {LONG}, "h": 64, "fl_x": 50'),
        _file(f'{SIZE}, "fl_x": {LONG}'),
        _file(f'{SIZE}, "fl_x": 1e300'),
        _file(f'{SIZE}, "camera_angle_x": 5e-324'),
        _file(f'{SIZE}, "fl_x": 50', "[" * 400 + "1" + "]" * 400),
        _file(f'{SIZE}, "fl_x": 50, "camera_model": []'),
        _file(f'{SIZE}, "fl_x": 50', POSE.replace("[1,0,0,0]", "[1,0,0,1e200]")),
        _file(f'{SIZE}, "fl_x": 50', POSE.replace("[1,0,0,0]", f"[1,0,0,{LONG}]")),
        _file(f'{SIZE}, "fl_x": 50', POSE.replace("[1,0,0,0]", "[1,0,0,1" + "0" * 5000 + "]")),
        "[" * 100_000,
        '{"frames": [7]}',
    ],
)
def test_odd_files_of_cameras_are_refused_with_a_sentence(tmp_path, text):
    (tmp_path / "transforms.json").write_text(text)
    with pytest.raises(PathError) as error:
        read_transforms(tmp_path / "transforms.json")
    assert "transforms.json" in str(error.value) and len(str(error.value)) < 500


def test_msgspec_takes_what_these_properties_make():
    assert msgspec.convert({"seed": 3}, WorldRequest).seed == 3
