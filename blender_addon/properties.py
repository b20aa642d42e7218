"""What a .blend stores: the settings of a scene and, on a camera, its photo. No state of running tasks.

Lens and pose of the photo's camera are stored in the camera itself: their properties here read and write it.
"""

import math
from collections.abc import Callable
from typing import Any

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

from .folding import STEPS, property_of
from .kit import FOV_ASSUMED_RAD, Camera, CameraError, heading_pitch_roll
from .path.frames import QUALITIES
from .photo.camera import photo_camera, photo_path_of, set_photo_camera
from .service.presets import preset_status
from .session import session
from .world.light import switch_light
from .world.links import LookBeyondLink
from .world.stage import is_plate_visible, set_plate_visible

BLEND_RELATIVE = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5, 0) else set()
BASE = "Folder that relative paths start from: that of the .blend file, unless they come from another one"
STAGE_COLUMNS = (
    ("128", "Coarse", ""),
    ("256", "Normal", ""),
    ("512", "Fine", ""),
    ("1024", "Finest", ""),
)
MAX_PROMPT = 1000
"""Most characters that the service accepts."""
UNSEEN = (
    ("preset", "Preset's Way", "As the preset does it: the built-in one draws rooms and what stands in them"),
    ("dressed", "Dressed", "Straight surfaces, with doors, windows and pictures where diffusion painted them"),
    ("plain", "Plain", "Straight surfaces alone: bare walls, floor and ceiling"),
    ("as-painted", "As Painted", "As diffusion painted it, soft and without corners"),
)
ROOMS = (
    ("auto", "Where Sure", "Draw a room or an open place if the photo clearly shows one"),
    ("on", "Always a Room", "Draw the room that fits best, even if the fit is uncertain"),
    ("off", "Never", "Leave everything as diffusion painted it: for fisheyes, close-ups and the like"),
)
WIDTHS = (("1024", "1K", ""), ("2048", "2K", ""), ("4096", "4K", ""), ("8192", "8K", ""))


def of_camera(read: Callable[[Camera], float], argument: str, default: float, **options) -> Any:
    """A property that `read`s the photo's camera, and sets it by an argument of `set_photo_camera`."""

    def get(self: "LookBeyondScene") -> float:
        try:
            camera = photo_camera(self.id_data)
        except CameraError:
            return default
        if camera is None:
            return default
        # Matrices are single precision: rounding removes their noise, which would read as 0.00046°.
        value = float(read(camera))
        is_angle = options.get("subtype") == "ANGLE"
        return math.radians(round(math.degrees(value), 3)) if is_angle else round(value, 4)

    def set(self: "LookBeyondScene", value: float) -> None:
        set_photo_camera(self.id_data, **{argument: value})

    return FloatProperty(get=get, set=set, **options)


def photo_path(self: "LookBeyondScene") -> str:
    return "" if self.photo_camera is None else photo_path_of(self.photo_camera.data)


def is_photo_camera(self: "LookBeyondScene", thing: bpy.types.Object) -> bool:
    return thing.type == "CAMERA" and bool(thing.data.look_beyond.photo_path)


def preset_names(self: "LookBeyondScene", context: bpy.types.Context, text: str) -> list[tuple[str, str]]:
    """The service's presets, each with a few words on whether it can run there."""
    names = [str(preset.get("name", "")) for preset in getattr(session.service, "presets", ())]
    return [(name, preset_status(session.service, name)) for name in names or ["builtin"]]


def set_by_quality(self: "LookBeyondScene", context: bpy.types.Context) -> None:
    quality = QUALITIES[self.quality]
    self.steps, self.tau_position, self.tau_rotation = (
        quality.steps_percent,
        quality.tau_position,
        quality.tau_rotation,
    )


