"""What a training run needs to continue exactly where it stopped: one safetensors file, written atomically.

Nothing random is in it: every step draws from a generator of its own (`loop.run`).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from lookbeyond.errors import InputError, one_line
from lookbeyond.whole import whole_file

NAME = "checkpoint.safetensors"


@dataclass
class Checkpoint:
    """The state after `step` optimizer steps and `elapsed` seconds; tensors lie on the CPU once read."""

    modules: dict[str, dict[str, torch.Tensor]]
    """State dictionaries by the module's name."""
    optimizer: dict[int, dict[str, torch.Tensor]]
    """The optimizer's state by the parameter's number."""
    ema: list[torch.Tensor]
    """The average of every trained parameter."""
    ema_steps: int
    step: int
    elapsed: float

    def write(self, folder: Path) -> None:
        tensors = {f"ema/{number}": value for number, value in enumerate(self.ema)}
        for part, states in (("modules", self.modules), ("optimizer", self.optimizer)):
            tensors |= {f"{part}/{name}/{key}": value for name, state in states.items() for key, value in state.items()}
        facts = {"step": self.step, "elapsed": self.elapsed, "ema_steps": self.ema_steps}
        with whole_file(folder / NAME) as path:
            # copies: the file takes neither other layouts than the plain one nor tensors that share memory
            plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
            save_file(plain, path, metadata={"lookbeyond": json.dumps(facts)})


def find(folder: Path) -> Path | None:
    """A run's checkpoint, if it has one."""
    return folder / NAME if (folder / NAME).is_file() else None


def read(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises InputError for a file that is none."""
    try:
        return _read(path)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"The checkpoint {path} cannot be read ({one_line(error)}); give --out another folder, "
            "or delete the file to start afresh."
        ) from error


def _read(path: Path) -> Checkpoint:
    modules: dict[str, dict[str, torch.Tensor]] = {}
    optimizer: dict[int, dict[str, torch.Tensor]] = {}
    average: dict[int, torch.Tensor] = {}
    with safe_open(path, "pt") as file:
        facts: dict[str, Any] = json.loads(file.metadata()["lookbeyond"])
        for name in file.keys():  # noqa: SIM118, it is not a dictionary
            part, _, rest = name.partition("/")
            owner, _, key = rest.partition("/")
            if part == "modules":
                modules.setdefault(owner, {})[key] = file.get_tensor(name)
            elif part == "optimizer":
                optimizer.setdefault(int(owner), {})[key] = file.get_tensor(name)
            else:
                average[int(owner)] = file.get_tensor(name)
    ema = [average[number] for number in sorted(average)]
    return Checkpoint(modules, optimizer, ema, facts["ema_steps"], facts["step"], facts["elapsed"])
