"""The page for the client, in a real Chromium from a disk: it shows what the world holds where one looks."""

import hashlib
import html.parser
import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from lookbeyond.errors import InputError
from lookbeyond.exchange.page import Film, Room, write_page
from lookbeyond.exchange.shots import load_shot, world_of
from lookbeyond.files import save_panorama, write_distance, write_json, write_png
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.layout import box_layout
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import equirectangular_directions, sample_equirectangular
from lookbeyond.geometry.transforms import write_transforms

ROOT = Path(__file__).parents[3]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def world(heading_rad=0.3, origin=(0.0, 0.0, 0.0), layout=None) -> Panorama:
    """Colours that tell the direction."""
    rays = equirectangular_directions(1024, 512, heading_rad)
    colour = (127.5 + 100 * np.sin(1.5 * rays + 0.3)).round().astype(np.uint8)
    distance = np.full((64, 128), 2.0, np.float32)
    photo_camera = placed_camera(64, 48, 1.2, heading_rad=heading_rad, pitch_rad=-0.1, position=origin)
    return Panorama(
        colour,
        distance,
        np.zeros((512, 1024), np.uint8),
        heading_rad,
        origin,
        photo_camera=photo_camera,
        layout=layout,
    )


@pytest.fixture(scope="module")
def shot_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shot")
    cameras = [placed_camera(64, 48, 1.2, heading_rad=1.0 + 0.05 * k, position=(0.05 * k, 0, 0)) for k in range(12)]
    for name in ("frames", "depth"):
        (folder / name).mkdir()
    frames = [f"frames/{number:04d}.png" for number in range(1, 13)]
    depths = [f"depth/{number:04d}.exr" for number in range(1, 13)]
    for number, (frame, depth) in enumerate(zip(frames, depths, strict=True)):
        write_png(folder / frame, np.full((48, 64, 3), 20 * number, np.uint8))
        write_distance(folder / depth, np.full((48, 64), 2, np.float32))
    write_transforms(folder / "transforms.json", cameras, frames, depths)
    save_panorama(folder / "W", world())
    digest = hashlib.sha256((folder / "W" / "panorama.png").read_bytes()).hexdigest()
    write_json(folder / "shot.json", {"first_frame": 1, "world": {"panorama.png": digest}})
    return folder


@pytest.fixture(scope="module")
def tour(tmp_path_factory, shot_folder):
    out = tmp_path_factory.mktemp("pages") / "a tour"
    room = world(layout=box_layout((0.5, 0), (5, 4), 0.2, -1.6, 1.0))
    film = Film("the walk", load_shot(shot_folder), 0)
    write_page(out, [Room('Hall </script> & "more"', room), Room("Study", world(2.0, (1.5, 0.5, 0)))], [film])
    return out


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


