"""Short camera moves with the guidance that the product would have, as latents: rendered in rooms, or cut from footage.

    lookbeyond train clips --rooms pool --vae weights/vae --out clips --count 2000

A clip goes from one anchor to another. Its guidance is made by the product's own code: the room's panorama (with
coarse distance, sometimes blurred and shifted in light, as a generated one is) and the two anchors, warped into
every frame. Footage has no panorama, and often no depth: then the anchors tell only of frames that turn where an
anchor stands, and the distance is not learned. A shard is an .npz of some clips of FRAMES frames; shards that are
there already are kept.
"""

import argparse
import hashlib
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from lookbeyond.data.captures import captures, read_capture
from lookbeyond.data.footage import CameraMove, Frame
from lookbeyond.data.panoramas import SHARDS
from lookbeyond.data.reading import read_each
from lookbeyond.data.realestate10k import annotations, read_move
from lookbeyond.data.rooms import Rooms, render_views
from lookbeyond.distance import distance_to_latents
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera, rotation_angle
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.geometry.projection import plucker_rays
from lookbeyond.models.autoencoder import Autoencoder, encode_images
from lookbeyond.pipelines.guidance import Guidance, fill_holes, image_tensor, warp_guidance
from lookbeyond.pipelines.panorama import refine_distance
from lookbeyond.whole import whole_file

from . import loop
from .rooms import add_shard_options, missing_shards

FRAMES, HEIGHT, WIDTH = 6, 128, 192
CLIPS_PER_SHARD = 32
MOST_FRAMES_APART, MOST_TURN_RAD = 48, math.radians(45)
"""Between the anchors of a clip that is cut out of footage."""
LEAST_MEASURED = 0.8
"""Share of a frame whose depth must be known for its distance to be learned."""
USUAL_DISTANCE = math.exp(0.5)
"""A room's median distance in units of the camera's height: what makes footage of any scale look like one."""


def draw_path(room: Rooms, logs: np.ndarray, rng: np.random.Generator) -> list[Camera]:
    """FRAMES cameras from one free place to another: crops of bigger frames, or small whole ones.

    logs [h, w]: log-distances of the room's panorama; cameras look where there is something to see.
    """
    for _ in range(50):
        start = rng.normal(0, 0.3, 3) * (1, 1, 0.3) * (rng.uniform() < 0.7)
        move = rng.normal(0, 1, 3) * (1, 1, 0.25)
        move *= rng.uniform(0, 0.6) / np.linalg.norm(move) * (rng.uniform() < 0.85)
        ends = torch.tensor(np.stack([start, start + move]), dtype=torch.float32)[None]
        if bool(room.free_positions(ends, margin=0.3).all()):
            break
    else:
        start, move = np.zeros(3), np.zeros(3)
    if rng.uniform() < 0.8:  # a crop of a frame of 384 x 256
        focal = rng.uniform(220, 450)
        centre = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
    else:
        focal, centre = rng.uniform(110, 225), (WIDTH / 2, HEIGHT / 2)
    lens = Camera(WIDTH, HEIGHT, np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]]), np.eye(4))
    openness = np.exp(logs[28:36].astype(np.float32).mean(0))
    column = rng.choice(len(openness), p=openness / openness.sum())
    heading = math.pi * (1 - 2 * (column + 0.5) / len(openness))
    angles = np.array([heading, rng.normal(0, 0.15), rng.normal(0, 0.03)])
    turn = np.array([rng.uniform(-0.7, 0.7), rng.normal(0, 0.1), 0.0])
    cameras = []
    for step in np.linspace(-0.5, 0.5, FRAMES):
        cameras.append(lens.placed(*(angles + step * turn), position=start + (step + 0.5) * move))
    return cameras


def worn_panorama(colour: np.ndarray, logs: np.ndarray, camera_height: float, rng: np.random.Generator) -> Panorama:
    """A room's panorama as a generated one would be: blurred, a little off in light and in distance."""
    image = colour
    blur = rng.choice([0, 0.8, 1.6, 2.4])
    if blur:
        wide = np.concatenate([image[:, -16:], image, image[:, :16]], 1)
        image = cv2.GaussianBlur(wide, (0, 0), blur)[:, 16:-16]
    image = image * rng.normal(1, 0.04, 3) * rng.normal(1, 0.04)
    image = np.clip(image, 0, 255).astype(np.uint8)
    distance = refine_distance(np.exp(logs.astype(np.float32)) * camera_height, image)
    return Panorama(image, distance, np.zeros(image.shape[:2], np.uint8), camera_height=camera_height)


