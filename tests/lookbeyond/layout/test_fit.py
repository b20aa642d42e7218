"""A room that is known, shown to the fit as a photo and by a network that knows it, comes back; in every world."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.layout import RoomLayout
from lookbeyond.geometry.panorama import Place
from lookbeyond.geometry.projection import equirectangular_directions
from lookbeyond.layout import fit, gate
from lookbeyond.layout.canvas import (
    ALL_COLUMNS,
    CELL_COLUMNS,
    CELL_ROWS,
    canvas_directions,
    grid_in_photo,
    grid_on_canvas,
    place_on_canvas,
)
from lookbeyond.layout.evidence import Evidence
from lookbeyond.layout.fit import fit_layout, fit_layout_panorama
from lookbeyond.layout.gate import SIGNS, SURE
from lookbeyond.layout.prediction import numbers
from lookbeyond.layout.rectilinear import AZIMUTHS
from lookbeyond.layout.search import polygon_of_columns
from lookbeyond.models.layout_network import CEILING, FLOOR, WALL, LayoutNetwork, LayoutPrediction

BOX = RoomLayout(np.array([[3.2, -2.1], [3.2, 2.4], [-1.8, 2.4], [-1.8, -2.1]]), -1.5, 1.1)
L_SHAPE = RoomLayout(np.array([[4.0, -2.0], [4.0, 1.1], [2.2, 1.1], [2.2, 2.6], [-1.7, 2.6], [-1.7, -2.0]]), -1.5, 1.2)
HEIGHT = 1.5
PAINTS = np.array([[200, 190, 170], [150, 150, 160], [180, 120, 90], [90, 120, 150], [170, 170, 120], [120, 90, 130]])


def turned(layout: RoomLayout, angle: float) -> RoomLayout:
    c, s = math.cos(angle), math.sin(angle)
    return replace(layout, corners=layout.corners @ np.array([[c, s], [-s, c]]))


def colours(layout: RoomLayout, directions: np.ndarray) -> np.ndarray:
    """What is seen of a room of plain paint; the floor has tiles of 40 cm."""
    distance, face = layout.cast((0, 0, 0), directions)
    paint = np.concatenate([PAINTS[np.arange(len(layout.corners)) % len(PAINTS)], [[110, 80, 60], [235, 235, 230]]])
    _, along, _, inward = layout.walls()
    level = (directions * distance[..., None])[..., :2]
    tile = (np.floor(level @ along[0] / 0.4) + np.floor(level @ inward[0] / 0.4)) % 2
    shade = np.where(face == layout.floor_face, 1 - 0.25 * tile, 1.0)
    return (paint[face] * shade[..., None]).astype(np.uint8)


class Knowing(torch.nn.Module):
    """In the network's place: tells the truth about a room, of canvases that look along `headings`."""

    def __init__(self, layout: RoomLayout, headings: list[float], *, error: float = 0.0):
        super().__init__()
        self.kept = torch.nn.Parameter(torch.zeros(()))
        self.truths = [self._truth(turned(layout, -heading), error) for heading in headings]

    def _truth(self, layout: RoomLayout, error: float) -> dict[str, np.ndarray]:
        level = np.stack([np.cos(AZIMUTHS), np.sin(AZIMUTHS), 0 * AZIMUTHS], -1)
        low = replace(layout, floor_z=-100.0, ceiling_z=100.0)
        distance, wall = low.cast((0, 0, 0), level)
        cells, face = layout.cast((0, 0, 0), canvas_directions(CELL_COLUMNS, CELL_ROWS))
        kind = np.where(face == layout.floor_face, FLOOR, np.where(face == layout.ceiling_face, CEILING, WALL))
        return {
            "walls": np.log(distance / HEIGHT) + error * np.sin(3 * AZIMUTHS),
            "wall_scales": np.full(256, -2.5),
            "corners": np.where(wall != np.roll(wall, -1), 5.0, -5.0),
            "normals": layout.walls()[3][wall],
            "ceiling": np.array(math.log(layout.ceiling_z / HEIGHT) + error),
            "ceiling_scale": np.array(-2.5),
            "open_place": np.array(-5.0),
            "distance": np.log(cells / HEIGHT),
            "distance_scales": np.full(kind.shape, -2.5),
            "kinds": np.where(np.arange(4)[:, None, None] == kind, 4.0, 0.0),
        }

    def forward(self, colour: torch.Tensor, known: torch.Tensor) -> LayoutPrediction:
        assert len(colour) == len(self.truths) and colour.shape[2:] == known.shape[2:]
        stacked = {name: np.stack([truth[name] for truth in self.truths]) for name in self.truths[0]}
        return LayoutPrediction(**{name: torch.from_numpy(value).float() for name, value in stacked.items()})


