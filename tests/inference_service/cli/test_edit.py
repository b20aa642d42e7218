"""`lookbeyond edit` makes a new world beside the old one, or says in a line why it cannot and writes nothing."""

import json

import numpy as np
import pytest
from PIL import Image

from inference_service.cli import local_run
from inference_service.work import inputs, requests
from lookbeyond import files
from lookbeyond.cards.card import Card, load_cards, save_cards
from lookbeyond.files import load_panorama, read_json, save_panorama
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.transforms import write_transforms
from tests.lookbeyond.editing.test_edit import SPOT, world
from tests.support.double import DoublePipeline, DoublePresets
from tests.support.service import contents


@pytest.fixture
def lookbeyond(lookbeyond, tmp_path, monkeypatch, runtime):
    """The command with a stand-in for the models, beside a world and masks."""
    monkeypatch.setattr(local_run, "Presets", DoublePresets)
    monkeypatch.setattr(local_run, "default_store", lambda: tmp_path / "store")
    monkeypatch.setattr(local_run, "load_scene_pipeline", lambda preset, device: DoublePipeline())
    monkeypatch.chdir(tmp_path)
    save_panorama(tmp_path / "W", world(8.0), {"seam_jump": 1.0})
    Image.fromarray(SPOT.astype(np.uint8) * 255).save("spot.png")
    Image.new("L", (256, 128), 0).save("nothing.png")
    Image.new("L", (256, 128), 255).save("all.png")
    Image.new("L", (64, 32), 255).save("small.png")
    return lookbeyond


@pytest.mark.parametrize("way", ["remove", "repaint"])
def test_a_new_world_differs_in_the_spot_alone(lookbeyond, tmp_path, way):
    before = contents(tmp_path / "W")
    code, _, err = lookbeyond("edit", "W", "--mask", "spot.png", f"--{way}", "--out", "N", "--seed", 4)
    assert code == 0, err
    assert contents(tmp_path / "W") == before
    old, new = load_panorama(tmp_path / "W"), load_panorama(tmp_path / "N")
    for name in ("colour", "distance", "from_photo"):
        changed = getattr(old, name) != getattr(new, name)
        assert not changed[~SPOT].any()
    assert (new.from_photo[SPOT] == 0).all()
    assert np.array_equal(new.plate.colour, old.plate.colour) and new.to_json_dict() == old.to_json_dict()
    (step,) = read_json(tmp_path / "N/world.json")["edits"]
    assert step["way"] == way and ("seed" in step) == (way == "repaint")


def test_cards_and_light_come_along(lookbeyond, tmp_path):
    """The light but for the spot, in which that of the new picture is."""
    picture = np.full((8, 4, 4), 200, np.uint8)
    save_cards(tmp_path / "W", [Card(picture, np.array([2.0, 0.0, -1.6]), 0.5, 1.0, 3.0)])
    light = np.full((*SPOT.shape, 3), 7.0, np.float32)
    files.write_light(tmp_path / "W/panorama.exr", light)
    for out in ("N", "N"):  # an earlier result with the same files is replaced
        assert lookbeyond("edit", "W", "--mask", "spot.png", "--remove", "--out", out)[0] == 0
    (card,) = load_cards(tmp_path / "N")
    assert np.array_equal(card.picture, picture) and card.base[0] == 2
    made = files.read_light_file(tmp_path / "N/panorama.exr")
    assert (made[~SPOT] == 7).all() and made[SPOT].max() < 2


def test_edits_follow_each_other(lookbeyond, tmp_path):
    lookbeyond("edit", "W", "--mask", "spot.png", "--remove", "--out", "N")
    assert lookbeyond("edit", "N", "--mask", "spot.png", "--repaint", "--out", "M")[0] == 0
    about = json.loads((tmp_path / "M/world.json").read_text())
    assert [step["way"] for step in about["edits"]] == ["remove", "repaint"]


def test_the_world_is_read_once(lookbeyond, monkeypatch):
    reads = []
    read = files.read_panorama
    monkeypatch.setattr(inputs, "read_panorama", lambda *given: reads.append(given) or read(*given))
    monkeypatch.setattr(files, "read_panorama", lambda *given: reads.append(given) or read(*given))
    assert lookbeyond("edit", "W", "--mask", "spot.png", "--remove", "--out", "N")[0] == 0
    assert len(reads) == 1