class Opened:
    """A page that keeps what its console says and what it asks for."""

    def __init__(self, browser, tour, before="", **settings):
        """before: a script that runs ahead of the page's own."""
        self.context = browser.new_context(viewport={"width": 400, "height": 300}, **settings)
        self.context.add_init_script(before)
        self.page = self.context.new_page()
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto((tour / "index.html").as_uri())

    def ready(self):
        self.page.wait_for_selector("body.ready[data-looks]")
        return self

    def looks(self) -> list[float]:
        return [float(part) for part in self.page.evaluate("document.body.dataset.looks").split()]

    def until(self, expression: str) -> None:
        self.page.wait_for_function(expression)

    def drawn(self):
        return np.array(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")).astype(float)


@pytest.fixture
def page(browser, tour):
    opened = Opened(browser, tour).ready()
    yield opened
    opened.context.close()
    assert opened.said == []
    assert all(url.startswith((tour.as_uri(), "data:", "blob:")) for url in opened.asked)


def expected(panorama, yaw, pitch, fov, rows, columns, width=400, height=300):
    """What a camera of Python's sees at some pixels of the page."""
    fov_x = 2 * np.arctan(np.tan(np.radians(fov) / 2) * width / height)
    camera = placed_camera(width, height, fov_x, heading_rad=np.radians(yaw), pitch_rad=np.radians(pitch))
    return sample_equirectangular(panorama.colour, camera.rays()[rows, columns], panorama.heading_rad).astype(float)


def test_it_shows_each_direction_where_it_lies(page):
    yaw, pitch, fov, _ = page.looks()
    assert yaw == pytest.approx(np.degrees(0.3), abs=0.1) and pitch == pytest.approx(np.degrees(-0.1), abs=0.1)
    rows, columns = [60, 120, 80, 100], [80, 100, 330, 300]  # where no button lies
    wanted = expected(world(), yaw, pitch, fov, rows, columns)
    assert np.abs(page.drawn()[rows, columns] - wanted).max() < 6


def test_mouse_keys_and_wheel_look_around(page):
    page.page.mouse.move(60, 100)
    page.page.mouse.down()
    page.page.mouse.move(160, 140)
    page.page.mouse.up()
    yaw, pitch = np.degrees(0.3) + 25, np.degrees(-0.1) + 10
    page.until(f"Math.abs(document.body.dataset.looks.split(' ')[0] - {yaw}) < 0.2")
    assert page.looks()[1] == pytest.approx(pitch, abs=0.2)
    for key in ("ArrowLeft", "ArrowLeft", "ArrowDown"):
        page.page.keyboard.press(key)
    page.until(f"Math.abs(document.body.dataset.looks.split(' ')[1] - {pitch - 4}) < 0.2")
    assert page.looks()[0] == pytest.approx(yaw + 8, abs=0.2)
    page.page.mouse.wheel(0, -300)
    page.until("document.body.dataset.looks.split(' ')[2] < 60")
    rows, columns = [60, 80], [80, 330]
    assert np.abs(page.drawn()[rows, columns] - expected(world(), *page.looks()[:3], rows, columns)).max() < 6


def test_a_finger_looks_around_and_two_zoom(browser, tour):
    opened = Opened(browser, tour, has_touch=True, is_mobile=True).ready()
    hand = opened.context.new_cdp_session(opened.page)

    def touch(kind, *places):
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    yaw, _, fov, _ = opened.looks()
    for kind, *places in (
        ("touchStart", (60, 100)),
        ("touchMove", (100, 100)),
        ("touchMove", (140, 100)),
        ("touchEnd",),
    ):
        touch(kind, *places)
    opened.until(f"document.body.dataset.looks.split(' ')[0] > {yaw + 8}")
    for kind, *places in (("touchStart", (60, 60), (100, 60)), ("touchMove", (40, 60), (160, 60)), ("touchEnd",)):
        touch(kind, *places)
    opened.until(f"document.body.dataset.looks.split(' ')[2] < {fov - 10}")
    assert opened.page.is_visible("#gyroscope")
    assert opened.said == []
    opened.context.close()


def test_a_mark_leads_to_the_next_room_and_keys_lead_back(page):
    page.page.get_by_label("Go to Study").click()
    page.until("document.body.dataset.room === '1'")
    rows, columns = [60, 80], [80, 330]
    page.page.wait_for_timeout(200)
    wanted = expected(world(2.0), *page.looks()[:3], rows, columns)
    assert np.abs(page.drawn()[rows, columns] - wanted).max() < 6
    assert page.page.is_hidden("#plan")
    page.page.keyboard.press("1")
    page.until("document.body.dataset.room === '0'")
    assert page.page.is_visible("#plan svg .gaze")


def test_a_shot_plays_where_it_was_taken(page):
    page.page.keyboard.press("1")
    for _ in range(8):
        page.page.keyboard.press("ArrowLeft")
    page.page.get_by_label("Play the walk").click()
    page.until("document.getElementById('film').currentTime > 0.1")
    assert page.page.evaluate("[film.videoWidth, film.videoHeight]") == [64, 48]
    page.until("Math.abs(document.body.dataset.looks.split(' ')[0] - 57.3) < 0.2")
    box = page.page.locator("#film").bounding_box()
    _, _, fov, _ = page.looks()
    tall = np.tan(np.arctan(np.tan(0.6) * 48 / 64)) / np.tan(np.radians(fov) / 2) * 300
    assert box["height"] == pytest.approx(tall, abs=2)
    page.page.keyboard.press("Escape")
    page.until("document.getElementById('film').hidden")


def turned_phone(yaw, pitch, roll, turned):
    """alpha, beta, gamma (degrees; Z, then X', then Y'') of a phone whose back looks there, held `turned` degrees."""
    camera = placed_camera(
        4, 4, 1.0, heading_rad=np.radians(yaw), pitch_rad=np.radians(pitch), roll_rad=np.radians(roll)
    )
    right, down, forward = camera.rotation.T
    screen = np.stack([right, -down, -forward], 1)  # x to the right, y up, z out of the screen
    phone = screen @ Rotation.from_euler("z", turned, degrees=True).as_matrix()
    return Rotation.from_matrix(phone).as_euler("ZXY", degrees=True)


PHONE = {"has_touch": True, "is_mobile": True}


def hold(opened, yaw, pitch, roll, turned):
    """Tell the page what a phone's sensors would."""
    alpha, beta, gamma = turned_phone(yaw, pitch, roll, turned)
    opened.page.evaluate(
        "([alpha, beta, gamma]) => window.dispatchEvent("
        "new DeviceOrientationEvent('deviceorientation', { alpha, beta, gamma, absolute: true }))",
        [alpha % 360, beta, gamma],
    )


@pytest.mark.filterwarnings("ignore:Gimbal lock")  # of a phone held upright: any of the angles will do
@pytest.mark.parametrize("turned", [0, 90, 270])
def test_the_view_turns_as_the_phone_does_however_it_is_held(browser, tour, turned):
    """By emulated events: no phone is at hand."""
    angle = f"Object.defineProperty(window.screen.orientation, 'angle', {{ get: () => {turned} }})"
    opened = Opened(browser, tour, before=angle, **PHONE).ready()
    start = opened.looks()[0]
    opened.page.tap("#gyroscope")
    opened.until("document.getElementById('gyroscope').ariaPressed === 'true'")
    hold(opened, 200, 0, 0, turned)
    for yaw, pitch, roll in ((200, 40, 0), (260, 5, 20), (300, -50, -35), (20, 0, 0)):
        hold(opened, yaw, pitch, roll, turned)
        opened.until(f"Math.abs(document.body.dataset.looks.split(' ')[1] - {pitch}) < 0.15")
        looks = opened.looks()
        assert (looks[0] - start - yaw + 200 + 180) % 360 - 180 == pytest.approx(0, abs=0.2)
        assert looks[3] == pytest.approx(roll, abs=0.2)
        camera = placed_camera(
            400,
            300,
            2 * np.arctan(np.tan(np.radians(looks[2]) / 2) * 4 / 3),
            heading_rad=np.radians(looks[0]),
            pitch_rad=np.radians(pitch),
            roll_rad=np.radians(roll),
        )
        if pitch > -20:  # no mark of the page lies there
            rows, columns = [60, 80], [80, 330]
            wanted = sample_equirectangular(world().colour, camera.rays()[rows, columns], 0.3).astype(float)
            assert np.abs(opened.drawn()[rows, columns] - wanted).max() < 6
    opened.page.tap("#gyroscope")
    opened.until("document.body.dataset.looks.split(' ')[3] === '0.0'")
    assert opened.said == []
    opened.context.close()


@pytest.mark.parametrize("answer, words", [("granted", "Turn with the phone"), ("denied", "did not allow it")])
def test_an_iphone_is_asked_within_the_press(browser, tour, answer, words):
    asks = (
        "DeviceOrientationEvent.requestPermission = () => { window.asked = navigator.userActivation.isActive;"
        f" return Promise.resolve('{answer}'); }}"
    )
    opened = Opened(browser, tour, before=asks, **PHONE).ready()
    assert opened.page.evaluate("window.asked") is None
    opened.page.tap("#gyroscope")
    opened.until("window.asked === true")
    opened.until(f"document.getElementById('gyroscope').textContent.includes('{words}')")
    pressed = opened.page.get_attribute("#gyroscope", "aria-pressed")
    assert pressed == ("true" if answer == "granted" else "false")
    assert opened.said == []
    opened.context.close()


def test_a_phone_without_sensors_says_so(browser, tour):
    opened = Opened(browser, tour, **PHONE).ready()
    opened.page.tap("#gyroscope")
    opened.until("document.getElementById('gyroscope').textContent.includes('tells no turns')")
    assert opened.page.get_attribute("#gyroscope", "aria-pressed") == "false"
    opened.context.close()


def test_a_headset_sees_the_world_in_both_eyes(browser, tour):
    """By an emulated headset (iwer): none is at hand."""
    emulator = ROOT / "viewer" / "node_modules" / "iwer" / "build" / "iwer.min.js"
    if not emulator.is_file():
        pytest.skip("iwer is not installed: run `npm ci` in the folder viewer")
    worn = (
        "window.worn = new IWER.XRDevice(IWER.metaQuest3); worn.stereoEnabled = true;"
        "worn.installRuntime({ forceInstall: true });"
    )
    opened = Opened(browser, tour, before=emulator.read_text(encoding="utf-8") + worn).ready()
    yaw = opened.looks()[0]
    opened.page.click("#headset")
    opened.until("window.worn.activeSession")
    for right in (0, 40):  # the head turned to the right
        half = np.radians(right) / 2
        opened.page.evaluate(f"worn.quaternion.set(0, {-np.sin(half)}, 0, {np.cos(half)})")
        opened.page.wait_for_timeout(500)
        picture = opened.drawn()
        wanted = sample_equirectangular(
            world().colour, placed_camera(3, 3, 1.0, heading_rad=np.radians(yaw - right)).rays()[1, 1][None], 0.3
        )
        for column in (100, 300):
            assert np.abs(picture[145:156, column - 8 : column + 8].mean((0, 1)) - wanted[0]).max() < 30
    opened.page.evaluate("worn.activeSession.end()")
    opened.until("!window.worn.activeSession")
    opened.page.wait_for_timeout(300)
    rows, columns = [60, 80], [80, 330]
    assert np.abs(opened.drawn()[rows, columns] - expected(world(), *opened.looks()[:3], rows, columns)).max() < 6
    assert opened.said == []
    opened.context.close()


def test_without_scripts_there_is_the_picture(browser, tour):
    opened = Opened(browser, tour, java_script_enabled=False)
    assert opened.page.locator("#still").bounding_box()["width"] == 400
    opened.page.wait_for_timeout(300)
    assert np.ptp(opened.drawn(), axis=(0, 1)).min() > 60
    opened.context.close()


def test_the_page_is_small_whole_and_says_its_licences(tour):
    size = sum(path.stat().st_size for path in tour.rglob("*") if path.is_file())
    assert size < 8e6
    assert "MIT" in (tour / "LICENSE-three.txt").read_text()
    text = (tour / "index.html").read_text()
    assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text
    parser = html.parser.HTMLParser()
    scripts = []
    parser.handle_starttag = lambda tag, attributes: scripts.append(tag) if tag == "script" else None
    parser.feed(text)
    assert len(scripts) == 2  # the room's name opened no third


def test_the_viewer_is_built_from_its_source():
    """Whoever changes viewer/viewer.js runs `npm ci && npm run build` there."""
    built = (ROOT / "lookbeyond" / "exchange" / "page_assets" / "viewer.js").read_text(encoding="utf-8")
    source = hashlib.sha256((ROOT / "viewer" / "viewer.js").read_bytes()).hexdigest()
    assert f"sha256 {source}" in built.partition("\n")[0]
    assert "Three.js Authors" in built[:600]


def test_what_is_missing_is_said_and_nothing_is_left(shot_folder, tmp_path):
    with pytest.raises(InputError, match="at least one world"):
        write_page(tmp_path / "tour", [])
    shot = load_shot(shot_folder)
    assert world_of(shot, [tmp_path, shot_folder / "W"]) == 1
    with pytest.raises(InputError, match=r"another world than those given.*give the folder of its world"):
        world_of(shot, [tmp_path])
    gone = replace(shot, frames=[shot_folder / "frames" / "gone.png"] * 12)
    with pytest.raises(InputError):
        write_page(tmp_path / "tour", [Room("a", world())], [Film("f", gone, 0)])
    copy = tmp_path / "cut"
    shutil.copytree(shot_folder, copy)
    (copy / "depth" / "0007.exr").unlink()
    with pytest.raises(InputError, match=r"0007.exr is missing; shoot it again"):
        load_shot(copy)
    with pytest.raises(InputError, match=r"shot.json is missing"):
        (copy / "shot.json").unlink()
        load_shot(copy)
    assert [path.name for path in tmp_path.iterdir()] == ["cut"]
