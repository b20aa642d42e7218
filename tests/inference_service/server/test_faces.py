"""People in a photo are noticed, and rooms without any raise no alarm."""

import time

import matplotlib.cbook
import numpy as np
import pytest
import skimage.data
from PIL import Image

from inference_service.client import ServiceError
from inference_service.server.faces import FaceFinder, faces
from lookbeyond.data.rooms import Rooms, render_views
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
    finder, deadline = FaceFinder(), time.monotonic() + 60
    while (found := finder.ask("0" * 64, tmp_path / "photo.png")) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(found) == 1 and not (tmp_path / "imported").exists()


def test_the_service_looks_at_what_was_uploaded(service: Service, tmp_path):
    write_png(tmp_path / "photo.png", skimage.data.astronaut())
    (tmp_path / "broken.png").write_bytes(b"no picture at all")
    with service.client() as client:
        (share,) = client.faces(client.upload(tmp_path / "photo.png"))
        assert 0.02 < share < 0.06
        assert client.faces(client.upload(tmp_path / "broken.png")) == ()
        with pytest.raises(ServiceError, match="upload it first"):
            client.faces("0" * 64)
