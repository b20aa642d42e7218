"""What the levers bring at full size: the published loop against ours, on random weights of the real shapes.

    python benchmarks/gpu.py [--size 576x1024] [--frames 100] [--json FILE] [--markdown FILE]    # on a GPU
    python benchmarks/gpu.py --tables clip              # one table at a time, where a command may not take long
    python benchmarks/gpu.py --tiny                     # anywhere: the same program with tiny networks, FLOPs counted

Random weights cost what trained ones do, and results of the same arithmetic can be compared; what a lever that changes
the sampling does to pictures they cannot say (`lookbeyond evaluate` does, with a small preset). The baseline is the
published loop: 50 Euler steps a clip, the forward and the reversed-motion UNet one after the other with guidance in a
batch of two, temporal attention written out so that its maps can be kept and turned, 16-bit; a panorama by 1000 steps
of DiT-XL in 32-bit. The rows `as shipped` are the preset `svd-xt` with its own settings, as a GPU that holds all of it
is given it, where everything is known and where about a quarter of a frame is hidden; `all` is every lever at once,
compiled networks among them, which that preset does without. Without a GPU the times are those of tiny networks on a
processor and say nothing of a GPU's, which are still to be measured.
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.counted import STAGES, Clock, dit_flops, flops, flops_of, forget_peak, matmul_rate, peak_gb
from benchmarks.gpu_setups import (
    BASELINE,
    COMPILED,
    KEPT,
    LEVERS,
    SHIPPED,
    SHIPPED_HIDDEN,
    Setup,
    build_scene,
    setups,
    shipped,
)
from benchmarks.real_shapes import (
    FULL,
    TINY,
    build_dit,
    panorama_of_noise,
    walk,
)
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.keyframes import plan_shot
from lookbeyond.geometry.panorama import View
from lookbeyond.pipelines.backbones import MOST_WALK_FRAMES
from lookbeyond.pipelines.scene import ScenePipeline
from tests.support.machine import machine

TABLES = ("clip", "shot", "panorama", "public")


@dataclass(frozen=True)
class Measured:
    seconds: float
    stages: dict[str, float]
    work: Counter
    """Of (network, frames at once), how many of them went through it."""
    peak_gb: float
    frames: np.ndarray


def measure_clip(setup: Setup, sizes: dict, frames: int, size: tuple[int, int], device: str) -> Measured:
    """One clip between two given anchors, warping and decoding included, after a warm-up of two steps."""
    scene, (height, width) = build_scene(setup, sizes, frames, device), size
    room, cameras = panorama_of_noise(4 * max(512, width), setup.hidden), walk(frames, width, height)
    source, target = (scene.network.view_from_origin(room, camera) for camera in (cameras[0], cameras[-1]))
    scene.shoot_clip(room, source, target, cameras, steps=2)
    return _measured(scene, device, lambda: scene.shoot_clip(room, source, target, cameras, seed=1))


def measure_shot(
    setup: Setup, sizes: dict, frames: int, size: tuple[int, int], count: int, device: str
) -> tuple[Measured, tuple[int, int]]:
    """A whole shot of `count` frames, and its numbers of clips and anchors. Ours makes its anchors by the network, too;
    the published loop is given them."""
    scene, (height, width) = build_scene(setup, sizes, frames, device), size
    room, cameras = panorama_of_noise(4 * max(512, width), setup.hidden), walk(count, width, height)
    plan = plan_shot(cameras, room, frames_per_clip=frames, max_rotation_rad=math.pi, max_translation=10.0)
    given = setup.directions != "one batch"

    def anchor(camera: Camera, before: list[View], steps: int = 0) -> View:
        return (
            scene.network.view_from_origin(room, camera)
            if given
            else scene.fill_anchor(room, camera, before, steps=steps)
        )

    def shoot(steps: int = 0, clips: int | None = None) -> list[View]:
        anchors: list[View] = []
        for one in plan.anchors[: None if clips is None else clips + 1]:
            anchors.append(anchor(one.camera, [anchors[k] for k in one.before], steps))
        shot = [anchors[0]]
        for clip in plan.clips[:clips]:
            inside = cameras[clip.first : clip.last + 1]
            shot += scene.shoot_clip(room, anchors[clip.source], anchors[clip.target], inside, steps=steps)[1:]
        return shot

    shoot(steps=2, clips=1)
    return _measured(scene, device, shoot), (len(plan.clips), len(plan.anchors))


def _measured(scene: ScenePipeline, device: str, work: Callable[[], list[View]]) -> Measured:
    clock = Clock(device)
    forget_peak(device)
    with clock.watching(scene.views):
        started = clock.now()
        views = work()
        seconds = clock.now() - started
    stages = clock.seconds | {"warping and the rest": seconds - sum(clock.seconds.values())}
    return Measured(seconds, stages, clock.work, peak_gb(device), np.stack([view.colour for view in views]))


def expected_work(setup: Setup, frames: int, clips: int, anchors: int) -> Counter:
    """What a shot should take whose frames are all known: as `Clock` counts it."""
    steps = math.ceil(setup.strength * setup.steps)
    copies = 1 if setup.guidance_scale <= 1 else 2
    warm = setup.strength < 1 or setup.hold > 0
    work = Counter(
        {
            ("UNet", frames): clips * steps * 2 * copies,
            ("encode", 1): clips * (2 + (frames if warm else 2)),  # both anchors, as conditions and as ends
            ("decode", 1): clips * frames,
        }
    )
    if setup.directions == "one batch":
        walk = min(frames, MOST_WALK_FRAMES)
        work.update(
            {
                ("UNet", walk): anchors * steps * copies,
                ("encode", 1): anchors * (1 + (walk if warm else 0)),
                ("decode", 1): anchors * min(walk, setup.decoded_at_once),
            }
        )
    return work


@torch.no_grad()
def measure_panorama(sizes: dict, steps: int, dtype: torch.dtype, compiled: bool, device: str) -> tuple[float, float]:
    """Seconds of the network's own steps, and the peak of memory in 1e9 bytes."""
    with torch.device(device):
        network, arguments = build_dit(sizes)
    nn.Module.to(network, dtype)
    arguments = {name: value if name == "timestep" else value.to(dtype) for name, value in arguments.items()}
    if compiled:
        network.compile(mode="reduce-overhead")
    clock = Clock(device)
    for _ in range(3):
        network(**arguments)
    forget_peak(device)
    started = clock.now()
    for _ in range(steps):
        network(**arguments)
    return clock.now() - started, peak_gb(device)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.mean((one.astype(np.float64) - other) ** 2)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def count_flops(size: tuple[int, int], count: int) -> dict:
    """Prints what the real shapes cost, without data; ours as the preset has it."""
    print("FLOPs of the real shapes, counted without data:")
    for frames, height, width in sorted({(14, 512, 512), (14, 576, 1024), (25, *size), (25, 576, 1024)}):
        cost = flops(True, "UNet", frames, height, width) / 1e12
        print(f"  SVD's UNet, {frames} frames of {height} x {width}: {cost:.1f} TFLOP a pass and forward")
    print(f"  DiT-XL/2, 32 x 64 latents: {dit_flops(FULL) / 1e12:.2f} TFLOP a forward")
    clips, counted = math.ceil((count - 1) / 24), {}
    ours = shipped("cpu")
    for name, setup in (
        (BASELINE, Setup()),
        (SHIPPED, ours),
        (SHIPPED_HIDDEN, replace(ours, strength=ours.strength_in_holes)),
        ("as shipped, with SVD's guidance", replace(ours, guidance_scale=3.0)),
    ):
        work = expected_work(setup, 25, clips, clips + 1)
        counted[name] = {"UNet": flops_of(work, True, size, "UNet"), "all": flops_of(work, True, size)}
        first = counted[BASELINE]
        print(
            f"  {count} frames of {size[0]} x {size[1]}, {name}: UNet {counted[name]['UNet'] / 1e12:.0f} TFLOP"
            f" (x{first['UNet'] / counted[name]['UNet']:.1f} fewer), with VAE {counted[name]['all'] / 1e12:.0f}"
            f" (x{first['all'] / counted[name]['all']:.1f})"
        )
    return counted


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", default="576x1024", help="rows x columns, multiples of 64")
    parser.add_argument("--frames", type=int, default=100, help="of the whole shot")
    parser.add_argument("--tiny", action="store_true", help="tiny networks, for correctness; always so without a GPU")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="which are made; all of them")
    parser.add_argument("--rows", nargs="+", default=[""], help="of clips and shots only those named like one of these")
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="measure compiled networks, too: minutes more; usual on a GPU",
    )
    parser.add_argument("--json", type=Path, help="where to write the figures, too")
    parser.add_argument("--markdown", type=Path, help="where to write the tables, too")
    options = parser.parse_args(argv)
    device, size = options.device, tuple(int(side) for side in options.size.split("x"))
    on_gpu = device.startswith("cuda")
    tiny = options.tiny or not on_gpu
    sizes, frames, count = (TINY, 3, 5) if tiny else (FULL, 25, options.frames)
    frame_size = (64, 64) if tiny else size
    title = f"{torch.cuda.get_device_name() if on_gpu else 'no GPU'}; {machine()}; torch {torch.__version__}"
    print(title)
    report: dict = {"machine": title, "tiny": tiny, "counted_flops": count_flops(size, options.frames)}
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    rate = matmul_rate(device)
    report["matrix_product_flops"] = rate
    print(f"bf16 matrix product: {rate / 1e12:.3g} TFLOP/s")
    baseline = Setup(dtype=torch.float16 if on_gpu else torch.float32, **({"steps": 4} if tiny else {}))
    compiled = on_gpu if options.compile is None else options.compile
    chosen = dict(setups(baseline, device))
    if not compiled:
        chosen = {name: replace(setup, compile=False) for name, setup in chosen.items() if name != COMPILED}
        print("compiled networks are left out (--compile)")
    asked = [BASELINE, *options.rows]  # what the others are compared with is always there
    chosen = {name: setup for name, setup in chosen.items() if any(word in name for word in asked)}

    table = Table(rate, not tiny, frame_size)
    try:
        measure(options.tables, chosen, table, report, sizes, frames, frame_size, count, device)
    finally:  # what was measured before something failed was measured
        if options.json:
            finite = json.loads(json.dumps(report), parse_constant=lambda _: None)
            options.json.write_text(json.dumps(finite, indent=1) + "\n")
        if options.markdown:
            options.markdown.write_text("\n".join([title, *table.lines]) + "\n")
    if tiny:
        print("\nTiny networks: what was asserted holds; the times of a GPU are still to be measured.")


