"""Units: equal wishes have equal identities, an edit changes only what it touches, and every failure is typed."""

import dataclasses
import errno
import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from inference_service.store.store import Store
from inference_service.store.transfer import files_of, import_unit
from inference_service.wire.requests import EditRequest, LinkRequest, MoveRequest, ShotRequest, WorldRequest
from inference_service.work.memory import is_out_of_memory
from inference_service.work.perform import perform_unit
from inference_service.work.requests import check
from inference_service.work.unit import UNIT_VERSION, canonical, from_json, hash_of, to_json
from inference_service.work.units import KINDS, AnyUnit
from inference_service.work.units import world as world_unit
from inference_service.work.units.plan import read_plan
from lookbeyond.errors import Cancelled, InputError, OutOfMemory, StorageError
from lookbeyond.geometry.cameras import placed_camera
from tests.support.double import STEPS, DoublePipeline
from tests.support.service import contents, path_cameras, photo_camera, save_photo

HASH = "a" * 64
WORLD = dict.fromkeys(("panorama.png", "distance.exr", "from_photo.png", "world.json"), HASH)
LAYERS = dict.fromkeys(("plate.png", "plate_distance.exr", "layout.json"), HASH)


def quiet(fraction, message, preview=None):
    assert 0 <= fraction <= 1


def pipelines(preset):
    return DoublePipeline()


def make_world(store, tmp_path, steer=0):
    photo = store.add_file(save_photo(tmp_path / "photo.png", steer))
    request = check(WorldRequest(photo=photo, camera=photo_camera(), width=512))
    unit = request.first_unit("r")
    perform_unit(unit, store, pipelines, quiet)
    return {a.name: a.sha256 for a in store.record(unit.identity).artifacts}


def make_shot(store, request):
    request = check(request)
    plan = request.first_unit("r")
    perform_unit(plan, store, pipelines, quiet)
    return [plan, *request.units("r", read_plan(store, plan.identity, len(request.cameras)))]


def test_a_unit_needs_nothing_that_it_does_not_declare(store, tmp_path):
    """As a Ray actor runs it: in a store of its own, with its input files and what it reads of other units."""
    shot = make_shot(store, ShotRequest(world=make_world(store, tmp_path), cameras=path_cameras(17)))
    for unit in shot[1:]:
        perform_unit(unit, store, pipelines, quiet)
    for unit in shot:
        elsewhere = Store(tmp_path / unit.identity)
        for sha256 in unit.input_files:
            elsewhere.adopt_file(Path(shutil.copy(store.read_file(sha256), tmp_path / sha256)), sha256)
        for name in unit.input_units:
            import_unit(elsewhere, name, files_of(store, name, unit.reads))
        perform_unit(unit, elsewhere, pipelines, quiet)
        assert contents(elsewhere.unit(unit.identity)).keys() == contents(store.unit(unit.identity)).keys()


def test_identity_is_of_the_content_and_poses_count_to_a_micrometre():
    assert canonical({"a": 1, "b": 2.5}) == canonical({"b": 2.5, "a": 1})
    camera, moved = photo_camera(), photo_camera()
    moved["camera_to_world"][0][3] += 1e-8
    far = photo_camera()
    far["camera_to_world"][0][3] += 1e-5
    ids = [check(WorldRequest(photo=HASH, camera=c)).job_id("r") for c in (camera, moved, far)]
    assert ids[0] == ids[1] != ids[2]
    assert check(WorldRequest(photo=HASH)).first_unit("r1").identity != (
        check(WorldRequest(photo=HASH)).first_unit("r2").identity
    )


def test_blenders_single_floats_and_the_command_lines_doubles_ask_for_the_same():
    cameras = path_cameras()
    request = ShotRequest(world=WORLD, cameras=cameras, tau_position=0.2, tau_rotation=0.3)
    single = dataclasses.replace(request, tau_position=float(np.float32(0.2)), tau_rotation=float(np.float32(0.3)))
    assert single != request
    assert check(single) == check(request)


