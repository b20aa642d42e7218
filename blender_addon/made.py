"""The objects that the add-on made in a scene, found by the scene's pointers: marks are copied with a duplicate."""

from collections.abc import Iterator

import bpy

from .marks import is_local


def made_objects(scene: bpy.types.Scene) -> Iterator[bpy.types.Object]:
    """The local objects that the add-on made in the scene and that are still in it."""
    for entry in scene.look_beyond.made:
        if is_local(entry.object) and is_in(scene, entry.object):
            yield entry.object


def remember_made(scene: bpy.types.Scene, thing: bpy.types.Object) -> None:
    """Let `made_objects` find an object."""
    forget_deleted(scene)
    if all(entry.object != thing for entry in scene.look_beyond.made):
        scene.look_beyond.made.add().object = thing


def forget_deleted(scene: bpy.types.Scene) -> None:
    """Drop the pointers to objects that were deleted: these would stay in the file for nothing else."""
    made = scene.look_beyond.made
    for index in reversed(range(len(made))):
        if made[index].object is None or not is_in(scene, made[index].object):
            made.remove(index)


def is_in(scene: bpy.types.Scene, thing: bpy.types.Object) -> bool:
    """Whether an object is in a scene."""
    return scene.objects.get(thing.name) == thing
