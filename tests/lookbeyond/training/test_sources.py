"""What trainers learn from, beside shards of rooms: pictures without distance, footage with and without depth."""

import csv
from functools import partial

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image

from lookbeyond.data.captures import read_capture
from lookbeyond.data.footage import CameraMove
from lookbeyond.data.rooms import Rooms, render_views
from lookbeyond.distance import latents_to_distance
from lookbeyond.errors import InputError
from lookbeyond.files import view_depth, write_distance, write_png
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.transforms import write_transforms
from lookbeyond.models.autoencoder import Autoencoder
from lookbeyond.models.panorama_transformer import PanoramaTransformer
from lookbeyond.models.views_unet import ViewsUNet
from lookbeyond.training import autoencoder as train_autoencoder
from lookbeyond.training import clips, panorama, views
from tests.lookbeyond.training.test_loop import fresh_state  # noqa: F401, a fixture
from tests.support.tiny import autoencoder, image_encoder, panorama_pipeline

SMALL = {"block_out_channels": (8, 8, 16), "layers_per_block": (1, 1, 1)}


def small_autoencoder(folder) -> Autoencoder:
    torch.manual_seed(0)
    model = Autoencoder(**SMALL).eval()
    model.save_pretrained(folder / "vae")
    return model


def moving(count: int, distance: float = 0.4) -> list[Camera]:
    steps = np.linspace(0, 1, count)
    return [placed_camera(192, 128, 1.2, heading_rad=0.3 * s, position=(distance * s, 0, 0)) for s in steps]


def write_shot(folder, cameras: list[Camera], depth: bool = True) -> list:
    """A finished shot, as `lookbeyond shot` leaves it, of a procedural room; gives its views."""
    room = Rooms.from_seeds([5])
    some = render_views(room, cameras)
    (folder / "frames").mkdir(parents=True)
    (folder / "depth").mkdir()
    frames = [f"frames/{k:04d}.png" for k in range(1, len(cameras) + 1)]
    depths = [f"depth/{k:04d}.exr" for k in range(1, len(cameras) + 1)]
    for view, frame, path in zip(some, frames, depths, strict=True):
        write_png(folder / frame, view.colour)
        write_distance(folder / path, view_depth(view))
    write_transforms(folder / "transforms.json", cameras, frames, depths if depth else None)
    return some


def clip_of(folder, cameras, depth: bool):
    write_shot(folder, cameras, depth)
    return clip_of_capture(folder)


def clip_of_capture(folder):
    torch.manual_seed(0)
    return clips.clip_of(read_capture(folder / "transforms.json").frames, autoencoder(), np.random.default_rng(0))


def test_a_clip_of_a_shot_is_told_by_its_anchors_warped_by_their_depth(tmp_path):
    clip = clip_of(tmp_path / "shot", moving(clips.FRAMES), depth=True)
    assert clip["clean"].shape == (6, 8, 16, 24) and clip["measured"] == 1
    for name, own in (("forward", 0), ("backward", -1)):
        known = clip[name][:, -1]
        assert known[own].min() == 1, "an anchor knows itself"
        assert known[2].mean() > 0.6, "and most of what is between"
        np.testing.assert_allclose(clip[name][own, :4], clip["clean"][own, :4], atol=0.02)
        # where the warp saw something, its distance is the true one (but for edges)
        known, truth = (
            latents_to_distance(torch.from_numpy(x[2:3, 4:8]).float(), 1.0) for x in (clip[name], clip["clean"])
        )
        assert ((known / truth - 1).abs() < 0.05).float().mean() > 0.8
    directions, moments = clip["raymap"][0, 0, :3], clip["raymap"][0, 0, 3:]
    assert np.abs(moments).max() < 1e-3, "rays are told in the frame of the pass's anchor"
    np.testing.assert_allclose(np.linalg.norm(directions.astype(float), axis=0), 1, atol=2e-3)
    ends = clip["anchor"][:, -1]
    assert 0.3 < ends.mean() < 1, "an anchor is told by the other one, which does not see all of it"


def test_without_depth_only_frames_that_turn_where_an_anchor_stands_are_told(tmp_path):
    walked = clip_of(tmp_path / "walked", moving(clips.FRAMES), depth=False)
    assert walked["measured"] == 0
    assert walked["forward"][1:5, -1].max() == 0 and walked["forward"][[0, 5], -1].min() == 1
    turned = clip_of(tmp_path / "turned", moving(clips.FRAMES, distance=0), depth=False)
    known = turned["forward"][2, -1] > 0.99
    assert known.mean() > 0.6
    error = np.abs(turned["forward"][2, :4].astype(float) - turned["clean"][2, :4])[:, known]
    assert np.median(error) < 0.1 * turned["clean"][2, :4].std()


