"""What is known of the views along a path, and where it goes too far. No bpy here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..kit import Camera, Panorama, plan_shot
from ..world.known import KnownWorld, turned

LITTLE = 0.6
"""Share of a view below which a frame is mostly invented, and the artist is told."""


@dataclass
class PathCheck:
    """What is known along a path, found out frame by frame so that whoever asks can stop in between."""

    frames: list[int]
    """The scene's frame numbers."""
    cameras: list[Camera]
    known: list[float] = field(default_factory=list)
    """Share of each frame's view that the world shows, 0..1."""
    too_far: list[float] = field(default_factory=list)
    """Metres beyond what may be shot, of each frame; not positive where it may."""
    inside: list[bool] = field(default_factory=list)
    """Whether each frame's camera has gone through a surface."""
    anchors: list[int] = field(default_factory=list)
    """Indices of the frames that are made first."""

    def steps(self, world: KnownWorld, turn: float = 0.0, frames_per_clip: int = 13) -> Iterator[None]:
        """Do the work, in a world that the artist has turned by so many radians; control comes back after every
        frame."""
        for camera in self.cameras:
            camera = turned(camera, -turn, world.panorama.position)
            self.known.append(world.coverage.share(camera))
            self.too_far.append(world.coverage.too_far(camera.position))
            self.inside.append(world.behind_surface(camera.position))
            yield
        self.anchors = anchor_frames(self.cameras, world.median, frames_per_clip)
        yield

    def sentences(self) -> list[str]:
        """What is wrong with the path, for the artist; empty when nothing is."""
        said = []
        walls = ranges(self.frames, self.inside)
        if walls:
            said.append(f"{walls}: the camera goes through a surface of the world. Keep the path in the open.")
        far = [excess > 0 and not inside for excess, inside in zip(self.too_far, self.inside, strict=True)]
        if any(far):
            most = max(excess for excess, beyond in zip(self.too_far, far, strict=True) if beyond)
            said.append(
                f"{ranges(self.frames, far)}: up to {most:.1f} m beyond what can be shot from this world."
                " Move the path nearer to the photo's place."
            )
        little = [share < LITTLE and excess <= 0 for share, excess in zip(self.known, self.too_far, strict=True)]
        if any(little):
            least = min(share for share, few in zip(self.known, little, strict=True) if few)
            said.append(
                f"{ranges(self.frames, little)}: as little as {least:.0%} of the view is known; the rest will be"
                " invented."
            )
        return said


def anchor_frames(cameras: Sequence[Camera], median: float, frames_per_clip: int) -> list[int]:
    """Indices of the anchors that a shot of these cameras gets, wherever they stand."""
    if len(cameras) < 2:
        return []
    # Whether the frames can be shot is another question: this world is so large that any can.
    large = Panorama(np.zeros((1, 2, 3), np.uint8), np.full((1, 2), 1e9, np.float32), np.zeros((1, 2), np.uint8))
    plan = plan_shot(cameras, large, frames_per_clip=frames_per_clip, max_translation=0.25 * median)
    return [anchor.frame for anchor in plan.anchors]


def ranges(frames: Sequence[int], marked: Sequence[bool]) -> str:
    """The marked frames in words: `Frames 3–7, 12`; empty if none is."""
    runs: list[list[int]] = []
    before = False
    for frame, mark in zip(frames, marked, strict=True):
        if mark and before:
            runs[-1][1] = frame
        elif mark:
            runs.append([frame, frame])
        before = bool(mark)
    if not runs:
        return ""
    words = [str(first) if first == last else f"{first}–{last}" for first, last in runs[:4]]
    several = len(runs) > 1 or runs[0][0] != runs[0][1]
    return f"Frame{'s' if several else ''} {', '.join(words)}{', …' if len(runs) > 4 else ''}"
