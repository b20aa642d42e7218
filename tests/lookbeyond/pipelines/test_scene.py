"""Both stages as one; networks are tiny and random, so nothing here judges pictures."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from lookbeyond import presets
from lookbeyond.data.rooms import Rooms, render_panoramas
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.keyframes import anchor_seed, clip_seed, plan_shot
from lookbeyond.geometry.layout import box_layout
from lookbeyond.geometry.panorama import Panorama, Place, View
from lookbeyond.geometry.projection import extract_perspective
from lookbeyond.geometry.warping import Warped
from lookbeyond.layout.world import FoundPlace
from lookbeyond.models.warping import warp_to_views
from lookbeyond.pipelines.full_size import warp_frames
from lookbeyond.pipelines.network_frames import Ablation
from lookbeyond.pipelines.scene import ScenePipeline
from tests.support.tiny import panorama_pipeline, views_pipeline

SETTINGS = presets.Preset(
    name="tiny",
    title="",
    description="",
    licence="",
    memory_gb=0,
    frames_per_clip=4,
    panorama_steps=2,
    views_steps=2,
    strength=1.0,
    min_guidance_scale=1.0,
    max_guidance_scale=1.0,
)


@pytest.fixture(scope="module")
def scene() -> ScenePipeline:
    return ScenePipeline(panorama_pipeline(), views_pipeline(), SETTINGS)


@pytest.fixture(scope="module")
def room() -> Panorama:
    """A room with exact distance; the photo saw what lies within 60 degrees of +X."""
    colour, distance = render_panoramas(Rooms.from_seeds([3]), 64, 128)
    image = (colour[0].permute(1, 2, 0) * 255).round().byte().numpy()
    image = cv2.GaussianBlur(cv2.resize(image, (512, 256), interpolation=cv2.INTER_CUBIC), (0, 0), 2)
    from_photo = np.zeros(image.shape[:2], np.uint8)
    from_photo[80:170, 170:340] = 255
    return Panorama(image, distance[0, 0].numpy(), from_photo, camera_height=1.5)


def path(headings, forward=0.15) -> list[Camera]:
    places = [(forward * abs(math.sin(i)), 0, 0) for i in range(len(headings))]
    return [
        placed_camera(64, 32, math.radians(70), heading_rad=math.radians(heading), position=place)
        for heading, place in zip(headings, places, strict=True)
    ]


def shoot(scene: ScenePipeline, room: Panorama, cameras: list[Camera], seed: int = 0) -> list[View]:
    """What the service does with a shot."""
    plan = plan_shot(cameras, room, frames_per_clip=scene.frames_per_clip)
    anchors: list[View] = []
    for anchor in plan.anchors:
        before = [anchors[i] for i in anchor.before]
        anchors.append(scene.fill_anchor(room, anchor.camera, before, seed=anchor_seed(seed, anchor.camera)))
    frames: list[View] = []
    for clip in plan.clips:
        source, target = anchors[clip.source], anchors[clip.target]
        views = scene.shoot_clip(
            room,
            source,
            target,
            cameras[clip.first : clip.last + 1],
            seed=clip_seed(seed, source.camera, target.camera),
        )
        assert views[0] is source and views[-1] is target
        frames += views[1:] if frames else views
    return frames


def warp_to_view(source: Panorama | View, camera: Camera) -> Warped:
    """What the scene is told, as arrays."""
    warped = warp_to_views(source, [camera])
    colour = warped.sample(torch.from_numpy(source.colour).permute(2, 0, 1).float())[0].permute(1, 2, 0)
    height, width = source.colour.shape[:2]
    return Warped(
        colour.round().byte().numpy(),
        warped.distance[0].numpy(),
        warped.known[0].numpy(),
        (warped.source_coords[0] * torch.tensor([width, height])).numpy(),
        (width, height),
        warped.sphere,
    )


def test_views_take_as_many_steps_as_are_asked_for(scene, room):
    cameras = path((0, 10, 20))
    for steps, wanted in ((0, scene.settings.views_steps), (5, 5)):
        said: list[str] = []

        def report(share, message, picture, said=said):
            said.append(message)

        options = {"seed": 0, "steps": steps, "callback": report}
        views = [scene.fill_anchor(room, camera, [], **options) for camera in (cameras[0], cameras[-1])]
        scene.shoot_clip(room, *views, cameras, **options)
        assert len(said) == 3 * wanted and all(message.endswith(f"of {wanted}") for message in said)


def test_a_shot_has_every_frame_and_clips_share_their_anchors(scene, room):
    cameras = path(range(0, 100, 12))
    frames = shoot(scene, room, cameras)
    assert [frame.camera for frame in frames] == cameras
    assert all(np.isfinite(frame.distance).all() and (frame.distance > 0).all() for frame in frames)


def test_a_closed_path_ends_as_it_begins(scene, room):
    cameras = path([0, 15, 30, 45, 30, 15, 0], forward=0)
    frames = shoot(scene, room, cameras)
    assert np.array_equal(frames[0].colour, frames[-1].colour)


def test_an_edit_of_the_end_leaves_the_beginning(scene, room):
    headings = list(range(0, 80, 10))
    before, after = shoot(scene, room, path(headings)), shoot(scene, room, path([*headings[:-2], 75, 90]))
    for one, other in zip(before[:4], after[:4], strict=True):
        assert np.array_equal(one.colour, other.colour)


def test_photo_pixels_are_never_imagined_again(scene, room):
    camera = placed_camera(96, 64, math.radians(90), position=(0.2, 0.1, 0))
    view = scene.fill_anchor(room, camera, [], seed=0)
    own = view.from_photo == 255
    assert 0.2 < own.mean() < 1
    warped = warp_to_view(room, camera)
    assert np.abs(view.colour[own].astype(int) - warped.colour[own]).max() <= 3
    seen = warped.sample(room.from_photo) > 0
    assert not view.from_photo[~seen].any()


def test_a_preset_may_keep_the_panoramas_detail(scene, room):
    """Away from holes visible pixels are then the panorama's; in holes nothing changes."""
    keeping = ScenePipeline(scene.panorama, scene.views, replace(SETTINGS, panorama_detail=1.0))
    camera = placed_camera(96, 64, math.radians(90), heading_rad=4.7, position=(0.6, 0.3, 0))
    usual, kept = scene.fill_anchor(room, camera, []), keeping.fill_anchor(room, camera, [])
    warped = warp_to_view(room, camera)
    inside = cv2.erode(warped.known.astype(np.uint8), np.ones((17, 17))) > 0
    assert inside.mean() > 0.1 and (~warped.known).mean() > 0.005
    assert np.abs(kept.colour[inside].astype(int) - warped.colour[inside]).max() <= 3
    assert np.abs(usual.colour[inside].astype(int) - warped.colour[inside]).max() > 20
    assert np.array_equal(kept.colour[~warped.known], usual.colour[~warped.known])
    assert np.abs(kept.from_photo.astype(int) - usual.from_photo).max() <= 1


