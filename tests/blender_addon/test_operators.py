"""What an artist does, through the operators: photo, path, world, shot; and what is said when it cannot be.

Blender without a window executes operators and never invokes them; what invoking adds, that the window goes on,
is tested by beginning the same work in the session.
"""

import json
import math
import threading

import bpy
import numpy as np
import pytest

from tests.support.played import turns_until


@pytest.fixture
def session(part):
    return part("session").session


@pytest.fixture
def placed(scene, photo, tmp_path):
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.2, heading=0.5, height=1.7)
    return scene


@pytest.fixture
def world(placed, service):
    assert bpy.ops.lookbeyond.build_world() == {"FINISHED"}
    return placed


def test_world_is_asked_for_as_the_camera_stands_and_shown(part, placed, service, tmp_path):
    placed.look_beyond.seed, placed.look_beyond.panorama_width = 9, "2048"
    placed.look_beyond.photo_camera.location.z = 1.9
    assert bpy.ops.lookbeyond.build_world() == {"FINISHED"}
    (request,) = service.requests
    assert (request.seed, request.width, request.preset) == (9, 2048, "builtin")
    assert request.photo and not request.panorama
    assert math.isclose(request.camera_height, 1.9, rel_tol=1e-6)
    assert (request.camera["width"], request.camera["height"]) == (120, 80)
    node = part("world.nodes").panorama_node(placed.world)
    assert math.isclose(node.inputs["Heading"].default_value, 0.5, abs_tol=1e-5)
    assert placed.world["look_beyond_seed"] == 9
    assert placed.world["look_beyond_revision"] == "r1"
    assert json.loads(placed.world["look_beyond_cameras"]) == [request.camera]
    assert placed.look_beyond.world_folder.startswith(str(tmp_path / "results" / "worlds"))


def test_a_360_picture_becomes_a_world(part, scene, service, photo, tmp_path):
    scene.look_beyond.output_folder = str(tmp_path / "results")
    assert bpy.ops.lookbeyond.use_panorama(filepath=str(photo), height=1.5, heading=0.3) == {"FINISHED"}
    (request,) = service.requests
    assert request.panorama and not request.photo
    assert request.camera_height == pytest.approx(1.5)
    assert part("world.nodes").panorama_node(scene.world) is not None
    bpy.ops.lookbeyond.add_path()
    assert bpy.ops.lookbeyond.shoot() == {"FINISHED"}


def test_shot_carries_the_scenes_frames_and_cameras(part, world, service):
    bpy.ops.lookbeyond.add_path()
    world.render.resolution_percentage = 50
    assert bpy.ops.lookbeyond.shoot() == {"FINISHED"}
    request = service.requests[-1]
    assert sorted(request.world) == ["distance.exr", "from_photo.png", "panorama.png", "world.json"]
    assert request.first_frame == 11 and len(request.cameras) == 6
    assert (request.cameras[0]["width"], request.cameras[0]["height"]) == (48, 32)
    position = np.array(request.cameras[0]["camera_to_world"])[:3, 3]
    assert np.allclose(position, (0, 0, 1.7), atol=1e-4)
    editing = bpy.data.scenes["Scene Shot"]
    (strip,) = part("shot.strip").strips_of(editing)
    assert strip.elements[0].filename == "0011.png"
    image = world.camera.data.background_images[0].image
    assert image["look_beyond_job"] == strip["look_beyond_job"]
    assert len(json.loads(image["look_beyond_cameras"])) == 6
    assert world.look_beyond.shot_folder


@pytest.mark.parametrize("operator", ["build_world", "shoot"])
def test_words_of_the_service_reach_the_status_box(session, world, service, operator):
    from lookbeyond_kit import client

    bpy.ops.lookbeyond.add_path()
    words = "Frame 37: the camera stands 4.2 m away but only 2.5 m are free: keep the path within 2.5 m."
    service.fails = client.ServiceError("input", words)
    with pytest.raises(RuntimeError, match="Frame 37"):
        getattr(bpy.ops.lookbeyond, operator)()
    assert session.error == words
    assert not world.look_beyond.shot_folder
    assert service.open == 0


def test_without_a_service_the_sentence_says_so(session, placed):
    with pytest.raises(RuntimeError):
        bpy.ops.lookbeyond.build_world()
    assert session.error_code == "not_running" and session.error
    assert placed.world is None


