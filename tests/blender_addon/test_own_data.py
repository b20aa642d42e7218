"""The artist's own data is never touched: the add-on works on datablocks that it made, and on no others."""

from pathlib import Path

import bpy
import numpy as np
import pytest

from tests.support.pictures import picture


def painted(image) -> None:
    """One pixel in magenta, not saved."""
    image.pixels[:4] = (1.0, 0.0, 1.0, 1.0)
    assert image.is_dirty


def first_pixel(image) -> list[float]:
    return list(image.pixels[:4])


def test_paint_on_a_photo_that_is_open_already_stays(scene, photo):
    own = bpy.data.images.load(str(photo))
    own.name = "My painting"
    painted(own)
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    assert first_pixel(own) == [1.0, 0.0, 1.0, 1.0] and own.is_dirty
    assert own.name == "My painting" and own.filepath == str(photo)
    (background,) = scene.look_beyond.photo_camera.data.background_images
    assert background.image != own


def test_paint_on_the_placed_photo_stays_when_it_is_placed_again(scene, photo):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    (background,) = scene.look_beyond.photo_camera.data.background_images
    former = background.image
    former.use_fake_user = True
    painted(former)
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    assert first_pixel(former) == [1.0, 0.0, 1.0, 1.0]


def test_a_plate_whose_first_frame_is_the_photo_stays(scene, tmp_path):
    """A sequence that stands behind another camera: it is neither deleted nor given another type."""
    first = picture(tmp_path / "plate_0001.jpg", 120, 80)
    plate = bpy.data.images.load(str(first))
    plate.source = "SEQUENCE"
    other = bpy.data.objects.new("Plate", bpy.data.cameras.new("Plate"))
    scene.collection.objects.link(other)
    other.data.background_images.new().image = plate
    bpy.ops.lookbeyond.place_photo(filepath=str(first))
    assert plate.name in bpy.data.images and plate.source == "SEQUENCE" and plate.filepath == str(first)
    assert other.data.background_images[0].image == plate


def test_an_image_that_is_no_photo_is_not_deleted_when_it_is_refused(scene, tmp_path):
    small = picture(tmp_path / "small.png", 8, 8)
    own = bpy.data.images.load(str(small))
    with pytest.raises(RuntimeError, match="8 x 8 pixels"):
        bpy.ops.lookbeyond.place_photo(filepath=str(small))
    assert list(bpy.data.images) == [own]


def test_the_artists_own_panorama_image_is_not_reloaded_or_renamed(part, scene, service, photo, tmp_path):
    """It was open before the world was used in this file."""
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    bpy.ops.lookbeyond.build_world()
    folder = Path(bpy.path.abspath(scene.look_beyond.world_folder))
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    own = bpy.data.images.load(str(folder / "panorama.png"))
    own.name = "My panorama"
    painted(own)
    for _ in range(2):
        part("world.variants").use_world(bpy.context.scene, folder)
    assert first_pixel(own) == [1.0, 0.0, 1.0, 1.0] and own.name == "My panorama"


@pytest.mark.parametrize("shared_lens", [False, True])
def test_a_duplicate_of_the_photos_camera_is_the_artists(scene, photo, shared_lens):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.0)
    camera = scene.look_beyond.photo_camera
    copy = camera.copy()
    if not shared_lens:
        copy.data = camera.data.copy()
    scene.collection.objects.unlink(camera)
    for thing in (copy, camera):  # the duplicate stands first among the scene's objects
        scene.collection.objects.link(thing)
    lens, pose = copy.data.lens, copy.matrix_world.copy()
    scene.camera = copy
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=0.5, height=3.0)
    assert scene.look_beyond.photo_camera == camera and scene.camera == copy
    assert copy.data.lens == lens and copy.matrix_world == pose
    assert camera.data.lens > 1.5 * lens


def test_two_photos_in_a_scene_are_each_found_again(scene, tmp_path):
    files = [picture(tmp_path / f"{name}.png", 120, 80) for name in "ab"]
    for file in (*files, *files):
        bpy.ops.lookbeyond.place_photo(filepath=str(file))
    assert len([thing for thing in scene.objects if thing.type == "CAMERA"]) == 2


