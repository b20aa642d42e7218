"""Checks a camera path: how much of each view the world covers, and where the path goes too far. No bpy here."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..kit import Camera, Known, Panorama, plan_shot
from ..world.geometry import WorldGeometry, rotated_about_vertical

LOW_COVERAGE = 0.6
"""Coverage below which the artist is warned."""
HIGH_INVENTED = 0.5
"""Share of invented surroundings above which the artist is warned."""


@dataclass
class PathCheck:
    """The check of a path, done frame by frame so that it can be stopped in between."""

    frames: list[int]
    """Frame numbers of the scene."""
    cameras: list[Camera]
    known: list[Known] = field(default_factory=list)
    """What each frame's view is made of."""
    excess_m: list[float] = field(default_factory=list)
    """How far each frame's camera is beyond what can be shot, metres; positive: too far."""
    behind_surface: list[bool] = field(default_factory=list)
    """Whether each frame's camera is behind a surface of the world."""
    anchors: list[int] = field(default_factory=list)
    """Indices of the anchor frames, which are generated first."""

    @property
    def coverage(self) -> list[float]:
        """Share of each frame's view that the world shows, photographed or invented, 0..1."""
        return [known.share for known in self.known]

    def steps(self, world: WorldGeometry, rotation_rad: float = 0.0, frames_per_clip: int = 13) -> Iterator[None]:
        """Do the check in a world that the artist has rotated; yields after every frame."""
        for camera in self.cameras:
            camera = rotated_about_vertical(camera, -rotation_rad, world.panorama.position)
            self.known.append(world.known(camera))
            self.excess_m.append(world.too_far(camera.position))
            self.behind_surface.append(world.is_behind_surface(camera.position))
            yield
        self.anchors = anchor_frames(self.cameras, world.median_distance_m, frames_per_clip)
        yield

    def shares(self) -> tuple[str, str, str]:
        """How much of the views that can be shot is photo, invented and hole, as text; empty texts if none can."""
        views = [known for known, excess_m in zip(self.known, self.excess_m, strict=True) if excess_m <= 0]
        if not views:
            return "", "", ""
        photo, invented, hole = (
            f"{min(shares):.0%}" + (f"–{max(shares):.0%}" if round(max(shares), 2) > round(min(shares), 2) else "")
            for shares in zip(*((known.photo, known.invented, known.hole) for known in views), strict=True)
        )
        return photo, invented, hole

    def warnings(self) -> list[str]:
        """Sentences for the artist on what is wrong with the path."""
        found = []
        if any(self.behind_surface):
            frames = frame_ranges(self.frames, self.behind_surface)
            found.append(f"{frames}: the camera passes through a surface of the world. Keep the path in the open.")
        too_far = [
            excess_m > 0 and not behind for excess_m, behind in zip(self.excess_m, self.behind_surface, strict=True)
        ]
        if any(too_far):
            most_m = max(itertools.compress(self.excess_m, too_far))
            found.append(
                f"{frame_ranges(self.frames, too_far)}: up to {most_m:.1f} m beyond what can be shot from this world."
                " Move the path closer to the photo's camera."
            )
        free = [excess_m <= 0 for excess_m in self.excess_m]
        low = [known.share < LOW_COVERAGE and is_free for known, is_free in zip(self.known, free, strict=True)]
        if any(low):
            most = max(known.hole for known in itertools.compress(self.known, low))
            found.append(
                f"{frame_ranges(self.frames, low)}: up to {most:.0%} of the view are holes, which the shot makes up."
            )
        invented = [known.invented > HIGH_INVENTED and is_free for known, is_free in zip(self.known, free, strict=True)]
        if any(invented):
            most = max(known.invented for known in itertools.compress(self.known, invented))
            found.append(
                f"{frame_ranges(self.frames, invented)}: up to {most:.0%} of the view is not in the photo: it was"
                " invented with the world."
            )
        return found


def anchor_frames(cameras: Sequence[Camera], median_distance_m: float, frames_per_clip: int) -> list[int]:
    """Indices of the anchors that a shot with these cameras has, even if they are too far away to be shot."""
    if len(cameras) < 2:
        return []
    # This world is so large that nothing is too far away.
    large = Panorama(np.zeros((1, 2, 3), np.uint8), np.full((1, 2), 1e9, np.float32), np.zeros((1, 2), np.uint8))
    plan = plan_shot(cameras, large, frames_per_clip=frames_per_clip, max_translation=0.25 * median_distance_m)
    return [anchor.frame for anchor in plan.anchors]


def frame_ranges(frames: Sequence[int], marked: Sequence[bool]) -> str:
    """The marked frames as text, such as `Frames 3–7, 12`; empty if there are none."""
    runs: list[list[int]] = []
    marked_before = False
    for frame, mark in zip(frames, marked, strict=True):
        if mark and marked_before:
            runs[-1][1] = frame
        elif mark:
            runs.append([frame, frame])
        marked_before = bool(mark)
    if not runs:
        return ""
    texts = [str(first) if first == last else f"{first}–{last}" for first, last in runs[:4]]
    plural = len(runs) > 1 or runs[0][0] != runs[0][1]
    return f"Frame{'s' if plural else ''} {', '.join(texts)}{', …' if len(runs) > 4 else ''}"
