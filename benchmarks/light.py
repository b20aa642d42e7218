"""How well a world's light (`world --hdr`) stands for the place's true one: spheres rendered in Cycles under both.

    python benchmarks/light.py [--blender PYTHON] [--pictures FOLDER] [--json docs/research/light.json]

The places are the eight real HDR panoramas that come with Blender as a module, on which nothing was trained or chosen.
Each is given as an artist's own 360° picture, and as photos of 75° around whose worlds the built-in preset builds.
A picture is taken as a phone would take it: exposed so that its geometric mean is a middle grey, sRGB curve, 8 bits,
clipped. Under the predicted light, the displayed picture as it is, and that with one gamma for all of it, a diffuse and
a glossy sphere (GGX, roughness 0.25) are rendered from two sides: mean |log2| of their luminance over that of the
truth, in stops. The main light is where a diffuse surface is brightest.
"""

import argparse
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lookbeyond.geometry.panorama import Panorama

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.kept_tables import keep_table

GAMMA = 1.5
"""Of the baseline: light l -> 0.18 (l / 0.18)^GAMMA. Of 1.25 to 3 the best on procedural places."""
INDOORS = ("interior", "studio")
WAYS = ("true", "predicted", "displayed", "gamma")
SIZE, SAMPLES = 32, 48
LIGHT_WIDTH = 512
HEADINGS_DEG = (0, 90, 180, 270)


# --- in Blender as a module -------------------------------------------------------------------------------


def add_ball(x: float, kind: str) -> None:
    """A white sphere at x with a shader of this kind, in the light alone."""
    import bpy

    bpy.ops.mesh.primitive_uv_sphere_add(segments=96, ring_count=48, location=(x, 0, 0))
    ball = bpy.context.object
    bpy.ops.object.shade_smooth()
    ball.visible_diffuse = ball.visible_glossy = ball.visible_shadow = False
    material = bpy.data.materials.new(kind)
    material.use_nodes = True
    nodes = material.node_tree.nodes
    shader = nodes.new(kind)
    shader.inputs["Color"].default_value = (1, 1, 1, 1)
    if "Anisotropic" in kind:
        shader.distribution, shader.inputs["Roughness"].default_value = "GGX", 0.25
    material.node_tree.links.new(shader.outputs[0], nodes["Material Output"].inputs["Surface"])
    ball.data.materials.append(material)


def render(folder: Path) -> None:
    """Renders the two spheres from two sides under every .exr of a folder: NAME.npy, [2 sides, SIZE, 2 SIZE, 3]."""
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", SAMPLES, False
    scene.cycles.use_adaptive_sampling = False
    scene.render.use_persistent_data = True
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.resolution_x, scene.render.resolution_y = 2 * SIZE, SIZE
    scene.view_settings.view_transform = "Raw"
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    add_ball(-1, "ShaderNodeBsdfDiffuse")
    add_ball(1, "ShaderNodeBsdfAnisotropic")
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.type, camera.data.ortho_scale = "ORTHO", 4.0
    scene.collection.objects.link(camera)
    scene.camera = camera
    world = scene.world = bpy.data.worlds.new("Light")
    world.use_nodes = True
    world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", 256
    texture = world.node_tree.nodes.new("ShaderNodeTexEnvironment")
    world.node_tree.links.new(texture.outputs["Color"], world.node_tree.nodes["Background"].inputs["Color"])
    for path in sorted(folder.glob("*.exr")):
        if path.with_suffix(".npy").exists():
            continue
        image = bpy.data.images.load(str(path))
        image.colorspace_settings.name = "Linear Rec.709"
        texture.image = image
        sides = []
        for turn in (0.0, math.pi):
            camera.location = (10 * math.sin(turn), -10 * math.cos(turn), 0)
            camera.rotation_euler = (math.pi / 2, 0, turn)
            scene.render.filepath = str(folder / "rendered" / "side.exr")
            bpy.ops.render.render(write_still=True)
            rendered = bpy.data.images.load(scene.render.filepath)
            pixels = np.empty(SIZE * 2 * SIZE * 4, np.float32)
            rendered.pixels.foreach_get(pixels)
            bpy.data.images.remove(rendered)
            side = pixels.reshape(SIZE, 2 * SIZE, 4)[::-1, :, :3]
            sides.append(side if turn == 0 else np.concatenate([side[:, SIZE:], side[:, :SIZE]], 1))
        bpy.data.images.remove(image)
        np.save(path.with_suffix(".npy"), np.stack(sides))


