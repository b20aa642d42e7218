"""The loop that all trainers share, on one device or many: `accelerate launch -m lookbeyond.training.NAME …`.

A budget of wall-clock time, of steps, or both; bf16, gradient accumulation and checkpointing, an average of the weights
(EMA), a CSV log beside TensorBoard or Weights & Biases, and checkpoints that resume.

A step consists of `processes x accumulate` batches, numbered by *slot*, and every batch has a generator of its own,
made from the seed, the step and the slot. So no two batches are alike, a run that was cut off goes on as if it had not
been, and two processes see what one would that accumulates two batches.
"""

import argparse
import contextlib
import csv
import importlib.util
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast
from diffusers.training_utils import EMAModel
from tqdm import tqdm
from transformers.utils import logging as transformers_logging

from lookbeyond.errors import InputError, LookBeyondError, one_line
from lookbeyond.whole import whole_folder

from . import checkpoint

WARM_UP = 200
"""Steps in which the learning rate grows."""
LOG_EVERY_S = 20.0
WEIGHT_FILES = (
    "config.json",
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "adapter_config.json",
    "adapter_model.safetensors",
    "README.md",
)

Batch = Any
Draw = Callable[[int, np.random.Generator], Batch]
"""(step, generator) -> a batch on the device; the same arguments always give the same one."""
_SHARDED = {"FSDP": "FSDP", "DEEPSPEED": "DeepSpeed", "MEGATRON_LM": "Megatron-LM"}
"""What `accelerate launch` may be set to spread one model over several devices by."""


class TrainingError(LookBeyondError):
    """A run that cannot continue."""


def parser_of(stage: str, text: str | None) -> argparse.ArgumentParser:
    """The parser of `lookbeyond train STAGE`, whose help begins with the module's own words."""
    formatter = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=f"lookbeyond train {stage}", description=text, formatter_class=formatter)


def add_arguments(parser: argparse.ArgumentParser, *, minutes: float, batch: int, learning_rate: float) -> None:
    """The options that every trainer has."""
    parser.add_argument("--out", type=Path, required=True, help="folder of the weights, the log and the checkpoint")
    parser.add_argument(
        "--minutes", type=float, help=f"wall-clock budget, resumed runs included (without --steps: {minutes:g})"
    )
    parser.add_argument("--steps", type=int, help="budget of optimizer steps, resumed runs included")
    parser.add_argument("--continue-from", type=Path, help="--out of a finished run, to train on")
    parser.add_argument("--batch", type=int, default=batch, help="of each process, for each backward pass")
    parser.add_argument("--accumulate", type=int, default=1, help="batches of each process for one step")
    parser.add_argument("--learning-rate", type=float, default=learning_rate)
    parser.add_argument("--precision", choices=("bf16", "no"), default="bf16", help="of autocast")
    parser.add_argument("--gradient-checkpointing", action="store_true", help="less memory, more time")
    parser.add_argument("--log-with", choices=("tensorboard", "wandb"), help="beside OUT/log.csv")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(default_minutes=minutes)


def begin(options: argparse.Namespace, *, uneven: bool = False) -> Accelerator:
    """Joins the other processes, if there are any, and seeds the weights to come; `options.device` is then a device.

    uneven: not every batch reaches every weight. Raises InputError for impossible options.
    """
    for name in ("batch", "accumulate", "steps", "minutes", "learning_rate"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            raise InputError(f"--{name.replace('_', '-')} is {value}; give a number above 0.")
    if options.minutes is None and options.steps is None:
        options.minutes = options.default_minutes
    for setting, name in _SHARDED.items():
        if os.environ.get(f"ACCELERATE_USE_{setting}", "false").lower() == "true":
            raise InputError(
                f"Models spread over devices by {name} are not supported, every device holds a whole one; choose "
                "multi-GPU without it in `accelerate config`, and give --gradient-checkpointing where memory is short."
            )
    if options.log_with and importlib.util.find_spec(options.log_with) is None:
        raise InputError(
            f"--log-with {options.log_with} needs a package that is not installed; `pip install {options.log_with}`, "
            "or leave the option out: OUT/log.csv holds the same."
        )
    try:
        accelerator = Accelerator(
            mixed_precision=options.precision,
            cpu=options.device == "cpu",
            log_with=options.log_with,
            project_dir=options.out,
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=uneven)],
        )
    except ValueError as error:
        if "bf16" not in str(error):
            raise
        raise InputError("This device cannot calculate in bf16; give --precision no.") from error
    if "MASTER_ADDR" in os.environ and accelerator.num_processes == 1 and accelerator.device.type == "cpu":
        print(
            "`accelerate launch --cpu` starts one process however many are asked for; for more of them on the CPU give "
            "it --multi_gpu, and the trainer --device cpu.",
            file=sys.stderr,
        )
    transformers_logging.disable_progress_bar()  # one bar is enough
    options.device = str(accelerator.device)
    torch.manual_seed(options.seed)
    return accelerator


