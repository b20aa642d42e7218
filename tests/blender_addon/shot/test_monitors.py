"""The strip under the list of takes: what the monitors found, of the take that is chosen."""

import json
from pathlib import Path

import bpy
import pytest

from tests.blender_addon.test_panels import draw_all

LIMITS = {"misaligned": 0.05, "contradicted": 0.02, "flicker": 0.05}


def write(folder: Path, frames: dict, findings: list[str]) -> None:
    about = {"frames": frames, "limits": LIMITS, "findings": [{"text": text} for text in findings]}
    (folder / "shot.json").write_text(json.dumps({"monitors": about}))


@pytest.fixture
def take(scene, photo, service, tmp_path):
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), heading=0.5, height=1.7)
    bpy.ops.lookbeyond.build_world()
    bpy.ops.lookbeyond.add_path(kind="ORBIT")
    bpy.ops.lookbeyond.shoot()
    return Path(scene.look_beyond.shots[0].folder)


def test_what_was_found_stands_under_the_list(part, take):
    assert "Frames 12–13 drift" not in draw_all(part)
    frames = {"misaligned": [0, 0.4, 0.3, None, 0, 0.04], "contradicted": [0.0] * 6, "flicker": [None] + [0.0] * 5}
    write(take, frames, ["Frames 12–13 drift"])
    assert "Frames 12–13 drift" in draw_all(part)
    monitors = part("shot.monitors")
    assert monitors.watched(take).levels == (0, 8.0, pytest.approx(6), 0, 0, pytest.approx(0.8))
    colours = [monitors.colour_of(level) for level in monitors.cells(monitors.watched(take).levels)]
    green, yellow, red = monitors.COLOURS
    assert colours == [green, red, red, green, green, yellow]


def test_many_findings_are_counted(part, take):
    frames = {name: [0.0] * 6 for name in LIMITS}
    write(take, frames, [f"Frame {number} drifts" for number in range(11, 16)])
    texts = draw_all(part)
    assert "Frame 13 drifts" in texts and "Frame 14 drifts" not in texts and "and 2 more: see shot.json" in texts


@pytest.mark.parametrize(
    "content", ["", "[]", '{"monitors": 3}', '{"monitors": {"frames": {}, "limits": {}, "findings": []}}', "{}"]
)
def test_a_shot_that_was_not_watched_has_no_strip(part, take, content):
    (take / "shot.json").write_text(content)
    assert part("shot.monitors").watched(take) is None
    draw_all(part)


def test_a_long_shot_has_as_many_cells_as_fit_and_none_hides_a_bad_frame(part):
    monitors = part("shot.monitors")
    for bad in (0, 499, 999):
        levels = tuple(2.0 if frame == bad else 0.0 for frame in range(1000))
        found = monitors.cells(levels)
        assert len(found) == monitors.CELLS and sum(level == 2.0 for level in found) == 1
    assert monitors.cells(()) == []
