"""A room drawn: where its faces lie, what of them is clean, how patterns go on, and what becomes of a world."""

import math
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from lookbeyond.files import load_panorama, save_panorama
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.layout import RoomLayout, box_layout
from lookbeyond.geometry.panorama import Panorama, Place
from lookbeyond.geometry.projection import equirectangular_directions, extract_perspective
from lookbeyond.layout import draw, world
from lookbeyond.layout.cut import cut_edges, extend_cut
from lookbeyond.layout.draw import draw_room
from lookbeyond.layout.faces import Face, faces_of
from lookbeyond.layout.front import draw_fronts, draw_shadow, find_fronts, find_shadow
from lookbeyond.layout.open_place import draw_open
from lookbeyond.layout.pattern import SeenPattern, repeats
from lookbeyond.layout.picture import PhotoPicture, SpherePicture
from lookbeyond.layout.quilting import continue_pattern
from lookbeyond.layout.render import map_faces, render_faces
from lookbeyond.layout.surfaces import FaceLight, SeenFaces, apart_from_face, find_clean, lab
from lookbeyond.layout.things import find_things

L_SHAPE = RoomLayout(np.array([[-1.0, -1], [4, -1], [4, 1], [1, 1], [1, 3], [-1, 3]]), -1.6, 1.1)
ORIGIN = np.array([0.2, 0.1, 0.0])
WALL, FLOOR, CEILING, SCREEN = (200, 190, 170), (120, 90, 60), (230, 230, 225), (12, 12, 14)


def picture_of(layout: RoomLayout, rays: np.ndarray, origin=ORIGIN) -> np.ndarray:
    """Plain walls, floor and ceiling, with a dark screen on the wall ahead."""
    distance, face = layout.cast(origin, rays)
    points = origin + rays * distance[..., None]
    colour = np.full((*face.shape, 3), WALL, np.uint8)
    colour[face == layout.floor_face], colour[face == layout.ceiling_face] = FLOOR, CEILING
    screen = (face < layout.floor_face) & (points[..., 0] > 1.5) & (np.abs(points[..., 1] - 0.6) < 0.5)
    colour[screen & (np.abs(points[..., 2]) < 0.3)] = SCREEN
    return colour


