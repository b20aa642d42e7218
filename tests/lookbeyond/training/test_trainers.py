"""Every trainer with every source it takes, by its own command: what is bad in the data is named, a cut run resumes.

As a program it is one of several processes that train:

accelerate launch --multi_gpu --num_processes 2 -m tests.lookbeyond.training.test_trainers DATA OUT
"""

import csv
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from lookbeyond.data.captures import read_capture
from lookbeyond.data.room_photos import draw_photos
from lookbeyond.files import write_png
from lookbeyond.models.autoencoder import Autoencoder
from lookbeyond.models.layout_network import LayoutNetwork
from lookbeyond.models.panorama_transformer import PanoramaTransformer
from lookbeyond.models.views_unet import ViewsUNet
from lookbeyond.training import autoencoder, checkpoint, clips, layout, loop, panorama, photos, svd, views
from tests.lookbeyond.data.test_panoramas import write_skybox
from tests.lookbeyond.training.test_loop import begin_anew, fresh_state  # noqa: F401, a fixture
from tests.lookbeyond.training.test_sources import SMALL, moving, small_autoencoder, write_shot
from tests.lookbeyond.training.test_svd import save_model
from tests.support.tiny import image_encoder

FRAMES = 8
BAD = {
    "panoramas": "upside.png", "matterport": "bb_skybox4_sami.jpg", "from": "0003.png", "captures": "0003.png",
    "real-estate": "1003.png",
}  # fmt: skip
"""What each source's reader has to name: a file of no panorama's shape, missing faces, missing frames."""
PICTURES, FOOTAGE = ("rooms", "panoramas", "matterport"), ("from", "captures", "real-estate")
TRAINERS = {"autoencoder": (autoencoder, PICTURES), "panorama": (panorama, PICTURES),
            "views": (views, ("clips", *FOOTAGE)), "svd": (svd, FOOTAGE), "layout": (layout, ("photos",))}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder for each source, called as the option that names it, and the networks that trainers begin with."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    (root / "rooms").mkdir()
    np.savez(root / "rooms/00000.npz", colour=rng.integers(0, 255, (3, 64, 128, 3), np.uint8),
             distance=rng.normal(0.5, 0.5, (3, 16, 32)).astype(np.float16))  # fmt: skip
    (root / "panoramas").mkdir()
    for k in range(3):
        Image.fromarray(rng.integers(0, 255, (64, 128, 3), np.uint8)).save(root / "panoramas" / f"{k}.png")
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(root / "panoramas/upside.png")
    write_skybox(root / "matterport", "aa")
    write_skybox(root / "matterport", "bb", leave_out=4)
    seen = write_shot(root / "from/shot", moving(FRAMES))
    shutil.copytree(root / "from/shot", root / "captures/room")
    for folder in (root / "from/shot", root / "captures/room"):
        (folder / "frames/0003.png").unlink()
    (root / "real-estate/frames/move").mkdir(parents=True)
    lines = ["https://www.youtube.com/watch?v=move"]
    for k, view in enumerate(seen):
        (fx, _, cx), (_, fy, cy), _ = view.camera.intrinsics
        to_camera = np.linalg.inv(view.camera.camera_to_world)[:3].ravel()
        lines.append(" ".join(map(str, [1000 + k, fx / 192, fy / 128, cx / 192, cy / 128, 0, 0, *to_camera])))
        write_png(root / f"real-estate/frames/move/{1000 + k}.png", view.colour)
    (root / "real-estate/frames/move/1003.png").unlink()
    (root / "real-estate/move.txt").write_text("\n".join(lines) + "\n")
    vae = small_autoencoder(root)
    (root / "clips").mkdir()
    frames = read_capture(root / "captures/room/transforms.json").frames
    clips.write_clips(root / "clips/00000.npz", [clips.clip_of(frames[:6], vae, rng) for _ in range(2)])
    save_model(root / "model")
    (root / "photos").mkdir()
    np.savez(root / "photos/00000.npz", **photos.pack(draw_photos(range(3))))
    return root


def shrink(replace: Callable[[object, str, object], None]) -> None:
    """The trainers' own networks, small, and quick dead leaves; everything else is as it is run."""
    replace(autoencoder, "Autoencoder", partial(Autoencoder, **SMALL))
    replace(autoencoder, "dead_leaves", lambda rng, size, count: rng.random((size, size, 3)))
    replace(panorama, "PanoramaTransformer", partial(
        PanoramaTransformer, num_layers=1, num_attention_heads=2, attention_head_dim=8, local_channels=16,
        image_embed_dim=16))  # fmt: skip
    replace(views, "ViewsUNet", partial(ViewsUNet, block_out_channels=(16, 16), layers_per_block=(1, 1),
                                        attention_heads=2, image_embed_dim=16))  # fmt: skip
    replace(layout, "LayoutNetwork", partial(
        LayoutNetwork, width=32, num_layers=1, num_attention_heads=2, block_out_channels=(8, 8, 8)))  # fmt: skip
    for trainer in (panorama, views):
        replace(trainer, "built_in_encoder", image_encoder)