def photo_of(layout: RoomLayout, camera: Camera) -> np.ndarray:
    return colours(layout, camera.rays())


def camera_at(heading: float = 0.4, **options) -> Camera:
    return placed_camera(480, 360, math.radians(80), heading_rad=heading, pitch_rad=-0.08, roll_rad=0.02, **options)


def apart(one: RoomLayout, other: RoomLayout, centre=(0, 0, 0)) -> float:
    """Median |log| of the ratio of what is seen of two rooms from a place in both."""
    rays = equirectangular_directions(128, 64)
    return float(np.median(np.abs(np.log(one.cast(centre, rays)[0] / other.cast(centre, rays)[0]))))


@pytest.mark.parametrize("room", [BOX, L_SHAPE], ids=["box", "L-shape"])
@pytest.mark.parametrize("angle", [0.0, 0.3, 2.0])
def test_exact_columns_give_the_room_back(room, angle):
    """From the distances around alone, no photo: the polygon is that of the truth, corner by corner."""
    layout = turned(room, angle)
    truth = Knowing(layout, [0.0]).truths[0]
    prediction = numbers(truth)
    evidence = Evidence(prediction, np.ones((CELL_ROWS, CELL_COLUMNS), bool), [])
    heading = (angle + math.pi / 4) % (math.pi / 2) - math.pi / 4
    found = polygon_of_columns(evidence, heading, 0.7)
    assert found is not None and len(found.offsets) == len(layout.corners)
    corners = found.corners() * HEIGHT
    nearest = np.linalg.norm(corners[:, None] - layout.corners[None], axis=-1).min(1)
    assert nearest.max() < 0.02


@pytest.mark.parametrize("room", [BOX, L_SHAPE], ids=["box", "L-shape"])
def test_a_photo_and_a_network_that_is_a_little_wrong_give_the_room(room):
    camera = camera_at()
    found = fit_layout(photo_of(room, camera), camera, HEIGHT, Knowing(room, [0.4], error=0.06))
    assert found.place.kind == "room" and found.layout is not None and found.place.reason
    assert len(found.layout.corners) == len(room.corners)
    assert found.layout.floor_z == pytest.approx(-HEIGHT)
    # where the photo shows it, lines put it right: nearer than the network was
    rays = camera.resized(48, 36).rays()
    seen = np.abs(np.log(found.layout.cast((0, 0, 0), rays)[0] / room.cast((0, 0, 0), rays)[0]))
    assert np.mean(seen) < 0.02
    assert apart(found.layout, room) < 0.06


@pytest.mark.parametrize("sure, walls", [(0.05, 4), (0.5, 6)])
def test_a_room_that_is_only_supposed_has_four_walls(monkeypatch, sure, walls):
    """Corners that the photo hardly shows would be steps in walls that nobody saw."""
    camera = camera_at(0.4)
    monkeypatch.setattr(fit, "judge", lambda *_: Place("room", sure, "Because."))
    found = fit_layout(photo_of(L_SHAPE, camera), camera, HEIGHT, Knowing(L_SHAPE, [0.4]))
    assert found.layout is not None and len(found.layout.corners) == walls
    assert found.layout.confidence == found.place.confidence == sure
    assert ("four walls" in found.place.reason) == (walls == 4)


@pytest.mark.parametrize("things, kind", [(0.02, "neither"), (0.1, "room"), (0.5, "neither")])
def test_without_edges_a_room_is_supposed_around_what_stands_before_a_wall(monkeypatch, things, kind):
    """Not around a bare wall, and not around a close-up."""
    camera = camera_at(0.4)
    weights = dict(zip(SIGNS, gate._SIGN_WEIGHTS, strict=True))
    signs = dict.fromkeys(SIGNS, 0.0) | {"things": things, "apart": 0.1}
    others = gate._SIGN_BASE + sum(weights[name] * value for name, value in signs.items())
    signs["contrast"] = (math.log(0.1 / 0.9) - others) / weights["contrast"]  # it is right once in ten times
    monkeypatch.setattr(gate, "signs_of", lambda *_: np.array(list(signs.values())))
    found = fit_layout(photo_of(BOX, camera), camera, HEIGHT, Knowing(BOX, [0.4]))
    assert found.place.kind == kind and found.place.confidence == pytest.approx(0.1)