def box_world(width: int = 512, **options) -> tuple[RoomLayout, PhotoPicture, Panorama]:
    """A box room, a photo of it, and the whole of it as if diffusion had painted it without a fault."""
    room = box_layout((0.5, 0.2), (4.0, 5.0), 0.0, -1.6, 1.0)
    camera = placed_camera(320, 240, math.radians(70), pitch_rad=math.radians(-5), position=tuple(ORIGIN))
    photo = PhotoPicture(picture_of(room, camera.rays()), camera)
    rays = equirectangular_directions(width, width // 2)
    inside = photo.locate(rays + ORIGIN.astype(np.float32))[2]
    painted = Panorama(
        picture_of(room, rays.astype(np.float64)),
        room.cast(ORIGIN, rays)[0],
        inside.astype(np.uint8) * 255,
        origin=tuple(ORIGIN),
        photo_camera=camera,
        **options,
    )
    return room, photo, painted


@pytest.mark.parametrize("heading", [0.0, 1.1])
def test_a_panorama_of_faces_is_what_rays_hit(heading):
    rays = equirectangular_directions(256, 128, heading)
    distance, face = L_SHAPE.cast(ORIGIN, rays)
    view = map_faces(L_SHAPE, ORIGIN, 256, heading)
    assert (view.face == face).mean() > 0.999  # a pixel on an edge may go either way
    np.testing.assert_allclose(view.distance[view.face == face], distance[view.face == face], rtol=1e-4)


@pytest.mark.parametrize("heading", [0.0, 2.5])
def test_textures_appear_where_their_texels_lie(heading):
    """Textures that hold their own texels' places in the world: what is drawn is where the rays end."""
    faces, texel = faces_of(L_SHAPE), 0.02
    textures = [face.points(texel) for face in faces]
    view = map_faces(L_SHAPE, ORIGIN, 256, heading)
    drawn = render_faces(faces, textures, texel, view)
    rays = equirectangular_directions(256, 128, heading)
    points = ORIGIN + rays * view.distance[..., None]
    assert np.abs(drawn - points).max() < texel  # half a texel is lost at a texture's rim


def test_a_photo_and_a_sphere_show_the_same_points():
    _, photo, painted = box_world()
    sphere = SpherePicture(painted.colour, painted.origin, painted.heading_rad)
    for picture in (photo, sphere):
        points = picture.position + 2.5 * picture.rays()
        columns, rows, inside = picture.locate(points.astype(np.float32))
        height, width = picture.pixels.shape[:2]
        assert inside.all()
        np.testing.assert_allclose(columns, np.broadcast_to(np.arange(width) + 0.5, columns.shape), atol=2e-2)
        np.testing.assert_allclose(rows, np.broadcast_to(np.arange(height)[:, None] + 0.5, rows.shape), atol=2e-2)


def test_a_pattern_goes_on_in_phase():
    stripes = np.broadcast_to(np.sin(np.arange(240) / 8 * 2 * np.pi)[None, :, None], (160, 240, 3)).astype(np.float32)
    known = np.zeros((160, 240), bool)
    known[:, :110] = True
    made = continue_pattern(stripes * known[..., None], known, np.ones_like(known), np.random.default_rng(0))
    assert made is not None
    np.testing.assert_allclose(made[known], stripes[known], atol=1e-5)
    unseen = made[10:-10, 130:230, 0]
    assert np.corrcoef(unseen.ravel(), stripes[10:-10, 130:230, 0].ravel())[0, 1] > 0.9


def test_too_little_of_a_pattern_is_no_example():
    known = np.zeros((200, 200), bool)
    known[:20, :20] = True
    assert continue_pattern(np.zeros((200, 200, 3), np.float32), known, ~known, np.random.default_rng(0)) is None


def test_what_repeats_is_told_from_grain():
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:120, :200]
    lines = ((columns + rows) % 25 < 3) | ((columns - rows) % 25 < 3)
    known = np.ones(rows.shape, bool)

    def seen(values):
        return SeenPattern(np.repeat((values - values.mean())[..., None], 3, -1).astype(np.float32), known)

    assert repeats(seen(0.05 * lines + 0.01 * rng.normal(size=rows.shape)), 0.008)
    assert not repeats(seen(0.02 * rng.normal(size=rows.shape)), 0.008)
    assert not repeats(seen(0.05 * cv2.GaussianBlur(rng.normal(size=rows.shape), (0, 0), 4)), 0.008)


def test_the_drawn_room_has_the_rooms_planes_and_the_photos_colours():
    room, photo, painted = box_world()
    drawn = draw_room(photo, painted, room)
    truth = picture_of(room, equirectangular_directions(512, 256).astype(np.float64))
    view = map_faces(room, ORIGIN, 512, 0.0)
    np.testing.assert_allclose(drawn.distance, view.distance, rtol=1e-3)
    calm = cv2.erode((view.face == cv2.erode(view.face, np.ones((9, 9)))).astype(np.uint8), np.ones((25, 25))) > 0
    plain = calm & (truth.sum(-1) > 100)
    assert np.median(np.abs(drawn.colour.astype(int) - truth)[plain]) < 8
    # the clean plate shows the wall where the screen hangs
    screen = (truth == SCREEN).all(-1) & calm
    assert screen.sum() > 20
    assert np.median(np.abs(drawn.plate.astype(int) - WALL)[screen]) < 25


def test_what_stands_before_a_wall_keeps_its_distance():
    room, photo, painted = box_world()
    measured, _ = room.cast(ORIGIN, photo.rays())
    pixels = photo.pixels.copy()
    pixels[120:200, 60:140], measured[120:200, 60:140] = (30, 60, 140), 1.2
    drawn = draw_room(replace(photo, pixels=pixels), painted, room, measured=measured)
    view = extract_perspective(drawn.distance, photo.camera)
    behind = extract_perspective(drawn.plate_distance, photo.camera)
    assert np.median(view[130:190, 70:130]) == pytest.approx(1.2, rel=0.02)
    assert np.median(behind[130:190, 70:130]) > 1.5


