"""Every trainer lowers its loss on a fixed batch."""

import numpy as np
import pytest
import torch

from lookbeyond.errors import InputError
from lookbeyond.models.autoencoder import encode_images
from lookbeyond.training import autoencoder as train_autoencoder
from lookbeyond.training import panorama, rooms, views
from tests.support.tiny import autoencoder, image_encoder, panorama_pipeline, views_pipeline


def falls(loss_of, modules, steps: int = 12) -> None:
    """Plain descent on one fixed batch and fixed noise."""
    parameters = [p for module in modules for p in module.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3)
    losses = []
    for _ in range(steps):
        torch.manual_seed(0)
        loss = loss_of()["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_the_autoencoder_learns():
    model = autoencoder().train()
    images = torch.rand(4, 3, 32, 32) * 2 - 1
    falls(lambda: train_autoencoder.reconstruction_loss(model, images, 0.2), [model], steps=60)


def test_an_images_latents_do_not_depend_on_its_batch():
    model = autoencoder().train()
    images = torch.rand(4, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(model.encode(images).latents[:1], model.encode(images[:1]).latents)


def test_averaged_weights_get_statistics_of_their_own():
    """Whatever scale training left them with, latents of crops are white and those of rooms have unit deviation."""
    model = autoencoder().train()
    model.whiten.running_var.fill_(400.0)

    def crops(number: int) -> torch.Tensor:
        return torch.rand(8, 3, 32, 32) * 2 - 1

    rooms = 0.3 * (torch.rand(4, 3, 32, 32) * 2 - 1)
    settled = train_autoencoder.settled(model, crops, rooms)
    with torch.no_grad():
        latents = settled.encode(torch.rand(256, 3, 32, 32) * 2 - 1).latents
        scaled = encode_images(settled, rooms)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(latents.shape[1]), rtol=0.05, atol=0)
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(latents.shape[1]), rtol=0, atol=0.05)
    assert abs(float(scaled.std()) - 1) < 0.05
    assert float(model.whiten.running_var.mean()) == 400, "training goes on with its own"


def test_a_kept_encoder_keeps_its_latents():
    model = autoencoder().train()
    model.encoder.requires_grad_(False)
    images = torch.rand(4, 3, 32, 32) * 2 - 1
    latents = model.encode(images).latents.clone()
    train_autoencoder.reconstruction_loss(model, images, 0.2)["loss"].backward()
    assert model.decoder[0].weight.grad is not None and model.encoder[1].weight.grad is None
    torch.testing.assert_close(model.encode(images).latents, latents)


def test_the_panorama_transformer_learns():
    transformer, encoder = panorama_pipeline().transformer.train(), image_encoder()
    batch = {
        "clean": torch.randn(2, 8, 8, 16),
        "known": torch.ones(2, 1, 8, 16),
        "photos": torch.rand(2, 3, 32, 32),
        "measured": torch.ones(2),
    }
    falls(lambda: panorama.flow_loss(transformer, encoder, batch), [transformer, encoder])


def test_the_views_unet_learns(monkeypatch):
    monkeypatch.setattr(views, "COLOURS", 4)
    unet, encoder = views_pipeline().unet.train(), image_encoder()
    batch = {
        "clean": torch.randn(1, 3, 8, 4, 8),
        "guidance": torch.rand(1, 3, 9, 4, 8),
        "anchor": torch.randn(1, 4, 4, 8),
        "raymap": torch.randn(1, 3, 6, 4, 8),
        "photo": torch.rand(1, 32, 32, 3) * 255,
        "measured": torch.ones(1),
    }
    falls(lambda: views.flow_loss(unet, encoder, batch), [unet, encoder])


@pytest.mark.parametrize("network", ["panorama", "views"])
def test_gradient_checkpointing_changes_no_gradient(network, monkeypatch):
    monkeypatch.setattr(views, "COLOURS", 4)
    if network == "panorama":
        model = panorama_pipeline().transformer.train()
        known = torch.ones(2, 1, 8, 16)
        arguments = (torch.randn(2, 8, 8, 16), torch.tensor(300.0), torch.randn(2, 16), torch.randn(2, 4, 8, 16), known)
    else:
        model = views_pipeline().unet.train()
        arguments = (torch.randn(1, 3, 27, 4, 8), torch.tensor(300.0), torch.randn(1, 1, 16))
    gradients = []
    for _ in range(2):
        output = model(*arguments)
        (output if isinstance(output, torch.Tensor) else output.sample).square().sum().backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
        model.zero_grad()
        model.enable_gradient_checkpointing()
    torch.testing.assert_close(gradients[0], gradients[1])


def test_a_photos_mask_and_image_are_those_of_the_geometry_package():
    from lookbeyond.geometry.cameras import Camera
    from lookbeyond.geometry.projection import extract_perspective, place_photo

    photos = panorama.Photos.draw(3, torch.Generator().manual_seed(2))
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 255, (8, 16, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float().expand(3, -1, -1, -1)
    masks, crops = photos.mask(128, 256), photos.images(tensor, 48)
    for k in range(3):
        pose = np.eye(4)
        pose[:3, :3] = photos.rotation[k].numpy()
        tan_x, tan_y = float(photos.tan_x[k]), float(photos.tan_y[k])
        intrinsics = np.array([[24 / tan_x, 0, 24], [0, 24 / tan_y, 24], [0, 0, 1]])
        camera = Camera(48, 48, intrinsics, pose)
        seen = extract_perspective(image, camera)
        np.testing.assert_allclose(crops[k].permute(1, 2, 0), seen, atol=1.0)
        _, mask = place_photo(seen, camera, 256)
        assert (masks[k, 0].bool().numpy() <= mask).all()  # whole cells only
        assert mask.sum() - masks[k].sum() < 0.15 * mask.sum()


def test_shards_hold_rooms_and_are_not_rendered_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(rooms, "compile_renderer", lambda: None)
    monkeypatch.setattr(rooms, "ROOMS_PER_SHARD", 2)
    arguments = ["--out", str(tmp_path), "--count", "3", "--height", "32"]
    rooms.main(arguments)
    shards = sorted(tmp_path.glob("*.npz"))
    with np.load(shards[1]) as shard:
        assert shard["colour"].shape == (2, 32, 64, 3) and shard["distance"].shape == (2, 8, 16)
    times = [path.stat().st_mtime_ns for path in shards]
    rooms.main(arguments)
    assert [path.stat().st_mtime_ns for path in shards] == times


def test_an_unknown_autoencoder_is_refused(tmp_path):
    from lookbeyond.models.autoencoder import Autoencoder

    Autoencoder(block_out_channels=(8, 8), layers_per_block=(1, 1)).save_pretrained(tmp_path / "vae")
    with pytest.raises(InputError, match="8 pixels a latent"):
        panorama.load_autoencoder(tmp_path / "vae")
    with pytest.raises(InputError, match="holds no autoencoder"):
        panorama.load_autoencoder(tmp_path)
