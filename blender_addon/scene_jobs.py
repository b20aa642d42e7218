"""What a scene asks of the service, and what becomes of the answer: worlds and shots as `Work` for the session."""

import contextlib
import json
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import bpy
from lookbeyond_kit import __version__ as KIT_VERSION
from lookbeyond_kit.client import WORLD_FILES, Progress, Seen, ShotRequest, WorldRequest
from lookbeyond_kit.geometry.cameras import Camera, placed_camera

from . import jobs
from .cameras_from_blender import scene_frames, shot_cameras
from .composite import set_up_composite
from .jobs import JobError
from .known_world import KnownWorld, load_world, turned
from .photo import hold_as_found, photo_camera
from .photo_quality import people_warning
from .preferences import connection
from .results import absolute, as_stored, file_name, output_folder, stamped, unsaved_folder
from .session import Done, Event, Work, session
from .shot_output import Shot, Showing
from .stage import MeshInPieces, preview_in, show_in, show_stage, shows_stage, stage_of, stage_surface
from .world_nodes import heading_of, show_world, turned_by


class SceneOf:
    """The scene that a job was started in, found again when undo or a file load has remade it.

    Its results go into `home`; `files` are the .blend files that the job belongs to, as seen from there: the one it
    was begun in, and what that has been saved as since.
    """

    def __init__(self, scene: bpy.types.Scene, home: Path | None = None, files: Sequence[str] = ()) -> None:
        self.uid, self.name = scene.session_uid, scene.name
        self.home = home or output_folder(scene)
        self.files = list(files) or [open_file(self.home)]
        self.begun: Path | None = None

    def find(self) -> bpy.types.Scene | None:
        for scene in bpy.data.scenes:
            if scene.session_uid == self.uid:
                return scene
        file = open_file(self.home)
        return bpy.data.scenes.get(self.name) if file and file in self.files else None

    def folder(self, kind: str, name: str) -> Callable[[str], Path]:
        """Gives, for a job's id, the folder of its results."""

        def begin(job: str) -> Path:
            self.begun = self.home / kind / f"{file_name(name)}-{job[:10]}"
            return self.begun

        return begin

    def follow(self) -> None:
        """The scene's file was saved: belong to it under its new name, too, if it looks where the results lie."""
        file = open_file(self.home)
        if file not in self.files and self.home in homes() and self.find() is not None:
            self.files[:] = [*filter(None, self.files), file]
            if self.begun is not None:
                with contextlib.suppress(OSError, ValueError, KeyError):  # not written yet
                    jobs.belongs_to(self.begun, self.files)

    def later(self, what: str, folder: Path) -> str:
        """Keep a result for when the scene's file is opened again, and say so."""
        name = Path(self.files[-1]).name
        if not name:
            return f"The {what} is finished in {folder}; its scene is not open any more."
        jobs.keep_for_later(folder)
        return f"The {what} is finished; its scene is not open any more. Open {name} to find it there."


def open_file(home: Path) -> str:
    """The open file as seen from a folder of results, so that both can be moved together; empty: not saved yet."""
    if not bpy.data.filepath:
        return ""
    file = Path(bpy.data.filepath).resolve()
    try:
        return Path(os.path.relpath(file, home)).as_posix()
    except ValueError:  # another drive
        return file.as_posix()


def homes() -> list[Path]:
    """Where results of the open file may lie."""
    return list(dict.fromkeys([*map(output_folder, bpy.data.scenes), unsaved_folder()]))


def build_world(context: bpy.types.Context) -> Work:
    """The world of the scene's 360° picture, else of the placed photo, its camera as it stands now.

    Raises `JobError`, `CameraError`.
    """
    scene = context.scene
    settings = scene.look_beyond
    if settings.panorama_path:
        picture = absolute(settings.panorama_path)
        return use_panorama(context, picture, settings.panorama_height, settings.panorama_heading)
    camera = photo_camera(scene, context.evaluated_depsgraph_get())
    if camera is None:
        raise JobError("No photo is placed in this scene: place one first.")
    height_m = float(camera.position[2])
    if height_m <= 0:
        raise JobError(f"The photo's camera stands at {height_m:.2f} m and the floor is Z = 0: raise the camera.")
    return world_of(scene, absolute(scene.look_beyond.photo_path), "photo", camera, height_m)


