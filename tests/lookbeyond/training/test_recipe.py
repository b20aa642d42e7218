"""The recipe, with a program in every trainer's and renderer's place that writes down what it was asked to do."""

import argparse
import io
import json
import subprocess
import sys
import tarfile

import pytest
import torch

from lookbeyond import presets
from lookbeyond.errors import InputError
from lookbeyond.models.autoencoder import Autoencoder
from lookbeyond.models.layout_network import LayoutNetwork
from lookbeyond.models.panorama_transformer import PanoramaTransformer
from lookbeyond.models.views_unet import ViewsUNet
from lookbeyond.training import loop, preset, recipe, rooms
from tests.lookbeyond.training.test_sources import SMALL
from tests.support.tiny import image_encoder

DOUBLE = """
import pathlib, signal, sys, time
name, *words = sys.argv[1:]
name, options = name.rpartition(".")[2], dict(zip(words[::2], words[1::2]))
out = pathlib.Path(options["--out"])
with (out.parent / "told.txt").open("a") as file:
    file.write(" ".join([name, *words]) + "\\n")
if name in FAILS:
    sys.exit(3)
out.mkdir(exist_ok=True)
if name in SLOW:
    signal.signal(signal.SIGTERM, lambda *_: ((out / "saved").write_text(""), sys.exit(0)))
    time.sleep(600)
(out / {"rooms": "00000.npz", "clips": "00000.npz", "preset": "preset.json"}.get(name, "log.csv")).write_text(name)
"""


@pytest.fixture
def double(tmp_path, monkeypatch):
    def choose(slow=(), fails=()):
        script = tmp_path / "double.py"
        script.write_text(f"SLOW, FAILS = {tuple(slow)}, {tuple(fails)}\n" + DOUBLE)
        monkeypatch.setattr(recipe, "PROGRAM", (sys.executable, str(script)))

    return choose


def run(tmp_path, *more: str) -> list[list[str]]:
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    recipe.main(["--out", str(out), "--minutes", "28", "--processes", "2", "--device", "cpu", *more])
    return [line.split() for line in (out / "told.txt").read_text().splitlines()]


def test_everything_is_made_in_its_order_and_its_share_of_the_time(double, tmp_path, monkeypatch):
    double()
    monkeypatch.setattr(recipe, "PIECE_BYTES", 1000)
    commands = run(tmp_path)
    minutes = {name: words[words.index("--minutes") + 1] for name, *words in commands if "--minutes" in words}
    assert minutes == {"autoencoder": "5.0", "panorama": "14.0", "views": "9.0"}
    names = [name for name, *_ in commands]
    trained = [name for name in names if name not in ("rooms", "clips")]
    assert trained == ["autoencoder", "panorama", "views", "preset"]
    assert names.count("rooms") == names.count("clips") == 2 and names.index("clips") > names.index("autoencoder")
    shares = {words[words.index("--share") + 1] for name, *words in commands if name == "rooms"}
    assert shares == {"0/2", "1/2"}
    pieces = sorted((tmp_path / "out/parts").iterdir())
    assert len(pieces) > 3 and all(piece.stat().st_size <= 1000 for piece in pieces)
    with tarfile.open(fileobj=io.BytesIO(b"".join(piece.read_bytes() for piece in pieces))) as archive:
        assert {"preset/preset.json", "panorama/log.csv"} <= set(archive.getnames())


def test_when_its_time_is_over_the_trainer_at_hand_saves_and_the_same_command_goes_on(double, tmp_path, capsys):
    double(slow=["panorama", "rooms"])
    (tmp_path / "out/rooms").mkdir(parents=True)
    (tmp_path / "out/rooms/00000.npz").write_text("")
    commands = run(tmp_path, "--at-once", "0.1")
    assert commands[-1][0] in ("panorama", "clips") and (tmp_path / "out/panorama/saved").exists()
    assert "the same command goes on" in capsys.readouterr().out and not (tmp_path / "out/preset").exists()
    double()
    assert run(tmp_path)[-1][0] == "preset" and (tmp_path / "out/parts/weights.tar.00").exists()


