"""What a .blend stores: the settings of a scene and, on a photo's camera, which photo it is. No running
state.

The photo camera's lens and pose have one home, the camera itself: their fields here read and write it.
"""

import math

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from .kit import CameraError, heading_pitch_roll
from .path.read import QUALITIES
from .photo.camera import photo_camera, set_photo_camera
from .service.presets import room_for
from .session import session

BLEND_RELATIVE = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5, 0) else set()
STAGE_COLUMNS = (
    ("128", "Coarse", ""),
    ("256", "Normal", ""),
    ("512", "Fine", ""),
    ("1024", "Finest", ""),
)
MAX_PROMPT = 1000
"""Characters: what the service takes."""
WIDTHS = (("1024", "1K", ""), ("2048", "2K", ""), ("4096", "4K", ""), ("8192", "8K", ""))


def _read(name: str, default: float):
    def read(self: "LookBeyondScene") -> float:
        try:
            camera = photo_camera(self.id_data)
        except CameraError:
            return default
        if camera is None:
            return default
        heading, pitch, roll = heading_pitch_roll(camera)
        values = {"heading": heading, "pitch": pitch, "roll": roll, "fov_x": camera.fov_x}
        # Matrices are single precision: what is less than that is noise.
        return round(float(values.get(name, camera.position[2])), 6)

    return read


def _write(name: str):
    def write(self: "LookBeyondScene", value: float) -> None:
        set_photo_camera(self.id_data, **{name: value})

    return write


def of_camera(field: str, default: float, **about) -> FloatProperty:
    return FloatProperty(get=_read(field, default), set=_write(field), **about)


def photo_path(self: "LookBeyondScene") -> str:
    return self.photo_camera.data.look_beyond.photo_path if self.photo_camera else ""


def is_photo_camera(self: "LookBeyondScene", thing: bpy.types.Object) -> bool:
    return thing.type == "CAMERA" and bool(thing.data.look_beyond.photo_path)


def preset_names(self: "LookBeyondScene", context: bpy.types.Context, text: str) -> list[tuple[str, str]]:
    """What the service has, and beside each name in a few words whether it can run there."""
    names = [str(preset.get("name", "")) for preset in getattr(session.service, "presets", ())]
    return [(name, room_for(session.service, name)) for name in names or ["builtin"]]


def set_by_quality(self: "LookBeyondScene", context: bpy.types.Context) -> None:
    _, self.steps, self.tau_position, self.tau_rotation = QUALITIES[self.quality]


class LookBeyondCamera(bpy.types.PropertyGroup):
    """Which photo a camera sees, and the photo's own resolution."""

    photo_path: StringProperty(name="Photo", subtype="FILE_PATH", options=BLEND_RELATIVE)
    width: IntProperty(name="Photo Width", subtype="PIXEL")
    height: IntProperty(name="Photo Height", subtype="PIXEL")
    warnings: StringProperty(name="Warnings", description="What will disappoint in this photo, a line each")
    people: StringProperty(name="People", description="What the service says of people in this photo")
    looked_at: BoolProperty(name="Looked At", description="Whether the service has looked for people in this photo")


class LookBeyondWorld(bpy.types.PropertyGroup):
    """One of the worlds that were made in a scene; `name` is what the artist calls it."""

    folder: StringProperty(name="Folder", subtype="DIR_PATH", options=BLEND_RELATIVE)
    seed: StringProperty(name="Seed", description="Decimal; seeds may be larger than Blender's integers")
    prompt: StringProperty(name="Prompt", description="What it was told that the place is")