def wall_believed_to_have_a_door() -> tuple[Face, FaceLight]:
    """A wall of which the photo shows nothing, on a grid of 4 cm; a dark blob reaches down to its floor."""
    face = faces_of(box_layout((0, 0), (6.0, 4.0), 0.0, -1.6, 1.1))[0]
    shape = face.shape(0.04)
    smooth = np.full((*shape, 3), (60, 0, 5), np.float32)
    believed = smooth.copy()
    believed[20:, 15:38, 0] = 30
    nothing = np.zeros(shape, bool)
    return face, FaceLight(smooth, believed, smooth, ~nothing, nothing.astype(np.float32), in_photo=nothing)


def test_dark_blobs_to_the_floor_are_doors_and_bright_ones_windows():
    face, light = wall_believed_to_have_a_door()
    shape, nothing = face.shape(0.04), light.in_photo
    light.believed[15:40, 60:90, 0] = 92
    kinds = {thing.kind: thing for thing in find_things(face, light, 0.04)}
    assert set(kinds) == {"door", "window"}
    assert kinds["door"].bottom_m == pytest.approx(shape[0] * 0.04)
    assert kinds["door"].left_m < 26 * 0.04 < kinds["door"].right_m
    # what the photo shows is not drawn over
    seen = replace(light, seen=np.ones(shape, np.float32))
    assert find_things(face, seen, 0.04) == []
    # nor is anything hung beside what the photo's border cuts
    beside = nothing.copy()
    beside[:, 94:] = True  # 16 cm from the bright blob
    assert [thing.kind for thing in find_things(face, replace(light, in_photo=beside), 0.04)] == ["door"]


def test_a_door_hides_the_skirting_behind_it():
    face, light = wall_believed_to_have_a_door()
    shape = face.shape(0.04)
    pattern = np.zeros((shape[0] * 4, shape[1] * 4, 3), np.float32)
    texture = draw._texture(face, light, pattern, draw._Grain(0.01, 0.04, 0.004), True).astype(int)
    middle = round(26.5 * 4)
    foot, above = texture[-5:-2, middle], texture[-16:-12, middle]
    assert above.mean() < 90 and np.abs(foot.mean(0) - above.mean(0)).max() < 8
    frame = texture[:, middle - 48 : middle - 40].mean(-1)
    assert frame[-5:-2].max() < frame[-60:-40].max() + 2
    assert texture[-5:-2, middle + 200].mean() > texture[-16:-12, middle + 200].mean() + 15  # beside it there is one


def test_what_no_photo_of_a_place_shows_is_drawn_around_all_of_them():
    room, _photo, painted = box_world(1024)
    known = np.zeros((512, 1024), bool)
    known[180:360, 300:420] = known[150:330, 400:640] = True  # two photos
    fog = cv2.GaussianBlur(painted.colour, (0, 0), 40)
    joined = replace(
        painted,
        colour=np.where(known[..., None], painted.colour, fog),
        from_photo=known.astype(np.uint8) * 255,
        photo_camera=None,
    )
    picture = SpherePicture(joined.colour, joined.origin, 0.0, known)
    drawn = world.with_room(picture, joined, room, Place("room", 1.0))
    assert np.array_equal(drawn.colour[known], painted.colour[known])
    behind = np.s_[256:, :200]  # where walls meet the floor
    steps, foggy = (np.abs(np.diff(one[behind].astype(int), axis=0)).max((0, 2)) for one in (drawn.colour, fog))
    assert np.median(steps) > 5 * np.median(foggy)
    assert np.abs(drawn.colour.astype(int) - painted.colour)[~known].mean() < 15
    assert (drawn.distance > 0).all() and np.array_equal(drawn.from_photo, joined.from_photo)
    painted_again = world.with_room(picture, joined, room, Place("room", 1.0), "as-painted")
    assert np.array_equal(painted_again.colour, joined.colour)


