"""The layout network's prediction for a photo, or for a panorama cut into several. Lengths are in camera heights."""

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lookbeyond import presets
from lookbeyond.errors import InputError
from lookbeyond.models.layout_network import LayoutNetwork

from .canvas import ALL_COLUMNS, CELL_COLUMNS, Canvas


@dataclass(frozen=True, eq=False)
class Prediction:
    """The network's output for a photo; NumPy arrays, logs of lengths."""

    walls: NDArray
    scales: NDArray
    corners: NDArray
    normals: NDArray
    ceiling: float
    ceiling_scale: float
    open_place: float
    distance: NDArray
    distance_scales: NDArray
    kinds: NDArray
    """[4, CELL_ROWS, CELL_COLUMNS] shares, adding up to 1."""


def all_around(predictions: list[Prediction]) -> Prediction:
    """Predictions of cuts, evenly around and counter-clockwise from ahead, merged from the middles of the cuts."""
    step = ALL_COLUMNS // len(predictions)
    place = np.arange(ALL_COLUMNS)
    # the cut that a column is nearest to the middle of, and the column's number in that cut
    cut = np.round((ALL_COLUMNS / 2 - 0.5 - place) / step).astype(int)
    own = place + cut * step
    cell = own - (ALL_COLUMNS - CELL_COLUMNS) // 2
    cut = cut % len(predictions)
    turn = cut * 2 * math.pi / len(predictions)
    normals = np.stack([prediction.normals for prediction in predictions])[cut, own]
    c, s = np.cos(turn), np.sin(turn)
    normals = np.stack([c * normals[:, 0] - s * normals[:, 1], s * normals[:, 0] + c * normals[:, 1]], -1)

    def columns(name: str) -> NDArray:
        return np.stack([getattr(prediction, name) for prediction in predictions])[cut, own]

    def cells(name: str) -> NDArray:
        return np.moveaxis(np.stack([getattr(prediction, name) for prediction in predictions])[cut, ..., cell], 0, -1)

    surest = np.array([prediction.ceiling_scale for prediction in predictions])
    order = np.argsort(surest)[: max(1, len(predictions) // 2)]
    ceiling = float(np.median([predictions[k].ceiling for k in order]))
    return Prediction(
        columns("walls"),
        columns("scales"),
        columns("corners"),
        normals,
        ceiling,
        float(surest[order].mean()),
        float(np.mean([prediction.open_place for prediction in predictions])),
        cells("distance"),
        cells("distance_scales"),
        cells("kinds"),
    )


@torch.no_grad()
def predict(network: LayoutNetwork, canvases: list[Canvas]) -> list[Prediction]:
    parameter = next(network.parameters())
    colour = torch.from_numpy(np.stack([canvas.colour for canvas in canvases])).to(parameter).permute(0, 3, 1, 2)
    known = torch.from_numpy(np.stack([canvas.known for canvas in canvases])).to(parameter)[:, None]
    outputs = {name: value.float().cpu().numpy() for name, value in network(colour / 127.5 - 1, known).items()}
    return [numbers({name: value[k] for name, value in outputs.items()}) for k in range(len(canvases))]


def numbers(outputs: dict[str, NDArray]) -> Prediction:
    share = np.exp(outputs["kinds"] - outputs["kinds"].max(0))
    return Prediction(
        outputs["walls"],
        outputs["wall_scales"],
        1 / (1 + np.exp(-outputs["corners"])),
        outputs["normals"],
        float(outputs["ceiling"]),
        float(outputs["ceiling_scale"]),
        1 / (1 + math.exp(-float(outputs["open_place"]))),
        outputs["distance"],
        outputs["distance_scales"],
        share / share.sum(0),
    )


@functools.lru_cache(1)
def built_in_network() -> LayoutNetwork:
    """The layout network of the built-in weights, float32 on the CPU. InputError when they are not there."""
    folder = Path(presets.__file__).parent / "builtin" / "layout"
    if not list(folder.glob("*.safetensors")):
        raise InputError(f"the weights of the layout network are not in {folder}; install the lookbeyond package again")
    network = LayoutNetwork.from_pretrained(folder, local_files_only=True, torch_dtype=torch.float32)
    return network.eval()