class LookBeyondCamera(bpy.types.PropertyGroup):
    """The photo that a camera took, and its resolution."""

    photo_path: StringProperty(name="Photo", subtype="FILE_PATH", options=BLEND_RELATIVE)
    width: IntProperty(name="Photo Width", subtype="PIXEL")
    height: IntProperty(name="Photo Height", subtype="PIXEL")
    warnings: StringProperty(name="Warnings", description="Flaws of the photo that the result will show, one per line")
    people: StringProperty(name="People", description="Warning about people in this photo")
    fov_x_assumed: BoolProperty(description="Whether the field of view comes neither from the file nor from the artist")
    pitch_assumed: BoolProperty(description="Whether the pitch is only assumed")
    roll_assumed: BoolProperty(description="Whether the roll is only assumed")
    angle_notes: StringProperty(
        name="Camera", description="Field of view, pitch and roll as the service found them, one per line"
    )
    found_angles: StringProperty(
        name="Found Angles",
        description="Which of them were set by the service: names of `set_photo_camera`'s arguments",
    )
    looked_at: BoolProperty(name="Looked At", description="Whether the service has analysed this photo")
    place_camera: PointerProperty(
        name="Place",
        description="Camera of the first photo of the place that this photo is part of; empty: a place of its own",
        type=bpy.types.Object,
    )
    alignment: StringProperty(name="Alignment", description="How closely this photo fits the others of its place")
    base: StringProperty(description=BASE)


class LookBeyondWorld(bpy.types.PropertyGroup):
    """A world that was made in a scene; `name` is what the artist calls it."""

    folder: StringProperty(name="Folder", subtype="DIR_PATH", options=BLEND_RELATIVE)
    seed: StringProperty(name="Seed", description="As decimal text: seeds may exceed Blender's integers")
    prompt: StringProperty(name="Prompt", description="The description of the place that it was built with")
    made: StringProperty(name="Made", description="Day and time when it was built")


class LookBeyondShot(bpy.types.PropertyGroup):
    """A take that was shot in a scene; `name` is what the artist calls it."""

    folder: StringProperty(name="Folder", subtype="DIR_PATH", options=BLEND_RELATIVE)
    camera: StringProperty(name="Camera", description="The camera's name")
    take: IntProperty(name="Take", description="Number among the takes of its camera, from 1")
    seed: StringProperty(name="Seed", description="As decimal text: seeds may exceed Blender's integers")
    world: StringProperty(name="World", subtype="DIR_PATH", options=BLEND_RELATIVE)
    made: StringProperty(name="Made", description="Day and time when it was shot")
    first: IntProperty(name="First Frame", description="The scene's number of its first frame")
    frames: IntProperty(name="Frames", description="Number of frames")


class LookBeyondObject(bpy.types.PropertyGroup):
    """An object that the add-on made in a scene (see `made`)."""

    object: PointerProperty(name="Object", type=bpy.types.Object)


