"""Cards: people and things that were cut out of a photo, as upright planes that stand in the scene."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import bpy

from ..cameras import metres_per_unit
from ..json_files import read_json
from ..kit import CARDS_FILE, MAX_CUTS
from ..made import made_objects, remember_made
from ..marks import mark_of, set_marks
from .lineage import former_worlds
from .materials import add_node, find_material, new_material

MAKER = "card"
MOST_M = 1000.0


class CardsError(Exception):
    """The cards of a world cannot be read; the message says why and what to do."""


@dataclass(frozen=True)
class CardPlace:
    """Where a card stands in the world: metres and radians."""

    picture: Path
    base: tuple[float, float, float]
    """The middle of its lower edge."""
    width_m: float
    height_m: float
    heading_rad: float
    """Where its front looks: counter-clockwise from +X, seen from above."""


def cards_folder(folder: Path) -> Path | None:
    """The folder that holds the cards of a world: its own, or that of the world that it was changed from. None where
    nothing was cut out of the photo."""
    return next((each for each in (folder, *former_worlds(folder)) if (each / CARDS_FILE).is_file()), None)


def read_cards(folder: Path) -> list[CardPlace]:
    """The cards in a folder. Raises `CardsError`."""
    try:
        entries = read_json(folder / CARDS_FILE)["cards"][:MAX_CUTS]
        return [_place(folder, entry) for entry in entries]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CardsError(f"The cards in {folder} cannot be read ({error}): build the world again.") from error


def _place(folder: Path, entry: dict) -> CardPlace:
    number = Path(entry["file"]).stem
    if entry["file"] != f"cards/{number}.png" or not number.isdecimal():
        raise ValueError("a card's picture lies elsewhere")
    base = tuple(float(x) for x in entry["base"])
    width_m, height_m, heading_rad = (float(entry[key]) for key in ("width_m", "height_m", "heading_rad"))
    if len(base) != 3 or not all(abs(x) < MOST_M for x in (*base, heading_rad)):  # NaN is not below anything
        raise ValueError("a card's place is impossible")
    if not (0 < width_m < MOST_M and 0 < height_m < MOST_M):
        raise ValueError("a card's size is impossible")
    return CardPlace(folder / "cards" / f"{number}.png", (base[0], base[1], base[2]), width_m, height_m, heading_rad)


def place_cards(scene: bpy.types.Scene, folder: Path) -> list[bpy.types.Object]:
    """Put the cards of a world into the scene: those that are there already go back to their places."""
    unit_m = metres_per_unit(scene)
    cards, source = [], cards_folder(folder)
    for place in read_cards(source) if source is not None else ():
        key = str(place.picture)
        card = next((each for each in find_cards(scene) if mark_of(each, "picture") == key), None)
        if card is None:
            name = f"{folder.name} Card {place.picture.stem}"
            card = bpy.data.objects.new(name, _plane(name, place))
            scene.collection.objects.link(card)
            set_marks(card, {"maker": MAKER, "picture": key})
            remember_made(scene, card)
        card.location = [x / unit_m for x in place.base]
        card.rotation_euler = (0.0, 0.0, place.heading_rad + math.pi / 2)  # its front is its own -Y
        card.scale = (1 / unit_m,) * 3
        cards.append(card)
    return cards


def find_cards(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """The cards that the add-on put into the scene."""
    return [each for each in made_objects(scene) if mark_of(each, "maker") == MAKER]


def _plane(name: str, place: CardPlace) -> bpy.types.Mesh:
    """A plane in metres whose lower edge's middle is its origin, with the card's picture on it."""
    half, height = place.width_m / 2, place.height_m
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(-half, 0, 0), (half, 0, 0), (half, 0, height), (-half, 0, height)], [], [(0, 1, 2, 3)])
    layer = mesh.uv_layers.new(name="UVMap")
    for corner, uv in zip(layer.data, ((0, 0), (1, 0), (1, 1), (0, 1)), strict=True):
        corner.uv = uv
    mesh.materials.append(_material(name, place.picture))
    set_marks(mesh, {"maker": MAKER})
    return mesh


def _material(name: str, picture: Path) -> bpy.types.Material:
    """Emits the picture's colours, as the world does, and is transparent where it is."""
    image = bpy.data.images.load(str(picture), check_existing=True)
    material = find_material(MAKER, image)
    if material is not None:
        return material
    material = new_material(name, MAKER)
    material.surface_render_method = "BLENDED"  # soft edges without grain
    tree, add = material.node_tree, partial(add_node, material)
    texture = add("ShaderNodeTexImage", (-500, 0))
    texture.image, texture.extension = image, "CLIP"
    emission, clear = add("ShaderNodeEmission", (-200, 0)), add("ShaderNodeBsdfTransparent", (-200, 150))
    mix = add("ShaderNodeMixShader", (0, 50))
    tree.links.new(texture.outputs["Color"], emission.inputs["Color"])
    tree.links.new(texture.outputs["Alpha"], mix.inputs[0])
    tree.links.new(clear.outputs[0], mix.inputs[1])
    tree.links.new(emission.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], add("ShaderNodeOutputMaterial", (200, 50)).inputs["Surface"])
    tree.nodes.active = texture
    return material
