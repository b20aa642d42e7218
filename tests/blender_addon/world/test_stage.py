"""The stage is where the world is, shows what the panorama shows, and is torn where the world is."""

import itertools
import json
import math
import shutil
import types
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Vector

from tests.support.pictures import picture, smooth_panorama
from tests.support.worlds import distance_file, room_distance

HEADING = math.radians(33)
ORIGIN = (0.4, -0.2, 1.6)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A finished world with colours that tell directions, looking 33 degrees to the left."""
    folder = tmp_path / "worlds" / "room"
    folder.mkdir(parents=True)
    smooth_panorama(folder / "panorama.png")
    picture(folder / "from_photo.png", 64, 32)
    distance_file(folder / "distance.exr", room_distance(256, heading=HEADING))
    about = {"version": 1, "heading": math.degrees(HEADING), "origin": ORIGIN, "camera_height": 1.6, "seed": 3}
    (folder / "world.json").write_text(json.dumps(about))
    return folder


@pytest.fixture
def world(part, scene, folder):
    part("world.variants").use_world(scene, folder)
    return scene


@pytest.fixture
def stage(part, world):
    assert bpy.ops.lookbeyond.add_stage() == {"FINISHED"}
    return part("world.stage").find_stage(world)


def test_rays_from_the_origin_meet_it_at_the_worlds_distance(part, stage, folder):
    random = np.random.default_rng(4)
    panorama = part("world.geometry").load_world_geometry(folder).panorama
    inverse = stage.matrix_world.inverted()
    assert np.allclose(stage.matrix_world.translation, ORIGIN)
    for _ in range(50):
        direction = random.normal(size=3) * (1, 1, 0.7)
        direction /= np.linalg.norm(direction)
        hit, place, normal, _ = stage.ray_cast((0, 0, 0), inverse.to_3x3() @ Vector(direction))
        assert hit and place.length == pytest.approx(float(panorama.distance_at(direction)), rel=0.03)
        assert normal.dot(place) < 0  # it looks at who stands inside


def test_blender_finds_nothing_to_mend_in_its_mesh(part, world, folder, monkeypatch):
    """Every edge is between two corners of its faces, once, and every corner begins its own: however small the pieces
    are that it is made in, and when an undo takes it away in between."""
    known = part("world.geometry").load_world_geometry(folder)
    pieces = part("world.stage_mesh").IncrementalMesh(part("world.stage_mesh").stage_surface(known, 128))
    # A clock that moves on by a slice at each look: every step does the least that it can.
    clock = (pieces.SLICE_S * n for n in itertools.count())
    monkeypatch.setattr(part("world.stage_mesh"), "time", types.SimpleNamespace(perf_counter=lambda: next(clock) * 0.6))
    for _ in range(3):
        assert pieces.step() is None
    (half,) = bpy.data.meshes
    bpy.data.meshes.remove(half)
    steps = 1
    while (mesh := pieces.step()) is None:
        steps += 1
    assert steps > 8 and list(bpy.data.meshes) == [mesh] and len(mesh.polygons) > 5000
    monkeypatch.undo()
    assert len(mesh.edges) and not mesh.validate()
    drawn = {tuple(sorted(key)) for face in mesh.polygons for key in face.edge_keys}
    assert drawn == {tuple(sorted(edge.vertices)) for edge in mesh.edges} and len(drawn) == len(mesh.edges)
    for loop, after in zip(mesh.loops[:4], (*mesh.loops[1:4], mesh.loops[0]), strict=True):
        assert {loop.vertex_index, after.vertex_index} == set(mesh.edges[loop.edge_index].vertices)


def test_renders_do_not_see_it_and_another_one_replaces_it(part, world, stage):
    assert stage.hide_render
    faces = len(stage.data.polygons)
    stage.location.x += 1
    world.look_beyond.stage_columns = "128"
    bpy.ops.lookbeyond.add_stage()
    assert part("world.stage").find_stage(world) == stage and stage.location.x == pytest.approx(ORIGIN[0])
    assert len(stage.data.polygons) < faces / 3
    assert sum(mesh.name.startswith("Look Beyond Stage") for mesh in bpy.data.meshes) == 1
    assert len([m for m in bpy.data.materials if m.name.startswith("Look Beyond")]) == 1


def test_another_world_says_that_the_stage_is_the_formers(part, world, stage, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "worlds" / "other")
    said = part("world.variants").use_world(world, tmp_path / "worlds" / "other")
    assert "stage still shows the previous world" in said
    bpy.ops.lookbeyond.add_stage()
    assert not part("world.variants").stage_note(world, tmp_path / "worlds" / "other")


def test_it_turns_with_the_world(part, world, stage):
    part("world.nodes").panorama_node(world.world).inputs["Heading"].default_value = 1.0
    bpy.context.view_layer.update()
    assert stage.evaluated_get(bpy.context.evaluated_depsgraph_get()).matrix_world.to_euler().z == pytest.approx(1.0)


def test_surfaces_are_torn_where_the_distance_jumps(part, world, folder):
    """A block at half the distance: no face may lead from it to the wall behind."""
    distance = room_distance(128, heading=HEADING)
    distance[24:40, 50:70] *= 0.4
    distance_file(folder / "distance.exr", distance)
    bpy.ops.lookbeyond.add_stage()
    mesh = part("world.stage").find_stage(world).data
    lengths = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", lengths)
    lengths = np.linalg.norm(lengths.reshape(-1, 3), axis=1)
    corners = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    of_faces = lengths[corners.reshape(-1, 4)]
    assert (of_faces.max(1) / of_faces.min(1)).max() < 1.5
    around_the_block = 17 * 21 - 15 * 19
    assert 63 * 128 - 2 * around_the_block < len(mesh.polygons) <= 63 * 128 - around_the_block


def test_cycles_sees_on_it_what_the_warp_shows(part, world, stage, folder, tmp_path):
    """From 60 cm beside the origin: the draft is the warp alone, so the warp is its oracle."""
    from dataclasses import replace

    from lookbeyond_kit.geometry.warping import warp_to_view

    data = bpy.data.cameras.new("Camera")
    camera = bpy.data.objects.new("Camera", data)
    world.collection.objects.link(camera)
    world.camera = camera
    camera.location, camera.rotation_euler = np.add(ORIGIN, (0.4, 0.4, -0.2)), (1.45, 0, -0.6)
    data.lens = 22
    world.render.resolution_x, world.render.resolution_y = 96, 64
    world.render.engine = "CYCLES"
    world.cycles.device, world.cycles.samples, world.cycles.use_denoising = "CPU", 8, False
    world.cycles.pixel_filter_type = "BOX"
    stage.hide_render = False
    world.world = None
    bpy.ops.lookbeyond.match_photo_colours()
    world.render.image_settings.file_format = "PNG"
    world.render.filepath = str(tmp_path / "render.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(world.render.filepath)
    seen = np.array(image.pixels[:]).reshape(64, 96, image.channels)[::-1, :, :3] * 255

    _, pixels = smooth_panorama(tmp_path / "again.png")
    known = part("world.geometry").load_world_geometry(folder).panorama
    panorama = replace(known, colour=pixels, from_photo=np.zeros(pixels.shape[:2], np.uint8))
    ours = part("cameras").camera_of(camera, 96, 64, 1.0)
    warped = warp_to_view(panorama, ours)
    error = np.mean((seen[warped.known] - warped.colour[warped.known]) ** 2)
    assert warped.known.mean() > 0.95
    assert 10 * math.log10(255**2 / error) > 35


def test_a_turned_world_is_shot_as_it_is_seen(part, world, service, tmp_path):
    """Turning the world by 90 degrees to the left is turning the camera to the right, about its origin."""
    world.look_beyond.output_folder = str(tmp_path / "results")
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    world.collection.objects.link(camera)
    world.camera = camera
    camera.location, camera.rotation_euler = np.add(ORIGIN, (0.5, 0, 0)), (math.pi / 2, 0, -math.pi / 2)
    part("world.nodes").panorama_node(world.world).inputs["Heading"].default_value = HEADING + math.pi / 2
    assert bpy.ops.lookbeyond.shoot() == {"FINISHED"}
    pose = np.array(service.requests[-1].cameras[0]["camera_to_world"])
    assert np.allclose(pose[:3, 3], np.add(ORIGIN, (0, -0.5, 0)), atol=1e-5)
    assert np.allclose(pose[:3, 2], (0, -1, 0), atol=1e-5)


def test_previewing_a_draft_needs_a_camera_and_a_world(scene, part, folder):
    with pytest.raises(RuntimeError, match="no active camera"):
        bpy.ops.lookbeyond.preview_draft()
    bpy.ops.lookbeyond.add_path()
    with pytest.raises(RuntimeError, match="Build a world first"):
        bpy.ops.lookbeyond.preview_draft()
    part("world.variants").use_world(scene, folder)
    assert bpy.ops.lookbeyond.preview_draft() == {"FINISHED"}
    assert part("world.stage").find_stage(scene) is not None


@pytest.mark.parametrize("again", [False, True])
def test_what_stands_on_it_casts_its_shadow_into_the_shot(part, world, stage, folder, tmp_path, again):
    """A box in the sun over grey frames: dark where the sun's rays past its edge meet the floor, grey beside it."""
    from lookbeyond_kit.geometry.projection import sample_equirectangular

    width, height = 96, 64
    data = bpy.data.cameras.new("Camera")
    camera = bpy.data.objects.new("Camera", data)
    world.collection.objects.link(camera)
    world.camera = camera
    camera.location, camera.rotation_euler, data.lens = ORIGIN, (math.radians(65), 0, math.radians(-90)), 24
    world.render.resolution_x, world.render.resolution_y = width, height
    seen = part("path.read").isolated_cameras(world, [11])[0]
    rays = seen.rays()
    distance = sample_equirectangular(
        part("world.geometry").load_world_geometry(folder).panorama.distance, rays, HEADING
    )
    along = (rays / np.linalg.norm(rays, axis=-1, keepdims=True)) @ seen.forward
    shot = tmp_path / "shot"
    for place in ("frames", "depth"):
        (shot / place).mkdir(parents=True)
    for number in (11, 12):
        picture(shot / "frames" / f"{number:04d}.png", width, height, 0.5)
        distance_file(shot / "depth" / f"{number:04d}.exr", (distance * along).astype(np.float32))

    x, y = ORIGIN[0] + 1.8, ORIGIN[1] - 0.3
    mesh = bpy.data.meshes.new("Box")
    corners = [(x + a, y + b, c) for c in (0.0, 0.6) for a, b in ((-0.3, -0.3), (0.3, -0.3), (0.3, 0.3), (-0.3, 0.3))]
    sides = [(0, 1, 2, 3), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]
    mesh.from_pydata(corners, [], sides)
    world.collection.objects.link(bpy.data.objects.new("Box", mesh))
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 4.0, (math.radians(40), 0, 0)  # its rays go towards +Y and down
    world.collection.objects.link(sun)
    world.render.engine = "CYCLES"
    world.cycles.device, world.cycles.samples, world.cycles.use_denoising = "CPU", 16, False
    bpy.ops.lookbeyond.match_photo_colours()
    world.frame_set(11)
    part("shot.composite").set_up_composite(world, shot, 11, 2)
    if again:  # another stage in its place catches them, too
        world.look_beyond.stage_columns = "128"
        bpy.ops.lookbeyond.add_stage()
    world.render.image_settings.file_format = "PNG"
    world.render.filepath = str(tmp_path / "render.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(world.render.filepath)
    rendered = np.array(image.pixels[:]).reshape(height, width, image.channels)[::-1, :, 0]

    def at(*place: float) -> float:
        (column, row), _ = seen.project(np.array(place))
        return float(rendered[int(row) - 1 : int(row) + 2, int(column) - 1 : int(column) + 2].mean())

    assert at(x, y + 0.3 + 0.25, 0.0) < 0.35
    assert at(x, y - 0.3 - 0.5, 0.0) == pytest.approx(0.5, abs=0.06)
    assert at(x + 1.0, y + 0.8, 1.0) == pytest.approx(0.5, abs=0.06)


def test_a_shot_behind_the_camera_is_not_hidden_by_the_stage(part, world, stage, service):
    """The stage that stands before it is hidden as by its eye in the outliner; a draft shows it again."""
    bpy.ops.lookbeyond.add_path()
    world.frame_end = world.frame_start + 1
    world.look_beyond.show_in = {"BACKGROUND"}
    assert bpy.ops.lookbeyond.shoot() == {"FINISHED"}
    assert stage.hide_get() and "is hidden" in part("session").session.notice
    assert bpy.ops.lookbeyond.preview_draft() == {"FINISHED"}
    assert not part("world.stage").find_stage(world).hide_get()


def viewport():
    """A window, its 3D viewport and that one's region."""
    (window,) = bpy.context.window_manager.windows
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    return {"window": window, "area": area, "region": region}


def test_a_stage_is_seen_with_its_panorama_and_other_viewports_stay(part, world):
    shading = viewport()["area"].spaces.active.shading
    shading.type, shading.color_type, shading.light = "MATERIAL", "MATERIAL", "STUDIO"
    bpy.ops.lookbeyond.add_stage()
    assert shading.type == "MATERIAL" and shading.color_type == "MATERIAL"
    shading.type = "SOLID"
    bpy.ops.lookbeyond.add_stage()
    assert (shading.type, shading.color_type, shading.light) == ("SOLID", "TEXTURE", "FLAT")


def test_the_world_is_seen_at_a_press_and_not_at_the_next(part, scene, folder):
    shading = viewport()["area"].spaces.active.shading
    with bpy.context.temp_override(**viewport()):
        assert not bpy.ops.lookbeyond.see_world.poll()
        part("world.variants").use_world(scene, folder)
        bpy.ops.lookbeyond.see_world()
        assert shading.type == "MATERIAL" and shading.use_scene_world
        bpy.ops.lookbeyond.see_world()
        assert shading.type == "SOLID"
        shading.type, shading.use_scene_world = "MATERIAL", False  # Blender's own light is not the world
        bpy.ops.lookbeyond.see_world()
        assert shading.type == "MATERIAL" and shading.use_scene_world


def test_the_clean_plate_stands_behind_the_stage(part, world, folder):
    """Where a camera looks past furniture it sees the wall, not a tear."""
    stages = part("world.stage")
    assert bpy.ops.lookbeyond.add_stage() == {"FINISHED"}
    assert stages.find_plate(world) is None  # this world has no plate
    smooth_panorama(folder / "plate.png")
    distance_file(folder / "plate_distance.exr", 1.5 * room_distance(256, heading=HEADING))
    assert bpy.ops.lookbeyond.add_stage() == {"FINISHED"}
    stage, plate = stages.find_stage(world), stages.find_plate(world)
    assert plate.parent == stage and plate.hide_render
    bpy.context.view_layer.update()
    assert np.allclose(plate.matrix_world.translation, ORIGIN)
    for direction in ((1, 0, 0), (0, 1, 0.2), (-1, 0.3, -0.4)):
        near, far = (thing.ray_cast((0, 0, 0), direction)[1].length for thing in (stage, plate))
        assert far == pytest.approx(1.5 * near, rel=0.03)
    stages.set_stage_visible(world, False)
    assert plate.hide_get()
    assert bpy.ops.lookbeyond.add_stage() == {"FINISHED"}
    assert stages.find_plate(world) == plate and not plate.hide_get()
    (folder / "plate.png").unlink()
    assert bpy.ops.lookbeyond.add_stage() == {"FINISHED"}
    assert stages.find_plate(world) is None


def tints(thing) -> np.ndarray:
    """[N, 3] linear colours of an object's vertices."""
    values = np.empty(4 * len(thing.data.vertices), np.float32)
    thing.data.color_attributes["Known"].data.foreach_get("color", values)
    return values.reshape(-1, 4)[:, :3]


def test_the_stage_knows_what_the_photo_showed_and_the_plate_that_nobody_saw_it(part, world, folder):
    """Where the photo's frame lies the stage is green, elsewhere blue; the plate is red."""
    known, geometry = part("known"), part("kit")
    camera = geometry.placed_camera(60, 40, math.radians(65), heading_rad=HEADING, position=ORIGIN)
    about = json.loads((folder / "world.json").read_text())
    (folder / "world.json").write_text(json.dumps(about | {"photo_camera": camera.to_dict()}))
    smooth_panorama(folder / "plate.png")
    distance_file(folder / "plate_distance.exr", 1.5 * room_distance(256, heading=HEADING))
    bpy.ops.lookbeyond.add_stage()
    stage, plate = part("world.stage").find_stage(world), part("world.stage").find_plate(world)
    bpy.context.view_layer.update()
    corners = np.array([stage.matrix_world @ vertex.co for vertex in stage.data.vertices])
    pixels, depth = camera.project(corners)
    margin = 2.0  # the mask is coarse
    inside = (depth > 0) & (pixels > margin).all(-1) & (pixels < np.array((60, 40)) - margin).all(-1)
    outside = (depth <= 0) | (pixels < -margin).any(-1) | (pixels > np.array((60, 40)) + margin).any(-1)
    colours = tints(stage)
    assert inside.sum() > 100 and np.allclose(colours[inside], known.linear(known.PHOTO.colour), atol=1e-5)
    assert outside.sum() > 1000 and np.allclose(colours[outside], known.linear(known.INVENTED.colour), atol=1e-5)
    assert np.allclose(tints(plate), known.linear(known.HOLE.colour), atol=1e-5)
    assert stage.data.color_attributes.active_color.name == "Known"


def test_the_artists_objects_are_lit_by_the_world_and_an_empty_stage_is_quick(part, stage, world):
    stages, space = part("world.stage"), viewport()["area"].spaces.active
    assert space.shading.type == "SOLID" and space.shading.color_type == "TEXTURE"
    mesh = bpy.data.meshes.new("Chair")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    chair = bpy.data.objects.new("Chair", mesh)
    world.collection.objects.link(chair)
    chair.hide_set(True)
    bpy.ops.lookbeyond.add_stage()
    assert space.shading.type == "SOLID"
    chair.hide_set(False)
    bpy.ops.lookbeyond.add_path(kind="WALK")
    bpy.ops.lookbeyond.preview_draft()
    assert space.shading.type == "MATERIAL" and space.shading.use_scene_world
    assert space.region_3d.view_perspective == "CAMERA"
    assert all(slot.material.use_backface_culling for slot in stages.find_stage(world).material_slots)


def test_the_colours_on_the_stage_are_shown_and_put_away_again(part, stage, world):
    space = viewport()["area"].spaces.active
    with bpy.context.temp_override(**viewport()):
        bpy.ops.lookbeyond.show_known()
        assert part("world.stage").shows_known(space) and space.shading.color_type == "VERTEX"
        bpy.ops.lookbeyond.show_known()
        assert not part("world.stage").shows_known(space) and space.shading.color_type == "TEXTURE"
        bpy.data.objects.remove(stage)
        assert not bpy.ops.lookbeyond.show_known.poll()


def test_the_clean_plate_is_shown_and_hidden_by_its_button(part, world, folder):
    smooth_panorama(folder / "plate.png")
    distance_file(folder / "plate_distance.exr", 1.5 * room_distance(256, heading=HEADING))
    assert not world.look_beyond.show_plate
    bpy.ops.lookbeyond.add_stage()
    stage, plate = part("world.stage").find_stage(world), part("world.stage").find_plate(world)
    assert world.look_beyond.show_plate
    world.look_beyond.show_plate = False
    assert plate.hide_get() and not stage.hide_get() and not world.look_beyond.show_plate
    world.look_beyond.show_plate = True
    assert not plate.hide_get()
