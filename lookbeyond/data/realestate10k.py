"""RealEstate10K: annotation text, and the frames that its users cut out of the videos.

A text file ID.txt names the video and, line by line, time, intrinsics as shares of the frame and the world-to-camera
matrix. The frame of a line is the picture named by its time (microseconds) in a folder called ID.
"""

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from lookbeyond.errors import InputError
from lookbeyond.geometry.transforms import read_realestate10k

from .footage import CameraMove, Frame, move_of
from .reading import entries

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def annotations(folder: Path) -> list[tuple[Path, Path | None]]:
    """Every text file of a data set, with the folder of its frames; both may lie anywhere below `folder`."""
    paths = entries(folder, "RealEstate10K's text files and frames")
    texts = [path for path in paths if path.suffix == ".txt"]
    if not texts:
        raise InputError(f"The folder {folder} holds no RealEstate10K text files; give one with ID.txt and ID/*.png.")
    folders = {path.name: path for path in paths if path.is_dir()}
    return [(text, folders.get(text.stem)) for text in texts]


def read_move(annotation: tuple[Path, Path | None]) -> CameraMove:
    """One text file with its frames.

    Missing frames are named in a warning; raises InputError (PathError for a text of another format) when none is left.
    """
    text, folder = annotation
    if folder is None:
        raise InputError(f"There is no folder {text.stem} with the frames of {text}; cut them out of the video first.")
    pictures = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in _SUFFIXES}
    times = [line.split()[0] for line in text.read_text("utf-8", "replace").splitlines()[1:] if line.strip()]
    present = [pictures[time] for time in times if time in pictures]
    width, height = _size(present[0]) if present else (1, 1)
    cameras = read_realestate10k(text, width, height)
    frames = [Frame(camera, pictures[time]) for time, camera in zip(times, cameras, strict=True) if time in pictures]
    missing = [str(folder / f"{time}.png") for time in times if time not in pictures]
    return move_of(str(text), frames, missing, len(times))


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"The frame {path} is not a picture that can be read; cut it out again.") from error