def test_a_full_copy_of_the_scene_has_its_own_photo(scene, photo):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.0)
    camera = scene.look_beyond.photo_camera
    lens = camera.data.lens
    bpy.ops.scene.new(type="FULL_COPY")
    other = bpy.context.scene
    assert other != scene
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=0.5)
    assert other.look_beyond.photo_camera != camera and camera.data.lens == lens
    assert len([thing for thing in other.objects if thing.type == "CAMERA"]) == 1


@pytest.fixture
def built(scene, service, photo, tmp_path):
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    return scene


@pytest.mark.parametrize("with_node", [False, True])
def test_a_world_that_two_scenes_share_stays_the_others(part, built, with_node):
    built.world = bpy.data.worlds.new("Shared")
    if with_node:
        bpy.ops.lookbeyond.build_world()
    other = bpy.data.scenes.new("Other")
    other.world = shared = built.world
    node_of = part("world.nodes").panorama_node
    group = node_of(shared).node_tree if with_node else None
    built.look_beyond.seed = 5
    bpy.ops.lookbeyond.build_world()
    assert other.world == shared and built.world != shared and node_of(built.world) is not None
    assert node_of(shared).node_tree == group if with_node else node_of(shared) is None


def library_with(tmp_path, name: str, make) -> Path:
    """A .blend file with what `make` has added to it; the open file is empty again afterwards."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    make()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / name))
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    return tmp_path / name


@pytest.mark.parametrize("override", [False, True])
def test_a_linked_world_stays_and_ours_survives_reopening(part, service, photo, tmp_path, override):
    def make():
        bpy.data.worlds.new("Studio Sky").use_fake_user = True

    library = library_with(tmp_path, "library.blend", make)
    with bpy.data.libraries.load(str(library), link=True) as (_, wanted):
        wanted.worlds = ["Studio Sky"]
    scene = bpy.context.scene
    scene.world = bpy.data.worlds["Studio Sky"]
    if override:
        scene.world = scene.world.override_create()
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    bpy.ops.lookbeyond.build_world()
    assert "Studio Sky, is linked and stays" in part("session").session.notice
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert part("world.nodes").panorama_node(bpy.context.scene.world) is not None


def test_in_a_linked_collection_nothing_is_made(part, service, photo, tmp_path):
    def make():
        collection = bpy.data.collections.new("Set")
        collection.use_fake_user = True
        collection.objects.link(bpy.data.objects.new("Chair", None))

    library = library_with(tmp_path, "library.blend", make)
    with bpy.data.libraries.load(str(library), link=True) as (_, wanted):
        wanted.collections = ["Set"]
    scene = bpy.context.scene
    scene.collection.children.link(bpy.data.collections["Set"])
    layers = bpy.context.view_layer.layer_collection.children
    bpy.context.view_layer.active_layer_collection = layers["Set"]
    assert bpy.context.collection.library is not None
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    bpy.ops.lookbeyond.add_path()
    names = {thing.name for thing in scene.collection.objects}
    assert {scene.look_beyond.photo_camera.name, scene.camera.name} <= names
    assert not [camera for camera in bpy.data.cameras if not camera.users]


@pytest.mark.skipif(bpy.app.version < (5, 0, 0), reason="scenes have their own compositor nodes")
def test_a_compositor_group_that_two_scenes_share_stays_the_others(part, scene, tmp_path):
    group = bpy.data.node_groups.new("Shared", "CompositorNodeTree")
    group.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    other = bpy.data.scenes.new("Other")
    scene.compositing_node_group = other.compositing_node_group = group
    for folder, end in (("frames", "png"), ("depth", "exr")):
        (tmp_path / folder).mkdir()
        picture(tmp_path / folder / f"0011.{end}", 96, 64)
    part("shot.composite").set_up_composite(scene, tmp_path, 11, 1)
    assert other.compositing_node_group == group and not len(group.nodes)
    assert scene.compositing_node_group != group and "Look Beyond Result" in scene.compositing_node_group.nodes


def test_a_sequence_of_the_artists_from_the_same_folder_stays(part, built):
    bpy.ops.lookbeyond.build_world()
    bpy.ops.lookbeyond.add_path()
    bpy.ops.lookbeyond.shoot()
    folder = Path(bpy.path.abspath(built.look_beyond.shot_folder)) / "frames"
    own = bpy.data.images.load(str(folder / "0011.png"), check_existing=False)
    painted(own)
    built.look_beyond.show_in = {"BACKGROUND", "PLANE", "COMPOSITE"}
    bpy.ops.lookbeyond.shoot()
    assert own.source == "FILE" and np.allclose(first_pixel(own), (1, 0, 1, 1))


def test_results_before_the_first_save_outlive_the_extension_and_move_beside_the_file(
    part, session_notice, scene, service, photo, tmp_path
):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    bpy.ops.lookbeyond.build_world()
    bpy.ops.lookbeyond.add_path()
    bpy.ops.lookbeyond.shoot()
    unsaved = part("results").unsaved_folder()
    owned = Path(bpy.utils.extension_path_user(part("session").__package__, create=True)).resolve()
    world = Path(scene.look_beyond.world_folder).resolve()
    assert world.is_relative_to(unsaved) and not world.is_relative_to(owned)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "copy.blend"), copy=True)
    assert world.is_dir() and Path(scene.look_beyond.world_folder).resolve() == world
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert "moved beside the file" in session_notice() and not world.exists()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    scene = bpy.context.scene
    settings = scene.look_beyond
    stored = [settings.world_folder, settings.shot_folder, settings.worlds[0].folder]
    assert all(path.startswith("//look_beyond/") for path in stored)
    assert all(Path(bpy.path.abspath(path)).is_dir() for path in stored)
    shown = [image for image in bpy.data.images if "look_beyond" in image.filepath]
    assert len(shown) == 2 and all(Path(bpy.path.abspath(image.filepath)).is_file() for image in shown)
    assert bpy.ops.lookbeyond.shoot() == {"FINISHED"}


@pytest.fixture
def session_notice(part):
    return lambda: part("session").session.notice


def test_an_output_folder_that_is_a_link_stays_one(built, service, tmp_path):
    (tmp_path / "other disk").mkdir()
    link = tmp_path / "linked"
    link.symlink_to(tmp_path / "other disk")
    built.look_beyond.output_folder = str(link)
    bpy.ops.lookbeyond.build_world()
    (tmp_path / "other disk" / ".DS_Store").write_bytes(b"x")
    bpy.ops.lookbeyond.reroll_world()
    assert link.is_symlink() and len(list((tmp_path / "other disk" / "worlds").iterdir())) == 2


def test_paint_on_the_worlds_panorama_stays(part, built):
    bpy.ops.lookbeyond.build_world()
    folder = Path(bpy.path.abspath(built.look_beyond.world_folder))
    (own,) = (image for image in bpy.data.images if Path(bpy.path.abspath(image.filepath)).name == "panorama.png")
    painted(own)
    for again in (lambda: part("world.variants").use_world(built, folder), bpy.ops.lookbeyond.build_world):
        again()
        assert first_pixel(own) == [1.0, 0.0, 1.0, 1.0] and own.is_dirty and own.users


def test_paint_on_the_placed_photo_has_a_user_still(scene, photo):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    former = scene.look_beyond.photo_camera.data.background_images[0].image
    painted(former)
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    assert first_pixel(former) == [1.0, 0.0, 1.0, 1.0] and former.users


def test_a_plate_that_the_artist_made_of_the_photo_stays_behind_its_camera(scene, tmp_path):
    first = picture(tmp_path / "plate_0001.jpg", 120, 80)
    bpy.ops.lookbeyond.place_photo(filepath=str(first))
    data = scene.look_beyond.photo_camera.data
    plate = data.background_images[0].image
    plate.source = "SEQUENCE"
    bpy.ops.lookbeyond.place_photo(filepath=str(first))
    assert plate.source == "SEQUENCE" and plate in [one.image for one in data.background_images]


def test_a_duplicate_of_the_photos_camera_keeps_its_background(scene, photo):
    """Another aspect of the render fits the photo to its own camera, not to the artist's duplicate of that."""
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    camera = scene.look_beyond.photo_camera
    copy = camera.copy()
    copy.data = camera.data.copy()
    scene.collection.objects.link(copy)
    copy.data.background_images[0].frame_method = "STRETCH"
    camera.data.background_images[0].frame_method = "STRETCH"
    scene.render.resolution_x = 300
    bpy.context.view_layer.update()
    assert camera.data.background_images[0].frame_method != "STRETCH"
    assert copy.data.background_images[0].frame_method == "STRETCH"


