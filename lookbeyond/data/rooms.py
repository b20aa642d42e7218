"""Procedural rooms, ray-cast: exact colour and exact distance from any camera inside, batched in torch, seeded.

A room is a box shell with doorways (a second shell lies behind each) and windows (a big shell of sky and ground
behind each), furnished with composite furniture made of boxes and ellipsoids, papered and floored from the
texture bank, and lit by a ceiling lamp, a second lamp and its windows. The photographer stands at the origin,
the floor lies at z = -camera_height, Z is up, lengths are metres: the world of the command line (DESIGN.md).

Room `seed` is the same room whatever batch it is drawn in, on every device.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import View

from .textures import FIRST_PICTURE, MATERIALS, PICTURES, TILE_SIZE, TILES_PER_MATERIAL, texture_bank

BOXES, ELLIPSOIDS, OPENINGS, LIGHTS = 36, 4, 4, 4
# Faces of a shell and of a box, in the order -x, +x, -y, +y, -z (floor), +z (ceiling).
FACES = 6
SURFACES = FACES * (1 + OPENINGS) + BOXES + ELLIPSOIDS
SKY_DISTANCE_M = 30.0
RAYS_AT_ONCE = 32768
"""Rays of each room that are traced together: a whole panorama's would need gigabytes."""
# Albedos as homes have them, linear.
PAINTS = np.array([
    [0.82, 0.80, 0.76], [0.84, 0.84, 0.82], [0.78, 0.72, 0.61], [0.64, 0.60, 0.54], [0.62, 0.62, 0.62],
    [0.54, 0.62, 0.68], [0.50, 0.56, 0.45], [0.70, 0.57, 0.52], [0.34, 0.36, 0.38], [0.50, 0.30, 0.21],
])  # fmt: skip
PAINT_SHARES = np.array([0.24, 0.16, 0.16, 0.12, 0.10, 0.06, 0.05, 0.05, 0.03, 0.03])
WOODS = np.array([[0.42, 0.29, 0.17], [0.54, 0.41, 0.27], [0.33, 0.17, 0.09], [0.19, 0.12, 0.07], [0.09, 0.06, 0.04]])
FABRICS = np.array([
    [0.66, 0.60, 0.50], [0.45, 0.45, 0.45], [0.16, 0.16, 0.17], [0.76, 0.75, 0.72], [0.38, 0.27, 0.19],
    [0.13, 0.20, 0.33], [0.22, 0.30, 0.20], [0.55, 0.40, 0.14], [0.45, 0.14, 0.11], [0.32, 0.42, 0.48],
])  # fmt: skip
HELD_OUT_SEED = 1_000_000_000
"""Training draws its seeds below this number, evaluation above it."""