def use_panorama(context: bpy.types.Context, picture: Path, height_m: float, heading: float) -> Work:
    """The world of an existing 360° picture, seen from `height_m` metres above the origin. Raises `JobError`.

    `heading` is where its centre looks, radians counter-clockwise from +X.
    """
    camera = placed_camera(64, 64, math.radians(65), heading_rad=heading, position=(0.0, 0.0, height_m))
    return world_of(context.scene, picture, "panorama", camera, height_m)


def look_at_photo(scene: bpy.types.Scene, said: str = "") -> Work:
    """Have the service look at the placed photo, for people and for how its camera was held. Raises `JobError`.

    What the artist has set by then stays. `said` is the closing sentence.
    """
    where, stored = SceneOf(scene), scene.look_beyond.photo_path
    seen: list[Seen] = []

    def finish(done: Done) -> str:
        scene = where.find()
        camera = scene.look_beyond.photo_camera if scene is not None else None
        if seen and camera is not None and camera.data.look_beyond.photo_path == stored:
            camera.data.look_beyond.looked_at = True
            camera.data.look_beyond.people = people_warning(seen[0].faces)
            held = seen[0].camera
            if (held is not None and hold_as_found(scene, held)) or seen[0].faces:
                remember_for_undo("Look at Photo")
        return said

    known = scene.look_beyond.photo_camera.data.look_beyond
    camera = photo_camera(scene)
    fov_x = 0.0 if known.fov_x_assumed or camera is None else camera.fov_x
    return Work("Look at Photo", jobs.look_at_photo(connection(), absolute(stored), fov_x, seen.append), finish)


def not_looked_at(scene: bpy.types.Scene) -> bool:
    """Whether the scene has a photo in which nobody has looked for people yet."""
    camera = scene.look_beyond.photo_camera
    return camera is not None and bool(scene.look_beyond.photo_path) and not camera.data.look_beyond.looked_at


def world_of(
    scene: bpy.types.Scene,
    picture: Path,
    role: Literal["photo", "panorama"],
    camera: Camera,
    height_m: float,
) -> Work:
    if not picture.is_file():
        raise JobError(f"The file {picture} is not there: choose the picture again.")
    settings = scene.look_beyond
    request = WorldRequest(
        camera=camera.to_dict(),
        camera_height=height_m,
        width=int(settings.panorama_width),
        seed=settings.seed,
        preset=settings.preset or "builtin",
        prompt=prompt_of(settings) if role == "photo" else "",
        room=settings.room,
        unseen="" if settings.unseen == "preset" else settings.unseen,
    )
    where = SceneOf(scene)
    about = {"title": "Build World", "files": where.files, "scene": scene.name, "source": str(picture)}
    steps = jobs.build_world(connection(), picture, role, request, where.folder("worlds", picture.stem), about)
    finish = world_finish(where, request, picture, role)
    return Work("Build World", steps, finish, saved=where.follow, failed=offer_unfinished)


def world_finish(
    where: SceneOf, request: WorldRequest, picture: Path, role: Literal["photo", "panorama"]
) -> Callable[[Done], str | None]:
    """What puts a finished world into its scene."""

    def finish(done: Done) -> str:
        about = json.loads((done.folder / "world.json").read_text(encoding="utf-8"))
        scene = where.find()
        if scene is None:
            return where.later("world", done.folder)
        said = show_world(scene, done.folder / "panorama.png", heading_of(about), world_record(done.folder, about))
        settings = scene.look_beyond
        settings.world_folder, settings.place = as_stored(done.folder), place_of(about)
        settings.panorama_path = as_stored(picture) if role == "panorama" else ""
        if role == "panorama":
            settings.panorama_height, settings.panorama_heading = request.camera_height, heading_of(about)
        remember_variant(scene, done.folder, picture.stem, request)
        return f"The world stands: See World shows it. {said} {stage_note(scene, done.folder)}".strip()

    return undoable("Build World", finish)