def test_a_job_lets_the_window_go_on_and_can_be_cancelled(part, session, placed, service):
    service.holds = True
    session.begin(part("world.build").build_world(bpy.context))
    turns_until(session, lambda: session.task.message.startswith("Denoising") and session.preview)
    assert session.task.eta_s and session.task.job
    assert not bpy.ops.lookbeyond.check_service.poll() and bpy.ops.lookbeyond.build_world.poll()
    assert bpy.ops.lookbeyond.cancel() == {"FINISHED"}
    assert not bpy.ops.lookbeyond.cancel.poll()
    turns_until(session, lambda: not session.busy)
    assert session.notice == "Build World was cancelled." and not session.error
    assert placed.world is None and len(service.cancelled) == 1


def finish_a_world_while_another_file_is_open(part, session, service):
    service.holds = True
    session.begin(part("world.build").build_world(bpy.context))
    turns_until(session, lambda: session.task.message.startswith("Denoising"))
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    service.holds = False
    turns_until(session, lambda: not session.busy)


def test_another_file_in_the_middle_of_a_job_loses_nothing(part, session, placed, service, tmp_path):
    finish_a_world_while_another_file_is_open(part, session, service)
    assert not session.error and "its scene is no longer open" in session.notice
    assert list((tmp_path / "results" / "worlds").glob("*/panorama.png"))
    assert bpy.context.scene.world is None


def test_what_is_finished_while_another_file_is_open_is_found_in_its_own(part, session, placed, service, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"), relative_remap=False)
    finish_a_world_while_another_file_is_open(part, session, service)
    assert "Open scene.blend to find it" in session.notice and bpy.context.scene.world is None
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert len(session.unfinished) == 1
    assert bpy.ops.lookbeyond.resume() == {"FINISHED"}
    assert part("world.nodes").panorama_node(bpy.context.scene.world) is not None
    assert not part("service.unfinished").unfinished()


def test_undo_in_the_middle_of_a_job_does_not_lose_its_scene(part, session, placed, service):
    """Every datablock is another one afterwards."""
    bpy.ops.ed.undo_push(message="Before")
    service.holds = True
    session.begin(part("world.build").build_world(bpy.context))
    turns_until(session, lambda: session.task.message.startswith("Denoising"))
    placed.frame_end = 77
    bpy.ops.ed.undo_push(message="Edit")
    bpy.ops.ed.undo()
    assert bpy.context.scene.frame_end == 16, "the undo did nothing"
    service.holds = False
    turns_until(session, lambda: not session.busy)
    assert not session.error and part("world.nodes").panorama_node(bpy.context.scene.world) is not None


def stored(settings) -> dict:
    """What the .blend has of a property group, as plain values."""
    values = {key: settings.get(key) for key in settings.keys()}
    return {
        key: [one.to_dict() for one in value] if isinstance(value, list) else value for key, value in values.items()
    }


def test_nothing_of_a_running_job_is_stored(part, session, placed, service, tmp_path):
    before = stored(placed.look_beyond)
    service.holds = True
    session.begin(part("world.build").build_world(bpy.context))
    turns_until(session, lambda: session.task.message.startswith("Denoising"))
    assert stored(placed.look_beyond) == before
    assert not [key for key in placed.keys() if key.startswith("look_beyond_")]
    session.cancel()
    session.run()


@pytest.mark.parametrize(
    "prepare, operator, words",
    [
        (lambda scene: None, "build_world", "Place a photo first"),
        (lambda scene: None, "shoot", "Build a world first"),
        (lambda scene: None, "cancel", "Nothing is running"),
        (lambda scene: None, "use_photo_resolution", "Place a photo first"),
        (lambda scene: setattr(scene.look_beyond, "world_folder", "/w"), "shoot", "no active camera"),
    ],
)
def test_a_button_that_cannot_be_pressed_says_why(scene, prepare, operator, words):
    prepare(scene)
    with pytest.raises(RuntimeError, match=words):
        getattr(bpy.ops.lookbeyond, operator)()


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda scene: setattr(scene, "frame_end", scene.frame_start), "at least two frames"),
        (lambda scene: setattr(scene.camera.data, "type", "ORTHO"), "not a perspective camera"),
        (lambda scene: setattr(scene, "frame_end", 20_000), "10000 frames"),
    ],
)
def test_a_shot_that_cannot_be_says_why(world, change, words):
    change(world)
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.lookbeyond.shoot()


