"""The scene's linked worlds: a second world that an opening of a first one leads to, for shots that go through it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy
from bpy.props import StringProperty

from ..kit import Camera, Link, PathError, crossings
from ..results import absolute, as_stored
from .lineage import former_worlds
from .variants import is_whole


class LookBeyondLink(bpy.types.PropertyGroup):
    """A second world that is linked to a first one."""

    first: StringProperty(name="First World", description="Folder of the world that the opening is in")
    second: StringProperty(name="Second World", description="Folder of the world beyond the opening")
    link: StringProperty(description="Where the opening and the second world are, as the service found them")


@dataclass(frozen=True, eq=False)
class SceneLink:
    """A link of the scene."""

    second: Path
    link: Link


def add_link(scene: bpy.types.Scene, first: Path, second: Path, content: dict, name: str) -> None:
    """Put a link into the scene's list, in the place of one of the same worlds."""
    links = scene.look_beyond.links
    worlds = first.resolve(), second.resolve()
    entry = next((each for each in links if (absolute(each.first), absolute(each.second)) == worlds), None)
    entry = entry or links.add()
    entry.name, entry.first, entry.second = name, as_stored(first), as_stored(second)
    entry.link = json.dumps(content)


def links_of(scene: bpy.types.Scene, world: Path) -> list[SceneLink]:
    """The links of a world, or of one that it was changed from, whose second worlds are there."""
    firsts = {each.resolve() for each in (world, *former_worlds(world))}
    found = []
    for entry in scene.look_beyond.links:
        second = absolute(entry.second)
        if absolute(entry.first) not in firsts or not is_whole(second):
            continue
        try:
            found.append(SceneLink(second, Link.from_json_dict(json.loads(entry.link))))
        except ValueError:  # of another version
            continue
    return found


def goes_through(cameras: Sequence[Camera], link: Link) -> bool:
    """Whether a path, in the first world's frame, goes through a link's opening."""
    try:
        return bool(crossings(cameras, link.opening))
    except PathError:  # through the wall beside it
        return False


def link_used(scene: bpy.types.Scene, world: Path, cameras: Sequence[Camera]) -> SceneLink | None:
    """The link of a world that a path, in that world's frame, goes through; None where it stays in the world."""
    return next((each for each in links_of(scene, world) if goes_through(cameras, each.link)), None)
