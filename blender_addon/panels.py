"""The sidebar tab: what runs now on top, then the steps in their order. Drawing reads; it never changes anything."""

import textwrap
from collections.abc import Mapping

import bpy

from . import heartbeat, path_view
from .jobs import INSTALL_COMMAND, fetch_command, find_program, room_for, steps_of, takes_prompt
from .preferences import preferences
from .properties import LookBeyondCamera
from .results import absolute
from .session import Task, session
from .world_nodes import our_node, shows_world

CHARACTER_PX = 6.5
"""Mean width of a character of the interface font at scale 1."""


class Step:
    """Where all panels of ours stand."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Look Beyond"


class StatusPanel(Step, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_status"
    bl_label = "Look Beyond"

    def draw(self, context):
        layout = self.layout
        if session.task is not None:
            draw_task(layout, session.task)
        elif session.error or session.notice:
            draw_message(layout, context)
        else:
            layout.label(text=next_step(context.scene))
        if session.task is None:
            if session.service is None:
                draw_connect(layout)
            for folder in session.unfinished[:3]:
                row = layout.row(align=True)
                row.label(text=f"Unfinished: {folder.name}", icon="SORTTIME")
                row.operator("lookbeyond.resume", text="Go On").folder = str(folder)


class PhotoPanel(Step, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_photo"
    bl_parent_id = StatusPanel.bl_idname
    bl_label = "1  Photo"

    def draw(self, context):
        settings = context.scene.look_beyond
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.operator("lookbeyond.place_photo", icon="IMAGE_DATA", text="Place Photo…")
        if settings.photo_camera is not None:
            column = layout.column(align=True)
            column.prop(settings, "photo_camera", text="Camera")
            column.prop(settings, "fov_x")
            column.prop(settings, "pitch")
            column.prop(settings, "roll")
            column.prop(settings, "camera_height")
            row = layout.row(align=True)
            row.operator("lookbeyond.adjust_horizon", text="Horizon", icon="DRIVER_ROTATIONAL_DIFFERENCE")
            row.operator_menu_enum("lookbeyond.align_lines", "kind", text="Two Lines", icon="MOD_EDGESPLIT")
            draw_known_length(layout, settings, "lookbeyond.measure_height")
            photo = settings.photo_camera.data.look_beyond
            for sentence in where_angles_are_from(photo):
                draw_text(layout.column(align=True), context, sentence, "INFO")
            for sentence in (*photo.warnings.splitlines(), *photo.people.splitlines()):
                draw_text(layout.column(align=True), context, sentence, "ERROR")
        else:
            layout.operator("lookbeyond.use_render", icon="RENDER_STILL")


def where_angles_are_from(photo: LookBeyondCamera) -> list[str]:
    """What to say of the camera's angles that the artist has not set."""
    if photo.camera_told:
        return photo.camera_told.splitlines()
    if photo.pitch_assumed or photo.roll_assumed:
        return ["Pitch and roll are assumed. The service, when it runs, finds them in the photo's lines."]
    return []


class PhotoScenePanel(Step, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_photo_scene"
    bl_parent_id = PhotoPanel.bl_idname
    bl_label = "Scene Like the Photo"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context):
        return context.scene.look_beyond.photo_camera is not None

    def draw(self, context):
        layout = self.layout
        row = layout.row(align=True)
        row.operator("lookbeyond.look_through_photo", text="Its View")
        row.operator("lookbeyond.use_photo_resolution", text="Its Size")
        row.operator("lookbeyond.match_photo_colours", text="Its Colours")
        layout.operator("lookbeyond.photo_plane", icon="IMAGE_PLANE")