@dataclass(frozen=True)
class Rooms:
    """A batch of B rooms, all tensors float32 on one device, in each room's own frame (yaw taken out)."""

    yaw: torch.Tensor  # [B] radians, room frame to world
    camera_height: torch.Tensor  # [B]
    shell: torch.Tensor  # [B, 2, 3] centre and half size of the room
    openings: torch.Tensor  # [B, OPENINGS, 5] face, centre along the wall, half width, bottom z, top z
    annexes: torch.Tensor  # [B, OPENINGS, 2, 3] shell seen through each opening
    outdoors: torch.Tensor  # [B, OPENINGS] 1 where the annex is sky and ground
    boxes: torch.Tensor  # [B, BOXES, 7] centre, half size, yaw
    ellipsoids: torch.Tensor  # [B, ELLIPSOIDS, 6] centre, radii
    surfaces: torch.Tensor  # [B, SURFACES, 7] tile, tiles per metre, tint (3), emission, gloss
    lights: torch.Tensor  # [B, LIGHTS, 6] position, colour
    ambient: torch.Tensor  # [B, 3]

    @classmethod
    def from_seeds(cls, seeds, device: torch.device | str = "cpu") -> "Rooms":
        """The rooms of these integer seeds."""
        drawn = [_draw_room(np.random.default_rng(int(seed))) for seed in seeds]
        return cls(**{
            field.name: torch.from_numpy(np.stack([room[field.name] for room in drawn]).astype(np.float32)).to(device)
            for field in fields(cls)
        })  # fmt: skip

    def __getitem__(self, index) -> "Rooms":
        return Rooms(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def render(self, origins: torch.Tensor, directions: torch.Tensor, pixel_angle: float = 0.01):
        """What rays see. origins, directions: [B, N, 3] world frame, directions of unit length.

        pixel_angle: radians between neighbouring rays, chooses the texture's mip level.
        Returns colour [B, N, 3] in 0..1 (display-referred sRGB) and distance [B, N] in metres.
        """
        origins, directions = _rotate(origins, -self.yaw[:, None]), _rotate(directions, -self.yaw[:, None])
        bank, angle = texture_bank(origins.device), torch.as_tensor(pixel_angle)
        parts = [
            _trace(self, bank, *rays, angle)
            for rays in zip(origins.split(RAYS_AT_ONCE, 1), directions.split(RAYS_AT_ONCE, 1), strict=True)
        ]
        return torch.cat([colour for colour, _ in parts], 1), torch.cat([distance for _, distance in parts], 1)

    def free_positions(self, positions: torch.Tensor, margin: float = 0.25) -> torch.Tensor:
        """[B, N, 3] world -> [B, N] bool: inside the room and at least `margin` metres from everything."""
        p = _rotate(positions, -self.yaw[:, None])
        inside = ((p - self.shell[:, None, 0]).abs() < self.shell[:, None, 1] - margin).all(-1)
        local = _rotate(p[:, :, None] - self.boxes[:, None, :, :3], -self.boxes[:, None, :, 6])
        clear = ((local.abs() - self.boxes[:, None, :, 3:6]).amax(-1) > margin).all(-1)
        round_ = (p[:, :, None] - self.ellipsoids[:, None, :, :3]) / (self.ellipsoids[:, None, :, 3:] + margin)
        return inside & clear & (round_.norm(dim=-1) > 1).all(-1)


def _trace(rooms: "Rooms", bank, origins, directions, pixel_angle):
    hit = _intersect(rooms, origins, directions)
    return _shade(rooms, bank, origins, directions, pixel_angle, *hit), hit[0]


def compile_renderer() -> None:
    """Fuses the ray caster (five times faster on a CPU, a minute of compiling): for long runs, ray counts fixed."""
    global _trace
    _trace = torch.compile(_trace, dynamic=False)


def _rotate(v: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Rotates [..., 3] about Z by [...] radians."""
    c, s = torch.cos(angle), torch.sin(angle)
    x, y, z = v.unbind(-1)
    return torch.stack([c * x - s * y, s * x + c * y, z.expand_as(c * x)], -1)


def _exit(shell_centre, shell_half, origins, directions):
    """Distance and face at which rays leave a box: the nearest of the three far planes."""
    safe = torch.where(directions.abs() < 1e-7, torch.full_like(directions, 1e-7), directions)
    t = (shell_centre + shell_half * safe.sign() - origins) / safe
    distance, axis = t.min(-1)
    positive = torch.gather(directions, -1, axis[..., None])[..., 0] > 0
    return distance, axis * 2 + positive


def _intersect(rooms: Rooms, origins, directions):
    """distance, surface number, local texture point [B, N, 2], normal [B, N, 3], hit point; room frame."""
    batch, count = origins.shape[:2]
    distance, face = _exit(rooms.shell[:, None, 0], rooms.shell[:, None, 1], origins, directions)
    point = origins + distance[..., None] * directions
    surface, bound_centre = face.clone(), rooms.shell[:, None, 0].expand(batch, count, 3)
    for k in range(OPENINGS):
        wall, along, half, bottom, top = rooms.openings[:, k, :, None].unbind(1)
        lateral = torch.where(face < 2, point[..., 1], point[..., 0])
        through = (face == wall) & ((lateral - along).abs() < half) & (point[..., 2] > bottom) & (point[..., 2] < top)
        t, annex_face = _exit(rooms.annexes[:, k, None, 0], rooms.annexes[:, k, None, 1], origins, directions)
        distance = torch.where(through, t, distance)
        surface = torch.where(through, FACES * (1 + k) + annex_face, surface)
        bound_centre = torch.where(through[..., None], rooms.annexes[:, k, None, 0], bound_centre)

    # boxes: the slab method in each box's own frame
    centres, halves, yaws = (
        rooms.boxes[:, None, :, :3],
        rooms.boxes[:, None, :, 3:6],
        rooms.boxes[:, None, :, 6],
    )
    cos, sin = torch.cos(yaws), torch.sin(yaws)
    rel = origins[:, :, None] - centres
    near, far = torch.full_like(rel[..., 0], -torch.inf), torch.full_like(rel[..., 0], torch.inf)
    for axis in range(3):
        if axis == 0:
            o, d = (
                cos * rel[..., 0] + sin * rel[..., 1],
                cos * directions[:, :, None, 0] + sin * directions[:, :, None, 1],
            )
        elif axis == 1:
            o, d = (
                cos * rel[..., 1] - sin * rel[..., 0],
                cos * directions[:, :, None, 1] - sin * directions[:, :, None, 0],
            )
        else:
            o, d = rel[..., 2], directions[:, :, None, 2].expand_as(near)
        inverse = 1 / torch.where(d.abs() < 1e-7, 1e-7, d)
        middle, extent = -o * inverse, halves[..., axis] * inverse.abs()
        near = torch.maximum(near, middle - extent)
        far = torch.minimum(far, middle + extent)
    near = torch.where((near < far) & (near > 1e-3), near, torch.inf)
    box_t, box = near.min(-1)
    hit_box = box_t < distance
    distance = torch.where(hit_box, box_t, distance)
    surface = torch.where(hit_box, FACES * (1 + OPENINGS) + box, surface)

    # ellipsoids: a sphere in the frame scaled by the radii
    radii = rooms.ellipsoids[:, None, :, 3:]
    o, d = (origins[:, :, None] - rooms.ellipsoids[:, None, :, :3]) / radii, directions[:, :, None] / radii
    a, b, c = (d * d).sum(-1), (o * d).sum(-1), (o * o).sum(-1) - 1
    root = b * b - a * c
    t = torch.where(root > 0, (-b - root.clamp_min(0).sqrt()) / a, torch.inf)
    round_t, ball = torch.where(t > 1e-3, t, torch.inf).min(-1)
    hit_ball = round_t < distance
    distance = torch.where(hit_ball, round_t, distance)
    surface = torch.where(hit_ball, FACES * (1 + OPENINGS) + BOXES + ball, surface)
    hit_box = hit_box & ~hit_ball

    point = origins + distance[..., None] * directions
    rows = torch.arange(batch, device=origins.device)[:, None]
    # the frame of the surface: local point and outward normal
    chosen = rooms.boxes[rows, box]
    local = torch.where(hit_box[..., None], _rotate(point - chosen[..., :3], -chosen[..., 6]), point - bound_centre)
    relative = local / chosen[..., 3:6]
    box_axis = relative.abs().argmax(-1)
    box_face = box_axis * 2 + (torch.gather(relative, -1, box_axis[..., None])[..., 0] > 0)
    face = torch.where(hit_box, box_face, surface % FACES)
    axis, sign = face // 2, torch.where((face % 2 == 1) == hit_box, 1.0, -1.0)
    normal = torch.nn.functional.one_hot(axis, 3) * sign[..., None]
    normal = torch.where(hit_box[..., None], _rotate(normal, chosen[..., 6]), normal)
    shape = rooms.ellipsoids[rows, ball]
    round_normal = torch.nn.functional.normalize((point - shape[..., :3]) / shape[..., 3:] ** 2, dim=-1)
    normal = torch.where(hit_ball[..., None], round_normal, normal)
    u = torch.where(axis == 0, local[..., 1], local[..., 0])
    v = torch.where(axis == 2, local[..., 1], local[..., 2])
    return distance, surface, torch.stack([u, v], -1), normal, point


def _sample_bank(bank, tile, uv, level):
    """Bilinear, periodic texture look-up: tile [...], uv [..., 2] in tiles, mip level [...] -> [..., 3]."""
    texels, offsets, sizes = bank
    level = level.clamp(0, len(sizes) - 1)
    size, base = sizes[level], offsets[level] + tile * sizes[level] ** 2
    place = uv * size[..., None] - 0.5
    low = place.floor()
    (fx, fy), (x, y) = (place - low).unbind(-1), low.long().unbind(-1)
    value = 0
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            index = base + (y + dy).remainder(size) * size + (x + dx).remainder(size)
            value = value + texels[index] * (wx * wy)[..., None]
    return value


def _shade(rooms: Rooms, bank, origins, directions, pixel_angle, distance, surface, uv, normal, point):
    rows = torch.arange(len(origins), device=origins.device)[:, None]
    tile, scale, *_ = attributes = rooms.surfaces[rows, surface].unbind(-1)
    tint, emission, gloss = torch.stack(attributes[2:5], -1), attributes[5], attributes[6]
    cosine = (normal * directions).sum(-1).abs().clamp_min(0.08)
    texel = distance * pixel_angle * scale * TILE_SIZE / cosine.sqrt()
    level = texel.clamp_min(1).log2().round().long()
    albedo = (_sample_bank(bank, tile.long(), uv * scale[..., None], level) * tint).clamp(0, 1)

    light = rooms.ambient[:, None] * (0.85 + 0.15 * normal[..., 2:])
    mirror = directions - 2 * (directions * normal).sum(-1, keepdim=True) * normal
    shine = 0
    for k in range(LIGHTS):
        towards = rooms.lights[:, None, k, :3] - point
        range_ = towards.norm(dim=-1, keepdim=True).clamp_min(0.2)
        facing = ((towards / range_ * normal).sum(-1, keepdim=True)).clamp_min(0) * 0.85 + 0.15
        fall = rooms.lights[:, None, k, 3:] / (1 + (range_ / 1.5) ** 2)
        light = light + fall * facing
        shine = shine + fall * (mirror * towards / range_).sum(-1, keepdim=True).clamp_min(0) ** 24

    # ambient occlusion: the room's own edges, and the floor beside what stands on it
    gap = rooms.shell[:, None, 1] - (point - rooms.shell[:, None, 0]).abs()
    near_edge = gap.clamp_min(0).topk(2, dim=-1, largest=False).values[..., 1]
    occlusion = 1 - 0.35 * torch.exp(-near_edge / 0.22)
    centre, half, yaw = rooms.boxes[:, None, :, :3], rooms.boxes[:, None, :, 3:6], rooms.boxes[:, None, :, 6]
    on_box = (surface >= FACES * (1 + OPENINGS)) & (surface < FACES * (1 + OPENINGS) + BOXES)
    box = torch.where(on_box, surface - FACES * (1 + OPENINGS), -1)
    outside = (_rotate(point[:, :, None] - centre, -yaw).abs() - half).clamp_min(0).norm(dim=-1)
    own = torch.arange(BOXES, device=point.device) == box[..., None]
    thick = half.amin(-1).clamp_max(0.2) / 0.2
    contact = (thick * torch.exp(-outside / 0.16)).masked_fill(own, 0).amax(-1)
    occlusion = occlusion * (1 - 0.45 * contact)

    radiance = albedo * light * occlusion[..., None] + gloss[..., None] * shine + emission[..., None] * tint
    return _outdoor(rooms, rows, surface, directions, albedo, radiance).clamp(0, 1) ** (1 / 2.2)


def _outdoor(rooms: Rooms, rows, surface, directions, albedo, radiance):
    """Sky and daylit ground behind windows instead of lamp light."""
    annex = surface // FACES - 1
    is_annex = (annex >= 0) & (annex < OPENINGS)
    outside = is_annex & (rooms.outdoors[rows, annex.clamp(0, OPENINGS - 1)] > 0)
    up = directions[..., 2:].clamp(-0.2, 1)
    sky = torch.tensor([1.6, 1.75, 1.95], device=up.device) * (1 - 0.45 * up.clamp_min(0))
    day = torch.where((surface % FACES == 4)[..., None], albedo * 1.5, sky * (0.3 + 0.7 * albedo))
    day = torch.where((surface % FACES == 5)[..., None], sky, day)
    return torch.where(outside[..., None], day, radiance)


def _draw_room(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Every parameter of one room, as numpy arrays of the shapes in `Rooms` without the batch axis."""
    half = np.array([rng.uniform(1.4, 4.2), rng.uniform(1.4, 4.2), rng.uniform(1.15, 1.7)])
    camera_height = min(rng.uniform(1.1, 1.9), 2 * half[2] - 0.5)
    # the photographer stands anywhere but against a wall; the room is laid around them
    centre = rng.uniform(-1, 1, 3) * (half - 0.5)
    centre[2] = half[2] - camera_height
    floor = -camera_height

    # a home is furnished as one: a paint, a wood and two fabrics that return from piece to piece
    paint_colour = PAINTS[rng.choice(len(PAINTS), p=PAINT_SHARES)] * rng.uniform(0.88, 1.08)
    wood = WOODS[rng.integers(len(WOODS))] * rng.uniform(0.85, 1.15)
    fabrics = FABRICS[rng.choice(len(FABRICS), 2, replace=False)]
    surfaces = np.zeros((SURFACES, 7))

    def paint(index, tint, *, material="plain", picture=False, scale=None, emission=0.0, gloss=0.0):
        if picture:
            tile = FIRST_PICTURE + rng.integers(PICTURES)
        else:
            tile = MATERIALS.index(material) * TILES_PER_MATERIAL + rng.integers(TILES_PER_MATERIAL)
        surfaces[index] = tile, scale or 1 / rng.uniform(0.6, 2.5), *np.clip(tint, 0.02, 1), emission, gloss

    def any_colour():
        kind = rng.uniform()
        if kind < 0.5:
            return fabrics[rng.integers(2)] * rng.uniform(0.8, 1.15)
        if kind < 0.75:
            return wood * rng.uniform(0.85, 1.1)
        if kind < 0.92:  # white lacquer, black metal and what lies between
            return np.full(3, rng.choice([0.05, 0.3, 0.8, 0.8])) * rng.uniform(0.9, 1.1)
        return rng.uniform(0.05, 0.9, 3)

    def paint_shell(first):
        """Walls, floor and ceiling; most rooms of a home are painted alike."""
        wall = paint_colour if first == 0 or rng.uniform() < 0.7 else PAINTS[rng.choice(len(PAINTS), p=PAINT_SHARES)]
        wall_look = {"scale": 0.02}
        if rng.uniform() < 0.3:
            paper = str(rng.choice(["plain", "stripes", "weave", "bricks", "tiles", "dots", "wood"]))
            wall_look = {"material": paper, "scale": 1 / rng.uniform(0.8, 2.5)}
        accent = int(rng.integers(4)) if rng.uniform() < 0.15 else -1
        for face in range(4):
            paint(first + face, fabrics[0] if face == accent else wall, **wall_look)
        floor_kind = rng.uniform()
        if floor_kind < 0.55:
            paint(first + 4, wood * rng.uniform(0.8, 1.2), material="wood", gloss=rng.choice([0, 0.08, 0.2]))
        elif floor_kind < 0.8:
            stone = np.full(3, rng.uniform(0.15, 0.5)) * (1, rng.uniform(0.93, 1), rng.uniform(0.82, 1))
            laid = str(rng.choice(["tiles", "tiles", "marble"]))
            paint(first + 4, stone, material=laid, gloss=rng.choice([0, 0.1, 0.25]))
        else:
            paint(first + 4, fabrics[1] * 0.6 + 0.05, material="carpet")
        white = np.full(3, rng.uniform(0.8, 0.92))
        ceiling = white if rng.uniform() < 0.8 else (0.5 * white + 0.5 * wall if rng.uniform() < 0.7 else wood)
        paint(first + 5, ceiling, scale=0.02)

    paint_shell(0)
    openings, annexes, outdoors = np.zeros((OPENINGS, 5)), np.zeros((OPENINGS, 2, 3)), np.zeros(OPENINGS)
    openings[:, 0], annexes[:, 1] = -1, 1
    lights = np.zeros((LIGHTS, 6))
    taken = np.zeros((4, 0, 2)).tolist()  # per wall: stretches already used by an opening
    light = 1
    for k in range(OPENINGS):
        if rng.uniform() < 0.3:
            continue
        face = int(rng.integers(4))
        axis, side = face // 2, half[1 - face // 2]
        door = rng.uniform() < 0.45
        width = min(rng.uniform(0.4, 0.6) if door else rng.uniform(0.35, 1.4), side - 0.15)
        along = centre[1 - axis] + rng.uniform(-1, 1) * (side - width - 0.1)
        if any(abs(along - other) < width + reach + 0.1 for other, reach in taken[face]):
            continue
        taken[face].append((along, width))
        bottom, top = (floor, floor + 2.05) if door else (floor + rng.uniform(0.3, 1.1), floor + rng.uniform(1.9, 2.2))
        openings[k] = face, along, width, bottom, min(top, floor + 2 * half[2] - 0.1)
        sign = 1 if face % 2 else -1
        outside = not door or rng.uniform() < 0.15
        reach = np.full(3, SKY_DISTANCE_M) if outside else np.array([*rng.uniform(1.0, 3.2, 2), half[2]])
        middle = centre.copy()
        middle[axis] += sign * (half[axis] + reach[axis])
        middle[1 - axis] = along + (0 if outside else rng.uniform(-1, 1) * (reach[1 - axis] - width))
        middle[2] = floor - (rng.uniform(0, 6) if not door else 0) + reach[2] if outside else middle[2]
        annexes[k], outdoors[k] = (middle, reach), outside
        first = FACES * (1 + k)
        paint_shell(first)
        if outside:
            for wall in range(4):  # trees and houses far away
                paint(
                    first + wall,
                    np.array([0.45, 0.55, 0.4]) * rng.uniform(0.4, 1.3),
                    scale=rng.uniform(0.01, 0.06),
                )
            paint(first + 4, rng.choice([[0.35, 0.45, 0.2], [0.5, 0.48, 0.45]]), scale=0.3)
        if outside and light < LIGHTS - 1:  # daylight falls in
            spot = middle.copy()
            spot[axis] = centre[axis] + sign * (half[axis] - 0.15)
            spot[1 - axis], spot[2] = along, (openings[k, 3] + openings[k, 4]) / 2
            lights[light] = *spot, *(np.array([0.95, 1.0, 1.1]) * rng.uniform(0.6, 1.8) * np.sqrt(width))
            light += 1

    boxes = np.tile([0, 0, -1000.0, 0.01, 0.01, 0.01, 0], (BOXES, 1))
    count = 0
    first_box = FACES * (1 + OPENINGS)

    def put(x, y, z, hx, hy, hz, yaw, tint, **look):
        nonlocal count
        if count < BOXES:
            boxes[count] = x, y, z, max(hx, 0.008), max(hy, 0.008), max(hz, 0.008), yaw
            paint(first_box + count, tint, **look)
            count += 1

    def place(x, y, yaw, parts):
        """Parts (dx, dy, z above the floor, half sizes, tint, look) of one piece, unless it stands on the camera."""
        reach = max(np.hypot(dx, dy) + np.hypot(h[0], h[1]) for dx, dy, _, h, _, _ in parts)
        if np.hypot(x, y) < reach + 0.35:
            return
        c, s = np.cos(yaw), np.sin(yaw)
        for dx, dy, z, h, tint, look in parts:
            put(x + c * dx - s * dy, y + s * dx + c * dy, floor + z, *h, yaw, tint, **look)

    def against_wall(depth, width):
        """A place along a wall for a piece `depth` deep whose back looks to the wall: x, y, yaw."""
        face = int(rng.integers(4))
        axis, sign = face // 2, 1 if face % 2 else -1
        p = np.zeros(2)
        p[axis] = centre[axis] + sign * (half[axis] - depth - 0.02)
        p[1 - axis] = centre[1 - axis] + rng.uniform(-1, 1) * max(half[1 - axis] - width - 0.05, 0)
        return p[0], p[1], [np.pi / 2, -np.pi / 2, np.pi, 0][face]  # local +y is the wall side

    def plain():
        if rng.uniform() < 0.5:
            return {"scale": 0.02}
        return {"material": str(rng.choice(["wood", "weave", "carpet", "stripes"])), "scale": 1 / rng.uniform(0.4, 1.5)}

    def sofa():
        w, d, colour, look = rng.uniform(0.45, 1.1), rng.uniform(0.38, 0.5), any_colour(), plain()
        parts = [(0, 0, 0.22, (w, d, 0.2), colour, look), (0, d - 0.1, 0.55, (w, 0.1, 0.28), colour, look)]
        parts += [(s * (w - 0.08), 0, 0.42, (0.08, d, 0.18), colour * 0.95, look) for s in (-1, 1)]
        if rng.uniform() < 0.6:
            parts.append((rng.uniform(-0.5, 0.5) * w, d - 0.28, 0.57, (0.2, 0.07, 0.17), any_colour(), plain()))
        return *against_wall(d, w), parts

    def bed():
        w, d, frame = rng.uniform(0.5, 0.95), rng.uniform(0.95, 1.05), any_colour()
        cover, look = any_colour(), plain()
        parts = [(0, 0, 0.15, (w, d, 0.15), frame, plain()), (0, -0.1, 0.4, (w, d - 0.12, 0.13), cover, look),
                 (0, d - 0.04, 0.55, (w + 0.05, 0.04, 0.5), frame, plain())]  # fmt: skip
        parts += [(s * w * 0.5, d - 0.35, 0.58, (w * 0.4, 0.2, 0.07), np.full(3, 0.9), plain()) for s in (-1, 1)]
        return *against_wall(d, w), parts

    def table():
        w, d, h, colour, look = (
            rng.uniform(0.3, 0.9),
            rng.uniform(0.3, 0.5),
            rng.uniform(0.4, 0.78),
            any_colour(),
            plain(),
        )
        leg = rng.uniform(0.02, 0.04)
        parts = [(0, 0, h, (w, d, 0.025), colour, look)]
        parts += [(a * (w - leg), b * (d - leg), h / 2, (leg, leg, h / 2), colour * 0.8, {"scale": 0.02})
                  for a in (-1, 1) for b in (-1, 1)]  # fmt: skip
        x, y = centre[:2] + rng.uniform(-1, 1, 2) * np.maximum(half[:2] - np.hypot(w, d), 0)
        return x, y, rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)]), parts

    def chair():
        colour, look = any_colour(), plain()
        foot = (0.17, 0.17, 0.21) if rng.uniform() < 0.3 else (0.03, 0.03, 0.21)
        parts = [(0, 0, 0.45, (0.21, 0.21, 0.03), colour, look), (0, 0.2, 0.7, (0.21, 0.02, 0.25), colour, look),
                 (0, 0, 0.21, foot, colour * 0.7, look)]  # fmt: skip
        x, y = centre[:2] + rng.uniform(-1, 1, 2) * (half[:2] - 0.4)
        return x, y, rng.uniform(0, 2 * np.pi), parts

    def cabinet():
        w, d, h = rng.uniform(0.25, 1.0), rng.uniform(0.16, 0.32), rng.uniform(0.3, 1.05)
        colour, look = any_colour(), plain()
        parts = [(0, 0, h, (w, d, h), colour, look)]
        doors = rng.integers(1, 4)
        parts += [((2 * i + 1 - doors) * w / doors, -d - 0.008, h, (w / doors - 0.015, 0.008, h - 0.04),
                   colour * rng.uniform(0.8, 1.1), look) for i in range(doors)]  # fmt: skip
        return *against_wall(d + 0.01, w), parts

    def bookshelf():
        w, h, colour = rng.uniform(0.3, 0.8), rng.uniform(0.6, 1.05), any_colour()
        parts = [(0, 0.1, h, (w, 0.03, h), colour * 0.7, plain())]
        parts += [(s * w, 0, h, (0.015, 0.14, h), colour, plain()) for s in (-1, 1)]
        shelves = int(rng.integers(2, 5))
        for i in range(shelves):
            z = 2 * h * (i + 0.5) / shelves
            parts.append((0, 0, z - 0.12, (w, 0.14, 0.012), colour, {"scale": 0.02}))
            books = rng.uniform(0.3, 0.95) * w
            parts.append((books - w, 0.02, z, (books, 0.09, 0.1), np.ones(3), {"picture": True, "scale": 1.2}))
        return *against_wall(0.15, w), parts

    def picture():
        w, h = rng.uniform(0.12, 0.5), rng.uniform(0.12, 0.4)
        z = rng.uniform(1.35, 1.7)
        parts = [(0, 0, z, (w + 0.02, 0.008, h + 0.02), rng.choice([0.05, 0.4, 0.9]) * np.ones(3), {"scale": 0.02}),
                 (0, -0.01, z, (w, 0.008, h), np.ones(3), {"picture": True, "scale": 0.4 / max(w, h)})]  # fmt: skip
        return *against_wall(0.008, w), parts

    def curtain():
        w = rng.uniform(0.15, 0.5)
        return *against_wall(0.05, w), [(0, 0, half[2], (w, 0.05, half[2] - 0.04), any_colour(), plain())]

    def rug():
        w, d = rng.uniform(0.5, 1.5, 2)
        w, d = min(w, half[0] - 0.1), min(d, half[1] - 0.1)
        x, y = centre[:2] + rng.uniform(-0.6, 0.6, 2) * (half[:2] - (w, d))
        look = {"picture": True, "scale": 0.5 / max(w, d)} if rng.uniform() < 0.25 else {"material": "carpet"}
        put(x, y, floor + 0.006, w, d, 0.008, 0, any_colour() if "picture" not in look else np.ones(3), **look)

    ellipsoids = np.tile([0, 0, -1000.0, 0.01, 0.01, 0.01], (ELLIPSOIDS, 1))
    first_ball = first_box + BOXES
    lamp = centre + np.array([*rng.uniform(-0.3, 0.3, 2) * half[:2], half[2] - rng.uniform(0.05, 0.5)])
    glow = np.array([1.0, rng.uniform(0.8, 1), rng.uniform(0.6, 1)])
    ellipsoids[0] = *lamp, *np.full(2, rng.uniform(0.1, 0.25)), rng.uniform(0.04, 0.2)
    if np.hypot(lamp[0], lamp[1]) < 0.5 and lamp[2] < 0.4:
        ellipsoids[0, 2] = floor + 2 * half[2] - 0.02
    paint(first_ball, glow, emission=rng.choice([0.0, 1.5]), scale=0.02)
    lights[0] = *(lamp - [0, 0, 0.2]), *(glow * rng.uniform(0.4, 1.6))

    pieces = [sofa, bed, table, chair, cabinet, bookshelf, picture, curtain]
    weights = np.array([1.0, 0.5, 1.0, 1.0, 1.2, 0.6, 1.6, 0.8])
    if rng.uniform() < 0.6:
        rug()
    for _ in range(int(rng.integers(2, 11))):
        place(*rng.choice(pieces, p=weights / weights.sum())())
    for k in range(1, ELLIPSOIDS):  # plants, vases, balls, a standing lamp
        if rng.uniform() < 0.45:
            continue
        x, y = centre[:2] + rng.uniform(-1, 1, 2) * (half[:2] - 0.3)
        r, z = rng.uniform(0.08, 0.3), rng.uniform(0.1, 1.3)
        if np.hypot(x, y) < r + 0.4:
            continue
        ellipsoids[k] = x, y, floor + max(z, r), r, r, r * rng.uniform(0.6, 1.3)
        green = np.array([0.2, 0.4, 0.15]) * rng.uniform(0.6, 1.4)
        leafy = rng.uniform() < 0.5
        paint(first_ball + k, green if leafy else any_colour(), gloss=rng.choice([0, 0.2]))
        if z > r + 0.1:
            put(x, y, floor + (z - r) / 2, 0.02, 0.02, (z - r) / 2, 0, any_colour() * 0.6, scale=0.02)
    if light < LIGHTS and rng.uniform() < 0.6:
        spot = centre + rng.uniform(-0.8, 0.8, 3) * half
        lights[light] = *spot, *(glow * rng.uniform(0.1, 0.7))

    exposure = rng.uniform(0.75, 1.25)
    ambient = exposure * rng.uniform(0.22, 0.6) * np.clip(1 + rng.normal(0, 0.06, 3), 0.7, 1.3)
    lights[:, 3:] *= exposure
    return {
        "yaw": np.array(rng.uniform(-np.pi, np.pi)), "camera_height": np.array(camera_height),
        "shell": np.stack([centre, half]), "openings": openings, "annexes": annexes, "outdoors": outdoors,
        "boxes": boxes, "ellipsoids": ellipsoids, "surfaces": surfaces, "lights": lights, "ambient": ambient,
    }  # fmt: skip