def test_steps_reach_the_models_and_are_part_of_what_is_made(store, tmp_path):
    """None asked for is what it was before they could be; another number makes the frames anew, not the plan."""
    world, cameras = make_world(store, tmp_path), path_cameras()
    own, few = ShotRequest(world=world, cameras=cameras), ShotRequest(world=world, cameras=cameras, steps=3)
    assert check(own).job_id("r") != check(few).job_id("r")
    fields = {
        key: value
        for key, value in json.loads(to_json(check(own))).items()
        if key not in ("steps", "world_job", "former", "beyond")
    }
    plain = {"version": UNIT_VERSION, "job": "shot", "revision": "r", **fields}
    assert check(own).job_id("r") == hash_of(plain)
    made = {steps: make_shot(store, request) for steps, request in ((0, own), (3, few))}
    same = {unit.identity for unit in made[0]} & {unit.identity for unit in made[3]}
    assert same == {made[0][0].identity} and made[0][0].kind == "plan"
    for steps, shot in made.items():
        said = set()

        def report(share, message, picture, said=said):
            said.add(message)

        for unit in shot[1:]:
            perform_unit(unit, store, pipelines, report)
        words = {message for message in said if "steps" in message}
        assert words == {f"{what} in {steps or STEPS} steps" for what in ("Filling", "Denoising")}
        assert (
            json.loads((store.unit(shot[-1].identity) / "shot.json").read_text())["settings"].get("steps", 0) == steps
        )


def test_the_same_description_gives_the_same_bytes(tmp_path):
    folders = []
    for name in ("one", "two"):
        store = Store(tmp_path / name)
        world = make_world(store, tmp_path)
        shot = make_shot(store, ShotRequest(world=world, cameras=path_cameras()))
        for unit in shot[1:-1]:
            perform_unit(unit, store, pipelines, quiet)
        folders.append({u.identity: contents(store.unit(u.identity)) for u in shot[:-1]})
    for files in folders:
        for unit in files.values():
            unit.pop("unit.json")  # says how long it took
    assert folders[0] == folders[1]


def test_an_edit_of_the_end_touches_only_the_end(store, tmp_path):
    world = make_world(store, tmp_path)
    cameras = path_cameras(17)
    before = make_shot(store, ShotRequest(world=world, cameras=cameras))
    edited = cameras[:13] + path_cameras(17, turn=0.032)[13:]
    after = make_shot(store, ShotRequest(world=world, cameras=edited))
    made = {unit.identity for unit in before}
    new = [unit.kind for unit in after if unit.identity not in made]
    assert sorted(new) == ["anchor", "clip", "plan", "shot"]


def test_a_way_gone_twice_is_shot_once_and_delivered_twice(store, tmp_path):
    world = make_world(store, tmp_path)
    there = path_cameras(5)
    cameras = there + there[-2::-1] + there[1:]
    shot = make_shot(store, ShotRequest(world=world, cameras=cameras))
    assert len({unit.identity for unit in shot}) == len(shot)
    names = {name for unit in shot for name in unit.outputs}
    assert {f"frames/{i:04d}.png" for i in range(1, len(cameras) + 1)} <= names


def test_the_frame_two_clips_share_is_one_file(store, tmp_path):
    world = make_world(store, tmp_path)
    cameras = path_cameras(9) + path_cameras(9)[-2::-1]  # there and back: closed
    shot = make_shot(store, ShotRequest(world=world, cameras=cameras))
    files: dict[str, set[bytes]] = {}
    for unit in shot[1:-1]:
        perform_unit(unit, store, pipelines, quiet)
        for name, own in unit.outputs.items():
            files.setdefault(name, set()).add((store.unit(unit.identity) / own).read_bytes())
    assert all(len(versions) == 1 for versions in files.values())
    assert files["frames/0001.png"] == files["frames/0017.png"]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (WorldRequest(), "either a photo or"),
        (WorldRequest(photo=HASH, panorama=HASH), "either a photo or"),
        (WorldRequest(photo=HASH, width=123), "multiple of 4"),
        (WorldRequest(photo=HASH, width=1 << 20), "multiple of 4"),
        (WorldRequest(photo=HASH, camera_height=float("nan")), "camera height"),
        (WorldRequest(photo=HASH, seed=-1), "seed"),
        (WorldRequest(photo=HASH, camera={"width": 5}), "photo's camera cannot be used"),
        (WorldRequest(photo=HASH, camera={**photo_camera(), "camera_to_world": "x"}), "cannot be used"),
    ],
)
def test_impossible_worlds_are_refused(request_, words):
    with pytest.raises(InputError, match=words):
        check(request_)


