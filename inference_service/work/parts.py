"""Parts of requests that are checked: files of worlds, links, cameras."""

from typing import Any

from inference_service.wire.requests import WORLD_FILES, WORLD_LAYERS, ShotRequest
from inference_service.work.unit import LinkedWorld
from lookbeyond.errors import InputError, sentence
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.linked import Link


def check_files(world: dict[str, str], title: str) -> None:
    """InputError unless these are the files of a world."""
    if set(world) not in [set(WORLD_FILES), {*WORLD_FILES, *WORLD_LAYERS}]:
        raise InputError(
            f"{title} needs the files {', '.join(WORLD_FILES)}, and {', '.join(WORLD_LAYERS)} where the world has "
            "them; build the world first."
        )


def linked_world(request: ShotRequest) -> LinkedWorld:
    """The second world of a shot. InputError where it cannot be joined."""
    world, link = request.beyond.get("world"), request.beyond.get("link")
    if request.former:
        raise InputError("A shot through two worlds is made in them as they are; leave former worlds out.")
    check_files(world if isinstance(world, dict) else {}, "The second world of a shot")
    try:
        checked = Link.from_json_dict(link if isinstance(link, dict) else {})
        plain = Link.from_json_dict(_rounded(checked.to_json_dict())).to_json_dict()
    except ValueError as error:
        raise InputError(sentence(f"The two worlds cannot be joined: {error}")) from error
    return LinkedWorld(dict(world or {}), plain)


def _rounded(value: Any) -> Any:
    """JSON values, their numbers rounded to 1e-6, so that equal ones have equal identities."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(each) for each in value]
    return round(value, 6) + 0.0 if isinstance(value, float) else value


def parsed(plain: dict, name: str) -> Camera:
    """A camera whose numbers are rounded to 1e-6, so that equal poses have equal identities."""
    try:
        return Camera.from_dict({key: _rounded(value) for key, value in plain.items()})
    except (ValueError, ArithmeticError, AttributeError, RecursionError) as error:
        raise InputError(sentence(f"{name} cannot be used: {error}")) from error
