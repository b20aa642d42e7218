"""Low-rank adapters (LoRA) in a frozen UNet, through peft: in diffusers, SVD's UNet has no adapter methods.

A LoRA is a folder as peft writes it: `adapter_config.json` and `adapter_model.safetensors`.
"""

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from lookbeyond.errors import InputError

WEIGHTS = "adapter_model.safetensors"
TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
"""The projections of every attention, spatial and temporal."""


def add_lora(
    unet: nn.Module, rank: int = 16, alpha: float | None = None, targets: tuple[str, ...] = TARGETS
) -> list[nn.Parameter]:
    """Puts a new LoRA into the UNet, freezes all else, and returns the LoRA's parameters, which train.

    Its output is zero at first: the UNet computes what it did. alpha: the strength, the rank unless given.
    """
    alpha = rank if alpha is None else alpha
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets), init_lora_weights=True)  # type: ignore[arg-type]
    unet.requires_grad_(False)
    inject_adapter_in_model(config, unet)
    return lora_parameters(unet)


def lora_parameters(unet: nn.Module) -> list[nn.Parameter]:
    return [parameter for name, parameter in unet.named_parameters() if "lora_" in name]


def save_lora(unet: nn.Module, folder: Path) -> None:
    """Writes the UNet's LoRA as peft does."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.contiguous() for name, value in get_peft_model_state_dict(unet).items()}
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    unet.peft_config["default"].save_pretrained(str(folder))  # type: ignore[union-attr, operator]


def load_lora(unet: nn.Module, folder: Path) -> None:
    """Puts the LoRA of a folder into a UNet that has none; InputError for a damaged one or another model's."""
    if not (folder / WEIGHTS).is_file() or not (folder / "adapter_config.json").is_file():
        raise InputError(f"{folder} holds no LoRA (adapter_config.json and {WEIGHTS}); name the folder that does")
    try:
        state = load_file(folder / WEIGHTS)
        config = LoraConfig.from_pretrained(str(folder))
    except (SafetensorError, ValueError, TypeError, OSError) as error:
        raise InputError(f"the LoRA in {folder} cannot be read ({error}); copy or train it again") from error
    foreign = _foreign_layer(unet, state)
    try:
        if not foreign:
            inject_adapter_in_model(config, unet)
    except ValueError as error:
        foreign = str(error)
    if foreign:
        raise InputError(
            f"the LoRA in {folder} was trained for another model: {foreign}; use the one that was trained for this"
            " preset's UNet, or none"
        )
    set_peft_model_state_dict(unet, state)


def _foreign_layer(unet: nn.Module, state: dict[str, torch.Tensor]) -> str:
    """Which of a LoRA's weights has no place in the UNet; empty if all have one."""
    shapes = {name: value.shape for name, value in unet.named_parameters()}
    for name, value in state.items():
        layer, _, part = name.removeprefix("base_model.model.").rpartition(".lora_")
        shape = shapes.get(f"{layer}.weight")
        if shape is None:
            return f"this one has no layer {layer!r}"
        side = 1 if part.startswith("A") else 0  # A is [rank, inputs], B [outputs, rank]
        if value.shape[side] != shape[side]:
            return f"{layer!r} is {value.shape[side]} wide there and {shape[side]} here"
    return ""


def fuse_lora(unet: nn.Module) -> None:
    """Adds the LoRA to the UNet's weights and takes its layers out: the same results at no cost."""
    for name, layer in list(unet.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge()  # type: ignore[operator]
            parent, _, own = name.rpartition(".")
            setattr(unet.get_submodule(parent), own, layer.get_base_layer())
    if hasattr(unet, "peft_config"):
        del unet.peft_config