def _cameras_with(value):
    cameras = path_cameras(3)
    cameras[1]["camera_to_world"][0][3] = value
    return cameras


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cameras": []}, "at least two"),
        ({"cameras": path_cameras(1)}, "at least two"),
        ({"cameras": path_cameras(2) * 5001}, "at most 10000"),
        ({"cameras": _cameras_with(float("nan"))}, "Frame 2"),
        ({"cameras": _cameras_with(float("inf"))}, "Frame 2"),
        ({"cameras": path_cameras(), "first_frame": -1}, "first frame"),
        ({"cameras": path_cameras(), "tau_position": float("nan")}, "tau"),
        ({"cameras": path_cameras(), "steps": -1}, "steps"),
        ({"cameras": path_cameras(), "world": {"panorama.png": HASH}}, "build the world first"),
    ],
)
def test_impossible_shots_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        check(ShotRequest(**{"world": WORLD, **settings}))


def test_a_camera_out_of_reach_is_an_input_error_that_names_the_frame(store, tmp_path):
    world = make_world(store, tmp_path)
    cameras = path_cameras(3)
    cameras[2]["camera_to_world"][0][3] = 50.0
    with pytest.raises(InputError, match=r"(?i)frame 103"):  # as the artist's scene counts
        make_shot(store, ShotRequest(world=world, cameras=cameras, first_frame=101))


def test_a_photo_of_another_shape_than_its_camera_is_refused(store, tmp_path):
    photo = store.add_file(save_photo(tmp_path / "photo.png"))
    camera = placed_camera(128, 128, 1.2).to_dict()
    unit = check(WorldRequest(photo=photo, camera=camera, width=512)).first_unit("r")
    with pytest.raises(InputError, match=r"128x128.*photo.png.*128x96"):
        perform_unit(unit, store, pipelines, quiet)


def test_a_file_that_is_no_image_is_called_by_its_name(store, tmp_path):
    note = tmp_path / "note.jpg"
    note.write_text("hello")
    unit = check(WorldRequest(photo=store.add_file(note), width=512)).first_unit("r")
    with pytest.raises(InputError, match=r"note.jpg is not an image"):
        perform_unit(unit, store, pipelines, quiet)
    assert not store.has_unit(unit.identity)


def _world_unit(store, tmp_path):
    photo = store.add_file(save_photo(tmp_path / "photo.png"))
    return check(WorldRequest(photo=photo, camera=photo_camera(), width=512)).first_unit("r")


class OutOfMemoryError(RuntimeError):
    """As torch's."""


