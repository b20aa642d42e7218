"""What was begun and not ended is offered in its own file, under whatever name, and in no other."""

import bpy
import pytest

from tests.support.played import turns_until


@pytest.fixture
def session(part):
    return part("session").session


@pytest.fixture
def project(tmp_path):
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


@pytest.fixture
def placed(scene, photo):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    return scene


PLACES = {"build_world": "world.build", "shoot": "shot.shoot"}


@pytest.fixture
def begin(part, session, placed, service):
    """Begins a world (or a shot) and leaves it at work."""

    def begin(what="build_world", seed=0):
        service.holds = True
        bpy.context.scene.look_beyond.seed = seed
        session.enqueue(getattr(part(PLACES[what]), what)(bpy.context))
        turns_until(session, lambda: session.task.message.startswith("Denoising"))

    return begin


@pytest.fixture
def leave(session, service):
    """Quits in the middle: the service alone goes on."""

    def leave():
        session.close()
        service.holds = False

    return leave


def save(file, **options):
    bpy.ops.wm.save_as_mainfile(filepath=str(file), **options)


def offers_of(session, file):
    bpy.ops.wm.open_mainfile(filepath=str(file))
    return [folder.name for folder in session.unfinished]


def new_file():
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)


def test_a_file_beside_it_with_the_same_scene_is_not_offered_it(session, placed, project, begin, leave):
    save(project / "b.blend")
    save(project / "a.blend")
    begin()
    leave()
    assert not offers_of(session, project / "b.blend")
    with pytest.raises(RuntimeError, match="no unfinished jobs"):
        bpy.ops.lookbeyond.resume()
    assert len(offers_of(session, project / "a.blend")) == 1
    assert bpy.ops.lookbeyond.resume() == {"FINISHED"} and bpy.context.scene.world is not None


def test_what_was_begun_unsaved_belongs_to_the_file_it_is_saved_as(session, placed, project, begin, leave, part):
    begin()
    save(project / "a.blend")
    leave()
    new_file()
    assert not session.unfinished
    assert len(offers_of(session, project / "a.blend")) == 1
    assert bpy.ops.lookbeyond.resume() == {"FINISHED"} and bpy.context.scene.world is not None
    assert not part("service.unfinished").unfinished()


def test_what_was_never_saved_is_offered_to_files_that_are_not_saved(session, placed, project, begin, leave):
    """One that is saved meanwhile without going on does not take it along: it may be another's."""
    begin()
    new_file()
    assert not session.unfinished, "it still runs"
    leave()
    new_file()
    assert len(session.unfinished) == 1
    save(project / "a.blend")
    assert not offers_of(session, project / "a.blend")
    new_file()
    assert len(session.unfinished) == 1
    assert bpy.ops.lookbeyond.resume() == {"FINISHED"} and not session.unfinished


def test_what_was_lost_on_the_way_is_offered_at_once_and_follows_a_save(session, placed, project, service):
    from lookbeyond_kit.client import ServiceError

    service.fails = ServiceError("lost", "The service went away.")
    with pytest.raises(RuntimeError, match="went away"):
        bpy.ops.lookbeyond.build_world()
    (folder,) = session.unfinished
    save(project / "a.blend")
    new_file()
    assert not session.unfinished
    assert offers_of(session, project / "a.blend") == [folder.name]


def test_what_runs_and_what_waits_follow_a_save(part, session, placed, project, begin, leave, service):
    begin()
    bpy.context.scene.look_beyond.seed = 1
    session.enqueue(part("world.build").build_world(bpy.context))
    save(project / "a.blend")
    assert not offers_of(session, project / "a.blend"), "it still runs"
    new_file()
    service.holds = False
    turns_until(session, lambda: not session.busy and not session.queue)
    assert "Open a.blend to find it" in session.notice
    assert len(offers_of(session, project / "a.blend")) == 2


def test_a_new_version_is_offered_it_and_a_copy_is_not(session, placed, project, begin, leave):
    save(project / "v1.blend")
    begin()
    save(project / "copy.blend", copy=True)
    save(project / "v2.blend")
    leave()
    assert not offers_of(session, project / "copy.blend")
    assert len(offers_of(session, project / "v1.blend")) == 1
    assert len(offers_of(session, project / "v2.blend")) == 1
    save(project / "v3.blend")
    assert len(offers_of(session, project / "v3.blend")) == 1
    assert bpy.ops.lookbeyond.resume() == {"FINISHED"}
    assert not offers_of(session, project / "v1.blend")