def test_the_heading_is_the_lines_own_not_the_networks():
    room = turned(BOX, math.radians(11))
    camera = camera_at(0.0)
    off = Knowing(room, [0.0])
    c, s = math.cos(0.07), math.sin(0.07)
    off.truths[0]["normals"] = off.truths[0]["normals"] @ np.array([[c, s], [-s, c]])
    found = fit_layout(photo_of(room, camera), camera, HEIGHT, off).layout
    assert found is not None
    _, direction, *_ = found.walls()
    angle = math.degrees(math.atan2(direction[0, 1], direction[0, 0])) % 90
    assert angle == pytest.approx(11, abs=0.5)


def test_turning_and_moving_the_world_turns_and_moves_the_room():
    camera = camera_at()
    photo, network = photo_of(BOX, camera), Knowing(BOX, [0.4])
    before = fit_layout(photo, camera, HEIGHT, network).layout
    place = np.array([5.0, -3.0, 7.5])
    after = fit_layout(photo, camera_at(0.4 + 1.2, position=place), HEIGHT, network).layout
    assert before is not None and after is not None
    expected = turned(before, 1.2)
    np.testing.assert_allclose(after.corners, expected.corners + place[:2], atol=1e-6)
    assert after.floor_z == pytest.approx(before.floor_z + place[2])
    assert after.ceiling_z == pytest.approx(before.ceiling_z + place[2])


def test_the_cameras_height_is_the_unit_of_everything():
    camera = camera_at()
    photo, network = photo_of(BOX, camera), Knowing(BOX, [0.4])
    one, two = (fit_layout(photo, camera, height, network) for height in (1.0, 2.0))
    assert one.layout is not None and two.layout is not None
    np.testing.assert_allclose(two.layout.corners, 2 * one.layout.corners, rtol=1e-9)
    assert two.layout.height == pytest.approx(2 * one.layout.height)
    np.testing.assert_allclose(two.distance_inside, 2 * one.distance_inside, rtol=1e-5)


@pytest.mark.parametrize("height", [0.2, 25.0])
def test_a_cameras_height_that_cannot_be_is_named(height):
    camera = camera_at()
    found = fit_layout(photo_of(BOX, camera), camera, height, Knowing(BOX, [0.4]))
    assert found.place.kind == "neither" and found.layout is None and found.place.confidence == 0
    assert f"{height:g} m above the floor" in found.place.reason and "correct the camera's height" in found.place.reason


def test_a_depth_models_distance_counts_where_there_is_one():
    """A network that has one wall too near; the measured distance puts it right."""
    camera = camera_at(0.4)
    photo = np.full((360, 480, 3), 128, np.uint8)  # nothing to see
    small = replace(BOX, corners=BOX.corners * (0.8, 1.0))
    network = Knowing(small, [0.4])
    network.truths[0]["kinds"] = np.zeros_like(network.truths[0]["kinds"])
    network.truths[0]["wall_scales"] = np.zeros(256)
    distance = BOX.cast((0, 0, 0), camera.resized(64, 48).rays())[0]
    without = fit_layout(photo, camera, HEIGHT, network).candidate
    measured = fit_layout(photo, camera, HEIGHT, network, distance=distance).candidate
    rays = camera.resized(64, 48).rays()
    assert without is not None and measured is not None
    errors = [np.abs(np.log(room.cast((0, 0, 0), rays)[0] / distance)).mean() for room in (without, measured)]
    assert errors[1] < 0.5 * errors[0]


def test_a_mirrored_photo_gives_the_mirrored_room():
    camera = placed_camera(480, 360, math.radians(80), pitch_rad=-0.05)
    other = RoomLayout((BOX.corners * (1, -1))[::-1], BOX.floor_z, BOX.ceiling_z)
    photo = photo_of(BOX, camera)
    found = fit_layout(photo, camera, HEIGHT, Knowing(BOX, [0.0])).layout
    mirrored = fit_layout(photo[:, ::-1].copy(), camera, HEIGHT, Knowing(other, [0.0])).layout
    assert found is not None and mirrored is not None
    back = RoomLayout((mirrored.corners * (1, -1))[::-1], mirrored.floor_z, mirrored.ceiling_z)
    assert apart(found, back) < 0.01