class AcceleratorError(RuntimeError):
    """As torch's."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA"),
        AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.05 GB, max allowed: 9.07 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    ],
)
@pytest.mark.parametrize("times", [1, 2])
def test_out_of_memory_is_tried_once_more_and_then_said(store, tmp_path, monkeypatch, error, times):
    attempts = []
    unit = _world_unit(store, tmp_path)
    real = type(unit).run

    def run(unit, store, output, pipelines, callback):
        attempts.append(sorted(p.name for p in output.iterdir()))
        (output / "half").mkdir()
        (output / "half" / "written").write_text("x")
        if len(attempts) <= times:
            raise error
        real(unit, store, output, pipelines, callback)

    monkeypatch.setattr(type(unit), "run", run)
    if times == 1:
        perform_unit(unit, store, pipelines, quiet)
    else:
        with pytest.raises(OutOfMemory, match="smaller"):
            perform_unit(unit, store, pipelines, quiet)
    assert attempts == [[], []]
    assert store.has_unit(unit.identity) == (times == 1)


def test_torchs_own_allocator_is_understood_and_other_errors_are_not_taken_for_it():
    import torch

    with pytest.raises(RuntimeError) as error:
        torch.empty(1 << 50)
    assert is_out_of_memory(error.value)
    for other in (RuntimeError("CUDA error: an illegal memory access was encountered"), ValueError("out of memory")):
        assert not is_out_of_memory(other)


def test_a_full_disk_in_the_middle_is_a_storage_error(store, tmp_path, monkeypatch):
    def full(path, panorama, extra):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(world_unit, "save_panorama", full)
    unit = _world_unit(store, tmp_path)
    with pytest.raises(StorageError, match=r"no space left.*free some"):
        perform_unit(unit, store, pipelines, quiet)
    assert not store.has_unit(unit.identity)
    assert not list((store.root / "temporary").iterdir())


def test_a_cancel_is_seen_at_a_step_and_leaves_nothing(store, tmp_path):
    steps = []

    def callback(fraction, message, preview=None):
        steps.append(fraction)
        if len(steps) == 2:
            raise Cancelled("stop")

    unit = _world_unit(store, tmp_path)
    with pytest.raises(Cancelled):
        perform_unit(unit, store, pipelines, callback)
    assert len(steps) == 2
    assert not store.has_unit(unit.identity)


def test_what_is_in_the_store_is_not_made_again(store, tmp_path):
    unit = _world_unit(store, tmp_path)
    perform_unit(unit, store, pipelines, quiet)

    def never(preset):
        pytest.fail("made again")

    perform_unit(unit, store, never, quiet)


def test_depth_is_along_z(store, tmp_path):
    from lookbeyond.files import load_view, read_distance

    world = make_world(store, tmp_path)
    shot = make_shot(store, ShotRequest(world=world, cameras=path_cameras(2)))
    for unit in shot[1:]:
        perform_unit(unit, store, pipelines, quiet)
    clip = next(unit for unit in shot if unit.kind == "clip")
    view = load_view(store.unit(clip.source))
    points = view.camera.position + view.camera.rays() * view.distance[..., None]
    _, depth = view.camera.project(points)
    np.testing.assert_allclose(read_distance(store.unit(clip.identity) / "depth/0001.exr"), depth, rtol=1e-5)


def test_every_kind_of_unit_comes_back_from_its_json_and_has_a_weight(store, tmp_path):
    world = make_world(store, tmp_path)
    others = MoveRequest(world, lens=photo_camera()), EditRequest(world, HASH), LinkRequest(world, world)
    shot = make_shot(store, ShotRequest(world=world, cameras=path_cameras()))
    made = [_world_unit(store, tmp_path), *shot, *(check(request).first_unit("r") for request in others)]
    assert {unit.kind for unit in made} == set(KINDS)
    for unit in made:
        again = from_json(to_json(unit), AnyUnit)
        assert type(again) is type(unit) and again.identity == unit.identity and again.outputs == unit.outputs
        assert unit.weight > 0 and unit.stored_size > 0 and unit.title


def test_a_prompt_reaches_the_pipeline_and_names_another_world(store, tmp_path, monkeypatch):
    """Without one, worlds are called as they were before there were prompts; where none is heard it is refused."""
    plain = WorldRequest(photo=store.add_file(save_photo(tmp_path / "photo.png")), width=512)
    with pytest.raises(InputError, match=r"'builtin' takes no prompt; leave it out, or choose one that does: .*flux"):
        check(dataclasses.replace(plain, prompt="a barn"))
    with pytest.raises(InputError, match="only measured"):
        check(WorldRequest(panorama=HASH, preset="sd", prompt="a barn"))
    prompted = check(dataclasses.replace(plain, preset="sd", prompt="a barn"))
    assert "prompt" not in json.loads(to_json(check(plain).first_unit("r")))
    units_of = [request.first_unit("r") for request in (prompted, msgspec.structs.replace(prompted, prompt=""))]
    assert units_of[0].identity != units_of[1].identity
    assert prompted.job_id("r") != msgspec.structs.replace(prompted, prompt="").job_id("r")
    heard = []
    build = DoublePipeline.build_world
    monkeypatch.setattr(
        DoublePipeline,
        "build_world",
        lambda self, *arguments, prompt="", **options: heard.append(prompt) or build(self, *arguments, **options),
    )
    for unit in units_of:
        perform_unit(unit, store, pipelines, quiet)
    assert heard == ["a barn", ""]


def test_a_shots_world_has_all_its_layers_or_none():
    for world in (WORLD, WORLD | LAYERS):
        assert check(ShotRequest(world=world, cameras=path_cameras())).world == world
    some = WORLD | {"plate.png": HASH}
    with pytest.raises(InputError, match=r"layout.json where the world has them"):
        check(ShotRequest(world=some, cameras=path_cameras()))


def test_how_the_unseen_is_shown_is_part_of_a_world_only_where_it_was_asked_for():
    plain = WorldRequest(photo=HASH, camera=None)
    usual = json.loads(to_json(check(plain).first_unit("r")))
    assert "room" not in usual and "unseen" not in usual
    asked = check(dataclasses.replace(plain, room="off", unseen="plain"))
    assert json.loads(to_json(asked.first_unit("r"))) == usual | {"room": "off", "unseen": "plain"}
    assert asked.job_id("r") != check(plain).job_id("r")
    spelled = check(dataclasses.replace(plain, room="".join("auto")))  # as a client's, not the very object here
    assert spelled.job_id("r") == check(plain).job_id("r")
    assert spelled.first_unit("r").identity == check(plain).first_unit("r").identity
    with pytest.raises(InputError, match="choose auto, on, off"):
        check(dataclasses.replace(plain, room="maybe"))
