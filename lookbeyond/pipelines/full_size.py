"""Frames at full size: what the panorama shows of them, with holes filled by what a network made at its own size.

Everything is bytes and single floats on the processor; only drawing may run on a GPU.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Beyond, Panorama, View
from lookbeyond.models.edges import bridge_cracks, crack_pixels
from lookbeyond.models.feathering import faded
from lookbeyond.models.joining import ShownFrame, mixed, share_of_second
from lookbeyond.models.warping import warp_to_views


@dataclass(frozen=True, eq=False)
class WarpedFrame:
    """One frame as the panorama shows it."""

    camera: Camera
    colour: NDArray[np.uint8]
    """[H, W, 3], 0 in holes."""
    distance: NDArray[np.float32]
    """[H, W] along the ray, metres, 0 in holes."""
    known: NDArray[np.bool_]
    """[H, W]: False in holes."""
    from_photo: NDArray[np.uint8]
    """[H, W]: 255 where the photo saw it, fading inside its border."""
    behind: NDArray[np.bool_]
    """[H, W]: where the clean plate shows."""

    @property
    def whole(self) -> bool:
        """Whether there is no hole in it."""
        return bool(self.known.all())

    def known_share(self, width: int, height: int) -> NDArray[np.float32]:
        """[height, width]: the known share of each pixel of a coarser frame."""
        known = self.known.astype(np.float32)
        return np.asarray(cv2.resize(known, (width, height), interpolation=cv2.INTER_AREA), np.float32)

    def view(self) -> View:
        """The frame itself, where it is whole."""
        return View(self.camera, self.colour, self.distance, self.from_photo)

    def laid_over(self, colour: NDArray[np.float32], distance: NDArray[np.float32], known: NDArray[np.bool_]) -> View:
        """The frame with its holes filled from one that was made at any size [h, w].

        colour: [h, w, 3] in -1..1; distance: [h, w] metres; known: [h, w], where that has no holes.
        """
        height, width = self.known.shape
        own = np.maximum(faded(self.known), self.from_photo.astype(np.float32) / 255)
        colours, distances = self.colour.copy(), self.distance.copy()
        rows, columns = np.nonzero((own < 1).any(1))[0], np.nonzero((own < 1).any(0))[0]
        if rows.size:
            # only the holes' own part of what was made is enlarged, with a margin for the interpolation
            part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            enlarge = _Enlarger(known.shape, (height, width), part)
            made = (enlarge(colour) + 1) * 127.5
            share = own[part][..., None]
            made += (self.colour[part] - made) * share
            colours[part] = np.clip(made + 0.5, 0, 255).astype(np.uint8)
            # beside a rim the distance in holes is what lies behind it, not a mixture of both
            behind = np.where(known, np.float32(1e-3), np.float32(1))
            filled = np.exp(enlarge(np.log(distance) * behind) / enlarge(behind))
            distances[part] = np.where(self.known[part], self.distance[part], filled)
        return View(self.camera, colours, distances, self.from_photo)


class _Enlarger:
    """One part of images that are enlarged smoothly, without enlarging the rest."""

    def __init__(self, before: tuple[int, int], after: tuple[int, int], part: tuple[slice, slice]) -> None:
        maps = []
        for small, large, along in zip(before, after, part, strict=True):
            maps.append(((np.arange(along.start, along.stop) + 0.5) * small / large - 0.5).astype(np.float32))
        self.rows, self.columns = (np.ascontiguousarray(each) for each in np.meshgrid(*maps, indexing="ij"))

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        made = cv2.remap(
            np.ascontiguousarray(image), self.columns, self.rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(made, np.float32)


def warp_frames(
    panorama: Panorama, cameras: Sequence[Camera], device: torch.device | str = "cpu"
) -> Iterator[WarpedFrame]:
    """What a panorama, no finer than the frames, shows of each of them, with the one beyond it; a few are drawn at a
    time."""
    if panorama.beyond is None:
        yield from _warp_frames(panorama, cameras, device)
        return
    for frame, other, share in _warp_both(panorama, panorama.beyond, cameras, device):
        yield WarpedFrame(
            frame.camera,
            mixed(frame.colour, other.colour, share),
            mixed(frame.distance, other.distance, share),
            frame.known | other.known,
            mixed(frame.from_photo, other.from_photo, share),
            np.where(share > 0.5, other.behind, frame.behind),
        )


def shares_of_second(panorama: Panorama, cameras: Sequence[Camera]) -> Iterator[NDArray[np.float32]]:
    """[H, W] 0..1 for each camera: how much of its pixels the panorama's second world tells."""
    assert panorama.beyond is not None
    for _, other, share in _warp_both(panorama, panorama.beyond, cameras, "cpu"):
        yield share * other.known


