"""How far a job is, in an artist's words."""

from types import SimpleNamespace

import pytest

from inference_service.jobs.job import ActiveUnit
from inference_service.jobs.statuses import _place
from inference_service.work.units.anchor import FillAnchor
from inference_service.work.units.clip import ShootClip
from lookbeyond.geometry.cameras import placed_camera

CAMERAS = [placed_camera(96, 64, 1.2, position=(0.1 * i, 0, 1.6)) for i in range(13)]
SHARED = {"preset": "builtin", "revision": "r", "world": {}, "seed": 0}
ANCHORS = [FillAnchor(before=(), camera=camera, **SHARED) for camera in CAMERAS[::6]]
CLIP = ShootClip(source="a", target="b", cameras=CAMERAS, tau_position=0.2, tau_rotation=0.2, **SHARED)


def job(ready: int):
    """A shot of 25 frames, so many of which are there; each has other files, too."""
    artifacts = {f"{place}/{number:04d}": None for place in ("frames", "depth") for number in range(ready)}
    return SimpleNamespace(units=[*ANCHORS, CLIP], artifacts=artifacts, cameras=25)


@pytest.mark.parametrize(
    ("ready", "fraction", "text"),
    [(0, 0.0, "Frame 1 of 25"), (0, 0.5, "Frame 7 of 25"), (13, 0.25, "Frame 17 of 25"), (25, 1.0, "Frame 25 of 25")],
)
def test_a_clip_says_which_frame_of_the_shot_it_makes(ready, fraction, text):
    assert _place(job(ready), ActiveUnit(CLIP, fraction=fraction)) == text


def test_an_anchor_is_a_key_view():
    assert [_place(job(0), ActiveUnit(anchor)) for anchor in ANCHORS] == [f"Key view {n} of 3" for n in (1, 2, 3)]
