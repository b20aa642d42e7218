"""The devices that workers compute on: named on the command line, divided among workers, described to clients."""

import contextlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lookbeyond.errors import InputError

MAX_DEVICES = 64
ABOUT_DEVICE = ("title", "memory_gb", "presets")
"""What clients are told from a worker's description of its device."""


# --- in the service ---------------------------------------------------------------------------------------


def parse_devices(text: str) -> list[str]:
    """The devices of `--devices`: 'auto', or a list such as 'cuda:0,cuda:1', 'cpu' or 'cpu*4'.

    InputError for anything else.
    """
    devices = []
    for part in text.split(","):
        several = re.fullmatch(r"\s*(cpu)\*([1-9]\d{0,2})\s*", part)
        devices += [several[1]] * int(several[2]) if several else [part.strip()]
    if devices == ["auto"]:
        return devices
    if not all(re.fullmatch(r"cpu|mps|cuda:\d{1,3}", device) for device in devices) or len(devices) > MAX_DEVICES:
        raise InputError(f"--devices {text} cannot be used; give auto, cpu, mps or a list such as cuda:0,cuda:1.")
    gpus = [device for device in devices if device != "cpu"]
    if len(set(gpus)) < len(gpus):
        raise InputError(f"--devices {text} names a GPU twice; give each once.")
    return devices


def device_environment(device: str, threads: int | None, environment: Mapping[str, str]) -> dict[str, str]:
    """What a worker's environment needs so that it sees its own device and takes its own share of cores."""
    changes = {}
    if device == "cpu":
        changes["CUDA_VISIBLE_DEVICES"] = ""
    elif device.startswith("cuda:"):
        index = int(device.removeprefix("cuda:"))
        visible = [name for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        if visible and index >= len(visible):
            raise InputError(
                f"There is no device {device}: CUDA_VISIBLE_DEVICES names only {len(visible)}; choose another."
            )
        changes["CUDA_VISIBLE_DEVICES"] = visible[index] if visible else str(index)
        changes["CUDA_DEVICE_ORDER"] = environment.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    if threads is not None:
        changes |= {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return changes


def share_of_cores(devices: Sequence[str], environment: Mapping[str, str] = os.environ) -> int | None:
    """Threads of each CPU worker where there are several, or None where nothing is to be changed."""
    workers = devices.count("cpu")
    if workers < 2 or "OMP_NUM_THREADS" in environment:
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // workers)


def python_path() -> str:
    """The PYTHONPATH of a Python that is to find this package without looking into its current folder (`-P`)."""
    return os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))


# --- in a worker ------------------------------------------------------------------------------------------


def yield_cores() -> None:
    """Make idle threads sleep instead of spin; call this before torch is imported.

    Where Blender or a render takes a core, the threads that have one waste it waiting for those that have none: on two
    cores of which one was taken, a network ran five times as slowly. Threads that sleep at once cost as much on an
    otherwise idle machine. `benchmarks/pipeline.py --waiting` compares. A user's own setting is respected.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # GNU's threads, of Linux: some microseconds
        os.environ.setdefault("KMP_BLOCKTIME", "1")  # LLVM's and Intel's: milliseconds


def default_device() -> str:
    """'cuda', 'mps' or 'cpu': what a worker and the command line use unless told otherwise."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def describe_torch_devices() -> list[dict]:
    """What this process can compute on: name, title and memory of each device."""
    yield_cores()
    import torch

    if torch.cuda.is_available():
        properties = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        return [
            {"name": f"cuda:{i}", "title": p.name, "memory_gb": round(p.total_memory / 2**30, 1)}
            for i, p in enumerate(properties)
        ]
    import psutil

    memory_gb = round(psutil.virtual_memory().total / 2**30, 1)
    title = f"{torch.get_num_threads()} CPU threads"
    return [{"name": default_device(), "title": title, "memory_gb": memory_gb}]


def with_presets(device: dict) -> dict:
    """The description of a device, and in a few words whether each preset fits into its memory."""
    from lookbeyond import presets
    from lookbeyond.presets.memory import room_for

    room = {}
    for preset in presets.available() if "memory_gb" in device else ():
        with contextlib.suppress(Exception):  # a preset that cannot be estimated keeps no worker from starting
            room[preset.name] = room_for(preset, device["name"], device["memory_gb"] * 2**30)
    return device | {"presets": room}


def memory_in_use() -> dict[str, float]:
    """GB in use by this process: on its GPU if it has one, and in the machine's memory."""
    import psutil

    about = {"resident_gb": round(psutil.Process().memory_info().rss / 2**30, 3)}
    if (torch := sys.modules.get("torch")) and torch.cuda.is_available() and torch.cuda.is_initialized():
        about["device_gb"] = round(torch.cuda.memory_reserved() / 2**30, 3)
    return about


def device_error() -> Exception | None:
    """CUDA's error if this process can compute nothing more: after an illegal access to memory, every call fails."""
    try:
        if (torch := sys.modules.get("torch")) and torch.cuda.is_initialized():
            torch.cuda.synchronize()
    except Exception as error:
        return error
    return None
