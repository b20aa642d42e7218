"""The files of worlds and shots, and the artist's datablocks that show them, through saving, packing and appending."""

import os
import subprocess
import sys
from pathlib import Path

import bpy
import pytest

from tests.support.played import turns_until

PAINT = [1.0, 0.0, 1.0, 1.0]
UNINSTALL = """
import importlib, sys
from pathlib import Path
import bpy
archive, folder = sys.argv[1:]
bpy.ops.extensions.package_install_files(repo="user_default", filepath=archive, enable_on_install=True)
part = lambda module: importlib.import_module(f"bl_ext.user_default.look_beyond.{module}")
from tests.support.pictures import picture
from tests.support.played import PlayedService
service = PlayedService(Path(folder))
part("service.preferences").connection = lambda: service
bpy.ops.lookbeyond.place_photo(filepath=str(picture(Path(folder) / "photo.png", 80, 64)))
assert bpy.ops.lookbeyond.build_world() == {"FINISHED"}
world = Path(bpy.context.scene.look_beyond.world_folder)
assert (world / "panorama.png").is_file()
repositories = [repository.module for repository in bpy.context.preferences.extensions.repos]
bpy.ops.extensions.package_uninstall(repo_index=repositories.index("user_default"), pkg_id="look_beyond")
print("installed", any("look_beyond" in name for name in bpy.context.preferences.addons.keys()))
print("world", (world / "panorama.png").is_file(), flush=True)
"""


@pytest.fixture
def session(part):
    return part("session").session


@pytest.fixture
def shot(scene, service, photo):
    """A world and a shot in a file that was never saved."""
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    bpy.ops.lookbeyond.build_world()
    bpy.ops.lookbeyond.add_path()
    bpy.ops.lookbeyond.shoot()
    return scene


def place_of(path: str) -> Path:
    return Path(bpy.path.abspath(path)).resolve()


def save(file: Path, **options) -> None:
    file.parent.mkdir(exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(file), **options)


def own_image(file: Path) -> bpy.types.Image:
    """An image that the artist has opened and painted on, unsaved."""
    image = bpy.data.images.load(str(file), check_existing=False)
    image.pixels[:4] = PAINT
    return image


def test_what_the_artist_shows_of_the_results_follows_them_at_the_first_save(shot, tmp_path):
    frames = place_of(shot.look_beyond.shot_folder) / "frames"
    own = own_image(place_of(shot.look_beyond.world_folder) / "panorama.png")
    clip = bpy.data.movieclips.load(str(frames / "0011.png"))
    editor = bpy.data.scenes.new("Edit").sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    strip = strips.new_image("Mine", str(frames / "0011.png"), 1, 1)
    save(tmp_path / "project" / "scene.blend")
    home = tmp_path / "project" / "look_beyond"
    assert own.is_dirty and list(own.pixels[:4]) == PAINT
    files = [place_of(own.filepath), place_of(clip.filepath), place_of(strip.directory) / strip.elements[0].filename]
    assert all(file.is_file() and file.is_relative_to(home) for file in files), files


def test_a_copy_that_is_saved_first_has_its_results(shot, tmp_path):
    world = place_of(shot.look_beyond.world_folder)
    save(tmp_path / "copy" / "copy.blend", copy=True)
    assert place_of(shot.look_beyond.world_folder) == world and world.is_dir()
    save(tmp_path / "project" / "scene.blend")
    for file in ("copy/copy.blend", "project/scene.blend"):
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / file))
        scene = bpy.context.scene
        assert place_of(scene.look_beyond.world_folder).is_relative_to((tmp_path / file).parent)
        assert bpy.ops.lookbeyond.shoot() == {"FINISHED"}


def test_undo_past_the_first_save_finds_the_results(shot, tmp_path):
    bpy.ops.ed.undo_push(message="before")
    bpy.context.scene.look_beyond.seed = 3
    bpy.ops.ed.undo_push(message="another seed")
    save(tmp_path / "project" / "scene.blend")
    bpy.ops.ed.undo_push(message="saved")
    bpy.ops.ed.undo()
    bpy.ops.ed.undo()
    settings = bpy.context.scene.look_beyond
    assert place_of(settings.world_folder).is_dir() and place_of(settings.shot_folder).is_dir()
    assert all(place_of(image.filepath).is_file() for image in bpy.data.images if image.filepath)
    assert bpy.ops.lookbeyond.shoot() == {"FINISHED"}