def test_a_world_that_was_moved_is_named(session, world, tmp_path):
    bpy.ops.lookbeyond.add_path()
    (tmp_path / "results").rename(tmp_path / "elsewhere")
    with pytest.raises(RuntimeError, match=r"panorama.png is missing"):
        bpy.ops.lookbeyond.shoot()
    assert "build the world again" in session.error


def test_a_camera_below_the_floor_is_refused(placed, service):
    placed.look_beyond.photo_camera.location.z = -0.5
    with pytest.raises(RuntimeError, match="raise the camera"):
        bpy.ops.lookbeyond.build_world()
    assert not service.requests


def test_results_of_a_saved_file_lie_beside_it(world, service, tmp_path):
    world.look_beyond.output_folder = "//look_beyond"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.lookbeyond.build_world()
    folder = bpy.context.scene.look_beyond.world_folder
    assert folder.startswith("//look_beyond")
    assert list((tmp_path / "look_beyond" / "worlds").iterdir())


def test_service_command_is_found_or_the_remedy_named(part, tmp_path, monkeypatch):
    service_command, error = part("service.program").service_command, part("tasks").JobError
    program = tmp_path / "a folder" / "lookbeyond"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert service_command(str(program)) == [str(program), "serve"]
    assert service_command("sh -c 'x y' serve --store S") == [
        "sh",
        "-c",
        "x y",
        "serve",
        "--store",
        "S",
    ]
    monkeypatch.setenv("PATH", str(program.parent))
    assert service_command("") == [str(program), "serve"]
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(error, match="pip install lookbeyond"):
        service_command("")
    with pytest.raises(error, match="no program nothing_like_it"):
        service_command("nothing_like_it")


def test_the_service_starts_by_itself_when_it_is_needed(part, placed, service, session, monkeypatch):
    from lookbeyond_kit.client import ServiceError

    lifecycle, preferences = part("service.lifecycle"), part("service.preferences")
    launched = []

    def not_running():
        if not launched:
            raise ServiceError("not_running", "The service does not run.")
        return service

    def launch(command):
        launched.append(command)
        return None, "its address"

    monkeypatch.setattr(preferences, "connection", lambda: not_running)
    monkeypatch.setattr(preferences, "service_command", lambda preference: ["lookbeyond", "serve"])
    monkeypatch.setattr(lifecycle, "launch_service", launch)
    monkeypatch.setattr(lifecycle, "Client", lambda address: service)
    chosen = preferences.addon_preferences()
    try:
        chosen.start_service = False
        with pytest.raises(RuntimeError, match="does not run"):
            bpy.ops.lookbeyond.build_world()
        assert not launched
        chosen.start_service, chosen.warm_service = True, False
        bpy.ops.lookbeyond.build_world()
        assert launched == [["lookbeyond", "serve", "--no-warm"]] and placed.look_beyond.world_folder
        assert session.service is service.welcome
        bpy.ops.lookbeyond.reroll_world()
        assert len(launched) == 1
        chosen.warm_service = True
        assert preferences.launch_command() == ["lookbeyond", "serve"]
    finally:
        chosen.start_service = chosen.warm_service = True


def test_addresses_are_normalised_and_the_internet_needs_permission(part):
    preferences, error = part("service.preferences"), part("tasks").JobError
    assert preferences.normal_address(" studio:5555 ") == "tcp://studio:5555"
    assert preferences.normal_address("tcp://10.0.0.2:1") == "tcp://10.0.0.2:1"
    assert preferences.normal_address("[::1]:5555") == "tcp://[::1]:5555"
    for wrong in ("studio", "http://studio:80", "studio:port", ":5"):
        with pytest.raises(error, match="host:port"):
            preferences.normal_address(wrong)
    assert preferences.offline_reason("tcp://127.0.0.1:5") == ""
    assert preferences.offline_reason("tcp://localhost:5") == ""
    if not bpy.app.online_access:
        assert "Online access is off" in preferences.offline_reason("tcp://studio:5555")


