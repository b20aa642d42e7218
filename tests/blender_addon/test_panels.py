"""Every panel draws in every state, and names only what exists."""

import ast
import importlib
import time
import types
from pathlib import Path

import bpy
import pytest


class OperatorSettings:
    """Stands for the settings of a drawn operator: takes those that it has."""

    def __init__(self, names) -> None:
        self.__dict__["names"] = names

    def __setattr__(self, name, value):
        assert name in self.names, name


class Layout:
    """Stands for UILayout: asserts that what is drawn exists, and keeps the texts."""

    all_open = True

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def prop(self, data, name, **options):
        assert name in data.bl_rna.properties, f"{data} has no {name}"

    def prop_enum(self, data, name, value):
        assert value in data.bl_rna.properties[name].enum_items

    def operator(self, name, **options):
        group, _, operator = name.partition(".")
        assert operator in dir(getattr(bpy.ops, group)), name
        assert "icon" not in options or options["icon"] in icons()
        return OperatorSettings(getattr(getattr(bpy.ops, group), operator).get_rna_type().properties.keys())

    def operator_menu_enum(self, name, property, **options):
        assert property in self.operator(name, **options).names

    def label(self, text="", icon="NONE", icon_value=0):
        assert icon in icons()
        self.texts.append(text)

    def progress(self, factor=0.0, text="", **options):
        assert 0 <= factor <= 1
        self.texts.append(text)

    def template_icon(self, icon, scale=1.0):
        assert icon

    def separator_spacer(self):
        pass

    def template_list(self, listtype_name, list_id, data, name, active_data, active_name, **options):
        """Draws every item."""
        cls = getattr(bpy.types, listtype_name)
        assert active_name in active_data.bl_rna.properties
        for index, item in enumerate(getattr(data, name)):
            cls.draw_item(cls, Context(), self, data, item, 0, active_data, active_name, index)

    def panel(self, idname, default_closed=False):
        return self, self

    def panel_prop(self, data, name):
        self.prop(data, name)
        return self, self if Layout.all_open or getattr(data, name) else None

    def row(self, **options):
        return self

    column = box = grid_flow = split = row


def icons() -> set[str]:
    parameters = bpy.types.UILayout.bl_rna.functions["label"].parameters
    return {item.identifier for item in parameters["icon"].enum_items}


class Context:
    region = types.SimpleNamespace(width=260)

    def __getattr__(self, name):
        return getattr(bpy.context, name)


def draw_all(part) -> list[str]:
    texts: list[str] = []

    class Self:
        layout = Layout(texts)

    addon = importlib.import_module(part("session").__package__)
    for panel in (cls for cls in addon.CLASSES if issubclass(cls, bpy.types.Panel)):
        if hasattr(panel, "poll") and not panel.poll(Context()):
            continue
        own = type("Self", (Self,), {"bl_label": panel.bl_label, "step": getattr(panel, "step", "")})
        for name in ("draw_body", "result", "warns"):
            if hasattr(panel, name):
                setattr(own, name, getattr(panel, name))
        panel.draw(own(), Context())
    part("status.panel").draw_status_bar(Self(), Context())
    return texts


def test_the_status_says_what_to_do_next(part, scene, photo):
    assert "Place a photo to begin" in " ".join(draw_all(part))
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    part("session").session.clear()
    assert "Build the world" in draw_all(part)


def test_a_running_task_shows_progress_time_and_words(part, scene):
    module = part("session")
    module.session.task = part("tasks").RunningTask(
        "Shoot", 0.42, "Frame 31 of 48: Denoising, step 2 of 8", eta_s=83.0, files=7
    )
    try:
        texts = draw_all(part)
    finally:
        module.session.task = None
    assert {"Shoot", "42%, 1:23 left", "Frame 31 of 48"} <= set(texts)


def test_the_time_left_runs_down_while_nothing_is_told(part, monkeypatch):
    task = part("tasks").RunningTask("Shoot", 0.42, "Frame 31 of 48", eta_s=83.0)
    time_left = part("status.panel").time_left
    assert time_left(task) == ", 1:23 left"
    task.estimated_at_s -= 3.0
    assert time_left(task) == ", 1:20 left"
    task.estimated_at_s -= 200.0
    assert time_left(task) == ", 0:00 left"
    task.eta_s = None
    assert time_left(task) == ""