def test_a_job_that_runs_at_the_first_save_ends_and_moves_at_the_next(part, session, shot, service, tmp_path):
    bpy.context.scene.look_beyond.shot_seed = 7
    service.holds = True
    session.enqueue(part("shot.shoot").shoot(bpy.context))
    turns_until(session, lambda: session.task.message.startswith("Denoising"))
    world, unsaved = place_of(shot.look_beyond.world_folder), part("results").unsaved_folder()
    save(tmp_path / "project" / "scene.blend")
    assert not world.exists() and place_of(shot.look_beyond.world_folder).is_dir()
    service.holds = False
    turns_until(session, lambda: not session.busy, 30)
    assert not session.error
    assert len(list((place_of(shot.look_beyond.shot_folder) / "frames").iterdir())) == 6
    save(tmp_path / "project" / "scene.blend")
    assert not place_of(shot.look_beyond.shot_folder).is_relative_to(unsaved)
    assert len(list((place_of(shot.look_beyond.shot_folder) / "frames").iterdir())) == 6
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "project" / "scene.blend"))
    assert place_of(bpy.context.scene.look_beyond.shot_folder).is_dir() and not session.unfinished


def test_packing_leaves_the_artists_images_alone(shot, tmp_path):
    save(tmp_path / "project" / "scene.blend")
    own = own_image(place_of(shot.look_beyond.world_folder) / "panorama.png")
    stored = own.filepath
    assert bpy.ops.lookbeyond.pack() == {"FINISHED"}
    assert own.filepath == stored and own.is_dirty and list(own.pixels[:4]) == PAINT


def test_packing_keeps_paint_on_the_addons_own_images(scene, service, photo, tmp_path):
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    save(tmp_path / "project" / "scene.blend")
    image = scene.look_beyond.photo_camera.data.background_images[0].image
    image.pixels[:4] = PAINT
    assert bpy.ops.lookbeyond.build_world() == {"FINISHED"}
    assert bpy.ops.lookbeyond.pack() == {"FINISHED"}
    assert place_of(image.filepath).is_relative_to(tmp_path / "project")
    assert image.is_dirty and list(image.pixels[:4]) == PAINT


@pytest.fixture
def there(scene, service, photo, tmp_path):
    """A file with a world in another folder than the open file, whose results would have the same names."""
    file = tmp_path / "there" / "scene.blend"
    save(file)
    bpy.ops.lookbeyond.place_photo(filepath=str(photo.rename(tmp_path / "there" / "photo.jpg")))
    bpy.ops.lookbeyond.build_world()
    save(file)
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    save(tmp_path / "here" / "scene.blend")
    return file


def test_an_appended_scene_finds_its_own_photo_and_world(there):
    for _ in range(2):
        bpy.ops.wm.append(directory=str(there / "Scene") + "/", filename="Scene")
    bpy.context.view_layer.update()
    appended = [one for one in bpy.data.scenes if one.look_beyond.photo_camera is not None]
    assert len(appended) == 2 and not any(one.library for one in appended)
    for settings in (one.look_beyond for one in appended):
        assert place_of(settings.photo_path) == there.with_name("photo.jpg")
        for stored in (settings.world_folder, settings.worlds[0].folder):
            assert place_of(stored).is_dir() and place_of(stored).is_relative_to(there.parent)


def test_a_scene_of_a_project_that_was_moved_is_appended_from_where_it_is(there):
    if bpy.app.version < (4, 3, 0):
        pytest.skip("Blender does not say where it was appended from")
    moved = there.parent.rename(there.parent.with_name("moved"))
    bpy.ops.wm.append(directory=str(moved / "scene.blend" / "Scene") + "/", filename="Scene")
    (appended,) = (one for one in bpy.data.scenes if one.look_beyond.photo_camera is not None)
    assert place_of(appended.look_beyond.photo_path) == moved / "photo.jpg"


def test_a_linked_camera_that_is_made_local_finds_its_photo(there):
    with bpy.data.libraries.load(str(there), link=True) as (found, wanted):
        wanted.objects = found.objects
    (camera,) = (thing for thing in bpy.data.objects if thing.type == "CAMERA")
    scene = bpy.context.scene
    scene.collection.objects.link(camera)
    scene.look_beyond.photo_camera = camera
    assert place_of(scene.look_beyond.photo_path) == there.with_name("photo.jpg")
    camera.make_local()
    camera.data.make_local()
    bpy.context.view_layer.update()
    assert scene.look_beyond.photo_camera.library is None
    assert place_of(scene.look_beyond.photo_path) == there.with_name("photo.jpg")


def test_undo_past_saving_into_another_folder_finds_the_results(shot, tmp_path):
    save(tmp_path / "project" / "scene.blend")
    world = place_of(shot.look_beyond.world_folder)
    bpy.ops.ed.undo_push(message="before")
    bpy.context.scene.look_beyond.seed = 3
    bpy.ops.ed.undo_push(message="another seed")
    save(tmp_path / "elsewhere" / "scene.blend")
    bpy.ops.ed.undo_push(message="saved")
    bpy.ops.ed.undo()
    bpy.ops.ed.undo()
    assert place_of(bpy.context.scene.look_beyond.world_folder) == world and world.is_dir()
    assert bpy.ops.lookbeyond.shoot() == {"FINISHED"}


