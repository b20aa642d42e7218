"""The experiments of the study, and the ways to shoot that each compares."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace


@dataclass(frozen=True)
class Setting:
    """One way to shoot, of an experiment. What is not named is as shipped."""

    label: str
    x: float | None = None
    """Its place along the plot."""
    line: str = ""
    """Which of the plot's lines it belongs to."""
    path: str = "walk"
    """"walk", "turn", "look around", "crane", or "uneven": a walk that turns by 90°, slow at first, fast in the end."""
    reach: float = 0.8
    """Length of a walk as a share of the free way; more than 0.8 is beyond what plans allow."""
    most_m: float = 2.0
    """Longest walk, metres."""
    turn_deg: float = 90.0
    speed: float = 1.0
    """By which the frames are fewer."""
    spacing: float = 0.25
    """Farthest way between two keyframes, in median distances."""
    weights: str = "spatial"
    raymap: str = "on"
    anchors: str = "both"
    guidance: str = "on"
    tau_position: float = 0.2
    tau_rotation: float = 0.2
    wrong: str = ""
    """What is wrong with the distance: "noise", "scale", "edges" or "blur"."""
    by: float = 0.0
    """How much: a deviation of the logarithm, a factor less 1, degrees, degrees."""
    strength: float | None = None
    """Share of the noise that views start from; None: the preset's own."""

    @property
    def key(self) -> str:
        """The same for settings that shoot alike, whatever they are called."""
        plain = {name: value for name, value in asdict(self).items() if name not in ("label", "x", "line")}
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Experiment:
    """A question, the settings that answer it, and what the paper says."""

    name: str
    title: str
    axis: str
    """What x is."""
    settings: tuple[Setting, ...]
    paper: str = ""
    grid: bool = False
    """Whether it is a heat map: x and line are its two axes."""
    note: str = ""
    """What one has to know to read it."""

    @property
    def reference(self) -> Setting:
        """What the others are held against: the first."""
        return self.settings[0]

    def reference_of(self, setting: Setting) -> Setting:
        """What a setting is held against: the first of all, but for a line that begins with paths of its own kind."""
        along = [each for each in self.settings if each.line == setting.line and each.path == setting.path]
        return self.reference if setting.x is None or setting.path == self.reference.path else along[0]


SHIPPED = Setting("as shipped")
UNEVEN = Setting("", path="uneven")
UNGUIDED = replace(UNEVEN, guidance="off", strength=1.0)


def experiments(size: str) -> list[Experiment]:
    """Those of a size: "quick", "default" or "full"."""
    quick = size == "quick"
    spacings = (0.25, 0.1, 0.5) if quick else (0.25, 0.05, 0.1, 0.15, 0.35, 0.5, 1.0)
    factors = (0.8, 0.5, 0.95) if quick else (0.8, 0.5, 0.6, 0.7, 0.9, 0.95)
    taus = (0.2, 1.0) if quick else (0.2, 0.05, 0.1, 0.5, 1.0)
    guided_taus = (0.2, 1.0) if quick else (0.2, 0.05, 1.0)
    return [
        Experiment(
            "keyframes",
            "Keyframes from the panorama alone, or walked in from those before them",
            "",
            (
                SHIPPED,
                replace(SHIPPED, label="panorama only", anchors="rotation"),
                replace(SHIPPED, label="walk-in only", anchors="walk"),
            ),
        ),
        Experiment(
            "overlap",
            "How much keyframes overlap",
            "way between keyframes, in median distances",
            tuple(Setting(f"every {each:g}", each, spacing=each) for each in spacings),
        ),
        Experiment(
            "walk-in",
            "How far a keyframe is walked in",
            "walk as a share of the free way",
            tuple(Setting(f"{each:g}", each, reach=each, most_m=9.0) for each in factors),
            "It walks 0.8 of the largest depth; ours counts 0.8 of the nearest distance in the way.",
        ),
        Experiment(
            "weights",
            "Spatial against temporal weights, with and without raymaps, at uneven speed",
            "",
            (
                *_weights("", UNGUIDED),
                *_weights("guided: ", UNEVEN),
            ),
            "Its ablation, mTSED: spatial with raymap 0.88, temporal with raymap 0.83, temporal without 0.75 "
            "(RealEstate10K, thresholds not listed, SVD; ours are drawn rooms and a network of a few megabytes, so "
            "only the order can be compared).",
        ),
        _reach_of_noise("tau", "Reach of the anchors' noise, without guidance", UNGUIDED, taus),
        _reach_of_noise("tau guided", "Reach of the anchors' noise, with guidance", UNEVEN, guided_taus),
        _wrong_distances(quick),
        _paths(quick),
    ]


def _weights(prefix: str, base: Setting) -> Iterator[Setting]:
    for raymap, said in (("on", "raymap"), ("off", "no raymap")):
        for weights in ("spatial", "temporal"):
            yield replace(base, label=f"{prefix}{weights}, {said}", weights=weights, raymap=raymap)


def _reach_of_noise(name: str, title: str, base: Setting, taus: Sequence[float]) -> Experiment:
    return Experiment(
        name,
        title,
        "τ of the position",
        tuple(
            replace(base, label=f"τ_T {go:g}, τ_q {turn:g}", x=go, line=f"{turn:g}", tau_position=go, tau_rotation=turn)
            for go in taus
            for turn in taus
        ),
        grid=True,
    )


def _wrong_distances(quick: bool) -> Experiment:
    errors = {
        "noise": (0.1, 0.3) if quick else (0.05, 0.1, 0.2, 0.3, 0.5),
        "scale": (0.2,) if quick else (-0.3, -0.1, 0.1, 0.3, 0.6),
        "edges": (2.0,) if quick else (0.5, 1.0, 2.0, 4.0),
        "blur": (4.0,) if quick else (1.0, 2.0, 4.0, 8.0),
    }
    units = {"noise": "σ of its logarithm", "scale": "factor less 1", "edges": "degrees", "blur": "degrees"}
    wrong = (
        Setting(f"{kind} {each:g}", each, f"{kind}, {units[kind]}", wrong=kind, by=each)
        for kind, amounts in errors.items()
        for each in amounts
    )
    return Experiment(
        "distance",
        "How wrong a distance may be",
        "error",
        (replace(SHIPPED, x=0.0, line=""), *wrong),
        note="mTSED hardly sees a wrong distance: a surface that is told too near moves along its own epipolar line.",
    )


def _paths(quick: bool) -> Experiment:
    lengths = (0.5, 4.0) if quick else (0.25, 0.5, 1.0, 3.0, 4.0)
    turns = (30.0, 180.0) if quick else (10.0, 30.0, 60.0, 120.0, 180.0, 270.0)
    speeds = (2.0,) if quick else (2.0, 4.0)
    return Experiment(
        "paths",
        "How far a path may go",
        "",
        (
            replace(SHIPPED, label="walk 2 m", x=2.0, line="walk, m"),
            *(Setting(f"walk {each:g} m", each, "walk, m", most_m=each) for each in lengths),
            *(Setting(f"turn {each:g}°", each, "turn, degrees", path="turn", turn_deg=each) for each in turns),
            replace(SHIPPED, label="speed x 1", x=1.0, line="speed, of the walk's"),
            *(Setting(f"speed x {each:g}", each, "speed, of the walk's", speed=each) for each in speeds),
            Setting("look around 360°", None, "", path="look around"),
            Setting("crane", None, "", path="crane"),
        ),
        "mTSED over all its paths: 0.835 (best baseline 0.740), LPIPS 0.218, FVD 113.6; other data, "
        "so not to be compared with these numbers.",
    )