def measure(
    tables: Sequence[str],
    chosen: dict[str, Setup],
    table: "Table",
    report: dict,
    sizes: dict,
    frames: int,
    size: tuple[int, int],
    count: int,
    device: str,
) -> None:
    """Fills the tables, and `report` as they grow; AssertionError where a lever changes what it must not."""
    tiny, compiled = sizes is TINY, COMPILED in chosen
    if "clip" in tables:
        report["clip"] = table.begin(
            f"One clip of {frames} frames of {size[0]} x {size[1]}" + (", tiny networks" if tiny else "")
        )
        for name, setup in chosen.items():
            same_start = setup.hidden == chosen[BASELINE].hidden
            table.row(name, measure_clip(setup, sizes, frames, size, device), same_start)
    if "shot" in tables:
        report["shot"] = table.begin(f"{count} frames, from the panorama to pixels")
        for name in (BASELINE, KEPT, "all", SHIPPED, SHIPPED_HIDDEN):
            if name not in chosen:
                continue
            measured, plan = measure_shot(chosen[name], sizes, frames, size, count, device)
            assert len(measured.frames) == count
            if chosen[name].hidden == "nothing":
                assert measured.work == expected_work(chosen[name], frames, *plan), (measured.work, plan)
            table.row(name, measured, same_start=False)  # ours makes its anchors, the published loop is given them
    if "panorama" in tables:
        report["panorama"] = table.begin("Panorama, the network's steps")
        for steps, dtype, faster in ((50 if tiny else 1000, torch.float32, False), (20, torch.bfloat16, compiled)):
            name = f"{steps} steps, {'bf16' if dtype == torch.bfloat16 else 'TF32'}{', compiled' if faster else ''}"
            seconds, peak = measure_panorama(sizes, steps, dtype, faster, device)
            table.steps(name, seconds, dit_flops(sizes) * steps, peak)
    if "public" in tables:  # this year's models, which have a program of their own
        from benchmarks import public_models

        kind, canvas, steps = ("tiny", (64, 128), 2) if tiny else ("full", public_models.CANVAS, 25)
        clip = ("tiny", 9, (32, 64)) if tiny else ("vace", 81, (480, 832))
        report["public"] = {
            "vace": public_models.run(*clip, device, steps=2 if tiny else 0),
            "flux-klein-360": public_models.run_klein(kind, canvas, device, steps),
        }
    same = {
        row: report["clip"][row]["psnr_db"]
        for lever in LEVERS
        if lever.exact and (row := lever.name) in report.get("clip", {})
    }
    least = 35 if device.startswith("cuda") else 60
    assert all(decibels > least for decibels in same.values()), f"a lever changed the result: {same} dB"


