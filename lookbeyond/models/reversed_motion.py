"""Weights for the backward pass: a network whose motion runs in reverse.

The reversed-motion UNet of Stable Video Diffusion (*Generative Inbetweening*, Wang et al.) differs from the forward one
in the values and outputs of its temporal self-attentions alone, and does not use queries and keys of its own: its
attention maps are the forward pass's, rotated by 180 degrees, since what attended to the past must now attend to the
future. With the reversal R of the frames, A_rev V = R A_fwd R V: scaled dot-product attention on the forward pass's
queries and keys, no map ever being stored. So one UNet holds both directions, and runs them as one batch.
"""

import json
import re
from pathlib import Path

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention_processor import Attention
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F

from lookbeyond.errors import InputError


class ReversedMotion(ModelMixin, ConfigMixin):
    """Values and outputs of the reversed temporal self-attentions.

    Args:
        widths: of each temporal self-attention of the UNet, by its name there.

    Example:
        >>> reversed_motion = ReversedMotion.from_pretrained(folder_of_the_reversed_motion_unet).install(unet)
        >>> both = torch.cat([forward_latents, backward_latents])  # the backward ones in their own, reversed order
        >>> unet(both, timestep, encoder_hidden_states=..., added_time_ids=..., both_directions=True)
    """

    reads = ("UNetSpatioTemporalConditionModel",)
    """Classes whose folders it can be loaded from, beside its own."""
    keeps = re.compile(r"(.*temporal_transformer_blocks\.\d+\.attn1)\.(to_v|to_out\.0)\.(weight|bias)")
    """What it takes of their weights."""

    @register_to_config
    def __init__(self, widths: dict[str, int]):
        super().__init__()
        self.names = sorted(widths)  # a configuration file does not keep their order
        self.to_v = nn.ModuleList(nn.Linear(widths[name], widths[name], bias=False) for name in self.names)
        self.to_out = nn.ModuleList(nn.Linear(widths[name], widths[name]) for name in self.names)
        self._both_directions = False
        self._installed_in: list[nn.Module] = []

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **options):
        """From what `save_pretrained` wrote, or from the folder of a whole reversed-motion UNet, of which only these
        weights are read; InputError for another network's folder."""
        folder = Path(pretrained_model_name_or_path) / (options.get("subfolder") or "")
        try:
            kind = json.loads((folder / "config.json").read_text("utf-8"))["_class_name"]
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{folder} holds no readable config.json of a network; copy or fetch it again") from None
        if kind == cls.__name__:
            return super().from_pretrained(pretrained_model_name_or_path, **options)
        if kind != "UNetSpatioTemporalConditionModel":
            raise InputError(
                f"{folder} holds a {kind}, not a reversed-motion UNet of Stable Video Diffusion; name the folder that"
                " does"
            )
        variant = f".{options['variant']}" if options.get("variant") else ""
        tensors: dict[str, torch.Tensor] = {}
        for path in sorted(folder.glob(f"diffusion_pytorch_model{variant}*.safetensors")):
            with safe_open(path, framework="pt") as file:
                tensors |= {name: file.get_tensor(name) for name in file.keys() if cls.keeps.fullmatch(name)}  # noqa: SIM118
        if not tensors:
            raise InputError(f"{folder} holds no safetensors of a UNet with temporal attention; fetch it again")
        dtype = options.get("torch_dtype") or torch.float32
        return cls._from_tensors({name: value.to(dtype) for name, value in tensors.items()})

    @classmethod
    def from_unet(cls, backward: nn.Module, forward: nn.Module) -> "ReversedMotion":
        """The weights particular to a whole reversed-motion UNet; InputError if it differs elsewhere, too."""
        theirs, ours = backward.state_dict(), forward.state_dict()
        for name, value in theirs.items():
            known = ours.get(name)
            if not cls.keeps.fullmatch(name) and (known is None or not torch.equal(known, value)):
                raise InputError(
                    f"the reversed-motion UNet differs from the forward one in {name}: it was trained from another"
                    " UNet; use the two that belong together"
                )
        return cls._from_tensors({name: value for name, value in theirs.items() if cls.keeps.fullmatch(name)})

    @classmethod
    def _from_tensors(cls, tensors: dict[str, torch.Tensor]) -> "ReversedMotion":
        widths = {
            match[1]: len(value)
            for name, value in tensors.items()
            if (match := cls.keeps.fullmatch(name)) and match[2] == "to_v"
        }
        module, like = cls(widths=widths), next(iter(tensors.values()))
        nn.Module.to(module, like.device, like.dtype)
        for k, name in enumerate(module.names):
            module.to_v[k].load_state_dict({"weight": tensors[f"{name}.to_v.weight"]})
            own = {part: tensors[f"{name}.to_out.0.{part}"] for part in ("weight", "bias")}
            module.to_out[k].load_state_dict(own)
        return module.eval()

    def install(self, unet: nn.Module) -> "ReversedMotion":
        """Gives the UNet's forward one more argument, `both_directions`: the batch's second half is then the backward
        passes of its first half. Once per UNet; InputError for one of another architecture."""
        if any(known is unet for known in self._installed_in):
            return self
        attentions = {
            name: module
            for name, module in unet.named_modules()
            if isinstance(module, Attention) and name.endswith("attn1") and "temporal" in name
        }
        widths = {name: attention.to_q.in_features for name, attention in attentions.items()}
        if widths != dict(self.config.widths):
            raise InputError(
                "the reversed-motion weights belong to a UNet of another architecture (their temporal attentions"
                " differ in number or width); use those that were trained for this UNet, or none"
            )
        unet.register_forward_pre_hook(self._listen, with_kwargs=True)
        for k, name in enumerate(self.names):
            attention = attentions[name]
            attention.set_processor(_BothDirections(self, k, attention.processor))  # type: ignore[arg-type]
        self._installed_in.append(unet)
        return self

    def _listen(self, unet: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        self._both_directions = kwargs.pop("both_directions", False)
        return args, kwargs


class _BothDirections:
    """An attention processor: the usual one, or both directions of a batch by the forward half's maps."""

    def __init__(self, motion: ReversedMotion, index: int, usual):
        self.motion, self.index, self.usual = motion, index, usual

    def __call__(self, attn: Attention, hidden_states: torch.Tensor, *args, **kwargs) -> torch.Tensor:
        """hidden_states: [passes · hw, N, C], each pass's frames in its own order."""
        if not self.motion._both_directions:
            return self.usual(attn, hidden_states, *args, **kwargs)
        assert attn.to_k is not None and attn.to_v is not None and attn.to_out is not None
        forward, backward = hidden_states.chunk(2)
        to_v, to_out = self.motion.to_v[self.index], self.motion.to_out[self.index]
        values = attn.to_v(forward), to_v(backward).flip(1)
        q, k, v, reversed_v = (
            part.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for part in (attn.to_q(forward), attn.to_k(forward), *values)
        )
        ahead, back = (
            F.scaled_dot_product_attention(q, k, value).transpose(1, 2).flatten(2) for value in (v, reversed_v)
        )
        return torch.cat([attn.to_out[0](ahead), to_out(back.flip(1))])