@pytest.mark.parametrize("name, words", [("views", "`train views` ended with 3"), ("rooms", "Nothing was rendered")])
def test_what_fails_is_named(double, tmp_path, name, words):
    double(fails=[name])
    with pytest.raises(loop.TrainingError, match=words):
        run(tmp_path)


def test_the_shards_are_shared_out_whole():
    def numbers(share: str) -> list[int]:
        return list(rooms.own_share(argparse.Namespace(share=share), 7))

    assert sorted(numbers("0/3") + numbers("1/3") + numbers("2/3")) == list(range(7)) == numbers("0/1")
    for wrong in ("3/3", "1", "a/2", ""):
        with pytest.raises(InputError, match="give K/N"):
            numbers(wrong)


def test_what_was_trained_in_several_folders_becomes_a_preset_of_ones_own(tmp_path, monkeypatch):
    Autoencoder(**SMALL).save_pretrained(tmp_path / "a/vae")
    network = {"num_layers": 1, "num_attention_heads": 2, "attention_head_dim": 8, "local_channels": 16}
    PanoramaTransformer(**network, image_embed_dim=16).save_pretrained(tmp_path / "b/transformer")
    sizes = {"block_out_channels": (16, 16), "layers_per_block": (1, 1), "attention_heads": 2}
    image_encoder().save_pretrained(tmp_path / "b/image_encoder")
    weights = ["--weights", *(str(tmp_path / name) for name in "abc"), "--out", str(tmp_path / "presets/mine")]
    with pytest.raises(InputError, match=r"no views_image_encoder in .*; train it first"):
        preset.main(weights)
    ViewsUNet(**sizes, image_embed_dim=16).save_pretrained(tmp_path / "c/unet")
    image_encoder().save_pretrained(tmp_path / "c/views_image_encoder")
    preset.main(weights)
    monkeypatch.setenv("LOOKBEYOND_PRESETS_DIR", str(tmp_path / "presets"))
    mine, builtin = presets.get("mine"), presets.get("builtin")
    assert mine.installed and mine.title == "Trained here" and mine.panorama_steps == builtin.panorama_steps
    from lookbeyond.pipelines.scene import ScenePipeline

    assert ScenePipeline.from_preset("mine").views.unet.config.attention_heads == 2
    assert json.loads((tmp_path / "presets/mine/preset.json").read_text())["licence"]

    # a layout network trained later joins them, and needs the others around it
    before = {path: path.read_bytes() for path in (tmp_path / "presets/mine/panorama").rglob("*.safetensors")}
    small = {"width": 32, "num_layers": 1, "num_attention_heads": 2, "block_out_channels": (8, 8, 8)}
    LayoutNetwork(**small).save_pretrained(tmp_path / "d/layout")
    preset.main(["--weights", str(tmp_path / "d"), "--out", str(tmp_path / "presets/mine")])
    assert before == {path: path.read_bytes() for path in before}
    layout = tmp_path / "presets/mine/layout"
    assert LayoutNetwork.from_pretrained(layout, torch_dtype=torch.float16).dtype == torch.float16
    assert "_name_or_path" not in json.loads((layout / "config.json").read_text())
    with pytest.raises(InputError, match=r"no vae in .*; train it first"):
        preset.main(["--weights", str(tmp_path / "d"), "--out", str(tmp_path / "presets/other")])


def test_a_bad_option_ends_the_command_with_2(tmp_path):
    program = [sys.executable, "-m", "lookbeyond.training.recipe", "--out", str(tmp_path / "out"), "--minutes", "0"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=600)
    assert done.returncode == 2 and "--minutes is 0.0" in done.stderr and not (tmp_path / "out").exists()