class Table:
    """Rows of Markdown, printed as they come; the first one of a table is what the others are compared with."""

    def __init__(self, rate: float, full: bool, size: tuple[int, int]):
        self.rate, self.full, self.size = rate, full, size
        self.lines: list[str] = []
        self.rows: dict[str, dict] = {}
        self.reference: Measured | None = None

    def _print(self, line: str) -> None:
        self.lines.append(line)
        print(line, flush=True)

    def begin(self, title: str) -> dict[str, dict]:
        """A new table; its rows, which will come."""
        self.rows, self.reference = {}, None
        self._print(f"\n{title}\n")
        self._print("| | s | times as fast | of the matrix product's rate | peak GB | PSNR dB | seconds by stage |")
        self._print("|---|---|---|---|---|---|---|")
        return self.rows

    def row(self, name: str, measured: Measured, same_start: bool = True) -> None:
        self.reference = reference = self.reference or measured
        used = {
            stage: flops_of(measured.work, self.full, self.size, stage) / measured.stages[stage] / self.rate
            for stage in STAGES
        }
        passes = sum(count for (network, _), count in measured.work.items() if network == "UNet")
        self.rows[name] = {
            "seconds": measured.seconds,
            "stages": measured.stages,
            "utilisation": used,
            "unet_passes": passes,
            "peak_gb": measured.peak_gb,
            "psnr_db": psnr(measured.frames, reference.frames) if same_start else math.nan,
            "flops": flops_of(measured.work, self.full, self.size),
        }
        self._line(name, reference.seconds)

    def steps(self, name: str, seconds: float, done: float, peak_gb: float) -> None:
        """A row of the panorama network's bare steps, which did `done` FLOP."""
        used = {"DiT": done / seconds / self.rate}
        self.rows[name] = {"seconds": seconds, "utilisation": used, "peak_gb": peak_gb, "flops": done}
        self._line(name, next(iter(self.rows.values()))["seconds"])

    def _line(self, name: str, first: float) -> None:
        row = self.rows[name]
        peak, same = (row.get(key, math.nan) for key in ("peak_gb", "psnr_db"))
        stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in row.get("stages", {}).items())
        used = ", ".join(f"{stage} {share:.0%}" for stage, share in row["utilisation"].items())
        cells = (
            name,
            f"{row['seconds']:.2f}",
            f"{first / row['seconds']:.2f}",
            used,
            "" if math.isnan(peak) else f"{peak:.1f}",
            "" if math.isnan(same) else f"{same:.1f}",
            stages,
        )
        self._print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