def command(main: Callable[[], None]) -> None:
    """Runs a trainer as a program: a user's mistake ends in one sentence and exit code 2."""
    try:
        main()
    except LookBeyondError as error:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            time.sleep(5)  # if the first process has reported the same error, the launcher ends this one meanwhile
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)


class _Objective(torch.nn.Module):
    """The modules that are trained, with their loss as the forward pass: what several processes have in common."""

    def __init__(self, modules: dict[str, torch.nn.Module], loss_of: Callable[[Batch], dict[str, torch.Tensor]]):
        super().__init__()
        self.trained, self.loss_of = torch.nn.ModuleDict(modules), loss_of

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        return self.loss_of(batch)


def run(
    accelerator: Accelerator,
    modules: dict[str, torch.nn.Module],
    draw: Draw,
    loss_of: Callable[[Batch], dict[str, torch.Tensor]],
    options: argparse.Namespace,
    *,
    on_save: Callable[[int], None] = lambda step: None,
    ahead: bool = False,
    ema_decay: float = 0.9995,
    save_every_s: float = 240,
) -> None:
    """Trains until the budget is spent; resumes from OUT/checkpoint.safetensors where there is one.

    Where there is none, `options.continue_from` gives weights and optimizer; the average of the weights starts afresh.

    modules: name -> module with save_pretrained, on the device; their averaged weights are saved to OUT/name.
    loss_of(batch): the losses by name; "loss" is minimised, the means of all are logged to OUT/log.csv.
    on_save(step): called by the first process after each save with the averaged weights in place.
    ahead: each batch is drawn in a separate thread while the previous one is trained on; for draws that take long and
        leave torch's own generator alone.
    The learning rate warms up over 200 steps and falls linearly to zero at the end of the budget. SIGTERM and Ctrl-C
    end the run after the current step, and save it.

    Raises InputError when a checkpoint does not fit, TrainingError when the loss is no longer a number.
    """
    _Run(accelerator, modules, loss_of, options, on_save, ema_decay).train(draw, ahead, save_every_s)