def _warp_both(
    panorama: Panorama, beyond: Beyond, cameras: Sequence[Camera], device: torch.device | str
) -> Iterator[tuple[WarpedFrame, WarpedFrame, NDArray[np.float32]]]:
    """What each of two worlds shows of the frames, and the share of the second one."""
    second = beyond.panorama.shrunk_for(cameras[0])
    frames = zip(_warp_frames(panorama, cameras, device), _warp_frames(second, cameras, device), strict=True)
    for frame, other in frames:
        yield (
            frame,
            other,
            share_of_second(frame.camera, beyond.opening, _shown_frame(panorama, frame), _shown_frame(second, other)),
        )


def _shown_frame(panorama: Panorama, frame: WarpedFrame) -> ShownFrame:
    return ShownFrame(panorama, frame.distance, frame.behind, frame.from_photo.astype(np.float32) / 255)


def _warp_frames(panorama: Panorama, cameras: Sequence[Camera], device: torch.device | str) -> Iterator[WarpedFrame]:
    at_once = max(1, min(torch.get_num_threads(), 8))
    with ThreadPoolExecutor(at_once) as pool:
        for first in range(0, len(cameras), at_once):
            some = cameras[first : first + at_once]
            warped = warp_to_views(panorama, some, device)
            colour = warped.sample_bytes(panorama.colour)
            photo = pool.map(
                lambda seen: (faded(seen == 255) * 255 + 0.5).astype(np.uint8), warped.sample_bytes(panorama.from_photo)
            )
            distance, known = warped.distance.cpu().numpy(), warped.known.cpu().numpy()
            front = known
            if panorama.plate is not None and not known.all():
                for camera, *frame in zip(some, colour, distance, known, strict=True):
                    bridge_cracks(*frame, crack_pixels(panorama, camera))
                front = known.copy()
                if not known.all():
                    _add_plate(panorama, some, (colour, distance, known), device)
            for parts in zip(some, colour, distance, known, photo, known & ~front, strict=True):
                # copies, so that no frame keeps the others' memory
                yield WarpedFrame(parts[0], *(part if len(some) == 1 else part.copy() for part in parts[1:]))


def _add_plate(panorama: Panorama, cameras: Sequence[Camera], frames: tuple[NDArray, ...], device) -> None:
    """Fills the holes of frames, their colour, distance and known, with what stands behind, in place."""
    colour, distance, known = frames
    torn = [place for place in range(len(cameras)) if not known[place].all()]
    warped = warp_to_views(panorama.plate_panorama, [cameras[place] for place in torn], device)
    behind = warped.sample_bytes(panorama.plate_panorama.colour), warped.distance.cpu().numpy()
    for place, plate, away, there in zip(torn, *behind, warped.known.cpu().numpy(), strict=True):
        holes = ~known[place] & there
        colour[place][holes], distance[place][holes] = plate[holes], away[holes]
        known[place] |= there


def shrunk_view(view: View, width: int, height: int) -> View:
    """The view with fewer pixels: colours averaged, distances picked, so that no surface is put between two others."""
    if (view.camera.width, view.camera.height) == (width, height):
        return view
    size = (width, height)
    return View(
        view.camera.resized(width, height),
        cv2.resize(view.colour, size, interpolation=cv2.INTER_AREA),
        cv2.resize(view.distance, size, interpolation=cv2.INTER_NEAREST_EXACT),
        cv2.resize(view.from_photo, size, interpolation=cv2.INTER_AREA),
    )
