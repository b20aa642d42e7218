"""Downloads a preset's weights from the hub, or a mirror of it: the only place in the method that uses the network.

`HF_ENDPOINT` names a mirror, `HF_TOKEN` (or `hf auth login`) who asks, `HF_HUB_CACHE` where downloads are kept,
`HF_HUB_OFFLINE=1` forbids them. What was begun is gone on with.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lookbeyond.errors import InputError, StorageError
from lookbeyond.whole import require_space

from . import Component, Preset, weights

SPARE_BYTES = 1 << 30


@dataclass(frozen=True)
class Download:
    """One repository's files that a preset needs and this machine lacks."""

    roles: tuple[str, ...]
    hub: str
    revision: str
    patterns: tuple[str, ...]
    licences: tuple[str, ...]
    """Licence and where it is written, one line each."""
    gated: bool
    bytes: int
    """What is still to be loaded: as the hub says, or as the preset expects where `known` is False."""
    known: bool


def downloads(preset: Preset, *, optional: bool = True) -> list[Download]:
    """What is to be downloaded for a preset, with or without what it can do without; the hub says the sizes.

    `InputError`: refused, unknown, unreachable.
    """
    found: dict[tuple[str, str], list[tuple[str, Component]]] = {}
    for role, owner, component in preset.components():
        if component.hub and (optional or not component.optional) and weights.problem(owner, role, component):
            found.setdefault((component.hub, component.revision), []).append((role, component))
    return [_download(hub, revision, parts) for (hub, revision), parts in found.items()]


def fetch(download: Download) -> Path:
    """Downloads one repository's files, with progress bars on the standard error, and checks every one of them.

    Raises `InputError` naming the id and the remedy, `StorageError` when the disk is full or a file came broken.
    """
    from huggingface_hub import snapshot_download

    require_space(cache_folder(), download.bytes + SPARE_BYTES)
    _remove_broken(download)
    with _HubErrors(download.hub, download.revision):
        folder = snapshot_download(
            download.hub, revision=download.revision, allow_patterns=list(download.patterns), max_workers=4
        )
    for path in broken_files(Path(folder), download.patterns):
        forget(path)
        raise StorageError(f"{download.hub}: {path.name} came broken; run the command again to load that file anew")
    return Path(folder)


def broken_files(
    folder: Path, wanted: tuple[str, ...] | list[str], progress: Callable[[Path], None] | None = None
) -> Iterator[Path]:
    """Files of a snapshot in the hub's cache whose content is not what the hub said (SHA-256, or git's SHA-1)."""
    listing = weights.listing(folder)
    for path in weights.matching(folder, wanted):
        if progress is not None:
            progress(path)
        expected = _expected_hash(path, listing.get(path.relative_to(folder).as_posix(), {}))
        if expected and _hash(path, len(expected)) != expected:
            yield path


def cache_folder() -> Path:
    """Where downloads are kept."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _download(hub: str, revision: str, parts: list[tuple[str, Component]]) -> Download:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    patterns = tuple(dict.fromkeys(pattern for _, part in parts for pattern in weights.patterns(part)))
    quiet = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        with _HubErrors(hub, revision):
            found = snapshot_download(hub, revision=revision, allow_patterns=list(patterns), dry_run=True)
    finally:
        if not quiet:
            enable_progress_bars()
    for role, part in parts:
        needs_weights = part.loads and not part.loads.endswith("Scheduler")
        below = f"{part.subfolder}/" if part.subfolder else ""
        names = [file.filename for file in found if file.filename.startswith(below)]
        if not names or (needs_weights and not any(name.endswith(".safetensors") for name in names)):
            kind = f" of the variant {part.variant!r}" if part.variant else ""
            raise InputError(
                f"{hub} at {revision} has no files for {role} ({below or 'its top folder'}{kind}); "
                "correct the preset's subfolder or variant"
            )
    licences = dict.fromkeys(
        f"{part.licence or 'no licence is stated: ask its author'} {part.licence_url}".strip() for _, part in parts
    )
    return Download(
        tuple(role for role, _ in parts),
        hub,
        revision,
        patterns,
        tuple(licences),
        any(p.gated for _, p in parts),
        sum(file.file_size for file in found if file.will_download),
        True,
    )


class _HubErrors:
    """Turns the hub's errors into ours."""

    def __init__(self, hub: str, revision: str):
        self.hub, self.revision = hub, revision

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, traceback) -> None:
        from huggingface_hub import constants, errors

        if error is None or not isinstance(error, Exception):
            return
        endpoint = constants.ENDPOINT
        causes = list(_causes(error))
        status = next((e.response.status_code for e in causes if isinstance(e, errors.HfHubHTTPError)), None)
        if any(isinstance(e, errors.GatedRepoError) for e in causes) or status == 403:
            message = (
                f"{self.hub} is given only to who has accepted its terms: accept them at {endpoint}/{self.hub}, log in "
                "with `hf auth login` (or set HF_TOKEN), then run this again"
            )
        elif any(isinstance(e, errors.RevisionNotFoundError) for e in causes):
            message = f"{self.hub} has no revision {self.revision!r}; correct `revision` in the preset"
        elif any(isinstance(e, errors.RepositoryNotFoundError) for e in causes) or status in (401, 404):
            message = (
                f"{endpoint} knows no {self.hub} (or it is private); correct `hub` in the preset, or log in with "
                "`hf auth login`"
            )
        elif isinstance(error, errors.HFValidationError):
            message = f"{self.hub!r} is no id on the hub; give `hub` as owner/name in the preset"
        elif any(isinstance(e, errors.OfflineModeIsEnabled) for e in causes):
            message = f"{self.hub} cannot be loaded: HF_HUB_OFFLINE is set; unset it, or give a local `folder`"
        elif any(getattr(e, "errno", None) == 28 for e in causes):
            raise StorageError(f"the disk is full; free some space, then run this again to go on with {self.hub}")
        elif (
            (status is not None and status >= 500)
            or isinstance(error, (OSError, errors.DryRunError))
            or _network(causes)
        ):
            message = (
                f"{self.hub} cannot be loaded from {endpoint} ({_first_line(causes[-1])}); check the network, set "
                "HF_ENDPOINT to a mirror, or copy the files here and give their `folder` in the preset; what has "
                "come already is kept"
            )
        else:
            return
        raise InputError(message) from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _network(causes: list[BaseException]) -> bool:
    return any(type(error).__module__.startswith(("httpx", "requests", "urllib3")) for error in causes)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _remove_broken(download: Download) -> None:
    """Files that are in the cache already but incomplete: the hub's client would accept them."""
    component = Component(hub=download.hub, revision=download.revision)
    folder = weights.locate_cached(component)
    if folder is not None:
        for path in list(broken_files(folder, download.patterns)):
            forget(path)


def forget(path: Path) -> None:
    """Removes a file of the hub's cache, and what it links to."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    if blob.parent.name == "blobs":
        blob.unlink(missing_ok=True)


def _expected_hash(path: Path, listed: dict) -> str:
    """What the hub said: in its listing of the repository, else by the name of the file that is linked to."""
    if expected := listed.get("lfs_sha256") or listed.get("blob_id"):
        return expected
    blob = path.resolve()
    named = blob.parent.name == "blobs" and len(blob.name) in (40, 64)
    return blob.name if named else ""


def _hash(path: Path, length: int) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        if length == 64:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        shutil.copyfileobj(file, _Sink(digest))
        return digest.hexdigest()


class _Sink:
    def __init__(self, digest):
        self.write = digest.update