@pytest.fixture
def small(monkeypatch):
    shrink(monkeypatch.setattr)


def arguments(name: str, data, out, *sources: str) -> list[str]:
    own = {
        "autoencoder": ["--height", "64", "--batch", "4"],
        "panorama": ["--height", "64", "--batch", "4", "--vae", str(data / "vae")],
        "views": ["--batch", "6", "--clips-per-move", "2", "--vae", str(data / "vae")],
        "layout": ["--batch", "2"],
        "svd": ["--model", str(data / "model"), "--width", "64", "--height", "64", "--frames", "3", "--rank", "2"],
    }
    given = [word for source in sources for word in (f"--{source}", str(data / source))]
    return [*given, *own[name], "--out", str(out), "--device", "cpu"]


def losses(out) -> list[dict]:
    with (out / "log.csv").open() as file:
        return [
            {name: value for name, value in row.items() if name not in ("seconds", "samples_per_s", "data_share")}
            for row in csv.DictReader(file)
        ]


PAIRS = [(name, source) for name, (_, sources) in TRAINERS.items() for source in sources]


@pytest.mark.parametrize("name, source", PAIRS)
def test_every_source_reaches_every_trainer_that_takes_it(data, small, tmp_path, caplog, name, source):
    with caplog.at_level(logging.WARNING):
        TRAINERS[name][0].main([*arguments(name, data, tmp_path, source), "--steps", "1"])
    (row,) = losses(tmp_path)
    assert row["step"] == "1" and np.isfinite(float(row["loss"]))
    assert BAD.get(source, "") in caplog.text
    weights = [path for path in tmp_path.rglob("*.safetensors") if path.name != checkpoint.NAME]
    assert weights and all(load_file(path) for path in weights)
    assert not list(tmp_path.rglob("*.part")) and not list(tmp_path.rglob("*.bin"))


def run_and_cut(name: str, data, out, replace: Callable[[object, str, object], None]) -> None:
    """Four steps at once in OUT/straight, two and two in OUT/cut: by all of the trainer's sources together,
    accumulating, in bf16, with checkpointed gradients where it has them."""
    trainer, sources = TRAINERS[name]
    more = ["--steps", "4", "--accumulate", "2"]
    more += ["--gradient-checkpointing"] if name not in ("autoencoder", "layout") else []
    agreed = loop._agreed
    replace(loop, "LOG_EVERY_S", -1.0)
    for folder, stop_after in (("straight", None), ("cut", 2), ("cut", None)):
        begin_anew()
        steps = iter(range(1, 100))

        def agree(accelerator, elapsed, stop, steps=steps, stop_after=stop_after):
            return agreed(accelerator, elapsed, stop)[0], next(steps) == stop_after

        replace(loop, "_agreed", agree)
        trainer.main([*arguments(name, data, out / folder, *sources), *more])
        if stop_after:
            assert checkpoint.read(out / folder / checkpoint.NAME).step == stop_after


def check_the_cut_is_not_seen(out) -> None:
    assert losses(out / "cut") == losses(out / "straight") and len(losses(out / "cut")) == 4
    one, other = (load_file(out / folder / checkpoint.NAME) for folder in ("straight", "cut"))
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", TRAINERS)
def test_a_trainer_that_is_cut_off_goes_on_with_the_same_losses(data, small, tmp_path, monkeypatch, name):
    run_and_cut(name, data, tmp_path, monkeypatch.setattr)
    check_the_cut_is_not_seen(tmp_path)


def test_the_same_holds_of_every_trainer_for_two_processes_by_accelerate(data, tmp_path):
    """Networks, LoRA, hooks and checkpointed gradients under DistributedDataParallel; data read by both together."""
    program = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
               "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
               "-m", "tests.lookbeyond.training.test_trainers", str(data), str(tmp_path)]  # fmt: skip
    done = subprocess.run(program, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in TRAINERS:
        check_the_cut_is_not_seen(tmp_path / name)
        assert not list((tmp_path / name).rglob("*.part"))
    for source, bad in BAD.items():
        assert bad in done.stderr, source
    lora = load_file(tmp_path / "svd/cut/lora/adapter_model.safetensors")
    assert any(value.any() for name, value in lora.items() if "lora_B" in name)


def test_a_data_set_of_which_nothing_is_left_ends_the_command_with_2(data, tmp_path):
    program = [sys.executable, "-m", "lookbeyond.training.svd", "--device", "cpu", "--model", str(data / "model"),
               "--captures", str(tmp_path / "none"), "--out", str(tmp_path / "out")]  # fmt: skip
    done = subprocess.run(program, capture_output=True, text=True, timeout=900)
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith("Error: There is no folder")
    assert not (tmp_path / "out").exists(), "nothing half-written"


if __name__ == "__main__":
    assert os.environ["WORLD_SIZE"] == "2"
    torch.set_num_threads(1)
    shrink(setattr)
    for _name in TRAINERS:
        run_and_cut(_name, Path(sys.argv[1]), Path(sys.argv[2]) / _name, setattr)
