"""A bank of procedural texture tiles with mipmaps: wood, tiles, bricks, fabric, wallpaper, marble, dead leaves.

Every tile is periodic in both directions, so that a surface of any size can be covered with it. Tiles of the kinds
before `FIRST_PICTURE` have a mean of one in every channel: they modulate a surface's own tint, and stand in blocks of
`TILES_PER_MATERIAL`, one for each of `MATERIALS`. The others (dead leaves: overlapping discs and rectangles whose
sizes follow a power law, which gives natural-image statistics; Lee, Mumford & Huang 2001) carry their own colours and
serve as pictures, posters, books and rugs.
"""

from functools import lru_cache

import numpy as np
import torch

TILE_SIZE = 128
MATERIALS = ("plain", "wood", "tiles", "bricks", "carpet", "weave", "stripes", "marble", "dots")
TILES_PER_MATERIAL = 16
PICTURES = 112
FIRST_PICTURE = len(MATERIALS) * TILES_PER_MATERIAL
_BANK_SEED = 20250843


def fractal_noise(rng: np.random.Generator, size: int, exponent: float, stretch: float = 1.0) -> np.ndarray:
    """Periodic Gaussian noise of unit deviation with a power spectrum |f|^-2·exponent, [size, size] float32.

    `stretch` > 1 draws the structures out along the columns (wood grain, brushed cloth).
    """
    fy, fx = np.fft.fftfreq(size)[:, None] * stretch, np.fft.rfftfreq(size)[None]
    radius = np.hypot(fx, fy)
    radius[0, 0] = np.inf
    shape = radius.shape
    spectrum = (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / radius**exponent
    noise = np.fft.irfft2(spectrum, s=(size, size))
    return (noise / noise.std()).astype(np.float32)


def dead_leaves(rng: np.random.Generator, size: int, leaves: int = 220, saturation: float = 1.0) -> np.ndarray:
    """A periodic dead-leaves image, [size, size, 3] float32 in 0..1, colours drawn around one palette."""
    palette = rng.uniform(0, 1, (rng.integers(2, 7), 3))
    grey = palette.mean(1, keepdims=True)
    palette = grey + saturation * (palette - grey)
    grid = np.arange(size)
    image = np.broadcast_to(palette[0], (size, size, 3)).astype(np.float32).copy()
    smallest, largest = 2.0, size / 2.5
    for _ in range(leaves):
        # sizes with density r^-3, by inversion: the scale-invariant choice
        radius = (smallest**-2 - rng.uniform() * (smallest**-2 - largest**-2)) ** -0.5
        angle, aspect = rng.uniform(0, np.pi), rng.uniform(0.3, 1)
        dx = (grid[None] - rng.uniform(0, size) + size / 2) % size - size / 2
        dy = (grid[:, None] - rng.uniform(0, size) + size / 2) % size - size / 2
        a, b = (dx * np.cos(angle) + dy * np.sin(angle)), (dy * np.cos(angle) - dx * np.sin(angle)) / aspect
        inside = np.maximum(abs(a), abs(b)) < radius if rng.uniform() < 0.5 else a * a + b * b < radius * radius
        colour = np.clip(palette[rng.integers(len(palette))] + rng.normal(0, 0.06, 3), 0, 1)
        shade = 1 + rng.normal(0, 0.15) * (a / radius)[inside, None] if rng.uniform() < 0.5 else 1.0
        image[inside] = np.clip(colour * shade, 0, 1)
    return image


def _joints(rows: int, columns: int, offset: float, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Cells of a (running) bond: the cell number of every pixel and whether it lies in a joint."""
    y = np.arange(TILE_SIZE)[:, None] * rows / TILE_SIZE
    x = (np.arange(TILE_SIZE)[None] * columns / TILE_SIZE + np.floor(y) * offset) % columns
    joint = (y % 1 * TILE_SIZE / rows < width) | (x % 1 * TILE_SIZE / columns < width)
    return (np.floor(y) * columns + np.floor(x)).astype(int), joint


def _material(rng: np.random.Generator, kind: str) -> np.ndarray:
    """One tinted tile of a kind of `MATERIALS`, [TILE_SIZE, TILE_SIZE, 3], before its mean is taken out."""
    contrast = rng.uniform(0.3, 1)
    rough = fractal_noise(rng, TILE_SIZE, rng.uniform(0.2, 1.2))
    warm = rng.normal(0, 0.05, 3)
    if kind == "plain":
        value = 0.03 * contrast * rough
    elif kind == "wood":
        rows, columns = int(rng.choice([3, 4, 6, 8])), int(rng.choice([1, 1, 2]))
        cell, joint = _joints(rows, columns, rng.uniform(0.3, 0.7) * columns, 1.5)
        grain = fractal_noise(rng, TILE_SIZE, 1.0, stretch=0.12)
        value = contrast * (0.12 * rng.normal(size=rows * columns)[cell] + 0.07 * grain - 0.3 * joint)
    elif kind in ("tiles", "bricks"):
        rows = int(rng.choice([2, 4, 8]))
        columns, offset = (rows, 0.0) if kind == "tiles" else (max(rows // 2, 1), 0.5)
        cell, joint = _joints(rows, columns, offset, rng.uniform(1.5, 4))
        checker = (cell // columns + cell % columns) % 2 if kind == "tiles" and rng.uniform() < 0.4 else 0 * cell
        grout = rng.choice([-0.35, 0.25])
        value = contrast * (
            0.05 * rng.normal(size=rows * columns)[cell] + grout * joint - 0.45 * checker + 0.04 * rough
        )
    elif kind == "carpet":
        value = contrast * 0.14 * fractal_noise(rng, TILE_SIZE, rng.uniform(0, 0.6))
    elif kind == "weave":
        period = int(rng.choice([4, 8, 16]))
        wave = np.sin(2 * np.pi * np.arange(TILE_SIZE) / period)
        value = contrast * (0.1 * wave[:, None] * wave[None] + 0.05 * rough)
    elif kind == "stripes":
        bands = int(rng.choice([2, 4, 8, 16]))
        wave = np.sin(2 * np.pi * np.arange(TILE_SIZE) * bands / TILE_SIZE)[None]
        value = contrast * (0.15 * (np.sign(wave) if rng.uniform() < 0.6 else wave) + 0.02 * rough)
    elif kind == "marble":
        veins = np.abs(fractal_noise(rng, TILE_SIZE, 1.3))
        value = -contrast * 0.3 * np.exp(-veins * 6) + 0.05 * rough
    else:
        cells = int(rng.choice([4, 8]))
        across = (np.arange(TILE_SIZE) * cells / TILE_SIZE) % 1 - 0.5
        value = contrast * 0.3 * (np.hypot(across[None], across[:, None]) < rng.uniform(0.15, 0.35)) + 0.02 * rough
    if rng.uniform() < 0.5:
        value = value.T
    return np.broadcast_to(1 + value[..., None] * (1 + warm * np.sign(value[..., None]) * 3), (TILE_SIZE, TILE_SIZE, 3))


@lru_cache
def texture_bank(device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The bank, always the same: texels [T, 3] of all mip levels one after the other, finest first, and for each
    level its first texel [L] and the side of its tiles [L]. Tile k of a level begins k·side² after the first."""
    rng = np.random.default_rng(_BANK_SEED)
    materials = [_material(rng, kind) for kind in MATERIALS for _ in range(TILES_PER_MATERIAL)]
    pictures = [dead_leaves(rng, TILE_SIZE, saturation=rng.uniform(0.1, 0.8)) for _ in range(PICTURES)]
    tiles = np.stack([tile / tile.mean((0, 1)) for tile in materials] + pictures).astype(np.float32)
    levels = [torch.from_numpy(tiles).permute(0, 3, 1, 2)]
    while levels[-1].shape[-1] > 4:
        levels.append(torch.nn.functional.avg_pool2d(levels[-1], 2))
    sizes = torch.tensor([level.shape[-1] for level in levels])
    offsets = torch.cumsum(sizes**2 * len(tiles), 0) - sizes**2 * len(tiles)
    texels = torch.cat([level.permute(0, 2, 3, 1).reshape(-1, 3) for level in levels])
    return texels.to(device), offsets.to(device), sizes.to(device)