def equirectangular_rays(height: int, width: int, device="cpu") -> torch.Tensor:
    """Unit directions [height·width, 3] of an equirectangular panorama in our convention (centre column +X)."""
    u = (torch.arange(width, device=device) + 0.5) / width
    v = (torch.arange(height, device=device) + 0.5) / height
    azimuth, elevation = torch.pi * (1 - 2 * u)[None], torch.pi * (0.5 - v)[:, None]
    return torch.stack([
        torch.cos(elevation) * torch.cos(azimuth), torch.cos(elevation) * torch.sin(azimuth),
        torch.sin(elevation).expand(height, width),
    ], -1).reshape(-1, 3)  # fmt: skip


def render_panoramas(rooms: Rooms, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Panoramas from the photographers' place: colour [B, 3, height, width] in 0..1, distance [B, 1, height, width]."""
    batch = len(rooms.yaw)
    rays = equirectangular_rays(height, width, rooms.yaw.device).expand(batch, -1, 3)
    colour, distance = rooms.render(torch.zeros_like(rays), rays, pixel_angle=2 * torch.pi / width)
    return colour.mT.reshape(batch, 3, height, width), distance.reshape(batch, 1, height, width)


def render_views(room: Rooms, cameras: Sequence[Camera]) -> list[View]:
    """What cameras see of a room (a batch of one), exactly."""
    views = []
    for camera in cameras:
        rays = torch.from_numpy(camera.rays().astype(np.float32)).reshape(1, -1, 3)
        origin = torch.tensor(camera.position, dtype=torch.float32).expand_as(rays)
        colour, distance = room.render(origin, rays, 1 / camera.intrinsics[0, 0])
        shape = (camera.height, camera.width)
        image = (colour[0] * 255).round().byte().numpy().reshape(*shape, 3)
        views.append(View(camera, image, distance[0].numpy().reshape(shape), np.zeros(shape, np.uint8)))
    return views