@pytest.mark.parametrize("shows_photo", [False, True])
def test_a_360_picture_keeps_its_colour_and_has_a_plate_of_all_that_it_shows(monkeypatch, shows_photo):
    """Whether a photo has a part in it or not: the bench's true panoramas say where theirs looked."""
    room, _photo, painted = box_world(1024)
    fit = SimpleNamespace(candidate=room, layout=room, place=Place("room", 1.0))
    monkeypatch.setattr(world, "fit_layout_panorama", lambda *_, **__: fit)
    grain = np.random.default_rng(0).integers(-3, 4, painted.colour.shape)
    given = replace(painted, colour=(painted.colour + grain).clip(0, 255).astype(np.uint8))
    if not shows_photo:
        given = replace(given, from_photo=np.zeros_like(painted.from_photo), photo_camera=None)
    found = world.understand_panorama(given, None)
    assert np.array_equal(found.colour, given.colour)
    behind = found.plate.colour[:, :256]  # where the photo did not look, bare walls are the picture's own
    assert (behind == given.colour[:, :256]).all(-1).mean() > 0.9


@pytest.mark.parametrize(("heading_deg", "column"), [(-13, 0), (49, -1)], ids=["left border", "right, seen askew"])
def test_a_screen_that_the_border_cuts_ends_upright(heading_deg, column):
    room, _photo, _painted = box_world()
    heading_rad, pitch_rad = math.radians(heading_deg), math.radians(-14)
    camera = placed_camera(
        320, 240, math.radians(60), heading_rad=heading_rad, pitch_rad=pitch_rad, position=tuple(ORIGIN)
    )
    pixels = picture_of(room, camera.rays())
    face = room.cast(ORIGIN, camera.rays())[1]
    clean = (pixels != SCREEN).any(-1)
    assert (~clean[:, column]).sum() > 20  # the screen is cut
    seen = SeenFaces(PhotoPicture(pixels, camera), face, clean, np.zeros_like(clean))
    edges = cut_edges(seen, room, faces_of(room), room.cast(ORIGIN, camera.rays())[0], 1.0)
    colour = np.full((512, 1024, 3), 255, np.uint8)
    distance = np.full((128, 256), 50.0, np.float32)
    extend_cut(edges, ORIGIN, 0.0, colour, distance)
    around = equirectangular_directions(1024, 512)
    dark = (colour < 60).all(-1) & ~PhotoPicture(pixels, camera).locate(ORIGIN.astype(np.float32) + around)[2]
    assert dark.sum() > 30  # beside the photo
    rays = around[dark]
    reach, _ = room.cast(ORIGIN, rays)
    points = ORIGIN + rays * reach[:, None]
    # the end lies at one place along the wall at every height
    away = 1 if column == 0 else -1
    low, high = np.quantile(points[:, 2], (0.1, 0.9))
    ends = [(away * points[np.abs(points[:, 2] - z) < 0.03, 1]).max() for z in np.linspace(low, high, 3)]
    assert np.ptp(ends) < 0.03
    np.testing.assert_allclose(distance[distance < 50].min(), reach.min(), rtol=0.05)


def open_photo() -> PhotoPicture:
    camera = placed_camera(320, 240, math.radians(65))
    up = camera.rays()[..., 2]
    pixels = np.full((240, 320, 3), (96, 120, 60), np.uint8)
    pixels += np.random.default_rng(0).integers(0, 12, pixels.shape, np.uint8)
    pixels[up > 0] = (120, 160, 230)
    pixels[(up > 0) & (up < 0.1)] = (90, 80, 70)  # a hedge
    return PhotoPicture(pixels, camera)


def test_an_open_place_has_ground_to_the_horizon_and_sky_above():
    photo = open_photo()
    empty = np.zeros((256, 512), np.uint8)
    painted = Panorama(
        np.zeros((256, 512, 3), np.uint8),
        np.full((256, 512), 3, np.float32),
        empty,
        camera_height=1.7,
        photo_camera=photo.camera,
    )
    drawn = draw_open(photo, painted)
    elevation = (0.5 - (np.arange(256) + 0.5) / 256) * math.pi
    zenith, nadir = drawn.colour[:20].mean((0, 1)), drawn.colour[-40:].mean((0, 1))
    assert zenith[2] > zenith[0] + 40 and nadir[1] > nadir[2] + 20
    below = elevation < math.radians(-8)
    expected = 1.7 / np.sin(-elevation[below])
    np.testing.assert_allclose(np.median(drawn.distance[below], 1), expected, rtol=0.03)
    assert (drawn.distance[elevation > math.radians(45)] > 40).all()