def test_the_window_is_drawn_anew_every_second_of_a_task(part, monkeypatch):
    heartbeat, session, drawn = part("heartbeat"), part("session").session, []
    monkeypatch.setattr(heartbeat, "redraw", lambda: drawn.append(1))
    monkeypatch.setattr(session, "tick", lambda: False)
    session.task = part("tasks").RunningTask("Shoot")
    heartbeat._drawn_s[0] = time.monotonic()
    heartbeat.beat()
    assert not drawn
    heartbeat._drawn_s[0] -= 1.1
    heartbeat.beat()
    session.task = None
    assert drawn == [1]


def test_the_address_is_tested_where_it_is_typed(part, scene, service, monkeypatch):
    """In the preferences: what is wrong with it at once, and what a test has found out."""
    preferences, session = part("service.preferences"), part("session").session

    def drawn() -> str:
        texts: list[str] = []
        preferences.draw_test(Layout(texts))
        return " ".join(texts)

    assert "answers" not in drawn()
    bpy.ops.lookbeyond.check_service()
    assert drawn() == "Service 0.1.0 answers, with CPU."
    session.task = part("tasks").RunningTask("Test Connection", message="Waiting for the workers to start")
    assert drawn() == "Test Connection: Waiting for the workers to start"
    session.task = None
    session.refuse("Nothing answers at studio:5555: start the service there.")
    assert drawn() == session.error
    monkeypatch.undo()
    chosen = preferences.addon_preferences()
    chosen.address = "studio"
    try:
        assert "studio is not an address" in drawn()
        bpy.context.preferences.system.use_online_access = True
        chosen.address = "127.0.0.1:5555"
        assert "needs its public key" in drawn()
    finally:
        chosen.address = ""


@pytest.mark.parametrize("width", [120, 260, 600])
def test_an_error_is_shown_word_for_word(part, scene, width):
    """What does not fit the strip is in a window of its own."""
    words = "The service speaks protocol 3 and this add-on 2: update the add-on, then try again; nothing is lost. " * 2
    words = words.strip()
    assert " ".join(part("panel_bases").wrapped(words, width)) == words
    part("session").session.error = words
    in_strip = [text for text in draw_all(part) if text.rstrip("…") in words and len(text) > 5]
    assert in_strip[-1].endswith("…") and " ".join(in_strip).rstrip("…") in words
    texts: list[str] = []
    part("status.operators").ShowMessage.draw(types.SimpleNamespace(layout=Layout(texts)), Context())
    assert " ".join(texts) == words
    part("session").session.error = "The disk is full: free some space."
    assert "The disk is full: free some space." in " ".join(draw_all(part))


class Rows(Layout):
    """Counts the rows of the strip."""

    count = 0

    def row(self, **options):
        Rows.count += "align" in options and self.counts
        return Rows(self.texts, False)

    def column(self, **options):
        return self

    box = column

    def __init__(self, texts, counts=True):
        super().__init__(texts)
        self.counts = counts


def test_the_strip_has_one_height(part, scene, photo):
    """Whatever is told: nothing below it moves."""
    panel, session = part("status.panel").StatusPanel, part("session").session

    def height():
        Rows.count = 0
        panel.draw(types.SimpleNamespace(layout=Rows([])), Context())
        return Rows.count

    heights = [height()]
    session.notice = "Short."
    heights.append(height())
    session.error = "Many words, that go on and on, " * 9
    heights.append(height())
    session.clear()
    session.unfinished = [photo.parent / str(number) for number in range(9)]
    heights.append(height())
    session.unfinished = []
    session.task = part("tasks").RunningTask("Shoot", 0.42, "Frame 31 of 48", eta_s=83.0)
    heights.append(height())
    session.task = None
    assert set(heights) == {part("status.panel").ROWS}


def test_the_next_step_is_open_and_what_is_done_is_a_line(part, scene, service, photo, monkeypatch):
    monkeypatch.setattr(Layout, "all_open", False)

    def open_steps():
        return [step for step in part("folding").STEPS if getattr(bpy.context.scene.look_beyond, f"open_{step}")]

    assert open_steps() == ["photo"]
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.0)
    assert open_steps() == ["world"] and "photo.jpg, 57°" in draw_all(part)
    scene.look_beyond.open_photo = True
    assert open_steps() == ["photo", "world"]
    bpy.ops.lookbeyond.build_world()
    assert open_steps() == ["path"] and "photo 0" in draw_all(part)
    bpy.ops.lookbeyond.add_path(kind="ORBIT")
    assert open_steps() == ["shot"] and "Orbit, 6 fr." in draw_all(part)
    scene.look_beyond.open_shot = False
    bpy.ops.lookbeyond.shoot()
    assert open_steps() == [] and "Orbit 1" in draw_all(part)