def test_several_shots_wait_for_their_turn_and_what_waits_can_be_taken_off(part, session, world, service):
    bpy.ops.lookbeyond.add_path()
    service.holds = True
    jobs = part("shot.shoot")
    for _ in range(3):
        session.enqueue(jobs.shoot(bpy.context))
        world.look_beyond.shot_seed += 1
    turns_until(session, lambda: session.task.message.startswith("Denoising"))
    assert len(session.queue) == 2
    bpy.ops.lookbeyond.unqueue(index=0)
    service.holds = False
    turns_until(session, lambda: not session.busy and not session.queue)
    assert [request.seed for request in service.requests[1:]] == [0, 2]
    assert len(part("shot.strip").strips_of(bpy.data.scenes["Scene Shot"])) == 2


def test_frames_appear_while_the_shot_is_made(part, session, world, service, monkeypatch):
    monkeypatch.setattr(part("session"), "SHOW_S", 0.0)
    bpy.ops.lookbeyond.add_path()
    seen = []

    class Seen(part("shot.display").ShotDisplay):
        def __init__(self, shot, camera, places):
            super().__init__(shot, camera, places)
            seen.append(shot)
            service.go_on.set()  # the rest arrives only when the first frame is seen

    monkeypatch.setattr(part("shot.shoot"), "ShotDisplay", Seen)
    monkeypatch.setattr(service, "go_on", OnlyOne())
    bpy.ops.lookbeyond.shoot()
    on_the_way, last = seen[:-1], seen[-1]
    assert on_the_way and all((shot.folder / shot.first_available).is_file() and not shot.record for shot in on_the_way)
    assert not last.first_available and last.record["seed"] == 0
    assert len(world.camera.data.background_images) == 1


class OnlyOne(threading.Event):
    """Lets the first one pass, and the others when it is set."""

    first = True

    def wait(self, timeout=None):
        if self.first:
            self.first = False
            return True
        return super().wait(timeout)


def test_a_draft_is_half_as_large_and_takes_half_the_steps(world, service, monkeypatch):
    bpy.ops.lookbeyond.add_path()
    world.look_beyond.quality = "DRAFT"
    bpy.ops.lookbeyond.shoot()
    request = service.requests[-1]
    assert (request.cameras[0]["width"], request.cameras[0]["height"]) == (48, 32)
    assert request.tau_position == pytest.approx(0.4) and request.steps == 4
    world.look_beyond.quality = "FINAL"
    bpy.ops.lookbeyond.shoot()
    assert service.requests[-1].tau_position == pytest.approx(0.1) and service.requests[-1].steps == 16
    assert sorted(image.get("look_beyond_steps", 0) for image in bpy.data.images)[-2:] == [4, 16]
    world.look_beyond.quality = "NORMAL"
    bpy.ops.lookbeyond.shoot()
    assert service.requests[-1].steps == 0  # the preset's own
    world.look_beyond.steps = 300
    # a service that does not say how many that are
    monkeypatch.setattr(service.welcome, "presets", ({"name": "builtin"},))
    bpy.ops.lookbeyond.shoot()
    assert service.requests[-1].steps == 0


def test_what_made_a_result_lies_beside_it(world, service):
    from pathlib import Path

    bpy.ops.lookbeyond.add_path()
    bpy.ops.lookbeyond.shoot()
    for folder in (world.look_beyond.world_folder, world.look_beyond.shot_folder):
        about = json.loads((Path(folder) / "request.json").read_text())
        assert about["job"] and about["service"] == "0.1.0" and about["request"]["seed"] == 0


def test_the_last_shot_is_set_up_for_compositing(part, session, world, service):
    with pytest.raises(RuntimeError, match="Shoot first"):
        bpy.ops.lookbeyond.set_up_composite()
    bpy.ops.lookbeyond.add_path()
    world.look_beyond.show_in = {"COMPOSITE"}
    bpy.ops.lookbeyond.shoot()
    assert "Render Animation" in session.notice and "Scene Shot" not in bpy.data.scenes
    tree = part("shot.composite").compositor_tree(world)
    nodes = len(tree.nodes)
    assert bpy.ops.lookbeyond.set_up_composite() == {"FINISHED"}
    assert len(tree.nodes) == nodes > 6