def fit(layout: RoomLayout | None, place: str, **options):
    from lookbeyond.layout.fit import LayoutFit

    values = {"candidate": layout, "walls": np.zeros(256, np.float32)}
    distance = np.full((24, 32), 9.0, np.float32)
    return LayoutFit(
        place=Place(place, 0.7, "Because."),
        distance_inside=distance,
        things_inside=0 * distance,
        distance_camera=None,
        **(values | options),
    )


def understood(photo: PhotoPicture, painted: Panorama, room: world.Room = "auto", unseen: world.Unseen = "dressed"):
    """The world around a photo, its place found and drawn."""
    found = world.find_place(photo.pixels, photo.camera, painted.camera_height, network=None, room=room)
    return world.draw_place(photo.pixels, painted, found, unseen)


def test_a_room_that_is_not_sure_leaves_the_world_as_it_was_painted(monkeypatch):
    room, photo, painted = box_world()
    monkeypatch.setattr(world, "fit_layout", lambda *_, **__: fit(room, "neither"))
    made = understood(photo, painted)
    assert made.colour is painted.colour and made.plate is None
    assert made.place == Place("neither", 0.7, "Because.")
    overruled = understood(photo, painted, room="on")
    assert overruled.place.kind == "room" and overruled.layout is room and overruled.plate is not None


def test_the_photo_stays_and_as_painted_keeps_the_paint(monkeypatch):
    room, photo, painted = box_world()
    monkeypatch.setattr(world, "fit_layout", lambda *_, **__: fit(room, "room"))
    drawn = understood(photo, painted)
    kept = drawn.from_photo == 255
    assert kept.sum() > 2000
    difference = np.abs(drawn.colour.astype(int) - painted.colour)[kept]
    assert np.quantile(difference, 0.95) <= 2  # but for resampling along edges
    painted_on = understood(photo, painted, unseen="as-painted")
    assert painted_on.colour is painted.colour
    np.testing.assert_array_equal(painted_on.distance, drawn.distance)


def test_worlds_are_read_with_their_place_and_plate(tmp_path, monkeypatch):
    room, photo, painted = box_world()
    monkeypatch.setattr(world, "fit_layout", lambda *_, **__: fit(room, "room"))
    made = understood(photo, painted)
    for name, one in (("room", made), ("open", replace(made, layout=None)), ("painted", painted)):
        save_panorama(tmp_path / name, one)
        again = load_panorama(tmp_path / name)
        assert again.place == one.place
        assert (again.layout is None) == (one.layout is None) and (again.plate is None) == (one.plate is None)
        if again.plate and one.plate:
            np.testing.assert_array_equal(again.plate.colour, one.plate.colour)
    (tmp_path / "room" / "plate.png").unlink()
    with pytest.raises(Exception, match="some are missing"):
        load_panorama(tmp_path / "room")


def test_a_photos_hole_shows_nothing_of_any_face():
    photo = np.full((60, 80, 4), (90, 100, 110, 255), np.uint8)
    photo[20:40, 30:50] = (255, 0, 255, 0)
    picture = PhotoPicture.of(photo, placed_camera(160, 120, 1.2))
    assert picture.camera.width == 80 and not picture.shown[30, 40] and picture.shown[5, 5]
    _, _, inside = picture.locate(picture.rays().astype(np.float32))
    np.testing.assert_array_equal(inside, picture.shown)
    assert picture.border_depth()[19, 40] == pytest.approx(1, abs=0.1) and not picture.border_depth()[30, 40]
    small = picture.resized(40, 30)
    assert not small.shown[10:20, 15:25].any() and small.shown[:9].all()
    np.testing.assert_array_equal(picture.with_holes[..., 3], photo[..., 3])
    assert PhotoPicture.of(photo[..., :3], picture.camera).shown.all()


