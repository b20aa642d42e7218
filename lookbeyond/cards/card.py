"""Cards: upright pictures with alpha that stand in a world, and how they look in its frames."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.errors import InputError
from lookbeyond.files import read_json, write_json, write_png
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama, View

from .cutting import CutOut

CARDS_FILE = "cards.json"
VERSION = 1
MAX_CARDS = 16
MOST_PIXELS = 2048
"""Longest side of a card's picture."""
LEAST_DOWN_RAD = math.radians(1.5)
"""A foot that is seen less steeply than this is not where the floor is."""
FARTHEST_M = 50.0
NEARER = 0.9
"""A thing cut by the photo's lower border stands nearer than the floor there."""


@dataclass(frozen=True, eq=False)
class Card:
    """An upright rectangle that faces the camera of its photo."""

    picture: NDArray[np.uint8]
    """[h, w, 4], sRGB with straight alpha."""
    base: NDArray[np.float64]
    """[3] metres, world: the middle of its lower edge."""
    width_m: float
    height_m: float
    heading_rad: float
    """Where its front looks: counter-clockwise from +X, seen from above."""
    sure: bool = True
    """Whether the photo shows where it stands; otherwise its distance is a guess."""

    @property
    def right(self) -> NDArray[np.float64]:
        """[3]: along its lower edge, as its front is looked at."""
        return np.array([-math.sin(self.heading_rad), math.cos(self.heading_rad), 0.0])

    @property
    def front(self) -> NDArray[np.float64]:
        return np.array([math.cos(self.heading_rad), math.sin(self.heading_rad), 0.0])

    def to_dict(self, file: str) -> dict[str, Any]:
        """What `cards.json` says of it. `file`: its picture's name."""
        return {
            "file": file,
            "base": [round(float(x), 6) for x in self.base],
            "width_m": round(self.width_m, 6),
            "height_m": round(self.height_m, 6),
            "heading_rad": round(self.heading_rad, 6),
            "sure": self.sure,
        }