def test_packed_a_file_can_be_moved_with_its_folder(part, world, service, tmp_path):
    from pathlib import Path

    bpy.ops.lookbeyond.add_path()
    bpy.ops.lookbeyond.shoot()
    with pytest.raises(RuntimeError, match="Save the file first"):
        bpy.ops.lookbeyond.pack()
    (tmp_path / "project").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "project" / "scene.blend"), relative_remap=False)
    assert bpy.ops.lookbeyond.pack() == {"FINISHED"}
    bpy.ops.wm.save_mainfile()
    for gone in ("results", "photo.jpg"):
        (tmp_path / gone).rename(tmp_path / f"gone {gone}")
    (tmp_path / "project").rename(tmp_path / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "moved" / "scene.blend"))
    home, scene = tmp_path / "moved", bpy.context.scene
    pictures = [image for image in bpy.data.images if image.filepath]
    assert len(pictures) == 3  # photo, panorama, frames
    for image in pictures:
        file = Path(bpy.path.abspath(image.filepath))
        assert file.is_relative_to(home) and file.is_file(), image.name
    (strip,) = part("shot.strip").image_strips(bpy.data.scenes["Scene Shot"])
    assert Path(bpy.path.abspath(strip.directory), strip.elements[0].filename).is_file()
    assert (
        part("photo.camera").photo_camera(scene) is not None
        and Path(bpy.path.abspath(scene.look_beyond.photo_path)).is_file()
    )
    assert bpy.ops.lookbeyond.shoot() == {"FINISHED"}


def test_saved_into_another_folder_a_file_finds_its_world_and_shot_from_there(part, scene, service, photo, tmp_path):
    from pathlib import Path

    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "first" / "scene.blend"))
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    bpy.ops.lookbeyond.build_world()
    bpy.ops.lookbeyond.add_path()
    bpy.ops.lookbeyond.shoot()

    def held():
        return [getattr(owner, name) for owner, name in part("paths").path_properties()]

    def places():
        return [Path(bpy.path.abspath(path)).resolve() for path in held()]

    there, stored = places(), held()
    # World, its entry in the list, shot, its entry and the entry's world, photo.
    assert len(there) == 6 and all(path.exists() for path in there)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "third" / "copy.blend"), copy=True)
    assert held() == stored
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "second" / "scene.blend"))
    assert places() == there and all(path.startswith("//") for path in held())
    assert bpy.ops.lookbeyond.shoot() == {"FINISHED"}
    for file in ("second/scene.blend", "third/copy.blend"):
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / file))
        assert places() == there


def test_packed_what_lies_beside_the_file_already_moves_with_it(part, session, scene, service, photo, tmp_path):
    from pathlib import Path

    home = tmp_path / "project"
    home.mkdir()
    picture = photo.rename(home / "photo.jpg")
    bpy.ops.wm.save_as_mainfile(filepath=str(home / "scene.blend"))
    bpy.ops.lookbeyond.use_panorama(filepath=str(picture), height=1.5)
    bpy.ops.lookbeyond.place_photo(filepath=str(picture))
    bpy.ops.lookbeyond.build_world()
    bpy.ops.lookbeyond.add_path()
    scene.look_beyond.show_in = {"STRIP", "BACKGROUND", "COMPOSITE"}
    bpy.ops.lookbeyond.shoot()
    next(image for image in bpy.data.images if image.filepath).filepath = str(picture)
    assert bpy.ops.lookbeyond.pack() == {"FINISHED"}
    # two worlds, a shot, the photo
    assert session.notice.startswith("0 of 0 items were copied") and "4 were already beside the file" in session.notice
    (strip,) = part("shot.strip").image_strips(bpy.data.scenes["Scene Shot"])
    assert strip.directory.startswith("//look_beyond/shots/")
    bpy.ops.wm.save_mainfile()
    home.rename(tmp_path / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "moved" / "scene.blend"))
    pictures = [image for image in bpy.data.images if image.filepath]
    (strip,) = part("shot.strip").image_strips(bpy.data.scenes["Scene Shot"])
    places = [strip.directory, *(image.filepath for image in pictures)]
    assert len(pictures) >= 4 and all(place.startswith("//") for place in places)
    assert all(Path(bpy.path.abspath(place)).exists() for place in places)
    assert bpy.ops.lookbeyond.build_world() == {"FINISHED"} and bpy.ops.lookbeyond.shoot() == {"FINISHED"}
