"""Procedural rooms, ray-cast: exact colour and exact distance from any camera inside, batched in torch, seeded.

A room is a box shell, in attics cut by sloping ceilings, with doorways (a second shell lies behind each) and windows
(a big shell of sky and ground behind each), furnished with composite furniture made of boxes and ellipsoids, papered
and floored from the texture bank, and lit by a ceiling lamp, a second lamp and its windows. The photographer
stands at the origin, the floor lies at z = -camera_height, Z is up, lengths are metres: the world of the command line
(docs/reading.md).

Room `seed` is the same room whatever batch it is drawn in, on every device.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import View

from .room_drawing import BOXES, CEILING, FACES, FIRST_BALL, FIRST_BOX, LIGHTS, OPENINGS, draw_room
from .textures import TILE_SIZE, texture_bank

RAYS_AT_ONCE = 8192
"""Rays of each room that are traced together: a whole panorama's would need gigabytes."""
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
    slopes: torch.Tensor  # [B, SLOPES, 4] sloping ceilings: unit normal into the room, offset; inside n·p + offset > 0
    boxes: torch.Tensor  # [B, BOXES, 7] centre, half size, yaw
    ellipsoids: torch.Tensor  # [B, ELLIPSOIDS, 6] centre, radii
    surfaces: torch.Tensor  # [B, SURFACES, 7] tile, tiles per metre, tint (3), emission, gloss
    lights: torch.Tensor  # [B, LIGHTS, 6] position, colour
    ambient: torch.Tensor  # [B, 3]

    @classmethod
    def from_seeds(cls, seeds, device: torch.device | str = "cpu") -> "Rooms":
        """The rooms of these integer seeds."""
        return cls.of([draw_room(np.random.default_rng(int(seed))) for seed in seeds], device)

    @classmethod
    def of(cls, drawn: Sequence[Mapping[str, np.ndarray]], device: torch.device | str = "cpu") -> "Rooms":
        """A batch of drawn rooms; each has an array for every field."""
        return cls(
            **{
                field.name: torch.from_numpy(np.stack([room[field.name] for room in drawn]).astype(np.float32)).to(
                    device
                )
                for field in fields(cls)
            }
        )

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

    def radiance(self, origins: torch.Tensor, directions: torch.Tensor, pixel_angle: float = 0.01):
        """What rays see before it is clipped, as `render`: linear light [B, N, 3], and the surface's number [B, N].

        Lamps and what lies outside of windows have the values that `render` clips, not a plausible radiance
        (`lit_places` gives them one).
        """
        origins, directions = _rotate(origins, -self.yaw[:, None]), _rotate(directions, -self.yaw[:, None])
        bank, angle = texture_bank(origins.device), torch.as_tensor(pixel_angle)
        light, surface = [], []
        for rays in zip(origins.split(RAYS_AT_ONCE, 1), directions.split(RAYS_AT_ONCE, 1), strict=True):
            hit = _intersect(self, *rays)
            light.append(_light(self, bank, *rays, angle, *hit))
            surface.append(hit[1])
        return torch.cat(light, 1), torch.cat(surface, 1)

    def free_positions(self, positions: torch.Tensor, margin: float = 0.25) -> torch.Tensor:
        """[B, N, 3] world -> [B, N] bool: inside the room and at least `margin` metres from everything."""
        p = _rotate(positions, -self.yaw[:, None])
        inside = ((p - self.shell[:, None, 0]).abs() < self.shell[:, None, 1] - margin).all(-1)
        inside &= (_below_slopes(self, p) > margin).all(-1)
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


def _below_slopes(rooms: Rooms, points):
    """Distance of points [B, N, 3] from every sloping ceiling [B, N, SLOPES]; room frame."""
    return points @ rooms.slopes[..., :3].mT + rooms.slopes[:, None, :, 3]


def _nearest_slope(rooms: Rooms, origins, directions):
    """Distance [B, N] to the nearest sloping ceiling (inf: none), and which."""
    towards = -directions @ rooms.slopes[..., :3].mT
    away = _below_slopes(rooms, origins) / towards.clamp_min(1e-7)
    return torch.where(towards > 1e-7, away, torch.inf).min(-1)


