"""Weights published as a single file, loaded into a network of known architecture."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from lookbeyond.errors import InputError


def replace_weights(network: nn.Module, folder: Path) -> None:
    """Gives a network the weights of the one safetensors file in a folder; what the file lacks stays as it was.

    InputError: no such file, a damaged one, or one of another network (a name or a shape that is not here).
    """
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        raise InputError(
            f"{folder} holds {len(files)} safetensors files instead of one; leave only the right one there"
        )
    try:
        tensors = load_file(files[0])
    except (SafetensorError, OSError) as error:
        raise InputError(f"{files[0]} cannot be read ({error}); copy or fetch it again") from error
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    for name, value in tensors.items():
        if shapes.get(name) != value.shape:
            raise InputError(
                f"{files[0]} is of another network: its {name} is {list(value.shape)} and here"
                f" {list(shapes[name]) if name in shapes else 'is none'}; name weights of this architecture"
            )
    if not tensors:
        raise InputError(f"{files[0]} holds no weights; copy or fetch it again")
    network.load_state_dict(tensors, strict=False)