def test_a_folder_beside_the_file_that_is_a_link_stays_one(shot, tmp_path):
    (tmp_path / "other disk").mkdir()
    (tmp_path / "project").mkdir()
    link = tmp_path / "project" / "look_beyond"
    link.symlink_to(tmp_path / "other disk")
    (place_of(shot.look_beyond.world_folder) / ".DS_Store").write_bytes(b"x")
    save(tmp_path / "project" / "scene.blend")
    stored = shot.look_beyond.world_folder
    assert link.is_symlink() and (tmp_path / "other disk" / "worlds").is_dir()
    save(tmp_path / "project" / "scene.blend")
    assert stored == shot.look_beyond.world_folder and stored.startswith("//look_beyond/worlds/")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "project" / "scene.blend"))
    assert place_of(bpy.context.scene.look_beyond.world_folder).is_dir()
    assert bpy.ops.lookbeyond.shoot() == {"FINISHED"}


def test_a_move_that_fails_is_taken_back_and_said(part, session, shot, tmp_path, monkeypatch):
    places = [place_of(shot.look_beyond.world_folder), place_of(shot.look_beyond.shot_folder)]
    shutil, moves = part("unsaved").shutil, []
    move = shutil.move

    def fail_at_the_second(source, target):
        moves.append(source)
        if len(moves) == 2:
            raise OSError(28, "No space left on device")
        return move(source, target)

    monkeypatch.setattr(shutil, "move", fail_at_the_second)
    save(tmp_path / "project" / "scene.blend")
    assert "could not be moved beside the file" in session.error
    assert all(place.is_dir() for place in places)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "project" / "scene.blend"))
    settings = bpy.context.scene.look_beyond
    assert [place_of(settings.world_folder), place_of(settings.shot_folder)] == places
    assert not list((tmp_path / "project" / "look_beyond" / "worlds").iterdir())


def test_what_another_file_uses_as_well_is_copied_beside_this_one(part, session, shot, service, tmp_path):
    """A job of before the first save ended after it, and the file was saved under two names meanwhile."""
    shot.look_beyond.shot_seed = 8
    service.holds = True
    session.enqueue(part("shot.shoot").shoot(bpy.context))
    turns_until(session, lambda: session.task.message.startswith("Denoising"))
    save(tmp_path / "project" / "a.blend")
    save(tmp_path / "project" / "b.blend")
    service.holds = False
    turns_until(session, lambda: not session.busy, 30)
    before = place_of(shot.look_beyond.shot_folder)
    save(tmp_path / "project" / "b.blend")
    after = place_of(shot.look_beyond.shot_folder)
    assert before.is_dir() and after.is_dir() and after.is_relative_to(tmp_path / "project")


def test_uninstalling_leaves_the_results_of_an_unsaved_file(built_zip, tmp_path):
    environment = os.environ | {
        "BLENDER_USER_RESOURCES": str(tmp_path / "resources"),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    command = [sys.executable, "-c", UNINSTALL, str(built_zip), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert "installed False" in done.stdout, done.stderr
    assert "world True" in done.stdout, done.stderr


def test_links_and_strays_among_the_results_stay_as_they_are(part, session, scene, service, photo, tmp_path):
    """The output folder is a link to another disk, a world in it another one; macOS has left its files everywhere."""
    disk, archive, link = tmp_path / "disk", tmp_path / "archive", tmp_path / "linked"
    disk.mkdir()
    link.symlink_to(disk)
    save(tmp_path / "project" / "scene.blend")
    scene.look_beyond.output_folder = str(link)
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    bpy.ops.lookbeyond.build_world()
    world = place_of(scene.look_beyond.world_folder)
    world.rename(archive)
    world.symlink_to(archive)
    bpy.ops.lookbeyond.add_path()
    service.holds = True
    session.enqueue(part("shot.shoot").shoot(bpy.context))
    turns_until(session, lambda: session.task.message.startswith("Denoising"))
    session.close()
    service.holds = False
    for folder in (disk, *(path for path in disk.rglob("*") if path.is_dir())):
        (folder / ".DS_Store").write_bytes(b"x")
    save(tmp_path / "project" / "scene.blend")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "project" / "scene.blend"))
    assert len(session.unfinished) == 1
    assert bpy.ops.lookbeyond.resume() == {"FINISHED"}
    assert bpy.ops.lookbeyond.build_world() == {"FINISHED"}
    assert link.is_symlink() and world.is_symlink() and (archive / "panorama.png").is_file()
    assert bpy.ops.lookbeyond.pack() == {"FINISHED"}
    packed = place_of(bpy.context.scene.look_beyond.world_folder)
    assert packed.is_relative_to(tmp_path / "project") and not packed.is_symlink()
    assert link.is_symlink() and world.is_symlink()