def test_a_duplicate_that_shares_the_lens_keeps_it(scene, photo):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.0)
    camera = scene.look_beyond.photo_camera
    copy = camera.copy()
    scene.collection.objects.link(copy)
    lens = copy.data.lens
    scene.look_beyond.fov_x = 0.5
    assert scene.look_beyond.fov_x == pytest.approx(0.5, abs=1e-4) and copy.data.lens == lens
    assert len([one for one in camera.data.background_images if one.image is not None]) == 1


def linked_photo_camera(photo, tmp_path):
    """The open scene uses a photo's camera that is linked from another file."""

    def make():
        bpy.ops.lookbeyond.place_photo(filepath=str(photo), pitch=0.1)

    library = library_with(tmp_path, "library.blend", make)
    with bpy.data.libraries.load(str(library), link=True) as (there, wanted):
        wanted.objects = there.objects
    (camera,) = bpy.data.objects
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.look_beyond.photo_camera = camera
    bpy.context.view_layer.update()
    return camera


def test_a_linked_photo_camera_is_not_turned_only_until_the_file_is_reopened(part, photo, tmp_path):
    camera = linked_photo_camera(photo, tmp_path)
    settings = bpy.context.scene.look_beyond
    pose, lens = camera.matrix_world.copy(), camera.data.lens
    settings.pitch, settings.fov_x = 0.5, 0.5
    assert camera.matrix_world == pose and camera.data.lens == lens
    for operator in (bpy.ops.lookbeyond.adjust_horizon, bpy.ops.lookbeyond.align_lines):
        with pytest.raises(RuntimeError, match="is linked from another file: make it local"):
            operator(ends=(0, 10, 100, 10) * (2 if operator == bpy.ops.lookbeyond.align_lines else 1))
    with pytest.raises(RuntimeError, match="is linked from another file: make it local"):
        bpy.ops.lookbeyond.measure_height(ends=(10, 70, 10, 20))
    assert camera.matrix_world == pose