def place_of(about: Mapping[str, object]) -> str:
    """What the world's place was taken for, in a line, from its world.json; empty where nobody looked."""
    place = about.get("place") or {}
    if not place.get("reason"):
        return ""
    return f"{place['reason']} ({place['confidence']:.0%} sure)"


def prompt_of(settings: bpy.types.PropertyGroup) -> str:
    """What the service is told of the place: nothing where the chosen preset does not understand words."""
    preset = settings.preset or "builtin"
    return settings.prompt.strip() if jobs.takes_prompt(session.service, preset) else ""


def world_record(folder: Path, about: Mapping[str, object]) -> dict[str, object]:
    """What made the world in a folder: `about` is its world.json; what was asked for lies beside it."""
    record = {
        "folder": str(folder),
        "seed": int(about.get("seed", 0)),
        "preset": about.get("preset", ""),
        "revision": about.get("revision", ""),
        "camera_height": float(about.get("camera_height", 0.0)),
    }
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # one that the command line has made
        asked = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        request = asked["request"]
        record |= {
            "job": asked["job"],
            "source": asked["about"]["source"],
            "seed": request["seed"],
            "preset": request["preset"],
            "prompt": request.get("prompt", ""),
            "cameras": json.dumps([request["camera"]]),
            "version": asked["kit"],
            "service_version": asked["service"],
        }
    return record


def remember_variant(scene: bpy.types.Scene, folder: Path, name: str, request: WorldRequest) -> None:
    """Put a world among those that the artist can come back to."""
    worlds = scene.look_beyond.worlds
    if any(absolute(world.folder) == folder.resolve() for world in worlds):
        return
    variant = worlds.add()
    variant.name, variant.folder, variant.seed = f"{name} {request.seed}", as_stored(folder), str(request.seed)
    variant.prompt = request.prompt


def another_seed(scene: bpy.types.Scene) -> int:
    """One that none of the scene's worlds has."""
    return max([scene.look_beyond.seed, *(int(world.seed or 0) for world in scene.look_beyond.worlds)]) + 1


def use_world(scene: bpy.types.Scene, folder: Path) -> str:
    """Make a world that was built before the scene's again. Raises `JobError`."""
    missing = next((name for name in WORLD_FILES if not (folder / name).is_file()), None)
    if missing:
        raise JobError(f"The world's file {folder / missing} is not there any more: build the world again.")
    about = json.loads((folder / "world.json").read_text(encoding="utf-8"))
    said = show_world(scene, folder / "panorama.png", heading_of(about), world_record(folder, about))
    scene.look_beyond.world_folder, scene.look_beyond.place = as_stored(folder), place_of(about)
    return f"{said} {stage_note(scene, folder)}".strip()


def stage_note(scene: bpy.types.Scene, folder: Path) -> str:
    """What to say when the scene's stage is of another world than its own."""
    stage = stage_of(scene)
    if stage is None or stamped(stage, "folder") == str(folder):
        return ""
    return "The stage still shows the former world: add it again."


def build_stage(context: bpy.types.Context, preview: bool = False) -> Work:
    """The stage of the scene's world, worked out in the thread; `preview` shows it through the scene's camera.

    Raises `JobError`.
    """
    scene = context.scene
    folder, columns = absolute(scene.look_beyond.world_folder), int(scene.look_beyond.stage_columns)
    where = SceneOf(scene)
    made: list[tuple[KnownWorld, MeshInPieces]] = []
    whole: list[bool] = []

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, "Reading the world's distances", None)
        world = load_world(folder)
        yield Progress(0.5, "Laying out the stage", None)
        made.append((world, MeshInPieces(stage_surface(world, columns))))
        yield Done()

    def finish(done: Done) -> str | None:
        scene = where.find()
        if scene is None:
            return "The stage's scene is not open any more."
        world, pieces = made[0]
        mesh = pieces.step()
        if mesh is None:
            return None
        if not whole:
            whole.append(True)
            return None  # showing it has a tick of its own
        record = {"folder": str(folder), "columns": columns, **versions()}
        stage = show_stage(scene, world, mesh, record)
        shows_stage(scene, True)
        for space in viewports():
            (preview_in if preview else show_in)(space)
        return f"The stage has {len(stage.data.polygons)} faces. Renders see it when you set up compositing."

    return Work("Stage", steps, undoable("Add Stage", finish))