def test_the_price_stands_beside_quality_and_world(part, scene, service):
    watch = part("service.price_watch")
    bpy.ops.lookbeyond.check_service()
    assert not watch.tick() or not service.priced
    scene.look_beyond.world_folder = "somewhere"
    ticks_until(watch, lambda: len(watch.prices.known) >= 4)
    texts = draw_all(part)
    # six frames between two anchors; a draft is half as large and takes half the steps
    draft, normal, final = (watch.shot_question(scene, quality) for quality in ("DRAFT", "NORMAL", "FINAL"))
    assert (draft.width, draft.height, draft.anchors, draft.frames, draft.steps) == (48, 32, 2, 6, 4)
    assert (normal.width, normal.steps, final.steps) == (96, 0, 16)
    assert texts.count("10 s") == 3 and "6.0 MB on disk" in texts and "20 s, 1.0 MB on disk" in texts
    asked = len(service.priced)
    watch.tick()
    assert len(service.priced) == asked, "what is known is not asked again"
    scene.frame_end += 50
    assert "10 s" not in draw_all(part)
    ticks_until(watch, lambda: watch.shot_price(scene, "FINAL") is not None)
    assert any(text.endswith("min") for text in draw_all(part))


def ticks_until(watch, condition):
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        watch.tick()
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.2, "1 s"), (7.4, "7 s"), (24, "25 s"), (58, "1 min"), (190, "3 min"), (4700, "1 h 20 min")],
)
def test_times_are_told_as_one_says_them(part, seconds, text):
    assert part("service.prices").time_text(seconds) == text


def test_every_translated_text_is_one_of_ours(addon, part):
    """A translation of a text that nobody shows any more is dead."""
    folder = Path(addon.__file__).parent
    shown = set()
    for file in folder.rglob("*.py"):
        if file.name not in ("translations.py", "german_tips.py"):
            literals = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant))
            shown |= {node.value for node in literals if isinstance(node.value, str)}
    assert set(part("translations").GERMAN | part("translations").TIPS) <= shown


def test_every_heading_and_button_is_translated(addon, part):
    kinds = (bpy.types.Operator, bpy.types.Panel)
    labels = {cls.bl_label for cls in addon.CLASSES if issubclass(cls, kinds)} - {"Look Beyond"}
    assert labels <= set(part("translations").GERMAN), labels - set(part("translations").GERMAN)


def test_every_tooltip_is_translated(addon, part):
    tips = {cls.__doc__ for cls in addon.CLASSES if issubclass(cls, bpy.types.Operator)}
    assert tips <= set(part("translations").TIPS), tips - set(part("translations").TIPS)


def test_every_operator_has_a_tooltip_and_every_property_words(addon):
    for cls in addon.CLASSES:
        if issubclass(cls, bpy.types.Operator):
            assert cls.__doc__ and not cls.__doc__.endswith("."), cls
    for group in (bpy.types.Scene, bpy.types.Camera):
        for setting in group.bl_rna.properties["look_beyond"].fixed_type.properties:
            assert setting.name, setting.identifier


def test_a_known_service_is_named(part, scene, service):
    bpy.ops.lookbeyond.check_service()
    part("session").session.clear()
    assert "Service 0.1.0" in draw_all(part) and "CPU" in draw_all(part)


def test_memory_in_use_is_told_until_it_is_freed(part, scene, service):
    about = {"title": "a GPU", "memory_gb": 24.0, "state": "ready", "loaded": "builtin", "device_gb": 1.26}
    service.devices = (about,)
    bpy.ops.lookbeyond.check_service()
    part("session").session.clear()
    service.welcome.devices = (dict(about),)
    assert {"a GPU, 24 GB", "builtin is loaded, 1.3 GB in use"} <= set(draw_all(part))
    bpy.ops.lookbeyond.release_memory()
    assert "a GPU, 24 GB" in draw_all(part) and not any("is loaded" in text for text in draw_all(part))


