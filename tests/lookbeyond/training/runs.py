"""A run of the training loop small enough for a test; as a program it is one of several processes.

accelerate launch --multi_gpu --num_processes 2 -m tests.lookbeyond.training.runs FOLDER
"""

import argparse
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from lookbeyond.training import loop
from lookbeyond.training.autoencoder import reconstruction_loss
from tests.support.tiny import autoencoder


def options(folder: Path, *arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    loop.add_arguments(parser, minutes=1, batch=2, learning_rate=3e-3)
    return parser.parse_args(["--out", str(folder), "--device", "cpu", *arguments])


def train(chosen: argparse.Namespace, stop_after: int | None = None):
    """Trains a tiny autoencoder on noise: (the model, the losses of every batch, the batches)."""
    accelerator = loop.begin(chosen)
    torch.manual_seed(0)
    model = autoencoder()
    losses, batches = [], []

    def draw(step: int, rng: np.random.Generator) -> torch.Tensor:
        if step + 1 == stop_after and not wanted_end:
            wanted_end.append(step)
            os.kill(os.getpid(), signal.SIGTERM)
        batches.append(torch.from_numpy(rng.uniform(-1, 1, (chosen.batch, 3, 16, 16)).astype(np.float32)))
        return batches[-1]

    def loss(images: torch.Tensor) -> dict[str, torch.Tensor]:
        values = reconstruction_loss(model, images, 0.2)
        losses.append(float(values["loss"].detach()))
        return values

    wanted_end: list[int] = []
    loop.run(accelerator, {"vae": model}, draw, loss, chosen)
    return model, losses, batches


if __name__ == "__main__":
    rank, folder = os.environ["RANK"], Path(sys.argv[1])
    # were another process than the first to write, it would be here
    model, _, batches = train(options(folder / f"out{rank}", "--steps", "3", "--precision", "no"))
    save_file(model.state_dict() | {"batches": torch.stack(batches)}, folder / f"process{rank}.safetensors")