def test_in_a_linked_scene_nothing_is_done(scene, photo, tmp_path):
    library = library_with(tmp_path, "library.blend", lambda: bpy.ops.lookbeyond.place_photo(filepath=str(photo)))
    with bpy.data.libraries.load(str(library), link=True) as (there, wanted):
        wanted.scenes = there.scenes
    linked = next(one for one in bpy.data.scenes if one.library is not None)
    with bpy.context.temp_override(scene=linked):
        operators = (
            bpy.ops.lookbeyond.adjust_horizon,
            bpy.ops.lookbeyond.measure_height,
            bpy.ops.lookbeyond.match_photo_colours,
            bpy.ops.lookbeyond.place_photo,
            bpy.ops.lookbeyond.add_path,
        )
        assert [operator.poll() for operator in operators] == [False] * len(operators)


def make_stage(built) -> bpy.types.Object:
    bpy.ops.lookbeyond.build_world()
    bpy.ops.lookbeyond.add_stage()
    return next(thing for thing in built.objects if "look_beyond_maker" in thing)


def test_a_duplicate_of_the_stage_is_the_artists(part, built):
    stage = make_stage(built)
    copy = stage.copy()
    copy.data = stage.data.copy()
    built.collection.objects.unlink(stage)
    for thing in (copy, stage):  # the duplicate stands first
        built.collection.objects.link(thing)
    mesh, own = copy.data, stage.data
    bpy.ops.lookbeyond.add_stage()
    assert copy.data == mesh and stage.data != own
    bpy.data.objects.remove(stage)
    bpy.ops.lookbeyond.add_stage()
    assert copy.data == mesh and len(built.objects) == 3, "photo's camera, duplicate, another stage"