# --- beside it --------------------------------------------------------------------------------------------


def blender_panoramas(blender: Path) -> list[Path]:
    """The HDR panoramas in the datafiles of Blender as a module."""
    asked = "import bpy, os; print('at', bpy.utils.system_resource('DATAFILES'))"
    said = subprocess.run([blender, "-c", asked], capture_output=True, text=True, check=True).stdout
    folder = Path(said.rpartition("at ")[2].strip()) / "studiolights" / "world"
    return sorted(folder.glob("*.exr"))


def make_cases(paths: list[Path], folder: Path, headings_deg: list[int]) -> list[str]:
    """Writes CASE-WAY.exr for every case; their names."""
    import cv2

    from lookbeyond.data.lit_places import sphere_exposure
    from lookbeyond.files import write_light
    from lookbeyond.geometry.cameras import placed_camera
    from lookbeyond.geometry.panorama import Panorama as World
    from lookbeyond.light.radiance import panorama_light
    from lookbeyond.light.sources import small_sphere
    from lookbeyond.photo.linear_files import read_linear
    from lookbeyond.photo.pixels import encoded, srgb_to_linear
    from lookbeyond.pipelines.scene import ScenePipeline
    from lookbeyond.training.light import photo_of

    scene = ScenePipeline.from_preset()
    camera = placed_camera(640, 480, math.radians(75), pitch_rad=math.radians(-3))
    names = []

    def write(name: str, true: np.ndarray, world: World) -> None:
        light = srgb_to_linear(world.colour / 255.0).astype(np.float32)
        ways = (true, panorama_light(world), light, 0.18 * (light / 0.18) ** GAMMA)
        for way, values in zip(WAYS, ways, strict=True):
            write_light(folder / f"{name}-{way}.exr", small_sphere(np.clip(values, 0, 6e4), LIGHT_WIDTH))
        cv2.imwrite(str(folder / f"{name}.png"), world.colour[..., ::-1])
        names.append(name)
        print(name, flush=True)

    for path in paths:
        radiance = np.maximum(read_linear(path), 0)
        true = radiance * np.float32(sphere_exposure(radiance))
        colour = encoded(true)
        distance = np.ones((256, 512), np.float32)
        write(f"{path.stem}-whole", true, World(colour, distance, np.zeros(colour.shape[:2], np.uint8)))
        for heading_deg in headings_deg:
            turned = np.roll(radiance, radiance.shape[1] * heading_deg // 360, 1)
            photo, exposure = photo_of(turned, camera, 0.0)
            name = f"{path.stem}-photo{heading_deg}"
            world = kept_world(folder / name, lambda photo=photo: scene.build_world(photo, camera, width=1024))
            write(name, turned * np.float32(exposure), world)
    return names


def kept_world(path: Path, build: Callable[[], "Panorama"]) -> "Panorama":
    """A world, built only once: what its light is made of."""
    from lookbeyond.geometry.panorama import Panorama as World

    file = path.with_suffix(".npz")
    if not file.exists():
        world = build()
        np.savez_compressed(file, colour=world.colour, from_photo=world.from_photo)
    with np.load(file) as kept:
        return World(kept["colour"], np.ones((256, 512), np.float32), kept["from_photo"])


def main_light(light: np.ndarray) -> np.ndarray:
    """The direction [3] in which a diffuse surface under a panorama [H, 2H, 3] is brightest."""
    from lookbeyond.geometry.projection import equirectangular_directions
    from lookbeyond.light.sources import LUMINANCE, small_sphere, solid_angles

    height = 64
    directions = equirectangular_directions(2 * height, height).reshape(-1, 3)
    normals = equirectangular_directions(height, height // 2).reshape(-1, 3)
    light = (small_sphere(light, 2 * height) @ LUMINANCE * solid_angles(height)).reshape(-1)
    irradiance = np.maximum(normals @ directions.T, 0) @ light
    return normals[int(irradiance.argmax())]


def judged(names: list[str], folder: Path) -> list[dict]:
    """A row for each case: errors in stops by way and sphere, and how far off the main light is, degrees."""
    from lookbeyond.light.sources import LUMINANCE
    from lookbeyond.photo.linear_files import read_linear

    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE * 2 - 1
    disc = np.hypot(x, y) < 0.95
    rows = []
    for name in names:
        rendered = {way: np.load(folder / f"{name}-{way}.npy") @ LUMINANCE for way in WAYS}
        towards = {way: main_light(read_linear(folder / f"{name}-{way}.exr")) for way in WAYS}
        row: dict = {"case": name, "indoors": name.split("-")[0] in INDOORS, "photo": "photo" in name}
        for way in WAYS[1:]:
            ratio = np.log2(np.maximum(rendered[way], 1e-4) / np.maximum(rendered["true"], 1e-4))
            for sphere, part in (("diffuse", ratio[..., :SIZE]), ("glossy", ratio[..., SIZE:])):
                row[f"{way} {sphere}"] = round(float(np.abs(part[:, disc]).mean()), 4)
            apart = math.degrees(math.acos(min(1.0, float(towards[way] @ towards["true"]))))
            row[f"{way} degrees"] = round(apart, 1)
        rows.append(row)
    return rows


def table(rows: list[dict]) -> list[list[str]]:
    """The rows' means, below their head."""
    parts = {
        "360° pictures, indoors": lambda row: not row["photo"] and row["indoors"],
        "360° pictures, outdoors": lambda row: not row["photo"] and not row["indoors"],
        "360° pictures": lambda row: not row["photo"],
        "photos, indoors": lambda row: row["photo"] and row["indoors"],
        "photos, outdoors": lambda row: row["photo"] and not row["indoors"],
        "photos": lambda row: row["photo"],
        "all": lambda row: True,
    }
    head = ["", "cases", "diffuse: predicted", "displayed", "gamma", "glossy: predicted", "displayed", "gamma"]
    lines = [[*head, "main light within 20°: predicted", "displayed"]]
    for title, of in parts.items():
        chosen = [row for row in rows if of(row)]
        if not chosen:
            continue
        cells = [
            f"{np.mean([row[f'{way} {sphere}'] for row in chosen]):.2f}"
            for sphere in ("diffuse", "glossy")
            for way in WAYS[1:]
        ]
        near = [f"{np.mean([row[f'{way} degrees'] <= 20 for row in chosen]):.0%}" for way in ("predicted", "displayed")]
        lines.append([title, str(len(chosen)), *cells, *near])
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    root = Path(__file__).parents[1]
    parser.add_argument("--blender", type=Path, default=root / ".venv-blender/bin/python")
    parser.add_argument("--panoramas", type=Path, help="a folder of other HDR panoramas")
    parser.add_argument(
        "--headings", type=int, nargs="*", default=HEADINGS_DEG, help="of each panorama's photos, degrees"
    )
    parser.add_argument("--json", type=Path, help="put the table and all cases into this file")
    parser.add_argument("--pictures", type=Path, help="keep everything in this folder")
    parser.add_argument("--render", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.render:
        return render(options.render)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.pictures or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        paths = sorted(options.panoramas.glob("*.exr")) if options.panoramas else blender_panoramas(options.blender)
        names = make_cases(paths, folder, options.headings)
        subprocess.run([options.blender, __file__, "--render", folder], check=True, stdout=subprocess.DEVNULL)
        rows = judged(names, folder)
    from lookbeyond.evaluation.table import rows_as_markdown  # not in Blender

    print(rows_as_markdown(table(rows)))
    keep_table(options.json, "spheres", table(rows), cases=rows)


if __name__ == "__main__":
    main()