class LookBeyondScene(bpy.types.PropertyGroup):
    """The settings of the four steps; `LIVE` adds those that live on the photo's camera."""

    panorama_width: EnumProperty(
        name="Resolution", description="Width of the panorama in pixels", items=WIDTHS, default="4096"
    )
    seed: IntProperty(
        name="Seed", description="Another seed invents another surrounding; the same one repeats it", min=0
    )
    prompt: StringProperty(
        name="Prompt",
        description="What the place is, in a few words: a boat shed in winter. For presets that understand words",
        maxlen=MAX_PROMPT,
    )
    shot_seed: IntProperty(
        name="Shot Seed", description="Another seed makes other frames where the world does not tell them", min=0
    )
    known_length: FloatProperty(
        name="Known Length (m)",
        description="How high or long the thing is that you click: a door is 2 m",
        default=2.0,
        min=0.05,
        soft_max=10.0,
        precision=2,
    )
    panorama_path: StringProperty(
        name="360° Picture",
        description="The picture that the world is made of instead of a photo; empty: the photo",
        subtype="FILE_PATH",
        options=BLEND_RELATIVE,
    )
    panorama_height: FloatProperty(
        name="Height (m)",
        description="Metres from the floor to the camera that took the 360° picture: gives the world its size",
        default=1.6,
        min=0.01,
        soft_max=10.0,
        precision=2,
    )
    panorama_heading: FloatProperty(
        name="Heading",
        description="Where the centre of the 360° picture looks, counter-clockwise from the X axis",
        subtype="ANGLE",
    )
    show_path: BoolProperty(
        name="Show What Is Known",
        description="Draw the camera's path in the viewport: green where the world knows the view, red where it"
        " does not, magenta where it cannot be shot",
        default=True,
    )
    frames_from: EnumProperty(
        name="Frames",
        items=(
            ("SCENE", "Scene Range", "All frames of the scene"),
            ("MARKERS", "Between Markers", "From the marker at or before the current frame to the next one"),
        ),
    )
    steps: FloatProperty(
        name="Steps",
        description="Denoising steps of every frame, of the number that the preset says: fewer are faster, more are"
        " cleaner",
        subtype="PERCENTAGE",
        default=100.0,
        min=10.0,
        max=1000.0,
        soft_max=400.0,
        precision=0,
    )
    tau_position: FloatProperty(
        name="Position Tolerance",
        description="Share of the way between two anchors within which frames count as seen from one place",
        default=0.2,
        min=0.001,
        max=1.0,
    )
    tau_rotation: FloatProperty(
        name="Rotation Tolerance",
        description="Share of the turn between two anchors within which frames count as looking one way",
        default=0.2,
        min=0.001,
        max=1.0,
    )
    output_folder: StringProperty(
        name="Output",
        description="Folder for worlds and shots; // is the folder of the .blend file",
        default="//look_beyond",
        subtype="DIR_PATH",
        options=BLEND_RELATIVE,
    )
    world_folder: StringProperty(
        name="World",
        description="Folder of the world to shoot in",
        subtype="DIR_PATH",
        options=BLEND_RELATIVE,
    )
    shot_first: IntProperty(name="First Frame", description="Of the last shot")
    shot_frames: IntProperty(name="Frames", description="Of the last shot")
    show_in: EnumProperty(
        name="Show In",
        description="Where the frames appear, while they are made and when they are finished",
        items=(
            ("STRIP", "Strip", "In the sequencer of a scene of its own"),
            ("BACKGROUND", "Background", "Behind the camera that shot them"),
            ("PLANE", "Plane", "On an image that fills the camera's frame"),
            ("COMPOSITE", "Compositor", "As the compositor's input, with depth: Blender's objects in the shot"),
        ),
        options={"ENUM_FLAG"},
        default={"STRIP", "BACKGROUND"},
    )
    worlds: CollectionProperty(
        name="Worlds", description="The worlds that were made in this scene", type=LookBeyondWorld
    )
    stage_columns: EnumProperty(
        name="Stage", description="How fine the stage mesh is", items=STAGE_COLUMNS, default="256"
    )
    shot_folder: StringProperty(
        name="Shot", description="Folder of the last shot", subtype="DIR_PATH", options=BLEND_RELATIVE
    )


# Properties with Python functions behind them join the class when it is registered and leave it before it is
# unregistered: as part of the class they crash Blender 4.2 (as a module) when it exits.
LIVE = {
    "photo_camera": PointerProperty(
        name="Photo Camera",
        description="The camera that sees the photo; Place Photo makes it",
        type=bpy.types.Object,
        poll=is_photo_camera,
    ),
    "photo_path": StringProperty(name="Photo", description="The placed photo", get=photo_path),
    "fov_x": of_camera(
        "fov_x",
        math.radians(65),
        name="Field of View",
        description="Horizontal angle that the photo spans",
        subtype="ANGLE",
        min=math.radians(5),
        max=math.radians(170),
    ),
    "heading": of_camera(
        "heading",
        0.0,
        name="Heading",
        description="Where the photo looks, counter-clockwise from the X axis",
        subtype="ANGLE",
    ),
    "pitch": of_camera(
        "pitch",
        0.0,
        name="Pitch",
        description="How far the photo looks up (positive) or down",
        subtype="ANGLE",
        soft_min=math.radians(-60),
        soft_max=math.radians(60),
    ),
    "roll": of_camera(
        "roll",
        0.0,
        name="Roll",
        description="How far the photo's camera was turned clockwise, seen from behind it",
        subtype="ANGLE",
        soft_min=math.radians(-45),
        soft_max=math.radians(45),
    ),
    "camera_height": of_camera(
        "height",
        1.6,
        name="Height (m)",
        description="Metres from the floor, which is Z = 0, to the photo's camera: gives the world its size",
        min=0.01,
        soft_max=10.0,
        precision=2,
    ),
    "quality": EnumProperty(
        name="Quality",
        items=(
            (
                "DRAFT",
                "Draft",
                "Half the resolution and half the steps, and frames that differ little share their noise",
            ),
            ("NORMAL", "Normal", "The scene's resolution and the preset's own steps"),
            ("FINAL", "Final", "Twice the preset's steps, and only frames that hardly differ share their noise"),
        ),
        default="NORMAL",
        update=set_by_quality,
    ),
    "preset": StringProperty(
        name="Preset", description="Which models the service uses", default="builtin", search=preset_names
    ),
}


CLASSES = (LookBeyondCamera, LookBeyondWorld, LookBeyondScene)


def register() -> None:
    for name, about in LIVE.items():
        setattr(LookBeyondScene, name, about)
    bpy.types.Camera.look_beyond = PointerProperty(type=LookBeyondCamera)
    bpy.types.Scene.look_beyond = PointerProperty(type=LookBeyondScene)


def unregister() -> None:
    del bpy.types.Scene.look_beyond
    del bpy.types.Camera.look_beyond
    for name in LIVE:
        delattr(LookBeyondScene, name)