def pass_guidance(panorama: Guidance, near: Guidance, far: Guidance) -> Guidance:
    """The guidance of one temporal pass: its own anchor first, then the other one, then the panorama."""
    return near.over(far).over(panorama).filled()


@torch.no_grad()
def encode_guidance(vae, guidance: Guidance, unit: float) -> np.ndarray:
    """[N, colour + distance + 1, h, w]: the conditions "warped", "warped_distance" and "known"."""
    known = torch.nn.functional.avg_pool2d(guidance.known, 8)
    with torch.autocast(vae.device.type, torch.bfloat16):
        colour = encode_images(vae, guidance.colour).float()
    return torch.cat([colour, distance_to_latents(guidance.distance, unit), known], 1).half().cpu().numpy()


def render_clip(room: Rooms, colour, logs, vae: Autoencoder, rng: np.random.Generator) -> dict[str, np.ndarray]:
    height = float(room.camera_height)
    views = render_views(room, cameras := draw_path(room, logs, rng))
    panorama = worn_panorama(colour, logs, height, rng)
    from_panorama, from_source, from_target = (
        warp_guidance(source, cameras)[0] for source in (panorama, views[0], views[-1])
    )
    guidance = {
        "forward": pass_guidance(from_panorama, from_source, from_target),
        "backward": pass_guidance(from_panorama, from_target, from_source),
        # an anchor itself is made from the panorama alone
        "anchor": from_panorama[[0, -1]].filled(),
    }
    return encode_clip(views, guidance, vae, height, panorama.median_distance)


