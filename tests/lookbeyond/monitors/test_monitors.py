"""The monitors: silent where frames are what the panorama shows, heard where they are not."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.geometry.warping import warp_to_view
from lookbeyond.monitors.findings import LIMITS, Finding, WatchedFrame, findings, is_off, monitors_json
from lookbeyond.monitors.frames import watch_frames
from lookbeyond.monitors.seam import seam_jump

FRAMES = 6


@pytest.fixture(scope="module")
def panorama():
    """A round room of radius 3 m, painted all over with soft spots; the same on both sides of the wrap."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    wide = cv2.resize(np.concatenate([noise] * 3, 1), (3 * 1024, 512), interpolation=cv2.INTER_CUBIC)
    from_photo = np.zeros((512, 1024), np.uint8)
    from_photo[:, 400:624] = 255
    return Panorama(np.ascontiguousarray(wide[:, 1024:2048]), np.full((128, 256), 3.0, np.float32), from_photo)


@pytest.fixture(scope="module")
def views(panorama):
    """Frames of a short walk, by the warp that walks every ray: not the one that the monitors use."""
    made = []
    for step in range(FRAMES):
        camera = placed_camera(
            256, 192, math.radians(70), heading_rad=0.05 * step, position=(0.1 * step, 0.04 * step, 0.0)
        )
        warped = warp_to_view(panorama, camera)
        assert warped.known.all()
        made.append(View(camera, warped.colour, warped.distance, warped.sample(panorama.from_photo)))
    return made


def test_a_clean_shot_is_clean(panorama, views):
    watched = watch_frames(panorama, views)
    assert {type(value) for frame in watched for value in vars(frame).values()} <= {
        float,
        type(None),
    }  # as JSON has them
    assert findings(watched) == []
    for frame in watched:
        assert frame.misaligned is not None and frame.contradicted is not None
        assert frame.photo + frame.invented + frame.hole == pytest.approx(1)
        assert frame.hole == 0 and frame.photo > 0.5
    assert watched[0].flicker is None and all(frame.flicker is not None for frame in watched[1:])


def test_a_frame_that_is_somewhere_else_drifts(panorama, views):
    moved = list(views)
    moved[2] = replace(views[2], colour=np.roll(views[2].colour, 4, 1))
    watched = watch_frames(panorama, moved)
    assert watched[2].misaligned > 0.5
    assert Finding("drift", 3, 3) in findings(watched)
    assert not any(is_off(watched[at]) for at in (0, 1, 4, 5))


def test_less_than_two_pixels_is_no_drift(panorama, views):
    """Two pixels of a frame 384 wide are one and a third of these."""
    moved = [replace(view, colour=cv2.blur(np.roll(view.colour, 1, 1), (3, 3))) for view in views]
    assert all(frame.misaligned < LIMITS.misaligned for frame in watch_frames(panorama, moved))


def test_swapped_frames_are_both_found(panorama, views):
    swapped = list(views)
    swapped[1], swapped[4] = replace(views[4], camera=views[1].camera), replace(views[1], camera=views[4].camera)
    found = {frame for frame, one in enumerate(watch_frames(panorama, swapped)) if is_off(one)}
    assert {1, 4} <= found


def test_a_repainted_corner_is_contradicted_by_the_panorama(panorama, views):
    painted = views[3].colour.copy()
    painted[:60, :80] = 255 - painted[:60, :80]
    watched = watch_frames(panorama, [*views[:3], replace(views[3], colour=painted), *views[4:]])
    assert watched[3].contradicted > LIMITS.contradicted
    assert [one for one in findings(watched, 101) if one.kind == "other"] == [Finding("other", 104, 104)]


def test_light_that_comes_and_goes_flickers_though_its_tone_is_no_contradiction(panorama, views):
    lit = [replace(view, colour=cv2.add(view.colour // 2, (40 * (at % 2),) * 3)) for at, view in enumerate(views)]
    watched = watch_frames(panorama, lit)
    assert all(frame.flicker > 0.5 for frame in watched[1:])
    assert Finding("flicker", 2, FRAMES) in findings(watched)


def test_what_the_panorama_does_not_show_is_a_hole_and_not_judged(panorama, views):
    """A camera outside of the room, looking away from it, sees nothing that the panorama shows."""
    camera = placed_camera(96, 64, math.radians(60), position=(9.0, 0.0, 0.0))
    view = View(camera, np.zeros((64, 96, 3), np.uint8), np.ones((64, 96), np.float32), np.zeros((64, 96), np.uint8))
    (watched,) = watch_frames(panorama, [view])
    assert watched == WatchedFrame(None, None, None, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("size", [(8, 8), (17, 400), (640, 9), (128, 128)])
def test_frames_of_any_shape_are_watched(panorama, size):
    camera = placed_camera(*size, math.radians(50))
    warped = warp_to_view(panorama, camera)
    view = View(camera, warped.colour, warped.distance, warped.sample(panorama.from_photo))
    for frame in watch_frames(panorama, [view, view]):
        assert frame.hole == 0 and (frame.misaligned or 0) < LIMITS.misaligned


def test_a_seam_is_a_jump_at_the_wrap_and_nowhere_else(panorama):
    assert seam_jump(panorama) < 1.5
    gain = np.linspace(0.94, 1.06, 1024)[None, :, None]
    seamed = replace(panorama, colour=np.clip(panorama.colour * gain, 0, 255).astype(np.uint8))
    assert seam_jump(seamed) > LIMITS.seam_jump
    assert seam_jump(replace(seamed, colour=np.roll(seamed.colour, 512, 1))) < LIMITS.seam_jump
    assert [one.text for one in findings((), seam_jump=seam_jump(seamed))] == [
        "The panorama has a seam behind the photo"
    ]


def test_runs_are_told_by_their_frame_numbers():
    good, bad = WatchedFrame(0.0, 0.0, 0.0, 1, 0, 0), WatchedFrame(0.9, None, 0.0, 1, 0, 0)
    frames = [good, bad, good, bad, good, good, bad]
    found = findings(frames, 30)
    assert found == [Finding("drift", 31, 33), Finding("drift", 36, 36)]
    assert [one.text for one in found] == ["Frames 31–33 drift", "Frame 36 drifts"]
    about = monitors_json(frames, 30, 1.0)
    assert about["frames"]["misaligned"] == [0.0, 0.9, 0.0, 0.9, 0.0, 0.0, 0.9]
    assert about["frames"]["contradicted"][1] is None
    assert [each["text"] for each in about["findings"]] == [one.text for one in found]
