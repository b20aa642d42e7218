"""People in a photo are noticed, and rooms without any raise no alarm."""

import json
import math
import time

import matplotlib.cbook
import numpy as np
import pytest
import skimage.data
from PIL import Image

from inference_service.client import Finished, ServiceError, WorldRequest
from inference_service.server.photos import PhotoInspector, faces
from inference_service.work.requests import check
from lookbeyond.data.rooms import HELD_OUT_SEED, Rooms, render_views
from lookbeyond.errors import InputError
from lookbeyond.files import load_panorama, write_png
from lookbeyond.geometry.cameras import Camera, placed_camera, rotation_angle
from tests.support.photos import save_overlapping_photos
from tests.support.service import Service, fetch, save_photo


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
        (share,) = client.inspect_photo(client.upload(tmp_path / "photo.png")).faces
        assert 0.02 < share < 0.06
        broken = client.inspect_photo(client.upload(tmp_path / "broken.png"))
        assert broken.ready and broken.faces == () and broken.camera is None
        with pytest.raises(ServiceError, match="upload it first"):
            client.inspect_photo("0" * 64)


def test_the_service_tells_how_a_photos_camera_was_held(service: Service, tmp_path):
    tilted = placed_camera(640, 480, 1.3, heading_rad=1.0, pitch_rad=-0.12, roll_rad=0.06)
    write_png(tmp_path / "room.png", render_views(Rooms.from_seeds([HELD_OUT_SEED + 300]), [tilted])[0].colour)
    with service.client() as client:
        sha256 = client.upload(tmp_path / "room.png")
        free, known = client.inspect_photo(sha256).camera, client.inspect_photo(sha256, 1.3).camera
    for held in (free, known):
        assert held.pitch.value_rad == pytest.approx(-0.12, abs=0.02) and held.pitch.uncertainty_rad > 0
        assert held.roll.value_rad == pytest.approx(0.06, abs=0.02)
        assert held.pitch.source == held.roll.source == "from the photo's lines"
    assert free.fov_x.value_rad == pytest.approx(1.3, rel=0.06)
    assert known.fov_x.value_rad == pytest.approx(1.3, abs=1e-4) and known.fov_x.source == "given"


def test_a_further_photo_is_aligned_and_joined(service: Service, tmp_path):
    true = save_overlapping_photos(tmp_path)
    with service.client() as client:
        photos = [client.upload(tmp_path / name) for name in ("a.png", "b.png")]
        guessed = [true[0].to_dict(), placed_camera(640, 480, true[1].fov_x).to_dict()]
        aligned = client.align(photos, guessed)
        assert aligned.ready and aligned.matches >= 15 and aligned.residual_deg < 0.2 and aligned.reason == ""
        turned = rotation_angle(Camera.from_dict(aligned.camera).rotation, true[1].rotation)
        assert math.degrees(turned) < 0.3
        beside = [{"photo": photos[1], "camera": aligned.camera}]
        request = WorldRequest(photo=photos[0], camera=guessed[0], beside=beside, width=512)
        assert isinstance(fetch(client, client.submit(request), tmp_path / "W")[-1], Finished)
        seen = load_panorama(tmp_path / "W").from_photo[128] == 255  # the double gives back what it was told
        assert 105 / 360 * 512 - 8 < seen.sum() < 105 / 360 * 512 + 8
        assert "b.png is made" in json.loads((tmp_path / "W/world.json").read_text())["joined"][0]


def test_photos_that_cannot_be_one_place_are_refused_in_a_sentence(service: Service, tmp_path):
    first, _ = save_overlapping_photos(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no picture at all")
    plain = save_photo(tmp_path / "plain.png")
    with service.client() as client:
        a, other, broken = (client.upload(tmp_path / name) for name in ("a.png", plain.name, "broken.png"))
        cameras = [first.to_dict(), first.to_dict()]
        assert "plain.png shares too little with a.png" in client.align([a, other], cameras).reason
        assert "broken.png" in client.align([a, broken], cameras).reason
        assert "a camera for each" in client.align([a, other], cameras[:1]).reason
        assert "A camera cannot be used" in client.align([a, other], [cameras[0], {"width": 4}]).reason
        with pytest.raises(ServiceError, match="upload it first"):
            client.align([a, "0" * 64], cameras)
        beside = [{"photo": other, "camera": first.to_dict()}]
        refused = (
            (WorldRequest(photo=a, camera=first.to_dict(), beside=8 * beside), "takes 8 photos of one place, not 9"),
            (WorldRequest(photo=a, beside=beside), "whose camera is known"),
            (
                WorldRequest(photo=a, camera=first.to_dict(), beside=[{"photo": "b.png"}]),
                "Photo 2 of this place is named",
            ),
            (
                WorldRequest(photo=a, camera=first.to_dict(), beside=[{"photo": other}]),
                "Photo 2 of this place: its camera",
            ),
        )
        for request, words in refused:
            with pytest.raises(ServiceError, match=words):
                client.submit(request)


def test_a_canvas_takes_four_photos():
    beside = [{"photo": "a" * 64, "camera": placed_camera(64, 48, 1.0).to_dict()}] * 4
    with pytest.raises(InputError, match="flux-klein-360 takes 4 photos of one place, not 5"):
        check(WorldRequest(photo="b" * 64, camera=beside[0]["camera"], beside=beside, preset="flux-klein-360"))
