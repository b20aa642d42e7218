"""Runs a UNet for both passes of a clip, with and without conditions, in as many rows at once as memory allows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Conditioning:
    """The UNet's inputs beside the noisy latents, of P passes, each in its own order."""

    conditions: torch.Tensor  # [P, N, C, h, w]
    embeddings: torch.Tensor  # [P, 1, D]
    rays: torch.Tensor | None  # [P, N, 6, h, w], for a raymap encoder
    ids: torch.Tensor  # [1, 3], SVD's micro-conditions
    scales: torch.Tensor | None  # [P, N, 1, 1, 1], of classifier-free guidance


@dataclass(frozen=True)
class UNetBatches:
    """How rows go through the networks of both directions."""

    networks: Sequence[Any]
    """The UNet of each direction; the same one twice where there is only one."""
    shares_attention: bool
    """Whether both directions of a clip must go through the first one together (`ReversedMotion`)."""
    rows_at_once: int

    def predict(
        self,
        call: Callable[..., torch.Tensor],
        frames: torch.Tensor,
        timestep: torch.Tensor,
        conditioning: Conditioning,
    ) -> torch.Tensor:
        """The networks' outputs for all passes [P, N, C, h, w], guided where there are scales.

        call: (network, model input, timestep, embeddings, ids, further options) -> output, one row each.
        """
        # 0: without conditions but for its rays, which guidance is not to change
        copies = (1,) if conditioning.scales is None else (0, 1)
        together = self.shares_attention and len(frames) == 2
        outputs: dict[tuple[int, int], torch.Tensor] = {}
        for network, rows in self._batches(len(frames), copies, together):
            which = [index for index, _ in rows]
            share = torch.tensor([copy for _, copy in rows], device=frames.device)[:, None, None]
            model_input = torch.cat([frames[which], conditioning.conditions[which] * share[..., None, None]], 2)
            extra = {} if conditioning.rays is None else {"raymap": conditioning.rays[which]}
            if together:
                extra["both_directions"] = True
            embeddings = conditioning.embeddings[which] * share.to(conditioning.embeddings.dtype)
            results = call(network, model_input, timestep, embeddings, conditioning.ids, extra)
            outputs |= dict(zip(rows, results, strict=True))
        output = torch.stack([outputs[index, 1] for index in range(len(frames))])
        if conditioning.scales is None:
            return output
        free = torch.stack([outputs[index, 0] for index in range(len(frames))])
        return free + conditioning.scales * (output - free)

    def _batches(
        self, passes: int, copies: Sequence[int], together: bool
    ) -> Iterator[tuple[Any, list[tuple[int, int]]]]:
        """The batches: a network and its rows (pass, copy), passes first."""
        if together:  # both directions of a copy
            size = max(1, self.rows_at_once // 2)
            for start in range(0, len(copies), size):
                some = copies[start : start + size]
                yield self.networks[0], [(index, copy) for index in range(2) for copy in some]
            return
        one_network = self.networks[0] is self.networks[1]
        for own in ([0, 1][:passes],) if one_network else ([index] for index in range(passes)):
            rows = [(index, copy) for index in own for copy in copies]
            for start in range(0, len(rows), self.rows_at_once):
                yield self.networks[own[0]], rows[start : start + self.rows_at_once]