def test_the_menus_have_our_entries(part):
    panels = part("menus")
    for draw, menu in ((panels.draw_import, "TOPBAR_MT_file_import"), (panels.draw_add, "VIEW3D_MT_camera_add")):
        draw(types.SimpleNamespace(layout=Layout([])), Context())
        assert draw in getattr(bpy.types, menu)._dyn_ui_initialize()


def test_the_preset_says_whether_it_can_run_and_what_to_do(part, scene, service):
    """In its menu, beside its name, and under it in the panel; nothing where nothing is known."""
    service.welcome.presets = (
        {"name": "builtin", "installed": True},
        {"name": "svd", "installed": True},
        {"name": "sdxl", "installed": False},
        {"name": "huge", "installed": True},
    )
    room = {"builtin": "fits", "svd": "fits in parts, slower", "sdxl": "fits", "huge": "needs 30.2 GB"}
    service.devices = ({"name": "cuda:0", "memory_gb": 8.0, "state": "ready", "presets": room},)
    names = part("properties").preset_names
    assert names(scene.look_beyond, bpy.context, "") == [("builtin", "")]
    bpy.ops.lookbeyond.check_service()
    assert names(scene.look_beyond, bpy.context, "") == [
        ("builtin", "fits"),
        ("svd", "fits in parts, slower"),
        ("sdxl", "not downloaded"),
        ("huge", "needs 30.2 GB"),
    ]
    for preset, texts in {"huge": ["Needs 30.2 GB"], "sdxl": ["Not downloaded", "lookbeyond fetch sdxl"]}.items():
        scene.look_beyond.preset = preset
        assert set(texts) <= set(draw_all(part))
    welcome = part("session").session.service
    other = types.SimpleNamespace(presets=welcome.presets, devices=(*welcome.devices, {"presets": {"huge": "fits"}}))
    assert part("service.presets").preset_status(other, "huge") == "fits"


def test_a_prompt_that_nobody_would_heed_says_so(part, scene, service):
    service.welcome.presets = ({"name": "builtin", "takes_prompt": False}, {"name": "sdxl", "takes_prompt": True})
    takes_prompt, settings = part("service.presets").takes_prompt, scene.look_beyond
    assert not takes_prompt(None, "builtin") and takes_prompt(None, "own")
    bpy.ops.lookbeyond.check_service()
    assert not any("takes none" in text for text in draw_all(part))
    settings.prompt = "a boat shed"
    assert "The prompt is not used: builtin takes none." in " ".join(draw_all(part))
    settings.preset = "sdxl"
    assert not any("takes none" in text for text in draw_all(part))
    settings.panorama_path = "/a/picture.png"
    assert "not used: a 360° picture takes none." in " ".join(draw_all(part))


def test_people_in_the_photo_are_told_when_the_service_has_looked(part, scene, service, photo):
    """Not before; and what is told names its measure."""
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    session = part("session").session
    about = scene.look_beyond.photo_camera.data.look_beyond
    service.people = (0.123, 0.01)
    assert not about.looked_at and not any("People" in text for text in draw_all(part))
    assert bpy.ops.lookbeyond.check_service() == {"FINISHED"}  # a photo that was placed before is looked at now
    assert about.looked_at and session.notice == "The service answers."
    words = "People (2 faces, the largest covers 12% of the photo)"
    assert about.people.startswith(words) and words in " ".join(draw_all(part))
    uploads = len(service.uploads)
    bpy.ops.lookbeyond.check_service()
    assert len(service.uploads) == uploads, "it was looked at twice"
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    assert not about.people and not about.looked_at
    service.people = ()
    session.begin(part("photo.analysis").analyse_photo(scene, "As it was."))
    session.run()
    assert about.looked_at and not about.people and session.notice == "As it was."


def held(fov_x=1.0, pitch=-0.1, roll=0.02, unsure=0.01):
    """What the service finds in a photo's lines; unsure 0: nothing."""
    from lookbeyond_kit.client import Angle, CameraFindings

    source = "from the photo's lines" if unsure else "assumed"
    return CameraFindings(*(Angle(value, unsure, source) for value in (fov_x, pitch, roll)))


def look(part, scene):
    session = part("session").session
    session.begin(part("photo.analysis").analyse_photo(scene))
    session.run()
    assert not session.error