class WorldPanel(Step, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_world"
    bl_parent_id = StatusPanel.bl_idname
    bl_label = "2  World"

    def draw(self, context):
        scene = context.scene
        settings = scene.look_beyond
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column(align=True)
        column.prop(settings, "panorama_width", text="Resolution")
        column.prop(settings, "seed")
        draw_prompt(column, context)
        column.prop(settings, "unseen")
        column.prop(settings, "room")
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.operator("lookbeyond.build_world", icon="WORLD")
        if settings.worlds and not settings.panorama_path:
            row.operator("lookbeyond.reroll_world", text="", icon="FILE_REFRESH")
        if settings.panorama_path:
            column = layout.column(align=True)
            column.prop(settings, "panorama_path", text="360° Picture")
            column.prop(settings, "panorama_height")
            draw_known_length(layout, settings, "lookbeyond.measure_panorama")
        else:
            layout.operator("lookbeyond.use_panorama", text="Use 360° Picture…")
        if settings.worlds:
            draw_variants(layout, settings)
        node = our_node(scene.world)
        if node is not None:
            column = layout.column(align=True)
            column.prop(node.inputs["Strength"], "default_value", text="Strength")
            column.prop(node.inputs["Heading"], "default_value", text="Rotation")
            seen = context.space_data is not None and shows_world(context.space_data.shading)
            layout.operator("lookbeyond.see_world", icon="SHADING_TEXTURE", depress=seen)
        if settings.world_folder and settings.place:
            draw_text(layout, context, settings.place, "HOME")
        if settings.world_folder:
            row = layout.row(align=True)
            row.operator("lookbeyond.add_stage", icon="MESH_UVSPHERE")
            row.prop(settings, "stage_columns", text="")


class PathPanel(Step, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_path"
    bl_parent_id = StatusPanel.bl_idname
    bl_label = "3  Path"

    def draw(self, context):
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.operator_menu_enum("lookbeyond.add_path", "kind", text="Add Camera Path", icon="CURVE_BEZCURVE")
        layout.prop(context.scene, "camera", text="Camera")
        column = layout.column(align=True)
        column.prop(context.scene, "frame_start", text="Frames")
        column.prop(context.scene, "frame_end", text="to")
        column.prop(context.scene.look_beyond, "frames_from", text="Shoot")
        if context.scene.look_beyond.world_folder:
            row = layout.row(align=True)
            row.use_property_split = False  # its name needs the room
            row.prop(context.scene.look_beyond, "show_path")
            row.operator("lookbeyond.check_path", text="", icon="FILE_REFRESH")
            draw_path_warnings(layout, context)


class ShootPanel(Step, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_shoot"
    bl_parent_id = StatusPanel.bl_idname
    bl_label = "4  Shoot"

    def draw(self, context):
        scene = context.scene
        settings = scene.look_beyond
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column(align=True)
        row = column.row(align=True)
        row.prop(scene.render, "resolution_x", text="Size")
        row.prop(scene.render, "resolution_y", text="")
        column.prop(scene.render, "resolution_percentage", text="Percent")
        column.prop(settings, "quality")
        column = layout.column(align=True)
        column.use_property_split = False
        column.label(text="Show the Frames In")
        for pair in (("STRIP", "BACKGROUND"), ("PLANE", "COMPOSITE")):
            row = column.row(align=True)
            for place in pair:
                row.prop_enum(settings, "show_in", place)
        layout.operator("lookbeyond.preview_draft", icon="HIDE_OFF")
        row = layout.row()
        row.scale_y = 1.4
        row.operator("lookbeyond.shoot", icon="RENDER_ANIMATION")
        if settings.shot_folder:
            row = layout.row(align=True)
            row.operator("lookbeyond.set_up_composite", icon="NODE_COMPOSITING")
            row.operator("lookbeyond.pack", icon="PACKAGE")


class FinePanel(Step, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_fine"
    bl_parent_id = ShootPanel.bl_idname
    bl_label = "Steps, Seed and Files"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context):
        settings = context.scene.look_beyond
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column(align=True)
        number = steps_of(session.service, settings.preset, settings.steps / 100)
        column.prop(settings, "steps", text=f"Steps ({number})" if number else "Steps")
        column.prop(settings, "tau_position", text="Tolerance")
        column.prop(settings, "tau_rotation", text="Turning")
        layout.prop(settings, "shot_seed", text="Seed")
        layout.prop(settings, "output_folder")


class ServicePanel(Step, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_service"
    bl_parent_id = StatusPanel.bl_idname
    bl_label = "Service"

    def draw(self, context):
        settings = context.scene.look_beyond
        layout = self.layout
        service = session.service
        if service is None:
            layout.label(text="Not connected", icon="UNLINKED")
        else:
            layout.label(text=f"Service {service.service}", icon="LINKED")
            for device in service.devices:
                for line in device_lines(device):
                    layout.label(text=line, icon="BLANK1")
            row = layout.row(align=True)
            row.operator("lookbeyond.stop_service", icon="PAUSE", text="Stop")
            row.operator("lookbeyond.release_memory")
        layout.operator("lookbeyond.check_service", text="Test Connection")
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(settings, "preset")
        draw_room(layout, room_for(service, settings.preset), settings.preset)


def device_lines(device: Mapping[str, object]) -> list[str]:
    """What there is to say about one of the service's devices: what it is, and what is loaded on it."""
    memory = f", {device['memory_gb']:g} GB" if device.get("memory_gb") else ""
    lines = [f"{device.get('title') or device.get('name', '')}{memory}"]
    if device.get("loaded"):
        used = device.get("device_gb", device.get("resident_gb"))
        lines.append(f"{device['loaded']} is loaded" + (f", {used:.1f} GB in use" if used else ""))
    return lines


def draw_connect(layout: bpy.types.UILayout) -> None:
    """How to get a service, as long as none is known: everything but paths needs one."""
    chosen = preferences()
    if chosen.address.strip():
        layout.operator("lookbeyond.check_service", text="Connect", icon="UNLINKED")
        return
    if not chosen.service_command.strip() and find_program() is None:
        row = layout.row(align=True)
        row.label(text=INSTALL_COMMAND, icon="CONSOLE")
        row.operator("lookbeyond.copy_command", text="", icon="COPYDOWN").command = INSTALL_COMMAND
    layout.operator("lookbeyond.start_service", icon="PLAY")


def draw_prompt(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What the place is, in words; where nobody would heed them, the field is grey and says so."""
    settings = context.scene.look_beyond
    who = "a 360° picture" if settings.panorama_path else settings.preset or "builtin"
    heeded = not settings.panorama_path and takes_prompt(session.service, who)
    row = layout.row()
    row.enabled = heeded
    row.prop(settings, "prompt", placeholder="what the place is" if heeded else "not for this preset")
    if settings.prompt and not heeded:
        draw_text(layout, context, f"The prompt is left out: {who} takes none.", "INFO")


def draw_room(layout: bpy.types.UILayout, room: str, preset: str) -> None:
    """Whether the chosen preset can run, and what to do where it cannot."""
    if not room:
        return
    fits = room.startswith("fits")
    layout.label(text=f"{room[0].upper()}{room[1:]}", icon="CHECKMARK" if fits else "ERROR")
    if room == "not downloaded":
        row = layout.row(align=True)
        row.label(text=fetch_command(preset), icon="CONSOLE")
        row.operator("lookbeyond.copy_command", text="", icon="COPYDOWN").command = fetch_command(preset)


def draw_known_length(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup, operator: str) -> None:
    row = layout.row(align=True)
    row.use_property_split = False
    row.operator_menu_enum(operator, "kind", text="Known Length", icon="DRIVER_DISTANCE")
    row.prop(settings, "known_length", text="Metres")


def draw_variants(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    grid = layout.grid_flow(row_major=True, columns=3, even_columns=True, align=True)
    for number, world in enumerate(settings.worlds):
        cell = grid.column(align=True)
        icon = session.the(heartbeat.Thumbnails).icon(absolute(world.folder) / "panorama.png")
        if icon:
            cell.template_icon(icon, scale=3.5)
        row = cell.row(align=True)
        current = world.folder == settings.world_folder
        row.operator("lookbeyond.use_world", text=f"Seed {world.seed}", depress=current).index = number
        row.operator("lookbeyond.forget_world", text="", icon="X").index = number


def draw_task(layout: bpy.types.UILayout, task: Task) -> None:
    row = layout.row(align=True)
    row.progress(factor=task.fraction, text=f"{task.title}  {task.fraction:.0%}{left(task)}")
    row.operator("lookbeyond.cancel", text="", icon="X")
    column = layout.column()
    column.label(text=task.message)
    if task.files:
        column.label(text=f"{task.files} files have arrived")
    for number, work in enumerate(session.queue):
        row = column.row(align=True)
        row.label(text=f"Then: {work.title}", icon="SORTTIME")
        row.operator("lookbeyond.unqueue", text="", icon="X").index = number
    if icon := session.the(heartbeat.Previews).icon:
        layout.template_icon(icon, scale=8)


def draw_message(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    box = layout.box()
    text, icon = (session.error, "ERROR") if session.error else (session.notice, "INFO")
    column = box.column(align=True)
    column.alert = bool(session.error)
    draw_text(column, context, text, icon)
    row = box.row()
    row.operator("lookbeyond.copy_message", text="Copy", icon="COPYDOWN")
    if session.folder is not None:
        row.operator("lookbeyond.open_folder", text="Folder", icon="FILE_FOLDER")
    if session.error:
        row.operator("lookbeyond.copy_log")
    row.operator("lookbeyond.clear_message", text="Dismiss", icon="CHECKMARK")


def draw_path_warnings(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    view = path_view.view()
    if not context.scene.look_beyond.show_path or (view.check is None and not view.sentences):
        return
    column = layout.column(align=True)
    for sentence in view.sentences:
        draw_text(column, context, sentence, "ERROR")
    within = [known for known, far in zip(view.check.known, view.check.too_far) if far <= 0] if view.check else []
    if within:
        column.label(text=f"At least {min(within):.0%} of each view is known", icon="HIDE_OFF")


def draw_text(column: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str) -> None:
    scale = context.preferences.system.ui_scale or 1.0  # 0 without a window
    for number, line in enumerate(wrapped(text, context.region.width / scale)):
        column.label(text=line, icon=icon if number == 0 else "BLANK1")


def wrapped(text: str, width_px: float) -> list[str]:
    """The text word for word in lines that fit a panel of this width (pixels at interface scale 1)."""
    room = max(12, int((width_px - 70) / CHARACTER_PX))
    return textwrap.wrap(text, room, break_long_words=True, break_on_hyphens=False)


def left(task: Task) -> str:
    if task.eta_s is None:
        return ""
    minutes, seconds = divmod(round(task.eta_s), 60)
    return f", {minutes}:{seconds:02d} left"


def next_step(scene: bpy.types.Scene) -> str:
    settings = scene.look_beyond
    if settings.photo_camera is None and not settings.world_folder:
        return "Place a photo to begin"
    if not settings.world_folder:
        return "Build the world" if session.service is not None else "Start the service, then build the world"
    return "Lay a camera path, then shoot" if not settings.shot_folder else "Ready"


def draw_status_bar(self: bpy.types.Header, context: bpy.types.Context) -> None:
    if session.task is not None:
        task = session.task
        self.layout.separator_spacer()
        row = self.layout.row()
        row.ui_units_x = 14
        row.progress(factor=task.fraction, text=f"Look Beyond: {task.title}{left(task)}")


CLASSES = (StatusPanel, PhotoPanel, PhotoScenePanel, WorldPanel, PathPanel, ShootPanel, FinePanel, ServicePanel)


def draw_import(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    self.layout.operator("lookbeyond.place_photo", text="Photo as Camera (Look Beyond)")
    self.layout.operator("lookbeyond.use_panorama", text="360° Picture as World (Look Beyond)")


def draw_add(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    self.layout.operator_menu_enum(
        "lookbeyond.add_path", "kind", text="Camera Path (Look Beyond)", icon="CURVE_BEZCURVE"
    )


MENUS = (
    (bpy.types.STATUSBAR_HT_header, draw_status_bar),
    (bpy.types.TOPBAR_MT_file_import, draw_import),
    (bpy.types.VIEW3D_MT_camera_add, draw_add),
)
keys: list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]] = []


def register() -> None:
    for menu, draw in MENUS:
        menu.append(draw)
    configuration = bpy.context.window_manager.keyconfigs.addon
    if configuration is not None:  # there is none without a window
        keymap = configuration.keymaps.new(name="3D View", space_type="VIEW_3D")
        for operator, key in (("lookbeyond.shoot", "F12"), ("lookbeyond.preview_draft", "F11")):
            keys.append((keymap, keymap.keymap_items.new(operator, key, "PRESS", ctrl=True, alt=True)))


def unregister() -> None:
    for keymap, item in keys:
        keymap.keymap_items.remove(item)
    keys.clear()
    for menu, draw in MENUS:
        menu.remove(draw)