def viewports() -> list[bpy.types.SpaceView3D]:
    """All 3D viewports that are open."""
    areas = [area for window in bpy.context.window_manager.windows for area in window.screen.areas]
    return [area.spaces.active for area in areas if area.type == "VIEW_3D"]


def shoot(context: bpy.types.Context, cameras: Sequence[Camera] | None = None) -> Work:
    """The frames of the scene's cameras in its world; `cameras` if they are read already.

    Raises `JobError`, `CameraError`.
    """
    scene = context.scene
    settings = scene.look_beyond
    world = absolute(settings.world_folder)
    for name in WORLD_FILES:
        if not (world / name).is_file():
            raise JobError(f"The world's file {world / name} is not there any more: build the world again.")
    cameras = shot_cameras(context) if cameras is None else cameras
    about = json.loads((world / "world.json").read_text(encoding="utf-8"))
    turn = turned_by(scene, heading_of(about))
    request = ShotRequest(
        cameras=[turned(camera, -turn, about["origin"]).to_dict() for camera in cameras],
        first_frame=scene_frames(scene).start,
        seed=settings.shot_seed,
        preset=settings.preset or "builtin",
        tau_position=settings.tau_position,
        tau_rotation=settings.tau_rotation,
    )
    where, camera = SceneOf(scene), scene.camera
    about = {
        "title": "Shoot",
        "files": where.files,
        "scene": scene.name,
        "camera": camera.name,
        "world": str(world),
        "places": sorted(settings.show_in),
    }
    folder = where.folder("shots", camera.name)
    steps = jobs.shoot(connection(), world, request, folder, about, settings.steps / 100)
    shows = shot_finish(where, request, about, camera.session_uid)
    return Work("Shoot", steps, *shows, saved=where.follow, failed=offer_unfinished)


def shot_finish(
    where: SceneOf, request: ShotRequest, about: Mapping[str, object], camera_uid: int | None = None
) -> tuple[Callable[[Done], str | None], Callable[[list[Path]], bool]]:
    """What puts a finished shot into its scene, and what shows its frames on the way.

    `camera_uid` is the camera's as long as the Blender runs in which the shot was begun.
    """
    names = tuple(jobs.frame_names(request))
    size = (request.cameras[0]["width"], request.cameras[0]["height"])
    places = about["places"]
    closing: list[Showing] = []
    showing: list[Showing] = []

    def camera_in(scene: bpy.types.Scene) -> str:
        """The camera's name: it may be another one by now."""
        return next((one.name for one in scene.objects if one.session_uid == camera_uid), str(about["camera"]))

    def finish(done: Done) -> str | None:
        scene = where.find()
        if scene is None:
            return where.later("shot", done.folder)
        if not closing:
            # Known before it is shown: what cannot be shown is not lost.
            scene.look_beyond.shot_folder = as_stored(done.folder)
            scene.look_beyond.shot_first, scene.look_beyond.shot_frames = request.first_frame, len(names)
            record = {
                "job": done.job,
                "world": about["world"],
                "folder": str(done.folder),
                "first_frame": request.first_frame,
                "seed": request.seed,
                "preset": request.preset,
                "tau_position": request.tau_position,
                "tau_rotation": request.tau_rotation,
                "steps": done.steps,
                "cameras": done.cameras,
                **versions(),
            }
            shot = Shot(done.folder / "frames", names, request.first_frame, size, record)
            closing.append(Showing(shot, camera_in(scene), places))
        if not closing[0].step(scene):
            return None
        return f"{len(names)} frames are finished. {closing[0].said}".strip()

    def arrived(files: list[Path]) -> bool:
        scene = where.find()
        there = next((file for file in files if file.parent.name == "frames"), None)
        if scene is None or there is None:
            return True
        if not showing:
            shot = Shot(there.parent, names, request.first_frame, size, {}, there.name)
            showing.append(Showing(shot, camera_in(scene), places))
        if showing[0].step(scene):
            showing.clear()
        return not showing

    return undoable("Shoot", finish), arrived


