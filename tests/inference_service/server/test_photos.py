"""People in a photo are noticed, and rooms without any raise no alarm."""

import time

import matplotlib.cbook
import numpy as np
import pytest
import skimage.data
from PIL import Image

from inference_service.client import ServiceError
from inference_service.server.photos import PhotoInspector, faces
from lookbeyond.data.rooms import HELD_OUT_SEED, Rooms, render_views
from lookbeyond.files import write_png
from lookbeyond.geometry.cameras import placed_camera
from tests.support.service import Service


def portrait() -> np.ndarray:
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        return np.asarray(Image.open(file).convert("RGB"))


@pytest.mark.parametrize(("picture", "share"), [(skimage.data.astronaut, 0.04), (portrait, 0.133)])
def test_faces_of_real_photos_are_found_with_their_share(tmp_path, picture, share):
    """The boxes were measured by hand in the two photographs; a detector's box may differ by a third."""
    pixels = picture()
    write_png(tmp_path / "photo.png", pixels)
    (found,) = faces(tmp_path / "photo.png")
    assert found == pytest.approx(share, rel=0.35)
    # Farther away, among other things, it covers less.
    height, width = pixels.shape[:2]
    room = np.full((2 * height, 2 * width, 3), 128, np.uint8)
    room[height:, :width] = pixels
    write_png(tmp_path / "far.png", room)
    (farther,) = faces(tmp_path / "far.png")
    assert farther == pytest.approx(found / 4, rel=0.35)


def test_rooms_raise_no_alarm(tmp_path):
    for seed in range(300, 304):
        (view,) = render_views(Rooms.from_seeds([seed]), [placed_camera(384, 256, 1.2, heading_rad=seed)])
        write_png(tmp_path / "room.png", view.colour)
        assert faces(tmp_path / "room.png") == []
    for pixels in (skimage.data.coffee(), skimage.data.chelsea()):
        write_png(tmp_path / "photo.png", pixels)
        assert faces(tmp_path / "photo.png") == []


def test_modules_in_the_current_folder_are_not_what_looks(tmp_path, monkeypatch):
    (tmp_path / "cv2.py").write_text("open('imported', 'w')")
    monkeypatch.chdir(tmp_path)
    write_png(tmp_path / "photo.png", skimage.data.astronaut())
    finder, deadline = PhotoInspector(), time.monotonic() + 60
    while not (found := finder.ask("0" * 64, tmp_path / "photo.png")).ready:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(found.faces) == 1 and not (tmp_path / "imported").exists()


def test_the_service_looks_at_what_was_uploaded(service: Service, tmp_path):
    write_png(tmp_path / "photo.png", skimage.data.astronaut())
    (tmp_path / "broken.png").write_bytes(b"no picture at all")
    with service.client() as client:
        (share,) = client.look(client.upload(tmp_path / "photo.png")).faces
        assert 0.02 < share < 0.06
        broken = client.look(client.upload(tmp_path / "broken.png"))
        assert broken.ready and broken.faces == () and broken.camera is None
        with pytest.raises(ServiceError, match="upload it first"):
            client.look("0" * 64)


def test_the_service_tells_how_a_photos_camera_was_held(service: Service, tmp_path):
    tilted = placed_camera(640, 480, 1.3, heading_rad=1.0, pitch_rad=-0.12, roll_rad=0.06)
    write_png(tmp_path / "room.png", render_views(Rooms.from_seeds([HELD_OUT_SEED + 300]), [tilted])[0].colour)
    with service.client() as client:
        sha256 = client.upload(tmp_path / "room.png")
        free, known = client.look(sha256).camera, client.look(sha256, 1.3).camera
    for held in (free, known):
        assert held.pitch.value_rad == pytest.approx(-0.12, abs=0.02) and held.pitch.uncertainty_rad > 0
        assert held.roll.value_rad == pytest.approx(0.06, abs=0.02)
        assert held.pitch.source == held.roll.source == "from the photo's lines"
    assert free.fov_x.value_rad == pytest.approx(1.3, rel=0.06)
    assert known.fov_x.value_rad == pytest.approx(1.3, abs=1e-4) and known.fov_x.source == "given"
