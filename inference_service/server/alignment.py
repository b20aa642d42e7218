"""Where another photo of a place looks, from what it shares with photos whose cameras are known
(`lookbeyond.photo.align`).

    python -m inference_service.server.alignment QUESTION     prints the answer; both JSON, as `main` says
"""

import json
import sys
from pathlib import Path

from inference_service.server.inspection import Inspector
from inference_service.store.store import Store
from inference_service.wire.codec import from_plain
from inference_service.wire.messages import Align, Aligned
from lookbeyond.errors import LookBeyondError, sentence
from lookbeyond.geometry.cameras import Camera, CameraError
from lookbeyond.photo.limits import MOST_PHOTOS

UNREADABLE = Aligned(True, reason="One of these photos cannot be read, or is too large; choose another file.")


def align(pictures: list[Path], cameras: list[Camera], names: list[str]) -> Aligned:
    """Where the last of several pictures looks, or why that was not found."""
    from lookbeyond.photo.align import align_photos
    from lookbeyond.photo.reading import read_photo

    try:
        pixels = [read_photo(path, name).pixels for path, name in zip(pictures, names, strict=True)]
        lenses = [camera.resized(*photo.shape[1::-1]) for camera, photo in zip(cameras, pixels, strict=True)]
        found, alignments = align_photos(pixels, lenses, names, known=len(pixels) - 1)
    except LookBeyondError as error:
        return Aligned(True, reason=sentence(str(error)))
    how = alignments[-1]
    return Aligned(True, found[-1].to_dict(), how.matches, round(how.residual_deg, 4))


class Aligner:
    """Answers `Align`; `ask` never waits."""

    def __init__(self) -> None:
        self._inspector: Inspector[str, Aligned] = Inspector(__name__, Aligned(False), _parsed)

    def ask(self, message: Align, store: Store) -> Aligned:
        if not 2 <= len(message.pictures) <= MOST_PHOTOS or len(message.cameras) != len(message.pictures):
            return Aligned(True, reason=f"Give 2 to {MOST_PHOTOS} photos, and a camera for each.")
        try:
            cameras = [Camera.from_dict(camera).to_dict() for camera in message.cameras]
        except (CameraError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
            return Aligned(True, reason=sentence(f"A camera cannot be used: {error}"))
        question = json.dumps(
            {
                "pictures": [str(store.file(sha256)) for sha256 in message.pictures],
                "cameras": cameras,
                "names": [store.name(sha256) for sha256 in message.pictures],
            }
        )
        return self._inspector.ask(question, lambda: [question])

    def close(self) -> None:
        """End the process."""
        self._inspector.close()


def _parsed(output: str) -> Aligned:
    try:
        return from_plain(Aligned, json.loads(output))
    except (ValueError, TypeError, KeyError):
        return UNREADABLE


def main(question: str) -> None:
    """question: {"pictures": paths, "cameras": `Camera.to_dict()` of each, "names": what people call them}."""
    values = json.loads(question)
    cameras = [Camera.from_dict(camera) for camera in values["cameras"]]
    answer = align([Path(path) for path in values["pictures"]], cameras, values["names"])
    print(json.dumps(vars(answer)))


if __name__ == "__main__":
    main(sys.argv[1])
