"""Random weights of real shapes in files, written piece by piece: no network is ever in memory as a whole."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel

SHARD_BYTES = 2_000_000_000


def write_network(build: Callable[[], nn.Module], folder: Path, dtype_of: Callable[[str], torch.dtype]) -> float:
    """A network of diffusers or transformers as its `save_pretrained` would lay it; its millions of parameters.

    dtype_of: of each parameter, by its name.
    """
    with torch.device("meta"):
        network = build()
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(network, PreTrainedModel):
        stem, index_name = "model", "model.safetensors.index.json"
        network.config.architectures = [type(network).__name__]
        network.config.save_pretrained(folder)
    else:
        stem, index_name = "diffusion_pytorch_model", "diffusion_pytorch_model.safetensors.index.json"
        network.save_config(folder)
    shards = list(_shards(network, dtype_of))
    places, pool = {}, torch.randn(1 << 20, generator=torch.Generator().manual_seed(0))
    for number, shard in enumerate(shards, 1):
        name = f"{stem}-{number:05d}-of-{len(shards):05d}.safetensors" if len(shards) > 1 else f"{stem}.safetensors"
        tensors = {key: _random(key, parameter, pool).to(dtype_of(key)) for key, parameter in shard.items()}
        save_file(tensors, folder / name, {"format": "pt"})
        places |= dict.fromkeys(shard, name)
    if len(shards) > 1:
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        index = {"metadata": {"total_size": size}, "weight_map": places}
        (folder / index_name).write_text(json.dumps(index))
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def _shards(network: nn.Module, dtype_of: Callable[[str], torch.dtype]) -> Iterator[dict[str, nn.Parameter]]:
    shard, size = {}, 0
    for name, parameter in network.named_parameters():  # those that are shared once
        shard[name] = parameter
        size += parameter.numel() * dtype_of(name).itemsize
        if size >= SHARD_BYTES:
            yield shard
            shard, size = {}, 0
    if shard:
        yield shard


def _random(name: str, parameter: torch.Tensor, pool: torch.Tensor) -> torch.Tensor:
    """float32; of a size that neither grows nor fades from layer to layer."""
    if parameter.squeeze().ndim < 2:
        return torch.full(parameter.shape, 0.0 if name.endswith("bias") else 1.0)
    count = parameter.numel()
    values = pool.repeat(math.ceil(count / len(pool)))[:count].view(parameter.shape)
    return values / math.sqrt(math.prod(parameter.shape[1:]))