def test_no_unit_of_length_is_needed(tmp_path):
    """The same shot in centimetres is the same clip."""
    cameras = moving(clips.FRAMES)
    metres = clip_of(tmp_path / "metres", cameras, depth=True)
    folder = tmp_path / "centimetres"
    some = write_shot(folder, cameras)
    grown = []
    for k, camera in enumerate(cameras):
        pose = camera.camera_to_world.copy()
        pose[:3, 3] *= 100
        grown.append(Camera(camera.width, camera.height, camera.intrinsics, pose))
        write_distance(folder / f"depth/{k + 1:04d}.exr", view_depth(some[k]) * 100)
    paths = [[f"{kind}/{k + 1:04d}.{end}" for k in range(6)] for kind, end in (("frames", "png"), ("depth", "exr"))]
    write_transforms(folder / "transforms.json", grown, *paths)
    other = clip_of_capture(folder)
    for name in ("clean", "raymap"):
        np.testing.assert_allclose(other[name].astype(float), metres[name].astype(float), atol=0.01)


def test_the_anchors_of_a_clip_do_not_look_past_each_other():
    cameras = [placed_camera(192, 128, 1.2, heading_rad=0.15 * k) for k in range(60)]
    move = CameraMove("turning", tuple(clips.Frame(camera, camera) for camera in cameras))  # type: ignore[arg-type]
    for seed in range(30):
        chosen = clips.choose_frames(move, np.random.default_rng(seed))
        assert len(set(chosen)) == 6 and chosen == sorted(chosen) and chosen[0] >= 0 and chosen[-1] < 60
        assert chosen[-1] - chosen[0] <= max(5, clips.MOST_TURN_RAD / 0.15 + 1)
    with pytest.raises(InputError, match="turning has 3 frames"):
        clips.choose_frames(CameraMove("turning", move.frames[:3]), np.random.default_rng(0))