def test_the_camera_is_held_as_the_photos_lines_say(part, scene, service, photo):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    settings = scene.look_beyond
    assert "Pitch and roll are assumed" in " ".join(draw_all(part))
    assert "Pitch and roll are assumed to be 0°" in part("session").session.notice
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), pitch=-0.2)
    assert "Roll is assumed to be 0°" in part("session").session.notice
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    service.held = held()
    look(part, scene)
    assert (settings.fov_x, settings.pitch, settings.roll) == pytest.approx((1.0, -0.1, 0.02), abs=1e-4)
    assert service.looked_with == 0
    drawn = " ".join(draw_all(part))
    assert "Pitch: -5.7° from the photo's lines, ± 0.6°." in drawn and "assumed" not in drawn
    service.held = held(pitch=0.3)
    look(part, scene)
    assert settings.pitch == pytest.approx(-0.1, abs=1e-4), "it was found already"


def test_found_angles_can_be_undone(part, scene, service, photo):
    settings = scene.look_beyond
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), pitch=0.05)
    with pytest.raises(RuntimeError, match="poll"):
        bpy.ops.lookbeyond.undo_angles()
    assumed = settings.fov_x
    service.held = held()
    look(part, scene)
    assert settings.roll == pytest.approx(0.02, abs=1e-4) and settings.pitch == pytest.approx(0.05, abs=1e-4)
    assert bpy.ops.lookbeyond.undo_angles() == {"FINISHED"}
    # The pitch was the artist's.
    assert (settings.fov_x, settings.pitch, settings.roll) == pytest.approx((assumed, 0.05, 0.0), abs=1e-4)
    assert "from the photo's lines" not in " ".join(draw_all(part))


def test_angles_have_no_float_noise(part, scene, photo):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    camera = scene.look_beyond.photo_camera
    camera.rotation_euler.x += 8e-6
    bpy.context.view_layer.update()
    assert scene.look_beyond.pitch == 0.0


def test_what_the_artist_has_set_meanwhile_stays(part, scene, service, photo):
    service.held = held()
    settings = scene.look_beyond
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), roll=0.0, fov_x=1.2)
    settings.pitch = 0.0  # typed, though it is what was assumed
    look(part, scene)
    assert (settings.fov_x, settings.pitch, settings.roll) == pytest.approx((1.2, 0, 0), abs=1e-4)
    assert service.looked_with == pytest.approx(1.2, abs=1e-4)
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    settings.photo_camera.rotation_euler.x += 0.05  # turned by hand
    bpy.context.view_layer.update()
    look(part, scene)
    assert settings.pitch == pytest.approx(0.05, abs=1e-4) and settings.roll == pytest.approx(0.02, abs=1e-4)


def test_a_photo_without_lines_stays_level_and_says_so(part, scene, service, photo):
    service.held = held(fov_x=1.13, pitch=0.0, roll=0.0, unsure=0.0)
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    before = scene.look_beyond.fov_x
    look(part, scene)
    assert (scene.look_beyond.fov_x, scene.look_beyond.pitch) == (before, 0)
    assert "Pitch: 0.0° assumed." in " ".join(draw_all(part))


@pytest.mark.parametrize("code", ["protocol", "not_running"])
def test_a_service_that_cannot_look_at_photos_is_no_error(part, scene, service, photo, code):
    """An older one, or one that has gone meanwhile: then nothing is said, and nothing is known of it."""
    from lookbeyond_kit.client import ServiceError

    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    session = part("session").session
    session.service = service.welcome

    def refuse(sha256, fov_x_rad):
        raise ServiceError(code, "Something else.")

    service.inspect_photo = refuse
    session.begin(part("photo.analysis").analyse_photo(scene))
    session.run()
    assert not session.error and not scene.look_beyond.photo_camera.data.look_beyond.looked_at
    assert (session.service is None) == (code == "not_running")


def test_a_preview_stays_long_enough_to_be_seen(part, photo, tmp_path, monkeypatch):
    previews = part("icons").PreviewIcon()
    other = tmp_path / "other.jpg"
    other.write_bytes(photo.read_bytes())
    previews.show(photo)
    first = list(previews._icons)
    previews.show(other)
    assert list(previews._icons) == first == [str(photo)]
    monkeypatch.setattr(part("icons"), "SHOWN_S", 0.0)
    previews.show(other)
    assert list(previews._icons) == [str(other)]
    previews.show(None)
    assert not previews.icon