class _Run:
    """A training run: what is trained, how far it is, and what was measured since the log's last row."""

    def __init__(
        self,
        accelerator: Accelerator,
        modules: dict[str, torch.nn.Module],
        loss_of: Callable[[Batch], dict[str, torch.Tensor]],
        options: argparse.Namespace,
        on_save: Callable[[int], None],
        ema_decay: float,
    ):
        self.accelerator, self.modules, self.options, self.on_save = accelerator, modules, options, on_save
        self.first = accelerator.is_main_process
        if self.first:
            options.out.mkdir(parents=True, exist_ok=True)
        if options.gradient_checkpointing:
            _checkpoint_gradients(modules)
        self.parameters = [p for module in modules.values() for p in module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=options.learning_rate, betas=(0.9, 0.99), weight_decay=0.01
        )
        self.ema = EMAModel(self.parameters, decay=ema_decay, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
        self.step, self.elapsed_s = _resume(modules, self.parameters, self.optimizer, self.ema, options)
        if self.first:
            _drop_later_rows(options.out / "log.csv", self.step)
        self.objective, self.prepared = accelerator.prepare(_Objective(modules, loss_of), self.optimizer)
        for module in modules.values():
            module.train()
        if options.log_with:
            facts = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
            accelerator.init_trackers(
                "lookbeyond", {k: v for k, v in facts.items() if isinstance(v, int | float | str)}
            )
        first_slot = accelerator.process_index * options.accumulate
        self.slots = range(first_slot, first_slot + options.accumulate)
        self.sums: dict[str, torch.Tensor | float] = {}
        self.fetching_s, self.counted, self.logged_s = 0.0, 0, self.elapsed_s

    @property
    def spent(self) -> float:
        """The share of the budget that is spent."""
        options = self.options
        budgets = ((self.step, options.steps), (self.elapsed_s, options.minutes and options.minutes * 60))
        return max(used / budget for used, budget in budgets if budget is not None)

    def train(self, draw: Draw, ahead: bool, save_every_s: float) -> None:
        """Take steps until the budget is spent or somebody stops the run."""
        saved_s, last = self.elapsed_s, time.monotonic()
        bar = tqdm(
            total=100,
            unit="%",
            disable=not self.first,
            bar_format="{l_bar}{bar}|{elapsed}<{remaining}{postfix}",
            initial=round(100 * min(1.0, self.spent)),
        )
        reader = _Reader(draw, self.options.seed, self.slots, ahead)
        with _asked_to_stop() as stop, contextlib.closing(reader):
            done = self.spent >= 1
            while not done:
                self._learn(reader)
                now = time.monotonic()
                self.elapsed_s, last = self.elapsed_s + now - last, now
                self.elapsed_s, stopped = _agreed(self.accelerator, self.elapsed_s, bool(stop))
                done = stopped or self.spent >= 1
                if self.elapsed_s - self.logged_s > LOG_EVERY_S or done:
                    self._log(bar)
                if self.elapsed_s - saved_s > save_every_s or done:
                    self._save()
                    saved_s, last = self.elapsed_s, time.monotonic()
        bar.close()
        if self.options.log_with:
            self.accelerator.end_training()

    def _learn(self, reader: "_Reader") -> None:
        """One step: a batch for every slot, and an update of the weights."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.learning_rate * min(1, (self.step + 1) / WARM_UP) * (1 - self.spent)
        self.prepared.zero_grad(set_to_none=True)
        for slot in self.slots:
            before = time.monotonic()
            batch = reader(self.step, slot)
            self.fetching_s += time.monotonic() - before
            wait = slot != self.slots[-1]  # only the last backward pass exchanges gradients
            with self.accelerator.no_sync(self.objective) if wait else contextlib.nullcontext():
                losses = self.objective(batch)
                self.accelerator.backward(losses["loss"] / self.options.accumulate)
            for name, value in losses.items():
                self.sums[name] = self.sums.get(name, 0) + value.detach().float()
        self.accelerator.clip_grad_norm_(self.parameters, 1.0)
        self.prepared.step()
        if self.first:
            self.ema.step(self.parameters)
        self.step, self.counted = self.step + 1, self.counted + self.options.accumulate

    def _log(self, bar: tqdm) -> None:
        """A row of the log: the mean losses since the last one. TrainingError when one is no longer a number."""
        options = self.options
        sums: Any = self.accelerator.reduce(self.sums, "mean")
        means = {name: float(value) / self.counted for name, value in sums.items()}
        if not all(map(math.isfinite, means.values())):
            raise TrainingError(
                f"The loss is no longer a number (step {self.step}); resume from {options.out} with a lower "
                "--learning-rate."
            )
        seconds = max(self.elapsed_s - self.logged_s, 1e-9)
        samples = self.counted * options.batch * self.accelerator.num_processes
        row = {
            "step": self.step,
            "seconds": round(self.elapsed_s),
            "samples_per_s": round(samples / seconds, 1),
            "data_share": round(self.fetching_s / seconds, 3),
            **{name: round(mean, 5) for name, mean in means.items()},
        }
        if self.first:
            _write_row(options.out / "log.csv", row)
        if options.log_with:
            self.accelerator.log(row | {"learning_rate": self.optimizer.param_groups[0]["lr"]}, step=self.step)
        bar.set_postfix(row, refresh=False)
        bar.n = min(round(100 * self.spent), 100)
        bar.refresh()
        self.sums, self.fetching_s, self.counted, self.logged_s = {}, 0.0, 0, self.elapsed_s

    def _save(self) -> None:
        if self.first:
            state = _checkpoint_of(self.modules, self.optimizer, self.ema, self.step, self.elapsed_s)
            state.write(self.options.out)
            self.ema.store(self.parameters)
            self.ema.copy_to(self.parameters)
            for name, module in self.modules.items():
                module.eval()
                with whole_folder(self.options.out / name, WEIGHT_FILES) as folder:
                    module.save_pretrained(folder)
            self.on_save(self.step)
            for module in self.modules.values():
                module.train()
            self.ema.restore(self.parameters)
        self.accelerator.wait_for_everyone()


class _Reader:
    """The batches of this process, by step and slot, each from its own generator."""

    def __init__(self, draw: Draw, seed: int, slots: range, ahead: bool):
        self.draw, self.seed, self.slots = draw, seed, slots
        self.pool = ThreadPoolExecutor(1) if ahead else None
        self.next: Future | None = None

    def __call__(self, step: int, slot: int) -> Batch:
        """The batch; torch's own generator is left as the slot's, for what the loss draws."""
        torch.manual_seed(int(self._seeds(step, slot).generate_state(1, np.uint64)[0] >> np.uint64(1)))
        if self.pool is None:
            return self._draw(step, slot)
        batch = self.next.result() if self.next else self._draw(step, slot)
        after = (step, slot + 1) if slot != self.slots[-1] else (step + 1, self.slots[0])
        self.next = self.pool.submit(self._draw, *after)
        return batch

    def close(self) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    def _draw(self, step: int, slot: int) -> Batch:
        return self.draw(step, np.random.default_rng(self._seeds(step, slot)))

    def _seeds(self, step: int, slot: int) -> np.random.SeedSequence:
        return np.random.SeedSequence([self.seed, step, slot])


def _agreed(accelerator: Accelerator, elapsed: float, stop: bool) -> tuple[float, bool]:
    """The first process's clock for all, and whether any process was asked to stop."""
    if accelerator.num_processes == 1:
        return elapsed, stop
    asked: Any = accelerator.reduce(torch.tensor([float(stop)], device=accelerator.device), "sum")
    clock: Any = broadcast(torch.tensor([elapsed], dtype=torch.float64, device=accelerator.device))
    return float(clock), float(asked) > 0


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """A list that SIGTERM and Ctrl-C are appended to; the second time they act as usual."""
    asked: list[int] = []
    handlers: dict[int, Any] = {}

    def remember(number: int, frame: Any) -> None:
        asked.append(number)
        signal.signal(number, handlers[number])

    with contextlib.suppress(ValueError):  # not in the main thread: nothing to be caught here
        for number in (signal.SIGTERM, signal.SIGINT):
            handlers[number] = signal.signal(number, remember)
    try:
        yield asked
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _checkpoint_gradients(modules: dict[str, torch.nn.Module]) -> None:
    """Of every module that can; InputError when none can."""
    found = False
    for module in modules.values():
        if getattr(module, "_supports_gradient_checkpointing", False):  # diffusers
            module.enable_gradient_checkpointing()
            found = True
        elif getattr(module, "supports_gradient_checkpointing", False):  # transformers, whose name for it changed
            getattr(module, "activation_checkpointing_enable", module.gradient_checkpointing_enable)()
            found = True
    if not found:
        raise InputError(
            f"No {next(iter(modules))} can be trained with --gradient-checkpointing; leave the option out."
        )


def _checkpoint_of(modules, optimizer, ema, step: int, elapsed: float) -> checkpoint.Checkpoint:
    states = {name: module.state_dict() for name, module in modules.items()}
    moments = optimizer.state_dict()["state"]
    return checkpoint.Checkpoint(states, moments, ema.shadow_params, ema.optimization_step, step, elapsed)


def _resume(modules, parameters, optimizer, ema, options: argparse.Namespace) -> tuple[int, float]:
    """Loads the run's own checkpoint, or that of the run it continues; returns step and elapsed seconds."""
    own = checkpoint.find(options.out)
    source = own or (options.continue_from and checkpoint.find(options.continue_from))
    if source is None:
        if options.continue_from:
            raise InputError(f"The folder {options.continue_from} holds no checkpoint; give the --out of a run.")
        return 0, 0.0
    state = checkpoint.read(source)
    try:
        for name, module in modules.items():
            module.load_state_dict(state.modules[name])
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state.optimizer, "param_groups": groups})
        for parameter, moments in optimizer.state.items():
            for key, value in moments.items():
                if value.shape == parameter.shape:  # in the parameter's own layout
                    moments[key] = torch.empty_like(parameter).copy_(value)
        if own:
            ema.shadow_params = [
                torch.empty_like(parameter).copy_(value) for parameter, value in zip(parameters, state.ema, strict=True)
            ]
            ema.optimization_step = state.ema_steps
        else:
            ema.shadow_params = [parameter.detach().clone() for parameter in parameters]
    except (KeyError, RuntimeError, ValueError) as error:
        raise InputError(
            f"The checkpoint {source} is of another model; give the options of the run that made it, or another "
            f"folder ({one_line(error, 200)})."
        ) from error
    return (state.step, state.elapsed) if own else (0, 0.0)


def _write_row(path: Path, row: dict[str, Any]) -> None:
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(row)


def _drop_later_rows(path: Path, step: int) -> None:
    """What was logged after the checkpoint will be logged again."""
    if not path.exists():
        return
    header, *rows = path.read_text().splitlines(keepends=True)
    path.write_text(header + "".join(row for row in rows if int(row.split(",")[0]) <= step))