def test_the_version_of_a_file_elsewhere_leaves_it_to_the_former(session, placed, project, tmp_path, begin, leave):
    """There the results are not looked for; in the meantime, the scene that is open gets them."""
    save(project / "v1.blend")
    begin()
    save(tmp_path / "v2.blend")
    new_file()
    leave()
    assert not offers_of(session, tmp_path / "v2.blend")
    assert len(offers_of(session, project / "v1.blend")) == 1


def test_a_job_at_work_does_not_keep_the_former_files_offers(session, placed, project, begin, leave, service, tmp_path):
    (tmp_path / "other").mkdir()
    save(tmp_path / "other" / "b.blend")
    save(project / "a.blend")
    begin()
    leave()
    assert len(offers_of(session, project / "a.blend")) == 1
    begin(seed=5)
    assert not offers_of(session, tmp_path / "other" / "b.blend")


def test_what_is_refused_is_offered_again_and_the_others_stay(session, placed, project, begin, leave, service):
    from lookbeyond_kit.client import ServiceError

    save(project / "a.blend")
    for seed in (7, 8):
        begin(seed=seed)
        leave()
    assert len(offers_of(session, project / "a.blend")) == 2
    both, submit = list(session.unfinished), service.submit

    def refuse(_):
        assert session.unfinished == both[1:]
        raise ServiceError("input", "The photo is not in the service's store: send it again.")

    service.submit = refuse
    with pytest.raises(RuntimeError, match="send it again"):
        bpy.ops.lookbeyond.resume(folder=str(both[0]))
    assert session.unfinished == both
    service.submit = submit
    assert bpy.ops.lookbeyond.resume(folder=str(both[0])) == {"FINISHED"}
    assert session.unfinished == both[1:]


def test_it_comes_into_its_own_scene_and_a_renamed_one_keeps_it(session, placed, project, begin, leave):
    begin()
    bpy.data.scenes.new("Another")
    save(project / "a.blend")
    leave()
    bpy.context.window.scene = bpy.data.scenes["Another"]
    bpy.ops.wm.save_mainfile()
    assert len(offers_of(session, project / "a.blend")) == 1 and bpy.context.scene.name == "Another"
    assert bpy.ops.lookbeyond.resume() == {"FINISHED"}
    assert bpy.data.scenes["Scene"].world is not None and bpy.context.scene.world is None


def test_a_renamed_scene_keeps_its_offers(session, placed, project, begin, leave):
    save(project / "a.blend")
    begin()
    leave()
    placed.name = "Kitchen"
    bpy.ops.wm.save_mainfile()
    assert len(offers_of(session, project / "a.blend")) == 1
    assert bpy.ops.lookbeyond.resume() == {"FINISHED"} and bpy.data.scenes["Kitchen"].world is not None


def test_files_that_were_moved_or_renamed_keep_theirs(session, placed, project, begin, leave):
    save(project / "a.blend")
    begin()
    leave()
    moved = project.rename(project.with_name("moved"))
    (moved / "b.blend").write_bytes((moved / "a.blend").read_bytes())
    assert not offers_of(session, moved / "b.blend")
    assert len(offers_of(session, moved / "a.blend")) == 1
    (moved / "a.blend").rename(moved / "c.blend")
    assert len(offers_of(session, moved / "c.blend")) == 1


@pytest.fixture
def shot(placed, project, service, begin):
    """One at work, of the camera Hero, to be shown behind it."""
    save(project / "a.blend")
    bpy.ops.lookbeyond.build_world()
    bpy.ops.lookbeyond.add_path()
    placed.camera.name = "Hero"
    placed.look_beyond.show_in = {"BACKGROUND", "PLANE"}
    bpy.ops.ed.undo_push(message="Before")
    begin("shoot")
    return placed.camera


def test_a_camera_renamed_while_the_shot_runs_shows_it(session, shot, service):
    shot.name = "Anna"
    bpy.ops.ed.undo_push(message="Renamed")
    bpy.context.scene.frame_end = 77
    bpy.ops.ed.undo_push(message="Edit")
    bpy.ops.ed.undo()
    service.holds = False
    turns_until(session, lambda: not session.busy)
    assert not session.error and "behind the camera" in session.notice
    assert len(bpy.data.objects["Anna"].data.background_images) == 1


def test_where_the_frames_lie_is_said_when_the_camera_is_gone(session, shot, service):
    bpy.data.objects.remove(shot)
    service.holds = False
    turns_until(session, lambda: not session.busy)
    words = "The camera Hero is no longer in the scene; the frames are in "
    assert session.notice.count(words) == 1 and bpy.context.scene.look_beyond.shot_folder
