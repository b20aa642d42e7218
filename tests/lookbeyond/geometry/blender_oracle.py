"""Run by Blender's Python: what Cycles and Blender themselves make of the cameras in a JSON file.

    python blender_oracle.py CASES.json PANORAMA.png FOLDER

CASES holds {"heading": degrees, "points": [N, 3], "cameras": [{name, lens, sensor_width, ..., matrix_world}]}. Into
FOLDER go NAME.png, the panorama as world texture seen through each camera, and views.json, where
`world_to_camera_view` puts the points.
"""

import json
import math
import sys
from pathlib import Path

import bpy
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Matrix, Vector


def world_of(panorama: str, heading: float) -> "bpy.types.World":
    world = bpy.data.worlds.new("World")
    world.use_nodes = True
    world.cycles.sampling_method = "NONE"
    nodes, links = world.node_tree.nodes, world.node_tree.links
    place = nodes.new("ShaderNodeTexCoord")
    mapping = nodes.new("ShaderNodeMapping")
    mapping.vector_type = "TEXTURE"
    mapping.inputs["Rotation"].default_value[2] = math.radians(heading)
    texture = nodes.new("ShaderNodeTexEnvironment")
    texture.image = bpy.data.images.load(panorama)
    links.new(place.outputs["Generated"], mapping.inputs["Vector"])
    links.new(mapping.outputs["Vector"], texture.inputs["Vector"])
    links.new(texture.outputs["Color"], nodes["Background"].inputs["Color"])
    return world


def main(cases_file: str, panorama: str, folder: str) -> None:
    cases = json.loads(Path(cases_file).read_text())
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene, render = bpy.context.scene, bpy.context.scene.render
    scene.world = world_of(panorama, cases["heading"])
    render.engine = "CYCLES"
    scene.cycles.samples = 4
    scene.cycles.use_denoising = False
    scene.cycles.pixel_filter_type = "GAUSSIAN"
    scene.cycles.filter_width = 0.01  # rays through the pixels' centres
    scene.view_settings.view_transform = "Standard"
    render.image_settings.file_format = "PNG"
    render.image_settings.compression = 15
    render.dither_intensity = 0
    views = {}
    for case in cases["cameras"]:
        camera = bpy.data.objects.new(case["name"], bpy.data.cameras.new(case["name"]))
        scene.collection.objects.link(camera)
        camera.matrix_world = Matrix(case["matrix_world"])
        for name in ("lens", "sensor_width", "sensor_height", "sensor_fit", "shift_x", "shift_y"):
            setattr(camera.data, name, case[name])
        render.resolution_x, render.resolution_y = case["width"], case["height"]
        render.pixel_aspect_x, render.pixel_aspect_y = case["pixel_aspect_x"], case["pixel_aspect_y"]
        scene.camera = camera
        render.filepath = str(Path(folder) / f"{case['name']}.png")
        bpy.ops.render.render(write_still=True)
        bpy.context.view_layer.update()
        views[case["name"]] = [list(world_to_camera_view(scene, camera, Vector(p))) for p in cases["points"]]
    (Path(folder) / "views.json").write_text(json.dumps(views))


if __name__ == "__main__":
    main(*sys.argv[1:])