def test_a_desk_that_the_network_knows_does_not_become_the_floor():
    room, *_ = box_world()
    camera = placed_camera(128, 96, math.radians(70), pitch_rad=math.radians(-30), position=tuple(ORIGIN))
    small = PhotoPicture(picture_of(room, camera.rays()), camera)
    measured, face = room.cast(small.position, small.rays())
    floor, beside = face == room.floor_face, np.arange(small.pixels.shape[1]) < small.pixels.shape[1] // 2
    colours = lab(small.pixels)
    expected = [
        np.median(colours[face == one.number] if (face == one.number).any() else colours[floor], 0)
        for one in faces_of(room)
    ]
    things = np.where(beside, np.float32(1), np.float32(0)) + np.zeros_like(measured, np.float32)
    bare = find_clean(small, room, faces_of(room), measured.astype(np.float32), expected)
    seen = find_clean(small, room, faces_of(room), measured.astype(np.float32), expected, things)
    assert (bare.clean & floor & beside).sum() > 100 and not (seen.clean & floor & beside).any()
    assert (seen.clean & floor).any()


def test_what_has_no_edge_leaves_its_face_gradually():
    """A part of a door that is told to stand before it, beside a post that does."""
    _, photo, _ = box_world()
    shape = photo.pixels.shape[:2]
    pixels = np.full((*shape, 3), (60, 50, 45), np.uint8)
    standing = np.zeros(shape, bool)
    height, width = shape
    post, part = (np.s_[height // 4 : -height // 4, first : first + width // 5] for first in (width // 10, width // 2))
    standing[post] = standing[part] = True
    pixels[post] = (200, 190, 180)
    seen = SeenFaces(replace(photo, pixels=pixels), np.zeros(shape, np.int16), ~standing, standing)
    apart = apart_from_face(seen)
    middle = np.s_[height // 2, width // 2 + width // 10]
    assert (apart[post] == 1).all() and apart[middle] == 1 and apart[part][:, 0].max() == 0
    assert np.abs(np.diff(apart[part], axis=1)).max() < 0.1  # no crack


def test_a_post_that_the_lower_border_cuts_stands_on_the_floor():
    """Its front ends where it stands, as a straight line."""
    room, photo, _ = box_world()
    camera, red = photo.camera, (170, 60, 50)
    rays = camera.rays()
    to_wall, face = room.cast(ORIGIN, rays)
    low, high = np.array([1.4, -0.02, -1.6]) - ORIGIN, np.array([2.0, 0.14, 0.2]) - ORIGIN
    with np.errstate(divide="ignore"):
        ends = np.sort(np.stack([low / rays, high / rays]), 0)
    near, far = ends[0].max(-1), ends[1].min(-1)
    hit = (near < far) & (near > 0)
    assert 10 < hit[-1].sum() < 38
    measured = np.where(hit, near, to_wall).astype(np.float32)
    seen = SeenFaces(replace(photo, pixels=np.where(hit[..., None], np.uint8(red), photo.pixels)), face, ~hit, hit)
    (front,) = find_fronts(seen, room, measured, 1.0)
    np.testing.assert_allclose(front.reach_m * np.cos(front.azimuth_rad), 1.2, atol=0.03)

    view = map_faces(room, ORIGIN, 1024, 0.0)
    colour, distance = np.full((512, 1024, 3), FLOOR, np.uint8), view.distance.copy()
    draw_fronts([front], 0.0, colour, distance, 1.0)
    points = ORIGIN + equirectangular_directions(1024, 512) * distance[..., None]
    beyond = ~photo.locate(equirectangular_directions(1024, 512) + ORIGIN.astype(np.float32))[2]
    drawn = beyond & (lab(colour)[..., 1] > 25)
    assert drawn.sum() > 300
    assert np.abs(points[drawn][:, 0] - 1.4).max() < 0.05  # it is upright, where the box's front is,
    assert points[drawn][:, 2].min() < -1.55 and points[drawn][:, 2].max() < -0.6  # and reaches the floor
    assert points[drawn][:, 1].min() > -0.05 and points[drawn][:, 1].max() < 0.17
    on_floor = beyond & ~drawn
    np.testing.assert_allclose(distance[on_floor], view.distance[on_floor], rtol=0.02)  # a pixel at its ends
    shaded = (colour != FLOOR).any(-1) & on_floor
    assert np.abs(points[shaded][:, 2] + 1.6).max() < 0.05 and points[shaded][:, 0].min() > 0.8


def test_legs_before_a_wall_go_on_to_its_foot_and_their_shadow_does_not():
    """Seen against the wall, they have no distance of their own; a shadow joins two of them at the border."""
    room, *_ = box_world()
    camera = placed_camera(320, 240, math.radians(70), pitch_rad=math.radians(12), position=tuple(ORIGIN))
    to_wall, face = room.cast(ORIGIN, camera.rays())
    pixels, things = picture_of(room, camera.rays()), np.zeros(face.shape, bool)
    assert (face[-1, 60:260] < room.floor_face).all()
    for first, last, colour in ((100, 106, (150, 90, 40)), (180, 220, (180, 170, 150))):
        pixels[150:, first:last], things[150:, first:last] = colour, True
    for first in (182, 212):
        pixels[150:, first : first + 6] = 150, 90, 40
    seen = SeenFaces(PhotoPicture(pixels, camera), face, ~things, np.zeros_like(things))
    fronts = find_fronts(seen, room, to_wall.astype(np.float32), 1.0)
    assert [len(front.azimuth_rad) for front in fronts] == [6, 6, 6]
    for front in fronts:
        reach = np.stack([np.cos(front.azimuth_rad), np.sin(front.azimuth_rad)], -1) * front.reach_m[:, None]
        wall, _ = room.cast(ORIGIN, np.pad(reach / front.reach_m[:, None], [(0, 0), (0, 1)]))
        np.testing.assert_allclose(front.reach_m, 0.98 * wall, rtol=1e-3)
    colour, distance = np.full((512, 1024, 3), WALL, np.uint8), map_faces(room, ORIGIN, 1024, 0.0).distance.copy()
    draw_fronts(fronts, 0.0, colour, distance, 1.0)
    drawn = lab(colour)[..., 1] > lab(np.uint8([[WALL]]))[0, 0, 1] + 8
    points = (ORIGIN + equirectangular_directions(1024, 512) * distance[..., None])[drawn]
    assert drawn.sum() > 100 and points[:, 2].min() < -1.5 and points[:, 2].max() < 0


def looking_down() -> tuple[RoomLayout, PhotoPicture]:
    """A photo whose lower border lies on the floor."""
    room, *_ = box_world()
    camera = placed_camera(320, 240, math.radians(70), pitch_rad=math.radians(-20), position=tuple(ORIGIN))
    return room, PhotoPicture(picture_of(room, camera.rays()), camera)


def test_a_wide_thing_that_the_lower_border_cuts_only_casts_a_shadow():
    room, photo = looking_down()
    to_wall, face = room.cast(ORIGIN, photo.camera.rays())
    table = np.zeros(face.shape, bool)
    table[180:, 100:200] = True
    seen = SeenFaces(photo, face, ~table, table)
    assert find_fronts(seen, room, np.where(table, 0.6, 1.0) * to_wall, 1.0) == []
    shadow = find_shadow(seen, room)
    assert shadow is not None
    colour = np.full((512, 1024, 3), FLOOR, np.uint8)
    draw_shadow(shadow, 0.0, colour, 1.0)
    below = ~photo.locate(equirectangular_directions(1024, 512) + ORIGIN.astype(np.float32))[2]
    light = np.where(below, colour[..., 0] / FLOOR[0], np.nan)
    middle = np.flatnonzero((colour != FLOOR).any((0, 2)))
    column = light[:, int(np.median(middle))]
    first = int(np.nanargmin(column))
    assert 0.3 < column[first] < 0.5 and column[-1] > 0.9  # darkest at the border, none at the camera's feet
    assert (np.diff(column[first:]) >= 0).all()
    assert middle.max() - middle.min() < 0.5 * 1024 * 70 / 360  # under the table alone


def test_a_rug_has_no_front_and_a_bare_floor_is_left_alone():
    room, photo = looking_down()
    to_wall, face = room.cast(ORIGIN, photo.camera.rays())
    rug = np.zeros(face.shape, bool)
    rug[200:, 100:130] = True
    assert find_fronts(SeenFaces(photo, face, ~rug, rug), room, 0.97 * to_wall, 1.0) == []
    bare = SeenFaces(photo, face, np.ones_like(rug), np.zeros_like(rug))
    assert find_fronts(bare, room, to_wall, 1.0) == [] and find_shadow(bare, room) is None
