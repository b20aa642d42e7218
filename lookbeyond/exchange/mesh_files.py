"""Writes a world's geometry in the formats that the files' names ask for."""

from pathlib import Path

from lookbeyond.errors import InputError
from lookbeyond.geometry.panorama import Panorama

from .floor_plan import write_floor_plan
from .gltf import write_glb
from .stage import MeshPart, WorldMeshes, collider_of, stage_of
from .usd_stage import write_usd_stage

USD = (".usd", ".usda", ".usdc")


def write_mesh(out: Path, world: Panorama, collider: Path | None = None, plan: Path | None = None) -> WorldMeshes:
    """Write the stage, and where asked for a collider and a floor plan (.svg); returns the stage.

    Raises InputError for another ending, or a plan of a world without a room, before anything is written.
    """
    for path in (out, collider):
        if path is not None and path.suffix.lower() not in (".glb", *USD):
            raise InputError(f"{path} is not a name for geometry; end it with .glb, .usd, .usda or .usdc.")
    if plan is not None and plan.suffix.lower() != ".svg":
        raise InputError(f"{plan} is not a name for a floor plan; end it with .svg.")
    stage = stage_of(world)
    if plan is not None:
        write_floor_plan(plan, world, list(stage.boxes))
    _write(out, list(stage.parts), stage.textures)
    if collider is not None:
        _write(collider, [collider_of(stage, world)], {})
    return stage


def _write(path: Path, parts: list[MeshPart], textures: dict) -> None:
    (write_glb if path.suffix.lower() == ".glb" else write_usd_stage)(path, parts, textures)