def test_a_stage_with_a_material_of_the_artists_can_be_composited(part, built):
    stage = make_stage(built)
    own = bpy.data.materials.new("Mine")
    stage.data.materials[0] = own
    part("world.stage").make_shadow_catcher(stage)
    assert stage.data.materials[0] == own and stage.material_slots[0].material != own


def test_a_duplicate_of_the_plane_is_the_artists(scene, photo):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    camera = scene.look_beyond.photo_camera
    bpy.ops.lookbeyond.photo_plane(distance=3)
    (plane,) = camera.children
    copy = plane.copy()
    copy.name = "A copy"
    scene.collection.objects.link(copy)
    copy.location.z = -9
    bpy.ops.lookbeyond.photo_plane(distance=2)
    assert copy.location.z == -9 and plane.location.z == -2
    bpy.data.objects.remove(plane)
    bpy.ops.lookbeyond.photo_plane(distance=2)
    assert copy.location.z == -9 and len(camera.children) == 2


def test_a_copy_of_the_scene_of_shots_is_the_artists(built):
    bpy.ops.lookbeyond.build_world()
    bpy.ops.lookbeyond.add_path()
    bpy.ops.lookbeyond.shoot()
    copy = bpy.data.scenes["Scene Shot"].copy()
    copy.name = "A Final Edit"
    copy.render.resolution_x = 333
    built.frame_end += 1
    bpy.ops.lookbeyond.shoot()
    assert copy.render.resolution_x == 333 and copy.frame_end == 16
    assert bpy.data.scenes["Scene Shot"].frame_end == 17


def shot_files(folder: Path, *numbers: int) -> Path:
    for name, end in (("frames", "png"), ("depth", "exr")):
        (folder / name).mkdir(parents=True)
        for number in numbers:
            picture(folder / name / f"{number:04d}.{end}", 96, 64)
    return folder


def test_nodes_of_the_artists_stay_between_the_compositors(part, scene, tmp_path):
    module = part("shot.composite")
    first, other = shot_files(tmp_path / "first", 11), shot_files(tmp_path / "other", 11)
    module.set_up_composite(scene, first, 11, 1)
    tree = module.compositor_tree(scene)
    own = tree.nodes.new("CompositorNodeBlur")
    own.name = "Look Beyond grade"
    frames, over = tree.nodes["Look Beyond Frames Size"], tree.nodes["Look Beyond Over"]
    below = next(socket for socket in over.inputs if socket.type == "RGBA")
    tree.links.new(frames.outputs[0], own.inputs[0])
    tree.links.new(own.outputs[0], below)
    tree.nodes["Look Beyond Frames"].location.x = -1234
    number = len(tree.nodes)
    module.set_up_composite(scene, other, 11, 1)
    assert len(tree.nodes) == number and "Look Beyond grade" in tree.nodes
    assert below.links[0].from_node.name == "Look Beyond grade"
    assert module.is_composited(scene, other)
    assert tree.nodes["Look Beyond Frames"].location.x == -1234


def test_a_world_that_a_view_layer_of_another_scene_uses_stays(part, built):
    built.world = bpy.data.worlds.new("Shared")
    other = bpy.data.scenes.new("Other")
    other.view_layers[0].world_override = shared = built.world
    bpy.ops.lookbeyond.build_world()
    node_of = part("world.nodes").panorama_node
    assert built.world != shared and node_of(shared) is None and node_of(built.world) is not None


@pytest.mark.skipif(bpy.app.version < (5, 0, 0), reason="scenes have their own compositor nodes")
def test_a_compositor_group_that_another_tree_uses_stays(part, scene, tmp_path):
    group = bpy.data.node_groups.new("Look", "CompositorNodeTree")
    group.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    outer = bpy.data.node_groups.new("Outer", "CompositorNodeTree")
    outer.nodes.new("CompositorNodeGroup").node_tree = group
    scene.compositing_node_group = group
    part("shot.composite").set_up_composite(scene, shot_files(tmp_path / "shot", 11), 11, 1)
    assert not len(group.nodes) and scene.compositing_node_group != group


