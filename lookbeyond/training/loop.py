"""The loop that all trainers share: a wall-clock budget, bf16 autocast, EMA, checkpoints that resume, a CSV log."""

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from diffusers.training_utils import EMAModel
from tqdm import tqdm


def add_arguments(parser: argparse.ArgumentParser, *, minutes: float, batch: int, learning_rate: float) -> None:
    """The options that every trainer has."""
    parser.add_argument("--out", type=Path, required=True, help="folder of the weights, the log and the checkpoint")
    parser.add_argument("--minutes", type=float, default=minutes, help="wall-clock budget, resumed runs included")
    parser.add_argument("--continue-from", type=Path, help="--out of a finished run, to train on")
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--learning-rate", type=float, default=learning_rate)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)


def run(
    modules: dict[str, torch.nn.Module],
    batches: Iterator,
    loss_of: Callable[..., dict[str, torch.Tensor]],
    options: argparse.Namespace,
    *,
    on_save: Callable[[int], None] = lambda step: None,
    ema_decay: float = 0.9995,
    save_every_s: float = 240,
) -> None:
    """Trains until the budget is spent; resumes from OUT/checkpoint.pt where there is one.

    Where there is none, `options.continue_from` gives weights and optimizer; the average of the weights begins anew.

    modules: name -> module with save_pretrained; their EMA weights are saved to OUT/name.
    loss_of(batch): the losses by name; "loss" is minimised, all are logged (their mean) to OUT/log.csv.
    on_save(step): called after each save with the EMA weights in place, e.g. to draw a sample sheet.
    The learning rate warms up over 200 steps and falls linearly to zero at the end of the budget.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    parameters = [p for module in modules.values() for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=options.learning_rate, betas=(0.9, 0.99), weight_decay=0.01)
    step, elapsed = 0, 0.0
    checkpoint = options.out / "checkpoint.pt"
    resumed = checkpoint.exists()
    if resumed or options.continue_from:
        source = checkpoint if resumed else options.continue_from / checkpoint.name
        state = torch.load(source, map_location=options.device, weights_only=True)
        for name, module in modules.items():
            module.load_state_dict(state["modules"][name])
        optimizer.load_state_dict(state["optimizer"])
    ema = EMAModel(parameters, decay=ema_decay, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
    if resumed:
        ema.load_state_dict(state["ema"])
        ema.to(options.device)
        step, elapsed = state["step"], state["elapsed"]

    def save():
        state = {
            "modules": {name: module.state_dict() for name, module in modules.items()},
            "optimizer": optimizer.state_dict(), "ema": ema.state_dict(), "step": step, "elapsed": elapsed,
        }  # fmt: skip
        torch.save(state, checkpoint.with_suffix(".part"))
        checkpoint.with_suffix(".part").rename(checkpoint)
        ema.store(parameters)
        ema.copy_to(parameters)
        for name, module in modules.items():
            module.eval()
            module.save_pretrained(options.out / name)
        on_save(step)
        for module in modules.values():
            module.train()
        ema.restore(parameters)

    budget, sums, fetching, counted = options.minutes * 60, {}, 0.0, 0
    last = saved = logged = time.monotonic()
    bar = tqdm(
        total=round(budget),
        initial=round(elapsed),
        unit="s",
        bar_format="{l_bar}{bar}|{elapsed}<{remaining}{postfix}",
    )
    while elapsed < budget:
        before = time.monotonic()
        batch = next(batches)
        fetching += time.monotonic() - before
        rate = options.learning_rate * min(1, (step + 1) / 200) * (1 - elapsed / budget)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(options.device.split(":")[0], torch.bfloat16):
            losses = loss_of(batch)
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        ema.step(parameters)
        step, counted = step + 1, counted + 1
        for name, value in losses.items():
            sums[name] = sums.get(name, 0) + value.detach().float()
        now = time.monotonic()
        elapsed, last = elapsed + now - last, now
        if now - logged > 20 or elapsed >= budget:
            row = {
                "step": step, "seconds": round(elapsed),
                "samples_per_s": round(counted * options.batch / (now - logged), 1),
                "data_share": round(fetching / (now - logged), 3),
                **{name: round(float(value) / counted, 5) for name, value in sums.items()},
            }  # fmt: skip
            with (options.out / "log.csv").open("a", newline="") as file:
                writer = csv.DictWriter(file, row)
                if file.tell() == 0:
                    writer.writeheader()
                writer.writerow(row)
            bar.set_postfix(row, refresh=False)
            bar.n = min(round(elapsed), bar.total)
            bar.refresh()
            sums, fetching, counted, logged = {}, 0.0, 0, now
        if now - saved > save_every_s or elapsed >= budget:
            save()
            saved = last = time.monotonic()
    bar.close()
