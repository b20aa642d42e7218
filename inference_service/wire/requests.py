"""What clients can request: a world, a changed world, a camera move through one, or a shot."""

import re
from dataclasses import dataclass, field

MAX_CAMERAS = 10_000
MAX_IMAGE_SIDE = 16384

HASH_PATTERN = re.compile(r"[0-9a-f]{64}")
"""SHA-256 in hex: names files, units and jobs alike."""

WORLD_FILES = ("panorama.png", "distance.exr", "from_photo.png", "world.json")
WORLD_LAYERS = ("plate.png", "plate_distance.exr", "layout.json")
"""Beside them: the place without what stands in it."""
CARDS_FILE = "cards.json"
"""Of a world with cut-out things: where their cards stand."""
MAX_CUTS = 16
WORLD_LIGHT = "panorama.exr"
"""And, where it was asked for: the panorama's linear light."""


@dataclass(frozen=True)
class WorldRequest:
    """A panorama of a photo, or the distance of an existing panorama (give one of the two)."""

    photo: str = ""
    """SHA-256 of the uploaded photo, or empty."""
    panorama: str = ""
    """SHA-256 of an uploaded equirectangular picture, or empty."""
    camera: dict | None = None
    """`Camera.to_dict()`: the photo's camera (with `panorama`, only its position and heading are used)."""
    camera_height: float = 1.6
    """Metres from the floor to the camera."""
    width: int = 4096
    """Width of the panorama in pixels (with `panorama`, the picture's own)."""
    seed: int = 0
    preset: str = "builtin"
    prompt: str = ""
    """What the place is, for presets that take a prompt (`takes_prompt`); the others refuse it."""
    room: str = "auto"
    """Whether the place's layout is used: "auto", where the fit is sure; "on", wherever one was found; "off"."""
    unseen: str = ""
    """How the unseen part is shown: "plain", "dressed" or "as-painted"; empty: the preset's default."""
    beside: list[dict] = field(default_factory=list)
    """Further photos from the same standpoint, {"photo": SHA-256, "camera": `Camera.to_dict()`} each; up to 7. They
    need the first one's `camera`, and leave `prompt` empty."""
    cut: list[str] = field(default_factory=list)
    """SHA-256 of uploaded PNGs of the photo's size, up to `MAX_CUTS`: each marks, roughly, a person or a thing that is
    taken out of the photo before the world is built, and becomes a card (`CARDS_FILE`, cards/1.png ...)."""
    hdr: bool = False
    """Whether the world gets its light, `WORLD_LIGHT`: linear, of a plausible radiance where the picture is clipped."""


@dataclass(frozen=True)
class ShotRequest:
    """The views of a camera path through a world."""

    world: dict[str, str] = field(default_factory=dict)
    """File name (`WORLD_FILES`, and all or none of `WORLD_LAYERS`) -> SHA-256 of the uploaded file."""
    world_job: str = ""
    """Or the id of the job that makes the world: the shot waits for it."""
    cameras: list[dict] = field(default_factory=list)
    """`Camera.to_dict()` of every frame, in order."""
    first_frame: int = 1
    """The number in the first frame's file name."""
    seed: int = 0
    preset: str = "builtin"
    tau_position: float = 0.2
    tau_rotation: float = 0.2
    steps: int = 0
    """Denoising steps of every view; 0 takes the preset's own number."""
    former: list[dict[str, str]] = field(default_factory=list)
    """The files, as in `world`, of worlds that this one was changed from (`EditRequest`), the latest first. Frames
    that show nothing of the change are those that were shot in them: they are made again only if they are gone."""
    beyond: dict = field(default_factory=dict)
    """A second world that the path goes on in, through an opening: {"world": its files, as in `world`, "link": what
    `lookbeyond link` wrote}. It leaves `former` empty. Cameras are in the first world's frame."""


@dataclass(frozen=True)
class MoveRequest:
    """A camera move through a world, planned from what it is for. Lengths are metres, places the world's."""

    world: dict[str, str] = field(default_factory=dict)
    """As in `ShotRequest`."""
    goal: str = "show-room"
    """"show-room"; "go-to" a place (x, y); "end-on" a view of a point (x, y, z)."""
    start: list[float] = field(default_factory=list)
    """Of "go-to": x, y; empty: the world's viewpoint."""
    target: list[float] = field(default_factory=list)
    """Of "go-to": x, y. Of "end-on": x, y, z."""
    lens: dict = field(default_factory=dict)
    """`Camera.to_dict()`: size and lens of the frames, heading and pitch of the first one."""
    clearance: float = 0.3
    """From everything."""
    doubt: float = 0.6
    """0 to 1: what the photo did not show may be nearer than the world says, by this share."""
    speed: float = 0.5
    """Metres a second, at most."""
    turn: float = 20.0
    """Degrees a second, at most."""
    jerk: float = 1.0
    """Metres per second cubed, at most."""
    fps: float = 24.0
    frames: int = 0
    """0: as few as the limits allow."""
    preset: str = "builtin"
    """Whose workers plan it; the move is the same."""


@dataclass(frozen=True)
class EditRequest:
    """A world with a spot changed."""

    world: dict[str, str] = field(default_factory=dict)
    """As in `ShotRequest`."""
    mask: str = ""
    """SHA-256 of an uploaded PNG of the panorama's size, white where it is to change."""
    way: str = "remove"
    """"remove": what stands there is removed. "repaint": the spot is painted again."""
    seed: int = 0
    preset: str = "builtin"
    prompt: str = ""
    """What is to be there instead, of "repaint"; for presets that take a prompt."""
    light: str = ""
    """SHA-256 of the world's uploaded light, `WORLD_LIGHT`; the changed world gets it, too. Empty: it has none."""


def _unmoved() -> list[list[float]]:
    return [[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]]


@dataclass(frozen=True)
class LinkRequest:
    """Two worlds that an opening joins, such as a door: where it is, and whether they fit there."""

    world: dict[str, str] = field(default_factory=dict)
    """The first world, as in `ShotRequest`."""
    second: dict[str, str] = field(default_factory=dict)
    """The second world, likewise."""
    pose: list[list[float]] = field(default_factory=_unmoved)
    """4 by 4, metres: from the second world's frame into the first one's; upright. A world of a frame that was shot in
    the first one is in its frame already."""
    opening: list[float] = field(default_factory=list)
    """x and y of both sides on the first one's floor plan, then the height of its bottom and its top; empty: it is
    found in the first one's walls."""
    preset: str = "builtin"
    """Whose workers do it; the link is the same."""


Request = WorldRequest | ShotRequest | MoveRequest | EditRequest | LinkRequest
REQUESTS: dict[str, type[Request]] = {
    "world": WorldRequest,
    "shot": ShotRequest,
    "move": MoveRequest,
    "edit": EditRequest,
    "link": LinkRequest,
}
"""By the kinds of their jobs."""