def unfinished() -> list[Path]:
    """Folders of worlds and shots of the open file that were begun and not ended: Blender was quit meanwhile."""
    found = []
    running = session.task.job if session.task is not None else ""
    for home in homes():
        for file in sorted(home.glob("*/*/request.json")):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                begun = json.loads(file.read_text(encoding="utf-8"))
                if not begun["ended"] and begun["job"] != running and is_of_open_file(begun["about"], home):
                    found.append(file.parent)
    return found


def is_of_open_file(about: Mapping[str, object], home: Path) -> bool:
    """Whether what was begun belongs to the open file. Where its own is not known, or gone, its scene's name tells."""
    files = about.get("files", ())
    if open_file(home) in files:
        return True
    gone = not any(file == "" or (home / file).is_file() for file in files)
    return gone and any(scene.name == about["scene"] and output_folder(scene) == home for scene in bpy.data.scenes)


def offer_unfinished() -> None:
    session.unfinished = unfinished()


def follow_save() -> None:
    """What runs, waits or was left unfinished belongs to what the open file was saved as, too.

    But not what some other file left that was never saved: whose it is, nobody knows.
    """
    session.saved()
    for folder in session.unfinished:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            files = json.loads((folder / "request.json").read_text(encoding="utf-8"))["about"]["files"]
            if "" not in files:
                where = SceneOf(bpy.context.scene, folder.parents[1], files)
                where.begun = folder
                where.follow()


def resume(context: bpy.types.Context, folder: Path) -> Work:
    """Go on with a world or shot that was begun: what the service has finished is fetched. Raises `JobError`."""
    try:
        begun = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        about, values = begun["about"], begun["request"]
        request = ShotRequest(**values) if "cameras" in values else WorldRequest(**values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JobError(f"What was begun in {folder} cannot be read ({error}): start it again.") from None
    scene = bpy.data.scenes.get(about["scene"], context.scene)
    where = SceneOf(scene, folder.parents[1], about.get("files", ()))
    where.begun, about["files"] = folder, where.files
    steps = jobs.resume(connection(), request, folder, about)
    if isinstance(request, ShotRequest):
        title, shows = "Shoot", shot_finish(where, request, about)
    else:
        role = "panorama" if request.panorama else "photo"
        title, shows = "Build World", (world_finish(where, request, Path(about["source"]), role),)
    return Work(title, steps, *shows, saved=where.follow, failed=offer_unfinished)


def composite_shot(scene: bpy.types.Scene) -> str:
    """Put the scene's objects into its last shot. Raises `JobError` for one whose files are gone."""
    settings = scene.look_beyond
    folder = absolute(settings.shot_folder)
    for file in (
        folder / "frames" / f"{settings.shot_first:04d}.png",
        folder / "depth" / f"{settings.shot_first:04d}.exr",
    ):
        if not file.is_file():
            raise JobError(f"The shot's file {file} is not there any more: shoot again.")
    return set_up_composite(scene, folder, settings.shot_first, settings.shot_frames)


def versions() -> dict[str, str]:
    return {"version": KIT_VERSION, "service_version": str(getattr(session.service, "service", ""))}


def undoable(message: str, finish: Callable[[Done], str | None]) -> Callable[[Done], str | None]:
    """What `finish` does, as a step that the artist can undo.

    Remembering it takes Blender some milliseconds, so that it waits for the next tick.
    """
    said: list[str] = []

    def finish_and_remember(done: Done) -> str | None:
        if not said:
            said.extend(words for words in (finish(done),) if words is not None)
            return None
        remember_for_undo(message)
        return said[0]

    return finish_and_remember


def remember_for_undo(message: str) -> None:
    if not bpy.app.background and bpy.context.window_manager.windows:
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
            bpy.ops.ed.undo_push(message=message)
