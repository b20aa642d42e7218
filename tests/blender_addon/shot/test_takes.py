"""Takes in the list: numbered, used again, compared with the scene, played, written as a movie, deleted."""

import shutil
from pathlib import Path

import bpy
import pytest


@pytest.fixture
def shot(scene, photo, service, tmp_path):
    """A scene with two takes of an orbit."""
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), heading=0.5, height=1.7)
    bpy.ops.lookbeyond.build_world()
    bpy.ops.lookbeyond.add_path(kind="ORBIT")
    for seed in (0, 5):
        scene.look_beyond.shot_seed = seed
        bpy.ops.lookbeyond.shoot()
    return scene


def strips(part, scene):
    return part("shot.strip").strips_of(scene.look_beyond.shot_scene)


def test_a_camera_is_called_after_its_move_and_takes_are_numbered(shot):
    takes = shot.look_beyond.shots
    assert shot.camera.name == "Orbit"
    assert [(take.name, take.seed, take.frames, take.first) for take in takes] == [
        ("Orbit 1", "0", 6, 11),
        ("Orbit 2", "5", 6, 11),
    ]
    assert all(take.made for take in takes) and shot.look_beyond.shot_index == 1


def test_a_former_take_is_shown_again(part, shot):
    first, second = (Path(take.folder) for take in shot.look_beyond.shots)
    shot.look_beyond.shot_index = 0
    assert bpy.ops.lookbeyond.use_take() == {"FINISHED"}
    assert Path(shot.look_beyond.shot_folder) == first and len(shot.look_beyond.shots) == 2
    image = shot.camera.data.background_images[0].image
    assert Path(bpy.path.abspath(image.filepath)).parent == first / "frames"
    assert bpy.ops.lookbeyond.play_take() == {"FINISHED"}
    shown = [Path(bpy.path.abspath(strip.directory)) for strip in strips(part, shot) if not strip.mute]
    assert shown == [first / "frames"]
    editing = shot.look_beyond.shot_scene
    assert (editing.frame_start, editing.frame_end, editing.frame_current) == (11, 16, 11)
    shutil.rmtree(second)
    shot.look_beyond.shot_index = 1
    with pytest.raises(RuntimeError, match="cannot be read"):
        bpy.ops.lookbeyond.use_take()
    assert Path(shot.look_beyond.shot_folder) == first


def test_a_take_says_why_it_is_out_of_date(part, shot):
    reason, takes = part("shot.takes").out_of_date, shot.look_beyond.shots
    part("path.checker").path_checker.check_now(shot)
    assert reason(shot, takes[1]) == ""
    shot.camera.data.lens *= 1.2
    part("path.checker").path_checker.check_now(shot)
    assert reason(shot, takes[1]) == "Its camera has moved since"
    shot.camera.data.lens /= 1.2
    shot.frame_end += 2
    part("path.checker").path_checker.check_now(shot)
    assert "since" in reason(shot, takes[1])
    bpy.ops.lookbeyond.reroll_world()
    assert reason(shot, takes[1]) == "Shot in another world than the scene's"
    shutil.rmtree(takes[0].folder)
    assert "missing" in reason(shot, takes[0])


def test_shooting_again_takes_the_takes_seed_and_camera(shot, service):
    shot.look_beyond.shot_index, shot.look_beyond.shot_seed = 0, 9
    bpy.ops.lookbeyond.add_path(kind="WALK")
    assert bpy.ops.lookbeyond.shoot_again() == {"FINISHED"}
    assert service.requests[-1].seed == 0 and shot.camera.name == "Orbit"
    assert shot.look_beyond.shots[-1].name == "Orbit 3"


def test_deleting_a_take_frees_its_files_but_not_those_that_are_shown(shot):
    shot.look_beyond.shot_index = 1
    with pytest.raises(RuntimeError, match="poll"):
        bpy.ops.lookbeyond.delete_take()
    folder = Path(shot.look_beyond.shots[0].folder)
    shot.look_beyond.shot_index = 0
    assert bpy.ops.lookbeyond.delete_take() == {"FINISHED"}
    assert not folder.exists() and [take.name for take in shot.look_beyond.shots] == ["Orbit 2"]


def test_only_results_are_deleted(shot, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "diary.txt").write_text("dear")
    shot.look_beyond.shots[0].folder, shot.look_beyond.shot_index = str(own), 0
    with pytest.raises(RuntimeError, match="not a folder of results"):
        bpy.ops.lookbeyond.delete_take()
    assert (own / "diary.txt").exists() and len(shot.look_beyond.shots) == 2


def test_a_take_is_loaded_from_its_folder(shot, tmp_path):
    folder = tmp_path / "elsewhere"
    shutil.copytree(shot.look_beyond.shots[0].folder, folder)
    shot.look_beyond.shots.clear()
    assert bpy.ops.lookbeyond.load_take(directory=str(folder)) == {"FINISHED"}
    assert [(take.name, Path(take.folder)) for take in shot.look_beyond.shots] == [("Orbit 1", folder)]
    (folder / "frames" / "0013.png").unlink()
    shot.look_beyond.shots.clear()
    with pytest.raises(RuntimeError, match=r"0013.png is missing"):
        bpy.ops.lookbeyond.load_take(directory=str(folder))
    with pytest.raises(RuntimeError, match="cannot be read"):
        bpy.ops.lookbeyond.load_take(directory=str(tmp_path))


@pytest.mark.parametrize("codec", ["H264", "PRORES"])
def test_a_take_is_written_as_a_movie(part, shot, tmp_path, codec):
    if codec not in part("shot.play").codecs():
        with pytest.raises(RuntimeError, match="writes no ProRes"):
            bpy.ops.lookbeyond.export_movie(filepath=str(tmp_path / "movie.mp4"), codec=codec)
        return
    assert bpy.ops.lookbeyond.export_movie(filepath=str(tmp_path / "movie.mp4"), codec=codec) == {"FINISHED"}
    file = tmp_path / ("movie.mp4" if codec == "H264" else "movie.mov")
    clip = bpy.data.movieclips.load(str(file))
    assert clip.frame_duration == 6 and tuple(clip.size) == (96, 64)
    assert shot.render.image_settings.file_format == "PNG", "the artist's own output is as it was"
