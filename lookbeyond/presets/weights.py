"""Where the files of a preset's components are on this machine, and whether they are complete. No downloads."""

import contextlib
import fnmatch
import hashlib
import importlib
import itertools
import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from lookbeyond.errors import InputError

from . import Component, Preset

_NAMES = ("diffusion_pytorch_model", "model")
_SMALL = ("config.json", "scheduler_config.json", "preprocessor_config.json")


def patterns(component: Component) -> list[str]:
    """Which files of its repository or folder a component needs, as `fnmatch` patterns."""
    below = f"{component.subfolder}/" if component.subfolder else ""
    if component.files:
        return [below + pattern for pattern in component.files]
    weights = _weights_of(component.variant)
    if not component.parts:
        return [below + pattern for pattern in (*_SMALL, *weights)]
    inside = ["*.json", "*.txt", "*.model", "*.jinja", *weights]
    return [f"{below}model_index.json", *(f"{below}{part}/{name}" for part in component.parts for name in inside)]


def _weights_of(variant: str) -> list[str]:
    ending = f".{variant}" if variant else ""
    return [
        pattern
        for name in _NAMES
        for pattern in (
            f"{name}{ending}.safetensors",
            f"{name}{ending}-*-of-*.safetensors",
            f"{name}.safetensors.index{ending}.json",
        )
    ]


def locate(preset: Preset, component: Component) -> Path | None:
    """The folder that holds a component's repository on this machine (its `subfolder` not yet entered), or None."""
    if component.folder:
        folder = Path(component.folder).expanduser()
        folder = folder if folder.is_absolute() else preset.folder / folder
        if folder.is_dir() or not component.hub:
            return folder if folder.is_dir() else None
    return locate_cached(component)


def locate_cached(component: Component) -> Path | None:
    """The snapshot of a component's repository in the hub's cache, or None."""
    cached = _repository(component)
    folder = cached / "snapshots" / _commit(cached, component.revision)
    return folder if folder.is_dir() else None


def listing(folder: Path) -> dict[str, dict]:
    """What the hub said of the files of a snapshot in its cache when it was fetched, by their names; may be empty."""
    if folder.parent.name != "snapshots":
        return {}
    return _read_json(folder.parents[1] / "trees" / f"{folder.name}.json").get("files", {})


def require(preset: Preset, role: str, component: Component) -> Path | None:
    """The folder to load a component from; None for an optional one that is not here; `InputError` for the others."""
    folder, trouble = locate(preset, component), problem(preset, role, component)
    if not trouble and folder is not None:
        return folder / component.subfolder
    if component.optional and folder is None:
        return None
    raise InputError(f"the preset {preset.name!r} cannot run here: {trouble}")


def missing(preset: Preset) -> str:
    """What of a preset's components keeps it from running, with the remedy; or an empty string."""
    absent: dict[str, list[str]] = {}
    broken = ""
    for role, owner, component in preset.components():
        here = locate(owner, component) is not None
        if component.optional and not here:
            continue
        if here or not component.hub:
            broken = broken or problem(owner, role, component, preset.name)
        else:
            absent.setdefault(component.hub, []).append(role)
    if not absent:
        return broken
    names = "; ".join(f"{', '.join(roles)} ({hub})" for hub, roles in absent.items())
    several = len(absent) > 1 or len(next(iter(absent.values()))) > 1
    return f"{names} {'are' if several else 'is'} not on this machine; run `lookbeyond fetch {preset.name}`"


def problem(owner: Preset, role: str, component: Component, asked: str = "") -> str:
    """What is missing of a component or broken in it, with the remedy; sizes only, so it takes no time."""
    folder, source = locate(owner, component), component.hub or component.folder
    remedy = f"run `lookbeyond fetch {asked or owner.name}`"
    if folder is None:
        if not component.hub:
            return f"{role}: there is no folder {source}; put the weights there, or correct the preset"
        return f"{role} ({source}) is not on this machine; {remedy}"
    if not component.hub:
        remedy = f"copy {source} again"
    present = files(folder, component)
    troubles = (_unlike_listing(folder, component), _damaged(present), _incomplete(folder, component, present))
    trouble = next(itertools.chain(*troubles), "")
    return f"{role}: {trouble}; {remedy}" if trouble else ""


def _unlike_listing(folder: Path, component: Component) -> Iterator[str]:
    """Files that the hub listed when it was fetched, and that are missing or of another size."""
    for name, about in listing(folder).items():
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns(component)):
            if not (folder / name).exists():
                yield f"{folder / name} is missing"
            elif (size := (folder / name).stat().st_size) != about.get("size", size):
                yield f"{folder / name} is {size} bytes long instead of {about['size']}"