def test_a_prompt_reaches_the_models_that_take_one(lookbeyond, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(requests.presets, "check_prompt", lambda name, prompt: None)
    measure = DoublePipeline.measure_world
    monkeypatch.setattr(
        DoublePipeline,
        "measure_world",
        lambda *given, **named: asked.append(named["prompt"]) or measure(*given, **named),
    )
    words = ("edit", "W", "--mask", "spot.png", "--repaint")
    for number, prompt in enumerate(("a plant", "a lamp")):
        assert lookbeyond(*words, "--prompt", prompt, "--out", f"N{number}")[0] == 0
    assert asked == ["a plant", "a lamp"]
    assert read_json(tmp_path / "N1/world.json")["edits"][0]["prompt"] == "a lamp"


def test_a_shot_in_the_changed_world_makes_only_what_sees_the_change(lookbeyond, tmp_path):
    """A turn that comes to the spot at its end: what looked elsewhere before is that of the former world's shot."""
    spot = np.pi * (1 - 2 * 120 / 256)
    away = np.linspace(-4.5, 0, 32)
    turn = [placed_camera(48, 32, 0.7, heading_rad=spot + each) for each in away]
    write_transforms(tmp_path / "turn.json", turn, [f"{i}.png" for i in range(32)])

    def shoot(world: str) -> tuple[dict[str, dict], dict[str, bytes]]:
        code, _, err = lookbeyond("shot", world, "--cameras", "turn.json", "--out", f"S{world}")
        assert code == 0, err
        about = read_json(tmp_path / f"S{world}/shot.json")
        return {each["identity"]: each for each in (*about["clips"], *about["anchors"])}, contents(
            tmp_path / f"S{world}"
        )

    before, frames = shoot("W")
    lookbeyond("edit", "W", "--mask", "spot.png", "--remove", "--out", "N")
    after, changed = shoot("N")
    made = [each for identity, each in after.items() if identity not in before]
    assert made and len(made) < 0.4 * len(after)
    for each in after.values():
        last = each.get("last", each.get("frame"))
        if away[last - 1] < -1.4:
            assert each not in made
        elif away[last - 1] > -0.3:
            assert each in made
    same = [frames[f"frames/{number:04d}.png"] == changed[f"frames/{number:04d}.png"] for number in range(1, 33)]
    assert all(same[:20]) and not same[-1]
    # where the former world is gone everything is made in the new one, and looks the same
    lookbeyond("shot", "N", "--cameras", "turn.json", "--out", "T", "--store", "other")
    again = {name: data for name, data in contents(tmp_path / "T").items() if name.startswith("frames/")}
    assert again == {name: data for name, data in changed.items() if name.startswith("frames/")}
    assert {each["identity"] for each in read_json(tmp_path / "T/shot.json")["clips"]}.isdisjoint(before)


def test_a_shot_that_begins_at_the_change_keeps_what_has_no_holes(lookbeyond, tmp_path):
    """A key view follows from those before it only where it has holes."""
    spot = np.pi * (1 - 2 * 120 / 256)
    away = np.linspace(0, 4.5, 32)
    write_transforms(
        tmp_path / "turn.json",
        [placed_camera(48, 32, 0.7, heading_rad=spot + each) for each in away],
        [f"{i}.png" for i in range(32)],
    )
    lookbeyond("shot", "W", "--cameras", "turn.json", "--out", "SW")
    lookbeyond("edit", "W", "--mask", "spot.png", "--remove", "--out", "N")
    code, _, err = lookbeyond("shot", "N", "--cameras", "turn.json", "--out", "SN")
    assert code == 0, err
    before, after = (read_json(tmp_path / folder / "shot.json") for folder in ("SW", "SN"))
    for kind in ("anchors", "clips"):
        kept = {each["identity"] for each in before[kind]}
        for each in after[kind]:
            first = each.get("first", each.get("frame"))
            if away[first - 1] > 1.4:
                assert each["identity"] in kept
            elif away[first - 1] < 0.3:
                assert each["identity"] not in kept


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["W", "--mask", "spot.png"], "either --remove or --repaint"),
        (["W", "--mask", "spot.png", "--remove", "--repaint"], "either --remove or --repaint"),
        (["W", "--mask", "nothing.png", "--remove"], "marks nothing"),
        (["W", "--mask", "all.png", "--repaint"], "marks 100%"),
        (["W", "--mask", "small.png", "--remove"], "64 x 32 pixels"),
        (["W", "--mask", "W/world.json", "--remove"], "cannot be read"),
        (["W", "--mask", "spot.png", "--remove", "--prompt", "a plant"], "leave it out"),
        (["W", "--mask", "spot.png", "--repaint", "--prompt", "a plant"], "takes no prompt"),
        (["no", "--mask", "spot.png", "--remove"], "not a world"),
    ],
)
def test_what_cannot_be_changed_is_said(lookbeyond, tmp_path, words, said):
    code, _, err = lookbeyond("edit", *words, "--out", "N")
    assert code == 2 and said in err and err.count("\n") == 1
    assert not (tmp_path / "N").exists()
    code, _, err = lookbeyond("edit", "W", "--mask", "spot.png", "--remove", "--out", "W")
    assert code == 2 and "another folder" in err