def test_a_render_that_is_a_photo_already_is_not_overwritten(scene, tmp_path):
    scene.look_beyond.output_folder = str(tmp_path / "results")
    scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(scene.camera)
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", 1, False
    bpy.ops.render.render()
    for _ in range(3):
        assert bpy.ops.lookbeyond.use_render() == {"FINISHED"}
    folder = tmp_path / "results" / "photos"
    (folder / "render_001.png").unlink()
    kept = (folder / "render_003.png").stat().st_mtime_ns
    bpy.ops.lookbeyond.use_render()
    assert (folder / "render_003.png").stat().st_mtime_ns == kept
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("change", ["pack", "another file"])
def test_what_the_artist_made_of_the_photos_image_has_a_user_still(scene, photo, tmp_path, change):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    image = scene.look_beyond.photo_camera.data.background_images[0].image
    if change == "pack":
        image.pack()
    else:
        image.filepath = str(picture(tmp_path / "retouched.png", 120, 80))
    stored = image.filepath
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    assert image.filepath == stored and image.users
    assert scene.look_beyond.photo_camera.data.background_images[0].image != image


def test_the_panorama_of_a_linked_file_is_not_used_for_ones_own(part, service, photo, tmp_path):
    """Its node group would be gone after reopening what was changed in it."""
    results = tmp_path / "results"

    def make():
        bpy.context.scene.look_beyond.output_folder = str(results)
        bpy.ops.lookbeyond.place_photo(filepath=str(photo))
        bpy.ops.lookbeyond.build_world()

    library = library_with(tmp_path, "library.blend", make)
    with bpy.data.libraries.load(str(library), link=True) as (there, wanted):
        wanted.node_groups = there.node_groups
    (_linked,) = bpy.data.node_groups
    make()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    group = part("world.nodes").panorama_node(bpy.context.scene.world).node_tree
    assert group.library is None and next(node.image for node in group.nodes if node.type == "TEX_ENVIRONMENT")


def test_a_shot_of_a_linked_camera_is_shown_beside_it_and_says_so(part, built, tmp_path):
    scene_file = tmp_path / "scene.blend"
    bpy.ops.lookbeyond.build_world()
    bpy.ops.wm.save_as_mainfile(filepath=str(scene_file))

    def make():
        camera = bpy.data.objects.new("Dolly", bpy.data.cameras.new("Dolly"))
        bpy.context.scene.collection.objects.link(camera)
        camera.location.z = 1.6

    library = library_with(tmp_path, "library.blend", make)
    bpy.ops.wm.open_mainfile(filepath=str(scene_file))
    with bpy.data.libraries.load(str(library), link=True) as (_there, wanted):
        wanted.objects = ["Dolly"]
    scene = bpy.context.scene
    scene.camera = bpy.data.objects["Dolly"]
    scene.collection.objects.link(scene.camera)
    scene.look_beyond.show_in = {"STRIP", "BACKGROUND", "PLANE"}
    assert bpy.ops.lookbeyond.shoot() == {"FINISHED"}
    assert "Dolly is linked and cannot show them" in part("session").session.notice
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(scene_file))
    assert part("shot.strip").image_strips(bpy.data.scenes["Scene Shot"])
    assert not bpy.context.scene.camera.data.background_images


def test_a_linked_copy_of_the_scene_keeps_its_stage(built):
    stage = make_stage(built)
    bpy.ops.scene.new(type="LINK_COPY")
    other = bpy.context.scene
    assert other != built and stage.name in other.objects
    mesh = stage.data
    other.look_beyond.stage_columns = "128"
    bpy.ops.lookbeyond.add_stage()
    assert stage.data == mesh and stage.name in built.objects
    assert len([thing for thing in other.objects if thing.type == "MESH"]) == 1


def test_what_the_artist_deletes_is_not_kept_in_the_file(built, tmp_path):
    stage = make_stage(built)
    name = stage.name
    built.collection.objects.unlink(stage)
    for _ in range(2):  # Blender drops what has no user when it saves
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert name not in bpy.data.objects
