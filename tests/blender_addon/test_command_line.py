"""Without a window: the command does what the buttons do, says one line for a mistake, and finds lost work."""

import json
import re
from pathlib import Path

import bpy
import pytest

from tests.support.played import turns_until


@pytest.fixture
def run(part, service, monkeypatch):
    """The command, with a service that runs already."""
    lifecycle = part("service.lifecycle")
    monkeypatch.setattr(lifecycle, "start_service", lambda command: lifecycle.check_service(service))
    monkeypatch.setattr(part("service.program"), "find_program", lambda: "/usr/bin/lookbeyond")
    return part("command_line").run


def test_world_and_shot_as_by_the_buttons(run, scene, service, photo, tmp_path, capfd):
    output = str(tmp_path / "results")
    assert run(["world", str(photo), "--fov-x", "60", "--seed", "7", "--width", "2048", "--output", output]) == 0
    assert (service.requests[-1].seed, service.requests[-1].width) == (7, 2048)
    assert Path(capfd.readouterr().out.splitlines()[-1], "panorama.png").is_file()
    bpy.ops.lookbeyond.add_path()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert run(["shot", "--quality", "draft", "--save"]) == 0
    assert service.requests[-1].cameras[0]["width"] == 48
    assert Path(capfd.readouterr().out.splitlines()[-1], "frames", "0011.png").is_file()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert bpy.context.scene.look_beyond.shot_folder


def test_the_place_in_words_is_for_presets_that_understand_them(run, scene, service, photo, tmp_path, capfd):
    service.welcome.presets = ({"name": "builtin", "takes_prompt": False}, {"name": "sdxl", "takes_prompt": True})
    words = ["world", str(photo), "--prompt", "a boat shed", "--output", str(tmp_path / "results")]
    assert run(words) == 2 and not service.requests
    assert "The preset builtin takes no prompt: leave it out" in capfd.readouterr().err
    assert run([*words, "--preset", "sdxl"]) == 0
    assert (service.requests[-1].preset, service.requests[-1].prompt) == ("sdxl", "a boat shed")


def test_nothing_is_asked_of_a_context_that_only_a_window_has():
    """`blender -b --command` has no window; Blender as a module, in which these tests run, has one."""
    of_screens = re.compile(r"context\.(selected_\w+|visible_\w+|editable_\w+|active_object|object|edit_object)\b")
    sources = sorted((Path(__file__).parents[2] / "blender_addon").rglob("*.py"))
    assert of_screens.search("for other in context.selected_objects:") and len(sources) > 20
    assert [(file.name, found[0]) for file in sources if (found := of_screens.search(file.read_text("utf-8")))] == []


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["shot"], "lookbeyond: Build a world first"),
        (["world"], "Place a photo first"),
        (["world", "/nowhere/photo.jpg"], "photo.jpg"),
        (["shot", "--seed", "x"], "invalid int value"),
        ([], "required"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(run, scene, arguments, words, capfd):
    assert run(arguments) == 2
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert words in last and "Traceback" not in last


def test_what_was_begun_is_found_again_and_ended(part, run, scene, service, photo, tmp_path):
    """Blender is quit in the middle of a world; the file is opened again; its button goes on with it."""
    session = part("session").session
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"), relative_remap=False)
    service.holds = True
    session.begin(part("world.build").build_world(bpy.context))
    turns_until(session, lambda: session.task.message.startswith("Denoising"))
    session.close()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    (folder,) = session.unfinished
    assert json.loads((folder / "request.json").read_text())["ended"] is False
    service.holds = False
    assert bpy.ops.lookbeyond.resume() == {"FINISHED"}
    assert service.requests[0] == service.requests[1]
    assert Path(bpy.path.abspath(bpy.context.scene.look_beyond.world_folder)) == folder
    assert part("world.nodes").panorama_node(bpy.context.scene.world) is not None
    assert not session.unfinished and not part("service.unfinished").unfinished()
    with pytest.raises(RuntimeError, match="no unfinished jobs"):
        bpy.ops.lookbeyond.resume()


def test_a_cancelled_or_failed_job_is_not_unfinished(part, run, scene, service, photo, tmp_path):
    from lookbeyond_kit import client

    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    service.fails = client.ServiceError("input", "The photo is not a photo: choose another.")
    with pytest.raises(RuntimeError):
        bpy.ops.lookbeyond.build_world()
    assert not part("service.unfinished").unfinished()
    service.fails = client.ServiceError("lost", "The service went away.")
    service.requests.clear()
    with pytest.raises(RuntimeError):
        bpy.ops.lookbeyond.build_world()
    assert len(part("service.unfinished").unfinished()) == 1


def test_the_program_is_found_where_installers_put_it(part, monkeypatch, tmp_path):
    jobs = part("service.program")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    assert jobs.find_program() is None
    for place in (".local/share/uv/tools/lookbeyond/bin", ".local/share/pipx/venvs/lookbeyond/bin", ".local/bin"):
        program = tmp_path / place / "lookbeyond"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        assert jobs.find_program() == str(program)


def test_the_log_comes_with_the_message(part, monkeypatch, tmp_path):
    jobs = part("service.program")
    monkeypatch.setenv("LOOKBEYOND_RUNTIME_DIR", str(tmp_path))
    assert "has written no log" in jobs.log_text("It failed.")
    (tmp_path / "service.log").write_text("worker 1 started\nworker 1 died\n")
    text = jobs.log_text("It failed.")
    assert text.startswith("It failed.") and text.endswith("worker 1 died")