def test_a_360_picture_gives_its_room_wherever_it_was_taken():
    heading, origin = 0.7, (2.0, -1.0, 4.0)
    picture = colours(turned(L_SHAPE, -heading), equirectangular_directions(1024, 512))
    headings = [heading + 2 * math.pi * k / fit.CUTS for k in range(fit.CUTS)]
    found = fit_layout_panorama(
        picture, HEIGHT, Knowing(L_SHAPE, headings, error=0.03), heading_rad=heading, origin=origin
    )
    assert found.place.kind == "room" and found.layout is not None
    home = replace(
        found.layout,
        corners=found.layout.corners - origin[:2],
        floor_z=found.layout.floor_z - origin[2],
        ceiling_z=found.layout.ceiling_z - origin[2],
    )
    assert len(home.corners) == 6 and apart(home, L_SHAPE) < 0.02
    assert found.distance_camera is None and found.distance_inside.shape == (CELL_ROWS, ALL_COLUMNS)


@pytest.mark.parametrize("kind", ["noise", "grey", "black", "small", "straight down"])
def test_a_photo_of_nothing_is_no_room_and_says_why(kind):
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (240, 320, 3), np.uint8)
    if kind in ("grey", "black"):
        photo = np.full_like(photo, 128 if kind == "grey" else 0)
    photo = photo[:64, :64] if kind == "small" else photo
    pitch = -math.pi / 2 if kind == "straight down" else 0.0
    camera = placed_camera(photo.shape[1], photo.shape[0], math.radians(70), pitch_rad=pitch)
    torch.manual_seed(0)
    network = LayoutNetwork(width=32, num_layers=1, num_attention_heads=2, block_out_channels=(8, 8, 8)).eval()
    found = fit_layout(photo, camera, 1.5, network)
    assert found.place.kind == "neither" and found.layout is None
    assert 0 <= found.place.confidence < SURE and found.place.reason.endswith(".")
    assert np.isfinite(found.distance_inside).all() and (found.distance_inside > 0).all()
    assert fit_layout(photo, camera, 1.5, network).place.confidence == found.place.confidence


def test_what_lies_on_the_canvas_is_what_the_photo_shows():
    camera = placed_camera(400, 300, math.radians(70), heading_rad=1.0, pitch_rad=0.1, roll_rad=-0.05)
    photo = photo_of(BOX, camera)
    canvas = place_on_canvas(photo, camera)
    truth = colours(BOX, canvas_directions(heading_rad=1.0))
    same = np.abs(canvas.colour.astype(int) - truth).max(-1) < 8
    assert canvas.known.mean() > 0.15 and same[canvas.known].mean() > 0.85
    assert not canvas.colour[~canvas.known].any()


def test_a_grid_of_the_canvas_and_of_the_photo_are_one_another():
    camera = placed_camera(96, 72, math.radians(70), heading_rad=-2.0, pitch_rad=0.15, roll_rad=0.05)
    smooth = np.log(BOX.cast((0, 0, 0), camera.rays())[0])
    back = grid_in_photo(grid_on_canvas(smooth, camera), camera, 96, 72)
    assert np.abs(back - smooth)[3:-3, 3:-3].mean() < 0.01


def test_the_network_saves_loads_and_sees_one_photo_as_in_a_batch(tmp_path):
    torch.manual_seed(0)
    network = LayoutNetwork(width=32, num_layers=2, num_attention_heads=2, block_out_channels=(8, 8, 8)).eval()
    network.save_pretrained(tmp_path)
    again = LayoutNetwork.from_pretrained(tmp_path).eval()
    colour, known = torch.rand(3, 3, 144, 192) * 2 - 1, (torch.rand(3, 1, 144, 192) > 0.3).float()
    with torch.no_grad():
        one, other, alone = network(colour, known), again(colour, known), network(colour[1:2], known[1:2])
    for name, value in one.items():
        torch.testing.assert_close(value, other[name])
        torch.testing.assert_close(value[1:2], alone[name], rtol=1e-4, atol=1e-5)
    # what the photo did not see is not looked at
    with torch.no_grad():
        blind = network(torch.where(known > 0, colour, torch.full_like(colour, 0.7)), known)
    torch.testing.assert_close(one.walls, blind.walls)