def _intersect(rooms: Rooms, origins, directions):
    """distance, surface number, local texture point [B, N, 2], normal [B, N, 3], hit point; room frame."""
    batch, count = origins.shape[:2]
    distance, face = _exit(rooms.shell[:, None, 0], rooms.shell[:, None, 1], origins, directions)
    slope_t, slope = _nearest_slope(rooms, origins, directions)
    sloping = slope_t < distance
    distance, face = torch.where(sloping, slope_t, distance), torch.where(sloping, CEILING, face)
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

    box_t, box = _nearest_box(rooms, origins, directions)
    hit_box = box_t < distance
    distance = torch.where(hit_box, box_t, distance)
    surface = torch.where(hit_box, FIRST_BOX + box, surface)

    round_t, ball = _nearest_ellipsoid(rooms, origins, directions)
    hit_ball = round_t < distance
    distance = torch.where(hit_ball, round_t, distance)
    surface = torch.where(hit_ball, FIRST_BALL + ball, surface)
    hit_box = hit_box & ~hit_ball
    sloping = sloping & ~hit_box & ~hit_ball

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
    inward = rooms.slopes[rows, slope, :3]
    normal = torch.where(sloping[..., None], inward, normal)
    # across a slope runs the horizontal, down it goes what stands upright on that
    level = torch.nn.functional.normalize(
        torch.stack([-inward[..., 1], inward[..., 0], 0 * inward[..., 0]], -1), dim=-1
    )
    u = torch.where(axis == 0, local[..., 1], local[..., 0])
    v = torch.where(axis == 2, local[..., 1], local[..., 2])
    u = torch.where(sloping, (local * level).sum(-1), u)
    v = torch.where(sloping, (local * torch.linalg.cross(inward, level)).sum(-1), v)
    return distance, surface, torch.stack([u, v], -1), normal, point


def _nearest_box(rooms: Rooms, origins, directions):
    """Distance [B, N] to the nearest box (inf: none), and which; the slab method in each box's own frame."""
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
    return near.min(-1)


def _nearest_ellipsoid(rooms: Rooms, origins, directions):
    """Distance [B, N] to the nearest ellipsoid (inf: none), and which; a sphere in the frame scaled by the radii."""
    radii = rooms.ellipsoids[:, None, :, 3:]
    o, d = (origins[:, :, None] - rooms.ellipsoids[:, None, :, :3]) / radii, directions[:, :, None] / radii
    a, b, c = (d * d).sum(-1), (o * d).sum(-1), (o * o).sum(-1) - 1
    root = b * b - a * c
    t = torch.where(root > 0, (-b - root.clamp_min(0).sqrt()) / a, torch.inf)
    return torch.where(t > 1e-3, t, torch.inf).min(-1)


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


def _shade(rooms: Rooms, *hit):
    """Colour as it is displayed, 0..1; arguments as of `_light`."""
    return _light(rooms, *hit).clamp(0, 1) ** (1 / 2.2)


def _light(rooms: Rooms, bank, origins, directions, pixel_angle, distance, surface, uv, normal, point):
    """Linear light [B, N, 3] from the surfaces that rays hit."""
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
    gap = torch.cat([gap, _below_slopes(rooms, point)], -1)
    near_edge = gap.clamp_min(0).topk(2, dim=-1, largest=False).values[..., 1]
    occlusion = 1 - 0.35 * torch.exp(-near_edge / 0.22)
    centre, half, yaw = rooms.boxes[:, None, :, :3], rooms.boxes[:, None, :, 3:6], rooms.boxes[:, None, :, 6]
    on_box = (surface >= FIRST_BOX) & (surface < FIRST_BALL)
    box = torch.where(on_box, surface - FIRST_BOX, -1)
    outside = (_rotate(point[:, :, None] - centre, -yaw).abs() - half).clamp_min(0).norm(dim=-1)
    own = torch.arange(BOXES, device=point.device) == box[..., None]
    thick = half.amin(-1).clamp_max(0.2) / 0.2
    contact = (thick * torch.exp(-outside / 0.16)).masked_fill(own, 0).amax(-1)
    occlusion = occlusion * (1 - 0.45 * contact)

    radiance = albedo * light * occlusion[..., None] + gloss[..., None] * shine + emission[..., None] * tint
    return _outdoor(rooms, rows, surface, directions, albedo, radiance)


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


def equirectangular_rays(height: int, width: int, device="cpu") -> torch.Tensor:
    """Unit directions [height·width, 3] of an equirectangular panorama in our convention (centre column +X)."""
    u = (torch.arange(width, device=device) + 0.5) / width
    v = (torch.arange(height, device=device) + 0.5) / height
    azimuth, elevation = torch.pi * (1 - 2 * u)[None], torch.pi * (0.5 - v)[:, None]
    return torch.stack(
        [
            torch.cos(elevation) * torch.cos(azimuth),
            torch.cos(elevation) * torch.sin(azimuth),
            torch.sin(elevation).expand(height, width),
        ],
        -1,
    ).reshape(-1, 3)


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