def never_asked(monkeypatch, scene):
    def make(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(type(scene.views), "__call__", make)


def test_nothing_is_made_where_the_panorama_tells_everything(scene, room, monkeypatch):
    """A turn in place is the panorama itself, and the network is not asked."""
    keeping = ScenePipeline(scene.panorama, scene.views, replace(SETTINGS, panorama_detail=1.0))
    cameras = path(range(0, 60, 10), forward=0)
    never_asked(monkeypatch, keeping)
    frames = shoot(keeping, room, cameras)
    for frame in frames:
        warped = warp_to_view(room, frame.camera)
        assert np.abs(frame.colour.astype(int) - warped.colour).max() <= 1
        np.testing.assert_array_equal(frame.distance, warped.distance)
    keeping.ablation = Ablation(guidance="off")
    with pytest.raises(AssertionError, match="was asked"):
        shoot(keeping, room, cameras)


def test_the_network_sees_only_frames_with_holes(scene, room, monkeypatch):
    """Of a clip that begins where everything is known: its last inner frames, and both anchors."""
    keeping = ScenePipeline(scene.panorama, scene.views, replace(SETTINGS, panorama_detail=1.0))
    turn, step = np.radians([0, 10, 20, 20, 20]), [0, 0, 0, 0.4, 0.6]
    cameras = [
        placed_camera(96, 64, math.radians(90), heading_rad=4.2 + h, position=(x, x / 2, 0))
        for h, x in zip(turn, step, strict=True)
    ]
    assert [warp_to_view(room, camera).known.all() for camera in cameras] == [True, True, True, False, False]
    source, target = (keeping.fill_anchor(room, camera, []) for camera in (cameras[0], cameras[-1]))
    seen, call = [], type(keeping.views).__call__

    def watched(self, passes, weights, **options):
        seen.append(passes[0].cameras)
        return call(self, passes, weights, **options)

    monkeypatch.setattr(type(keeping.views), "__call__", watched)
    views = keeping.shoot_clip(room, source, target, cameras)
    assert seen == [[cameras[0], cameras[3], cameras[4]]]
    assert [view.camera for view in views] == cameras


def test_holes_are_made_at_the_networks_own_size(scene, room, monkeypatch):
    """And laid into the frame at its own: known pixels stay as they are, to the hole's rim but for a feather."""
    keeping = ScenePipeline(scene.panorama, scene.views, replace(SETTINGS, panorama_detail=1.0, views_pixels=96 * 64))
    cameras = [
        placed_camera(384, 256, math.radians(90), heading_rad=4.7, position=(0.6 * s, 0.3 * s, 0))
        for s in (0.6, 0.8, 1)
    ]
    sizes, call = [], type(keeping.views).__call__

    def watched(self, passes, weights, **options):
        sizes.append(tuple(passes[0].guidance.colour.shape[-2:]))
        return call(self, passes, weights, **options)

    monkeypatch.setattr(type(keeping.views), "__call__", watched)
    views = shoot(keeping, room, cameras)
    assert set(sizes) == {(64, 96)}
    for view in views:
        warped = warp_to_view(room, view.camera)
        inside = cv2.erode(warped.known.astype(np.uint8), np.ones((17, 17)), borderValue=1) > 0
        assert inside.mean() > 0.2 and not warped.known.all()
        assert np.abs(view.colour[inside].astype(int) - warped.colour[inside]).max() <= 1
        np.testing.assert_array_equal(view.distance[warped.known], warped.distance[warped.known])
        assert np.isfinite(view.distance).all() and (view.distance > 0).all()


def test_holes_too_small_for_the_network_are_filled_without_it(scene, room, monkeypatch):
    keeping = ScenePipeline(scene.panorama, scene.views, replace(SETTINGS, panorama_detail=1.0, views_pixels=96 * 64))
    camera = placed_camera(384, 256, math.radians(90), heading_rad=4.7)
    frame = next(warp_frames(room.shrunk_for(camera), [camera]))
    known = frame.known.copy()
    known[100, 200] = False
    pierced = replace(frame, known=known, colour=frame.colour * known[..., None], distance=frame.distance * known)
    monkeypatch.setattr("lookbeyond.pipelines.scene.warp_frames", lambda *_: [pierced])
    never_asked(monkeypatch, keeping)
    view = keeping.fill_anchor(room, camera, [])
    assert np.abs(view.colour.astype(int) - frame.colour).max() < 40
    assert view.distance[100, 200] == pytest.approx(frame.distance[100, 200], rel=0.2)


def test_known_distance_is_the_panoramas(scene, room):
    camera = placed_camera(96, 64, math.radians(90), position=(0.2, 0.1, 0))
    view, warped = scene.fill_anchor(room, camera, [], seed=0), warp_to_view(room, camera)
    np.testing.assert_allclose(view.distance[warped.known], warped.distance[warped.known], rtol=0.02)


def test_same_seed_same_frames(scene, room):
    cameras = path([0, 10, 20])
    first, again, other = (shoot(scene, room, cameras, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a.colour, b.colour) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[1].colour, other[1].colour)


def test_worlds_say_what_made_them_and_steps_are_reported(scene, monkeypatch):
    monkeypatch.setattr(presets, "revision", lambda name: "0123456789ab")
    photo, camera = np.full((96, 128, 3), 100, np.uint8), placed_camera(128, 96, math.radians(75))
    events = []
    world = scene.build_world(photo, camera, width=512, seed=3, callback=lambda *event: events.append(event))
    assert (world.preset, world.seed, world.revision) == ("tiny", 3, "0123456789ab")
    assert [event[0] for event in events] == sorted(event[0] for event in events) and events[-1][0] <= 1
    measured = scene.measure_world(world.colour, camera_height=2.0, heading_rad=0.5)
    assert measured.camera_height == 2.0 and measured.heading_rad == 0.5 and not measured.from_photo.any()


@pytest.mark.parametrize("height", [0.0, -1.0, 1000.0, math.nan])
def test_an_impossible_height_is_refused(scene, height):
    with pytest.raises(InputError, match="camera height"):
        scene.build_world(np.zeros((96, 128, 3), np.uint8), placed_camera(128, 96, 1.0), camera_height=height)


def test_presets_are_named_and_unknown_ones_refused():
    assert "builtin" in [preset.name for preset in presets.available()]
    with pytest.raises(InputError, match="builtin"):
        presets.get("nothing")


def test_a_preset_without_weights_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "ROOT", tmp_path)
    (tmp_path / "empty").mkdir()
    values = {k: v for k, v in vars(replace(SETTINGS)).items() if k != "name"}
    import json

    (tmp_path / "empty" / "preset.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match="panorama/transformer"):
        ScenePipeline.from_preset("empty")


def test_a_saved_preset_is_loaded_with_one_autoencoder(tmp_path, monkeypatch):
    """The layout that `lookbeyond train preset` writes."""
    import json
    import shutil

    monkeypatch.setattr(presets, "ROOT", tmp_path)
    torch.manual_seed(0)
    panorama, views = panorama_pipeline(), views_pipeline()
    views.register_modules(vae=panorama.vae)
    folder = tmp_path / "small"
    panorama.save_pretrained(folder / "panorama")
    views.save_pretrained(folder / "views")
    shutil.rmtree(folder / "views" / "vae")
    values = {k: v for k, v in vars(SETTINGS).items() if k != "name"}
    (folder / "preset.json").write_text(json.dumps(values))
    presets.revision.cache_clear()
    loaded = ScenePipeline.from_preset("small")
    assert loaded.views.vae is loaded.panorama.vae and len(loaded.revision) == 12


def test_what_is_transparent_in_a_photo_is_made_and_never_said_to_be_the_photos(scene, monkeypatch):
    monkeypatch.setattr(presets, "revision", lambda name: "0123456789ab")
    photo = np.full((96, 128, 4), (100, 120, 90, 255), np.uint8)
    photo[30:70, 40:90, 3] = 0
    camera = placed_camera(128, 96, math.radians(75))
    hidden = photo.copy()
    hidden[30:70, 40:90, :3] = (100, 120, 91)
    world, other = (scene.build_world(picture, camera, width=1024, seed=1) for picture in (photo, hidden))
    seen = extract_perspective(world.from_photo, camera)
    assert not seen[34:66, 44:86].any() and (seen[8:22, 8:120] == 255).all() and (seen[78:88, 8:120] == 255).all()
    whole = scene.build_world(np.ascontiguousarray(photo[..., :3]), camera, width=1024, seed=1)
    assert (extract_perspective(whole.from_photo, camera)[34:66, 44:86] == 255).all()
    assert np.abs(world.colour.astype(int) - other.colour)[world.from_photo == 255].max() == 0


def test_the_rest_of_a_sphere_is_made_around_the_part_that_is_known(scene, monkeypatch):
    monkeypatch.setattr(presets, "revision", lambda name: "0123456789ab")
    rng = np.random.default_rng(0)
    colour = cv2.resize(rng.integers(0, 255, (16, 32, 3), np.uint8), (1024, 512), interpolation=cv2.INTER_CUBIC)
    known = np.zeros((512, 1024), bool)
    known[100:400, 800:] = known[100:400, :300] = True  # across the seam
    part = np.dstack([np.where(known[..., None], colour, np.uint8(0)), known.astype(np.uint8) * 255])
    events = []
    world = scene.measure_world(part, seed=1, callback=lambda *event: events.append(event[1]))
    inner = world.from_photo == 255
    assert inner[110:390, 0].all() and inner.sum() > 0.9 * known.sum() and not (world.from_photo[~known]).any()
    np.testing.assert_array_equal(world.colour[inner], colour[inner])
    assert np.ptp(world.colour[430:500].astype(int), axis=(0, 1)).min() > 0, "what was unknown is not left black"
    assert any("Completing" in text for text in events) and any("Measuring" in text for text in events)
    again = scene.measure_world(part, seed=1)
    assert np.array_equal(again.colour, world.colour)


def test_a_sphere_of_which_nothing_is_known_is_refused(scene, monkeypatch):
    monkeypatch.setattr(presets, "revision", lambda name: "0123456789ab")
    with pytest.raises(InputError, match="of the 360° picture is known"):
        scene.measure_world(np.zeros((512, 1024, 4), np.uint8))


@pytest.mark.parametrize(("kind", "steps"), [("room", SETTINGS.panorama_steps // 2), ("open", 0), ("neither", None)])
def test_diffusion_is_asked_only_for_what_no_drawing_tells(scene, monkeypatch, kind, steps):
    """A room's distance is its layout's, an open place is drawn without any paint."""
    layout = box_layout((0, 0), (4, 5), 0.0, 0.0, 2.6)
    found = FoundPlace(Place(kind, 0.9, "Because."), layout if kind == "room" else None, np.full((9, 12), 2.0))
    monkeypatch.setattr("lookbeyond.pipelines.scene.find_place", lambda *_, **__: found)
    monkeypatch.setattr(scene, "layout", object())
    events: list[str] = []
    photo = np.full((48, 64, 3), (90, 140, 210), np.uint8)
    photo[30:] = (120, 110, 90)
    camera = placed_camera(64, 48, math.radians(70), position=(0, 0, 1.5))
    monkeypatch.setattr(presets, "revision", lambda name: "0123456789ab")
    world = scene.build_world(
        photo, camera, camera_height=1.5, width=256, unseen="dressed", callback=lambda *event: events.append(event[1])
    )
    painted = [text for text in events if text.startswith("Painting")]
    assert len(painted) == steps if steps is not None else len(painted) > SETTINGS.panorama_steps
    assert world.place == found.place
    if kind == "room":
        nadir = float(np.median(world.distance[-2:]))
        assert nadir == pytest.approx(1.5, rel=0.02)