def _damaged(present: Sequence[Path]) -> Iterator[str]:
    names = {path.name for path in present}
    for path in present:
        if not path.exists():  # a link in the cache whose file was removed
            yield f"{path} is gone"
            continue
        if ".safetensors.index." in path.name:
            shards = set(_read_json(path).get("weight_map", {}).values())
            yield from (f"{path.parent / shard} is missing" for shard in sorted(shards - names))
        if path.suffix == ".safetensors" and (trouble := _broken(path)):
            yield f"{path} is {trouble}"


def _incomplete(folder: Path, component: Component, present: Sequence[Path]) -> Iterator[str]:
    """Parts of the component of which nothing, or nothing that can be loaded, is there."""
    if component.loads.endswith("Scheduler"):
        if not present:
            yield f"{folder / component.subfolder} holds no configuration"
        return
    for part in component.parts or ("",):
        place = folder / component.subfolder / part
        if part.startswith(("scheduler", "tokenizer", "feature_extractor")):
            if not place.is_dir():
                yield f"{place} is missing"
        elif not any(path.suffix == ".safetensors" and path.parent == place for path in present):
            kind = f" of the variant {component.variant}" if component.variant else ""
            yield f"{place} holds no safetensors{kind}"


def files(folder: Path, component: Component) -> list[Path]:
    """Those files in a component's folder that it needs, sorted."""
    return matching(folder, patterns(component))


def matching(folder: Path, wanted: Sequence[str]) -> list[Path]:
    """The files below a folder whose names match one of the patterns, sorted."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_dir() and any(fnmatch.fnmatchcase(name, pattern) for pattern in wanted):
            found.append(path)
    return found


def fingerprint(preset: Preset, component: Component) -> str:
    """Names a component's weights: the hub's commit, or a hash of the local files; "-" for an absent optional one."""
    folder = locate(preset, component)
    if folder is None:
        return "-"
    if folder.parent.name == "snapshots":
        return f"{component.hub}@{folder.name}/{component.subfolder}.{component.variant}"
    digest = hashlib.sha256()
    for path in files(folder, component):
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def tensors(preset: Preset, role: str, component: Component) -> dict[str, list[int]]:
    """How many parameters each tensor has that is loaded of a component's files, by part; empty without files."""
    folder = locate(preset, component)
    if folder is None or not component.loads:
        return {}
    sizes: dict[str, dict[str, int]] = {}
    for path in files(folder, component):
        if path.suffix == ".safetensors" and path.exists():
            part = path.parent.name if component.parts else role.rpartition("/")[2]
            sizes.setdefault(part, {}).update(_sizes(path))
    kept = _keeps(component.loads)
    return {
        part: [size for name, size in all_.items() if kept and kept.fullmatch(name)] or list(all_.values())
        for part, all_ in sizes.items()
    }


def variant_in(folder: Path) -> str | None:
    """The variant of the weights in a folder of one network where they are of that alone: "fp16"; else None."""
    plain, half = (matching(folder, _weights_of(variant)) for variant in ("", "fp16"))
    return "fp16" if half and not plain else None


def _keeps(loads: str) -> re.Pattern | None:
    """Which weights of a larger network's files a class of ours takes; None: all. Imports that class."""
    module, _, name = loads.rpartition(".")
    if module.startswith("lookbeyond."):
        with contextlib.suppress(ImportError, AttributeError):  # a preset that names no class is refused at loading
            return getattr(getattr(importlib.import_module(module), name), "keeps", None)
    return None


def _repository(component: Component) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=component.hub, repo_type="model")


def _commit(cached: Path, name: str) -> str:
    """What a branch or tag stood for when it was fetched; a commit stands for itself."""
    try:
        return (cached / "refs" / name).read_text("utf-8").strip()
    except OSError:
        return name


def _read_json(path: Path) -> dict:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _header(path: Path) -> tuple[int, dict]:
    """Length of a safetensors file's head in bytes and its content; `ValueError` when it has none."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= 100_000_000 or 8 + length > os.fstat(file.fileno()).st_size:
            raise ValueError
        return 8 + length, json.loads(file.read(length))


def _sizes(path: Path) -> Iterator[tuple[str, int]]:
    for name, tensor in _header(path)[1].items():
        if name != "__metadata__":
            yield name, math.prod(tensor["shape"])


def _broken(path: Path) -> str:
    """What is wrong with a safetensors file by its head and its length, or an empty string."""
    try:
        start, header = _header(path)
        end = start + max(
            (entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return "not a safetensors file, or only the beginning of one"
    size = path.stat().st_size
    return "" if size == end else f"{size} bytes long instead of {end}"