def stand(cut: CutOut, camera: Camera, photo_size: tuple[int, int], camera_height: float, behind_m: float) -> Card:
    """What was cut out of a photo as a card in the world of its camera.

    photo_size: width and height in pixels. camera_height: metres above the floor. behind_m: how far what lies behind it
    is; where no floor is seen below it, that far or a little nearer it stands.

    From the photo's own camera the card looks as the thing did: its picture is the photo's, seen by a plane.
    """
    camera = camera.resized(*photo_size)
    rows, columns = np.nonzero(cut.solid)
    foot_row = rows.max()
    foot_column = columns[rows >= foot_row - max(1, (foot_row - rows.min()) // 50)].mean()
    foot = np.array([cut.left + foot_column + 0.5, cut.top + foot_row + 1.0])
    ray = camera.rays_at(foot)
    level = math.hypot(ray[0], ray[1])
    cut_below = cut.top + foot_row + 1 >= photo_size[1] - 1
    down = math.atan2(-ray[2], level)
    away_m, sure = behind_m * NEARER, False
    if down > LEAST_DOWN_RAD:
        on_floor_m = camera_height / math.tan(down)
        if on_floor_m <= FARTHEST_M:
            away_m, sure = (min(on_floor_m, behind_m) * NEARER, False) if cut_below else (on_floor_m, True)
    heading = math.atan2(-ray[1], -ray[0])
    bare = Card(np.zeros((1, 1, 4), np.uint8), np.zeros(3), 1.0, 1.0, heading, sure)
    point = camera.position + ray * (away_m / level)
    # where the corners of its box in the photo lie on the plane
    height, width = cut.alpha.shape
    left, right = cut.left + columns.min() - 2, cut.left + columns.max() + 3
    top, bottom = cut.top + rows.min() - 2, cut.top + rows.max() + 1
    edge = np.array([[left, top], [right, top], [left, bottom], [right, bottom]], np.float64)
    directions = camera.rays_at(edge)
    reach = ((point - camera.position) @ bare.front) / (directions @ bare.front)
    if reach.min() <= 0:
        raise InputError("What is marked spans more of the view than a card can; mark a smaller part.")
    corners = camera.position + directions * reach[:, None]
    across, up = (corners - point) @ bare.right, corners[:, 2]
    width_m, height_m = float(np.ptp(across)), float(np.ptp(up))
    base = point + bare.right * (across.min() + across.max()) / 2
    base[2] = up.min()
    scale = min(1.0, MOST_PIXELS / max(height, width))
    size = max(2, round(scale * (right - left))), max(2, round(scale * (bottom - top)))
    card = replace(bare, base=base, width_m=width_m, height_m=height_m)
    return replace(card, picture=_picture(cut, camera, card, size))


def behind(cut: CutOut, camera: Camera, photo_size: tuple[int, int], world: Panorama) -> float:
    """Level metres to what lies behind a cut-out in a world that was built without it: the median of its pixels."""
    camera = camera.resized(*photo_size)
    rows, columns = np.nonzero(cut.solid)
    some = slice(None, None, max(1, len(rows) // 400))
    rays = camera.rays_at(np.stack([cut.left + columns[some] + 0.5, cut.top + rows[some] + 0.5], -1))
    return float(np.median(world.distance_at(rays) * np.hypot(rays[:, 0], rays[:, 1])))


def _picture(cut: CutOut, camera: Camera, card: Card, size: tuple[int, int]) -> NDArray[np.uint8]:
    """[h, w, 4]: what the photo shows of the plane that the card is."""
    width, height = size
    across = ((np.arange(width) + 0.5) / width - 0.5) * card.width_m
    up = (1 - (np.arange(height) + 0.5) / height) * card.height_m
    points = card.base + across[None, :, None] * card.right + up[:, None, None] * np.array([0.0, 0.0, 1.0])
    at, _ = camera.project(points.reshape(-1, 3))
    at = (at.reshape(height, width, 2) - [cut.left, cut.top] - 0.5).astype(np.float32)
    taken = cv2.remap(
        _premultiplied(cut.colour, cut.alpha), at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    outside = (at[..., 0] < -1) | (at[..., 0] > cut.alpha.shape[1]) | (at[..., 1] < -1)
    taken[outside | (at[..., 1] > cut.alpha.shape[0])] = 0
    return _straight(taken)


def _premultiplied(colour: NDArray[np.uint8], alpha: NDArray) -> NDArray[np.float32]:
    share = np.asarray(alpha, np.float32)[..., None]
    return np.concatenate([colour.astype(np.float32) * share, share], -1)


def _straight(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    colour = pixels[..., :3] / np.maximum(pixels[..., 3:], 1e-4)
    return (np.concatenate([colour, pixels[..., 3:] * 255], -1) + 0.5).clip(0, 255).astype(np.uint8)


def with_cards(view: View, cards: Sequence[Card]) -> View:
    """A frame with the cards in it, each before what is farther and behind what is nearer than it is."""
    rays = view.camera.rays().astype(np.float32)
    place = view.camera.position
    colour, distance = view.colour.astype(np.float32), view.distance.copy()
    layers = [layer for card in cards if (layer := _seen(card, rays, place, view.camera)) is not None]
    if not layers:
        return view
    for pixels, away in sorted(layers, key=lambda layer: -float(layer[1][layer[0][..., 3] > 0].mean())):
        pixels = np.where((away < view.distance)[..., None], pixels, 0)
        colour = colour * (1 - pixels[..., 3:]) + pixels[..., :3]
        solid = pixels[..., 3] > 0.5
        distance[solid] = np.minimum(distance, away)[solid]
    return replace(view, colour=(colour + 0.5).clip(0, 255).astype(np.uint8), distance=distance)


def _seen(
    card: Card, rays: NDArray[np.float32], place: NDArray, camera: Camera
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """The card in a frame, [H, W, 4] premultiplied, and its distance [H, W] along the rays; None where it is not."""
    facing = rays @ card.front.astype(np.float32)
    before = float((card.base - place) @ card.front)
    if abs(before) < 1e-3:
        return None
    away = before / np.where(np.abs(facing) < 1e-6, np.float32(np.nan), facing)
    away = np.where(away > 0.05, away, np.nan).astype(np.float32)
    offset = (place - card.base).astype(np.float32)
    points = rays * away[..., None] + offset
    height, width = card.picture.shape[:2]
    columns = ((points @ card.right.astype(np.float32)) / card.width_m + 0.5) * width - 0.5
    rows = (1 - points[..., 2] / card.height_m) * height - 0.5
    inside = (columns > -1) & (columns < width) & (rows > -1) & (rows < height)
    if not inside.any():
        return None
    pixels = _premultiplied(card.picture[..., :3], card.picture[..., 3] / 255)
    # where the card is far its picture is shrunk first, or it would flicker
    nearest = float(away[inside].min())
    steps = math.floor(math.log2(max(1.0, height / (card.height_m / nearest * camera.intrinsics[1, 1]))))
    for _ in range(steps):
        pixels = cv2.resize(
            pixels, (max(1, pixels.shape[1] // 2), max(1, pixels.shape[0] // 2)), interpolation=cv2.INTER_AREA
        )
    across, down = pixels.shape[1] / width, pixels.shape[0] / height
    at = [np.where(inside, (v + 0.5) * f - 0.5, -9).astype(np.float32) for v, f in ((columns, across), (rows, down))]
    taken = cv2.remap(pixels, at[0], at[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(taken, np.float32), np.where(np.isfinite(away), away, np.float32(np.inf)).astype(np.float32)


def save_cards(folder: Path, cards: Sequence[Card]) -> None:
    """Write cards/1.png ... and cards.json into `folder`."""
    (folder / "cards").mkdir(parents=True, exist_ok=True)
    entries = []
    for number, card in enumerate(cards, 1):
        file = f"cards/{number}.png"
        write_png(folder / file, card.picture)
        entries.append(card.to_dict(file))
    write_json(folder / CARDS_FILE, {"version": VERSION, "cards": entries})


def load_cards(folder: Path) -> list[Card]:
    """The cards of a world's folder; none where it has no cards.json. InputError for one that is damaged."""
    if not (folder / CARDS_FILE).is_file():
        return []
    cards = []
    try:
        entries = read_json(folder / CARDS_FILE)["cards"]
        for entry in entries[:MAX_CARDS]:
            name = str(entry["file"])
            if not name.startswith("cards/") or "/" in name[6:] or "\\" in name:
                raise ValueError("a card's file lies elsewhere")
            pixels = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
            if pixels is None or pixels.ndim != 3 or pixels.shape[2] != 4 or pixels.dtype != np.uint8:
                raise ValueError(f"{name} is no picture with alpha")
            numbers = [float(entry[key]) for key in ("width_m", "height_m", "heading_rad")]
            base = np.array([float(x) for x in entry["base"]])
            if base.shape != (3,) or not np.isfinite([*base, *numbers]).all() or min(numbers[:2]) <= 0:
                raise ValueError("a card's place or size is impossible")
            cards.append(
                Card(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA), base, *numbers, sure=bool(entry.get("sure", True)))
            )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"The cards of {folder} are damaged ({error}); build the world again.") from error
    return cards
