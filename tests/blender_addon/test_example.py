"""The example goes the whole way by one press."""

from pathlib import Path

import bpy


def test_the_example_leaves_a_world_and_a_shot(scene, service, tmp_path):
    scene.look_beyond.output_folder = str(tmp_path / "results")
    assert bpy.ops.lookbeyond.try_example() == {"FINISHED"}
    settings = scene.look_beyond
    world, shot = service.requests
    assert world.width == 1024 and len(shot.cameras) == 24 and shot.cameras[0]["width"] == 384
    assert scene.camera.name == "Push In" and scene.camera != settings.photo_camera
    assert [take.name for take in settings.shots] == ["Push In 1"]
    assert (Path(settings.shot_folder) / "frames" / f"{scene.frame_end:04d}.png").is_file()
    # The photo lies with the results: the extension's own copy goes when it is updated.
    assert Path(settings.photo_path).is_relative_to(tmp_path / "results")