class LookBeyondScene(bpy.types.PropertyGroup):
    """The settings of the four steps; `LIVE` adds those with functions behind them."""

    panorama_width: EnumProperty(
        name="Resolution", description="Width of the panorama in pixels", items=WIDTHS, default="4096"
    )
    seed: IntProperty(
        name="Seed", description="Another seed invents other surroundings; the same seed repeats them", min=0
    )
    unseen: EnumProperty(name="Unseen Part", description="How the part outside the photo is drawn", items=UNSEEN)
    room: EnumProperty(name="Room", description="When walls, floor and ceiling are found and drawn", items=ROOMS)
    place: StringProperty(name="Place", description="The kind of place that the photo was taken for, and how surely")
    prompt: StringProperty(
        name="Prompt",
        description="Description of the place, such as: a boat shed in winter. For presets that take a prompt",
        maxlen=MAX_PROMPT,
    )
    edit_prompt: StringProperty(
        name="Prompt",
        description="What is to be there instead, such as: a plant in a pot. For presets that take a prompt",
        maxlen=MAX_PROMPT,
    )
    shot_seed: IntProperty(
        name="Shot Seed", description="Another seed invents other details where the world shows nothing", min=0
    )
    known_length: FloatProperty(
        name="Known Length (m)",
        description="Height or length of the object that you click; a door is 2 m high",
        default=2.0,
        min=0.05,
        soft_max=10.0,
        precision=2,
    )
    panorama_path: StringProperty(
        name="360° Picture",
        description="360° picture to build the world from; empty: build it from the photo",
        subtype="FILE_PATH",
        options=BLEND_RELATIVE,
    )
    panorama_height: FloatProperty(
        name="Height (m)",
        description="Height of the 360° picture's camera above the floor, in metres. Sets the scale of the world",
        default=1.6,
        min=0.01,
        soft_max=10.0,
        precision=2,
    )
    panorama_heading: FloatProperty(
        name="Heading",
        description="Direction of the centre of the 360° picture, counter-clockwise from the X axis",
        subtype="ANGLE",
    )
    show_path: BoolProperty(
        name="Show What Is Known",
        description="Draw the camera path in the viewport: green where the photo shows the view, blue where the world"
        " invented it, red where there are holes, magenta where it cannot be shot",
        default=True,
    )
    frames_from: EnumProperty(
        name="Frames",
        items=(
            ("SCENE", "Scene Range", "All frames of the scene"),
            ("MARKERS", "Between Markers", "From the last marker up to the current frame to the next marker"),
        ),
    )
    plan_clearance: FloatProperty(
        name="Clearance (m)",
        description="Metres that a planned move keeps from walls and things",
        default=0.3,
        min=0.05,
        soft_max=1.0,
        max=10.0,
    )
    plan_speed: FloatProperty(
        name="Speed (m/s)",
        description="Highest speed of a planned move, in metres per second",
        default=0.5,
        min=0.01,
        soft_max=2.0,
        max=100.0,
    )
    plan_turn: FloatProperty(
        name="Turning Speed",
        description="Highest turning speed of a planned move, per second",
        subtype="ANGLE",
        default=math.radians(20),
        min=math.radians(1),
        max=math.radians(360),
    )
    plan_range: BoolProperty(
        name="Range Ends with It",
        description="End the scene's frame range where a planned move ends",
        default=True,
    )
    door_at_cursor: BoolProperty(
        name="Door at 3D Cursor",
        description="The door between two worlds is where the 3D cursor is, this large; else the service looks for it",
    )
    door_width: FloatProperty(
        name="Width (m)", description="The door's width in metres", default=0.9, min=0.2, max=20.0
    )
    door_height: FloatProperty(
        name="Height (m)", description="The door's height above the floor in metres", default=2.05, min=0.2, max=20.0
    )
    steps: FloatProperty(
        name="Steps",
        description="Denoising steps per frame, as a percentage of the preset's number. Fewer are faster, more are"
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
        description="Frames closer together than this share of the distance between two anchors count as one position",
        default=0.2,
        min=0.001,
        max=1.0,
    )
    tau_rotation: FloatProperty(
        name="Rotation Tolerance",
        description="Frames closer together than this share of the rotation between two anchors count as one direction",
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
    shot_first: IntProperty(name="First Frame", description="First frame of the last shot")
    shot_frames: IntProperty(name="Frames", description="Number of frames of the last shot")
    show_in: EnumProperty(
        name="Show In",
        description="Where the frames appear, during the shot and afterwards",
        items=(
            ("STRIP", "Strip", "In the sequencer of a separate scene"),
            ("BACKGROUND", "Background", "As the background of the camera that shot them"),
            ("PLANE", "Plane", "On a plane that fills the camera's frame"),
            ("COMPOSITE", "Compositor", "In the compositor, with depth, to put Blender's objects into the shot"),
            ("CARD", "Card", "On a card at the camera, which is also seen from outside"),
        ),
        options={"ENUM_FLAG"},
        default={"STRIP", "BACKGROUND", "CARD"},
    )
    play_finished: BoolProperty(
        name="Play When Finished",
        description="Play a finished shot in the viewport that looks through its camera. Esc stops it",
        default=True,
    )
    worlds: CollectionProperty(name="Worlds", description="Worlds that were made in this scene", type=LookBeyondWorld)
    world_index: IntProperty(name="Chosen World", description="Index of the world that is chosen in the list")
    links: CollectionProperty(name="Links", description="Worlds that openings join", type=LookBeyondLink)
    shots: CollectionProperty(name="Takes", description="Takes that were shot in this scene", type=LookBeyondShot)
    shot_index: IntProperty(name="Chosen Take", description="Index of the take that is chosen in the list")
    made: CollectionProperty(
        name="Objects", description="Objects that the add-on made in this scene", type=LookBeyondObject
    )
    shot_scene: PointerProperty(
        name="Shot Scene", description="Scene with the sequencer that shows the shots", type=bpy.types.Scene
    )
    stage_columns: EnumProperty(
        name="Stage", description="Resolution of the stage mesh", items=STAGE_COLUMNS, default="256"
    )
    shot_folder: StringProperty(
        name="Shot", description="Folder of the last shot", subtype="DIR_PATH", options=BLEND_RELATIVE
    )
    base: StringProperty(description=BASE)


# Properties with Python functions behind them are added after the class is registered and removed before it is
# unregistered: inside the class they crash Blender 4.2 (as a module) when it exits.
LIVE = {
    "photo_camera": PointerProperty(
        name="Photo Camera",
        description="The camera of the photo; Place Photo creates it",
        type=bpy.types.Object,
        poll=is_photo_camera,
    ),
    "photo_path": StringProperty(name="Photo", description="The placed photo", get=photo_path),
    "fov_x": of_camera(
        lambda camera: camera.fov_x,
        "fov_x_rad",
        FOV_ASSUMED_RAD,
        name="Field of View",
        description="Horizontal field of view of the photo",
        subtype="ANGLE",
        min=math.radians(5),
        max=math.radians(170),
    ),
    "heading": of_camera(
        lambda camera: heading_pitch_roll(camera)[0],
        "heading_rad",
        0.0,
        name="Heading",
        description="Direction of the photo, counter-clockwise from the X axis",
        subtype="ANGLE",
    ),
    "pitch": of_camera(
        lambda camera: heading_pitch_roll(camera)[1],
        "pitch_rad",
        0.0,
        name="Pitch",
        description="Tilt of the photo's camera; positive: up",
        subtype="ANGLE",
        soft_min=math.radians(-60),
        soft_max=math.radians(60),
    ),
    "roll": of_camera(
        lambda camera: heading_pitch_roll(camera)[2],
        "roll_rad",
        0.0,
        name="Roll",
        description="Rotation of the photo's camera about its axis; positive: clockwise, seen from behind",
        subtype="ANGLE",
        soft_min=math.radians(-45),
        soft_max=math.radians(45),
    ),
    "camera_height": of_camera(
        lambda camera: camera.position[2],
        "height_m",
        1.6,
        name="Height (m)",
        description="Height of the photo's camera above the floor (Z = 0), in metres. Sets the scale of the world",
        min=0.01,
        soft_max=10.0,
        precision=2,
    ),
    "show_plate": BoolProperty(
        name="Clean Plate",
        description="Where the stage is torn, show the empty room behind it",
        get=lambda settings: is_plate_visible(settings.id_data),
        set=lambda settings, visible: set_plate_visible(settings.id_data, visible),
    ),
    "light": BoolProperty(
        name="Light",
        description="Light the scene as the place would: windows, lamps and sun are brighter than a picture can show."
        " Off: the world is the picture as it is displayed",
        update=lambda settings, context: switch_light(settings.id_data),
    ),
    "quality": EnumProperty(
        name="Quality",
        items=(
            (
                "DRAFT",
                "Draft",
                "Half the resolution and half the steps; similar frames share their noise",
            ),
            ("NORMAL", "Normal", "The scene's resolution and the preset's number of steps"),
            ("FINAL", "Final", "Twice the preset's steps; only very similar frames share their noise"),
        ),
        default="NORMAL",
        update=set_by_quality,
    ),
    "preset": StringProperty(
        name="Preset", description="Models that the service uses", default="builtin", search=preset_names
    ),
}


LIVE |= {f"open_{step}": property_of(step) for step in STEPS}
CLASSES = (LookBeyondCamera, LookBeyondWorld, LookBeyondLink, LookBeyondShot, LookBeyondObject, LookBeyondScene)


def register() -> None:
    for name, definition in LIVE.items():
        setattr(LookBeyondScene, name, definition)
    bpy.types.Camera.look_beyond = PointerProperty(type=LookBeyondCamera)
    bpy.types.Scene.look_beyond = PointerProperty(type=LookBeyondScene)


def unregister() -> None:
    del bpy.types.Scene.look_beyond
    del bpy.types.Camera.look_beyond
    for name in LIVE:
        delattr(LookBeyondScene, name)