def test_views_are_trained_from_finished_shots(tmp_path, monkeypatch, caplog):
    small_autoencoder(tmp_path)
    write_shot(tmp_path / "shot", moving(8))
    write_shot(tmp_path / "short", moving(3))
    monkeypatch.setattr(views, "ViewsUNet", partial(ViewsUNet, block_out_channels=(16, 16), layers_per_block=(1, 1),
                                                    attention_heads=2, image_embed_dim=16))  # fmt: skip
    monkeypatch.setattr(views, "built_in_encoder", image_encoder)
    arguments = ["--from", str(tmp_path / "shot"), str(tmp_path / "short"), "--vae", str(tmp_path / "vae"),
                 "--out", str(tmp_path / "out"), "--steps", "3", "--batch", "6", "--clips-per-move", "2",
                 "--device", "cpu"]  # fmt: skip
    views.main(arguments)
    assert "short has 3 frames" in caplog.text
    with (tmp_path / "out" / "log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["3"]
    (shard,) = (tmp_path / "out" / "clips").rglob("*.npz")
    assert clips.read_clips(shard)["clean"].shape == (2, 6, 12, 16, 24)


def test_what_is_missing_for_footage_is_said(tmp_path):
    arguments = ["--out", str(tmp_path / "out"), "--device", "cpu"]
    with pytest.raises(InputError, match="nothing to train on"):
        views.main(arguments)
    write_shot(tmp_path / "short", moving(3))
    with pytest.raises(InputError, match="give --vae"):
        views.main([*arguments, "--from", str(tmp_path / "short")])
    small_autoencoder(tmp_path)
    with pytest.raises(InputError, match="None of the 1 camera moves can be used"):
        views.main([*arguments, "--from", str(tmp_path / "short"), "--vae", str(tmp_path / "vae")])
    with pytest.raises(InputError, match="no clips in"):
        views.main([*arguments, "--clips", str(tmp_path)])


def test_the_panorama_and_its_autoencoder_are_trained_from_any_pictures(tmp_path, monkeypatch):
    """Beside a shard of rooms; 64 rows, so that it is quick."""
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for k in range(3):
        Image.fromarray(rng.integers(0, 255, (64, 128, 3), np.uint8)).save(tmp_path / "in" / f"{k}.png")
    (tmp_path / "pool").mkdir()
    np.savez(tmp_path / "pool" / "00000.npz", colour=rng.integers(0, 255, (3, 64, 128, 3), np.uint8),
             distance=rng.normal(0.5, 0.5, (3, 16, 32)).astype(np.float16))  # fmt: skip
    data = ["--rooms", str(tmp_path / "pool"), "--panoramas", str(tmp_path / "in"), "--height", "64", "--steps", "2",
            "--batch", "4", "--device", "cpu"]  # fmt: skip
    monkeypatch.setattr(train_autoencoder, "Autoencoder", partial(Autoencoder, **SMALL))
    train_autoencoder.main([*data, "--out", str(tmp_path / "weights")])
    vae = panorama.load_autoencoder(tmp_path / "weights" / "vae")
    assert vae.config.latent_channels == 8
    monkeypatch.setattr(panorama, "PanoramaTransformer", partial(
        PanoramaTransformer, num_layers=1, num_attention_heads=2, attention_head_dim=8, local_channels=16,
        image_embed_dim=16))  # fmt: skip
    monkeypatch.setattr(panorama, "built_in_encoder", image_encoder)
    panorama.main([*data, "--vae", str(tmp_path / "weights" / "vae"), "--out", str(tmp_path / "out"),
                   "--gradient-checkpointing"])  # fmt: skip
    assert (tmp_path / "out" / "transformer" / "diffusion_pytorch_model.safetensors").exists()

    folders = [tmp_path / "pool", *(tmp_path / "out" / "panoramas").iterdir()]
    source = panorama.LatentPanoramas(folders, vae, 24, "cpu")
    batch = source(0, np.random.default_rng(0))
    assert set(batch["measured"].tolist()) == {0.0, 1.0}
    assert (batch["clean"][batch["measured"] == 0, 8:] == 0).all()


@pytest.mark.parametrize("name, more", [
    ("dit-xl-2", []), ("dit-xl-2-plain", []), ("dit-xl-2-plain", ["--cycle-loss", "0"])
])  # fmt: skip
def test_the_papers_network_is_trained_on_published_latents_and_told_by_a_frozen_clip(
    tmp_path, monkeypatch, name, more
):
    """The same configuration, smaller; the plain one with its cycle-consistency loss."""
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    Image.fromarray(rng.integers(0, 255, (64, 128, 3), np.uint8)).save(tmp_path / "in" / "a.png")
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    vae = AutoencoderKL(block_out_channels=(8, 8, 8, 8), norm_num_groups=4, latent_channels=4, **blocks)
    vae.save_pretrained(tmp_path / "vae")
    image_encoder(width=24).half().save_pretrained(tmp_path / "clip", variant="fp16")  # as it is fetched
    small = panorama.NETWORKS[name] | {
        "num_layers": 1,
        "num_attention_heads": 2,
        "attention_head_dim": 8,
        "local_channels": 16,
    }
    monkeypatch.setitem(panorama.NETWORKS, name, small)
    panorama.main(["--network", name, "--panoramas", str(tmp_path / "in"), "--height", "64", "--steps", "2",
                   "--batch", "2", "--device", "cpu", "--vae", str(tmp_path / "vae"),
                   "--image-encoder", str(tmp_path / "clip"), "--out", str(tmp_path / "out"), *more])  # fmt: skip
    made = PanoramaTransformer.from_pretrained(tmp_path / "out" / "transformer").config
    assert (made.latent_channels, made.distance_channels, made.patch_size, made.image_embed_dim) == (4, 0, 2, 24)
    assert made.wraps == (name == "dit-xl-2")
    assert not (tmp_path / "out" / "image_encoder").exists(), "it is used as it is"
    with (tmp_path / "out" / "log.csv").open() as file:
        columns = next(csv.reader(file))
    assert "distance" not in columns and ("cycle" in columns) == (name == "dit-xl-2-plain" and not more)
    with pytest.raises(InputError, match="holds no CLIP vision tower"):
        panorama.load_image_encoder(tmp_path)


def test_a_network_that_cannot_break_the_seam_has_no_use_for_a_loss_against_it(tmp_path):
    options = ["--rooms", str(tmp_path), "--vae", str(tmp_path), "--out", str(tmp_path / "out")]
    with pytest.raises(InputError, match=r"only with --network dit-xl-2-plain: a turn .* passes through"):
        panorama.main([*options, "--cycle-loss", "1"])
    with pytest.raises(InputError, match="--cycle-loss is -1; give 0 or more"):
        panorama.main([*options, "--network", "dit-xl-2-plain", "--cycle-loss", "-1"])


def test_panoramas_without_distance_teach_none():
    transformer, encoder = panorama_pipeline().transformer.train(), image_encoder()
    batch = {"clean": torch.randn(2, 8, 8, 16), "known": torch.ones(2, 1, 8, 16), "photos": torch.rand(2, 3, 32, 32),
             "measured": torch.zeros(2)}  # fmt: skip
    losses = panorama.flow_loss(transformer, encoder, batch)
    losses["loss"].backward()
    assert losses["distance"] == 0 and losses["colour"] > 0
    gradient = transformer.head.weight.grad
    assert gradient[:4].abs().max() > 0 and gradient[4:].abs().max() == 0