def encode_clip(
    views: Sequence[View], guidance: dict[str, Guidance], vae: Autoencoder, unit: float, scale: float
) -> dict[str, np.ndarray]:
    """A clip as a shard holds it; unit: what distances are relative to, scale: what rays' moments are divided by."""
    device, (height, width) = vae.device, views[0].distance.shape
    truth = Guidance(
        torch.cat([image_tensor(view.colour, device) for view in views]),
        torch.from_numpy(np.stack([view.distance for view in views]))[:, None].to(device),
        torch.ones(len(views), 1, height, width, device=device),
    )
    small = [view.camera.resized(width // 8, height // 8) for view in views]
    rays = [plucker_rays(small, small[k], scale).transpose(0, 3, 1, 2).astype(np.float16) for k in (0, -1)]
    thumbnails = [cv2.resize(view.colour, (96, 96), interpolation=cv2.INTER_AREA) for view in (views[0], views[-1])]
    return {
        "clean": encode_guidance(vae, truth, unit)[:, :-1],
        **{name: encode_guidance(vae, one, unit) for name, one in guidance.items()},
        "raymap": np.stack(rays),
        "thumbnails": np.stack(thumbnails),
        "measured": np.ones((), np.float16),
    }


# --- out of footage ---------------------------------------------------------------------------------------


def add_footage_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", type=Path, nargs="+", default=[], dest="shots", help="finished shots: their folders")
    parser.add_argument("--captures", type=Path, nargs="+", default=[], help="folders with a transforms.json")
    parser.add_argument("--real-estate", type=Path, nargs="+", default=[], help="RealEstate10K: ID.txt and ID/TIME.png")


def read_footage(options: argparse.Namespace) -> list[CameraMove]:
    """The camera moves that the options name; unusable ones are left out with a warning. InputError if none is left."""
    shots = [path for folder in (*options.shots, *options.captures) for path in captures(folder)]
    texts = [text for folder in options.real_estate for text in annotations(folder)]
    moves = [*read_each(shots, read_capture), *read_each(texts, read_move)]
    if not moves and (shots or texts):
        raise InputError(f"None of the {len(shots) + len(texts)} camera moves can be read; the warnings say why.")
    return moves


def choose_frames(move: CameraMove, rng: np.random.Generator, count: int = FRAMES) -> list[int]:
    """Frames of a move, evenly from one anchor to another that it has not turned too far for."""
    if len(move.frames) < count:
        raise InputError(f"{move.name} has {len(move.frames)} frames; {count} are needed for a clip.")
    length = int(rng.integers(count, min(len(move.frames), MOST_FRAMES_APART + 1) + 1))
    first = int(rng.integers(len(move.frames) - length + 1))
    while True:
        chosen = np.linspace(first, first + length - 1, count).round().astype(int).tolist()
        rotations = [move.frames[k].camera.rotation for k in chosen]
        # step by step, or a whole turn would be none
        if length == count or sum(map(rotation_angle, rotations, rotations[1:])) < MOST_TURN_RAD:
            return chosen
        length = max(count, length * 2 // 3)


def crop_frames(
    frames: Sequence[Frame],
    rng: np.random.Generator,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    zooms: Sequence[int] = (2, 1),
) -> tuple[list[View], bool]:
    """The same part of every frame, `size` (width, height) pixels, and whether its distance is known.

    zooms: how many times finer than a whole frame of this size the part may be; the first one that the frames are fine
    enough for is taken four times out of five, else the last.
    """
    width, height = size
    images = [frame.read() for frame in frames]
    full_height, full_width = images[0][0].shape[:2]
    if full_height < height or full_width < width:
        raise InputError(
            f"The frame {frames[0].image} is {full_width}x{full_height} pixels; give at least {width}x{height}."
        )
    whole = max(height / full_height, width / full_width)
    zoom = whole * zooms[-1]
    if rng.uniform() < 0.8:
        zoom = next((whole * finer for finer in zooms if whole * finer <= 1), zoom)
    wide, high = max(round(full_width * zoom), width), max(round(full_height * zoom), height)
    left, top = int(rng.integers(wide - width + 1)), int(rng.integers(high - height + 1))
    views, known = [], []
    for colour, distance, camera in images:
        if colour.shape[:2] != (full_height, full_width):
            raise InputError(f"The frames beside {frames[0].image} are not of one size; give frames of one size.")
        window = slice(top, top + height), slice(left, left + width)
        colour = cv2.resize(colour, (wide, high), interpolation=cv2.INTER_AREA)[window]
        intrinsics = camera.resized(wide, high).intrinsics - [[0, 0, left], [0, 0, top], [0, 0, 0]]
        camera = Camera(width, height, intrinsics, camera.camera_to_world)
        if distance is None:
            part = np.zeros((height, width), np.float32)
        else:
            part = cv2.resize(distance, (wide, high), interpolation=cv2.INTER_NEAREST)[window]
        known.append(part > 0)
        views.append((camera, np.ascontiguousarray(colour), part))
    measured = bool(np.mean(known, (1, 2)).min() > LEAST_MEASURED)
    nothing = np.zeros((height, width), np.uint8)
    if not measured:
        # nothing is known of lengths: the largest move of a clip is taken for a usual one
        reach = max(float(np.linalg.norm(camera.position - views[0][0].position)) for camera, *_ in views)
        usual = np.full((height, width), 5 * reach or 1, np.float32)
        return [View(camera, colour, usual, nothing) for camera, colour, _ in views], False
    filled = []
    for camera, colour, part in views:
        values, mask = (torch.from_numpy(np.ascontiguousarray(x, np.float32))[None, None] for x in (part, part > 0))
        logs = fill_holes(values.clamp_min(1e-6).log(), mask)
        filled.append(View(camera, colour, logs.exp()[0, 0].numpy(), nothing))
    return filled, True


def clip_of(frames: Sequence[Frame], vae: Autoencoder, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A clip whose guidance is its two anchors, warped by their depth; without depth, only where nothing moved."""
    views, measured = crop_frames(frames, rng)
    cameras = [view.camera for view in views]
    scale = float(np.median(np.stack([view.distance for view in views])))

    def warped(source: View) -> Guidance:
        guidance = warp_guidance(source, cameras, vae.device)[0]
        if measured:
            return guidance
        still = [float(np.linalg.norm(camera.position - source.camera.position) < 1e-3 * scale) for camera in cameras]
        here = torch.tensor(still, device=guidance.known.device)[:, None, None, None]
        return Guidance(guidance.colour * here, guidance.distance, guidance.known * here)

    from_source, from_target = warped(views[0]), warped(views[-1])
    one, other = from_target[[0]], from_source[[-1]]  # each anchor as the other one sees it
    anchors = Guidance(
        torch.cat([one.colour, other.colour]),
        torch.cat([one.distance, other.distance]),
        torch.cat([one.known, other.known]),
    )
    guidance = {
        "forward": from_source.over(from_target).filled(),
        "backward": from_target.over(from_source).filled(),
        "anchor": anchors.filled(),
    }
    clip = encode_clip(views, guidance, vae, scale / USUAL_DISTANCE, scale)
    return clip | {"measured": np.full((), measured, np.float16)}


def cut_clips(
    moves: Sequence[CameraMove], vae: Autoencoder, folder: Path, clips_per_move: int, share: tuple[int, int] = (0, 1)
) -> Path:
    """A shard of clips of every move, in a folder of their own below `folder`, which is returned.

    Shards that are there already are kept. Moves that cannot be used are left out with a warning. share: (number, of
    how many) processes that share the work, each with its own moves.
    """
    digest = hashlib.sha256(repr((clips_per_move, [move.name for move in moves])).encode()).hexdigest()[:12]
    folder = folder / digest
    folder.mkdir(parents=True, exist_ok=True)
    todo = [number for number in range(*share[:1], len(moves), share[1]) if not (folder / f"{number:05d}.npz").exists()]

    for number in tqdm(todo, unit="move", desc="clips", disable=share[0] > 0):

        def cut(k: int, number: int = number) -> dict[str, np.ndarray]:
            rng = np.random.default_rng([number, k])
            chosen = choose_frames(moves[number], rng)
            return clip_of([moves[number].frames[index] for index in chosen], vae, rng)

        if clips := list(read_each(range(clips_per_move), cut)):
            write_clips(folder / f"{number:05d}.npz", clips)
    return folder


# --- shards -----------------------------------------------------------------------------------------------


def write_clips(path: Path, clips: Sequence[dict[str, np.ndarray]]) -> None:
    with whole_file(path) as temporary:
        np.savez(temporary, **{name: np.stack([clip[name] for clip in clips]) for name in clips[0]})


def read_clips(path: Path) -> dict[str, np.ndarray]:
    """A shard's arrays, one entry a clip; InputError for what is not a shard."""
    try:
        with np.load(path) as shard:
            clips = {name: shard[name] for name in shard.files}
        # earlier shards are all of rooms
        return {"measured": np.ones(len(clips["clean"]), np.float16)} | clips
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"The file {path} is not a shard of clips; delete it and make it again.") from error


def clip_shards(folders: Sequence[Path]) -> list[Path]:
    """The shards that lie in folders by now, in a fixed order; InputError when there are none."""
    paths = [path for folder in folders for path in sorted(folder.glob(SHARDS))]
    if not paths:
        names = ", ".join(map(str, folders))
        raise InputError(f"There are no clips in {names}; make some with `lookbeyond train clips`.")
    return paths


def main(argv: list[str] | None = None) -> None:
    parser = loop.parser_of("clips", __doc__)
    parser.add_argument("--rooms", type=Path, required=True, help="shards of `lookbeyond train rooms`, from seed 0")
    parser.add_argument("--vae", type=Path, required=True, help="the trained autoencoder")
    parser.add_argument("--count", type=int, default=2000)
    add_shard_options(parser)
    options = parser.parse_args(argv)
    vae = Autoencoder.from_pretrained(options.vae).eval()
    shards = sorted(options.rooms.glob(SHARDS))
    for number, path in missing_shards(options, CLIPS_PER_SHARD):
        rng = np.random.default_rng(number)
        shard = shards[number % len(shards)]
        rooms = np.load(shard)
        first = int(shard.stem) * len(rooms["colour"])
        clips = []
        for k in rng.choice(len(rooms["colour"]), CLIPS_PER_SHARD, replace=False):
            room = Rooms.from_seeds([first + int(k)])
            clips.append(render_clip(room, rooms["colour"][k], rooms["distance"][k], vae, rng))
        write_clips(path, clips)


if __name__ == "__main__":
    loop.command(main)
