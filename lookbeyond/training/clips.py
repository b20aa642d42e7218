"""Renders short camera moves through procedural rooms, with what the product would know of them, as latents.

    lookbeyond train clips --rooms pool --vae weights/vae --out clips --count 2000

A clip goes from one anchor to another. Its guidance is made by the product's own code: the room's panorama (with
coarse distance, sometimes blurred and shifted in light, as a generated one is) and the two anchors, warped into
every frame. A shard is an .npz of 32 clips of FRAMES frames; shards that are there already are kept.
"""

import argparse
import math
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from lookbeyond.data.rooms import Rooms, compile_renderer, render_views
from lookbeyond.distance import distance_to_latents
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import plucker_rays
from lookbeyond.models.autoencoder import Autoencoder, encode_images
from lookbeyond.pipelines.guidance import Guidance, warp_guidance
from lookbeyond.pipelines.panorama import refine_distance

FRAMES, HEIGHT, WIDTH = 6, 128, 192
CLIPS_PER_SHARD = 32


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
    intrinsics = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]])
    openness = np.exp(logs[28:36].astype(np.float32).mean(0))
    column = rng.choice(len(openness), p=openness / openness.sum())
    heading = math.pi * (1 - 2 * (column + 0.5) / len(openness))
    angles = np.array([heading, rng.normal(0, 0.15), rng.normal(0, 0.03)])
    turn = np.array([rng.uniform(-0.7, 0.7), rng.normal(0, 0.1), 0.0])
    cameras = []
    for step in np.linspace(-0.5, 0.5, FRAMES):
        heading, pitch, roll = angles + step * turn
        cameras.append(placed_camera(WIDTH, HEIGHT, intrinsics=intrinsics, heading_rad=heading, pitch_rad=pitch,
                                     roll_rad=roll, position=start + (step + 0.5) * move))  # fmt: skip
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
    """What one temporal pass is told: its own anchor first, then the other one, then the panorama."""
    return near.over(far).over(panorama).filled()


@torch.no_grad()
def encode_guidance(vae, guidance: Guidance, unit: float) -> np.ndarray:
    """[N, colour + distance + 1, h, w]: the conditions "warped", "warped_distance" and "known"."""
    known = torch.nn.functional.avg_pool2d(guidance.known, 8)
    with torch.autocast("cpu", torch.bfloat16):
        colour = encode_images(vae, guidance.colour).float()
    return torch.cat([colour, distance_to_latents(guidance.distance, unit), known], 1).half().numpy()


def render_clip(room: Rooms, colour, logs, vae: Autoencoder, rng: np.random.Generator) -> dict[str, np.ndarray]:
    height = float(room.camera_height)
    views = render_views(room, cameras := draw_path(room, logs, rng))
    panorama = worn_panorama(colour, logs, height, rng)
    from_panorama, from_source, from_target = (
        warp_guidance(source, cameras)[0] for source in (panorama, views[0], views[-1])
    )
    truth = Guidance(
        torch.from_numpy(np.stack([view.colour for view in views])).permute(0, 3, 1, 2).float() / 127.5 - 1,
        torch.from_numpy(np.stack([view.distance for view in views]))[:, None],
        torch.ones(FRAMES, 1, HEIGHT, WIDTH),
    )
    small = [camera.resized(WIDTH // 8, HEIGHT // 8) for camera in cameras]
    scale = panorama.median_distance()
    rays = [plucker_rays(small, small[k], scale).transpose(0, 3, 1, 2).astype(np.float16) for k in (0, -1)]
    thumbnails = [cv2.resize(view.colour, (96, 96), interpolation=cv2.INTER_AREA) for view in (views[0], views[-1])]
    return {
        "clean": encode_guidance(vae, truth, height)[:, :-1],
        "forward": encode_guidance(vae, pass_guidance(from_panorama, from_source, from_target), height),
        "backward": encode_guidance(vae, pass_guidance(from_panorama, from_target, from_source), height),
        # an anchor itself is made from the panorama alone
        "anchor": encode_guidance(vae, from_panorama[[0, -1]].filled(), height),
        "raymap": np.stack(rays), "thumbnails": np.stack(thumbnails),
    }  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="lookbeyond train clips", description=__doc__)
    parser.add_argument("--rooms", type=Path, required=True, help="shards of `lookbeyond train rooms`, from seed 0")
    parser.add_argument("--vae", type=Path, required=True, help="the trained autoencoder")
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--count", type=int, default=2000)
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    vae = Autoencoder.from_pretrained(options.vae).eval()
    compile_renderer()
    shards = sorted(options.rooms.glob("*.npz"))
    for number in tqdm(range(-(-options.count // CLIPS_PER_SHARD)), unit="shard"):
        path = options.out / f"{number:05d}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng(number)
        shard = shards[number % len(shards)]
        rooms = np.load(shard)
        first = int(shard.stem) * len(rooms["colour"])
        clips = []
        for k in rng.choice(len(rooms["colour"]), CLIPS_PER_SHARD, replace=False):
            room = Rooms.from_seeds([first + int(k)])
            clips.append(render_clip(room, rooms["colour"][k], rooms["distance"][k], vae, rng))
        unfinished = path.with_suffix(".part")
        with unfinished.open("wb") as file:
            np.savez(file, **{name: np.stack([clip[name] for clip in clips]) for name in clips[0]})
        unfinished.rename(path)


if __name__ == "__main__":
    main()
