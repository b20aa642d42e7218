"""Results of files that were never saved: they move beside the .blend file when it is saved."""

import contextlib
import shutil
from pathlib import Path

from .json_files import may_look_at
from .moved import remember_moved
from .paths import Redirection, referenced_paths, unused_path
from .results import unsaved_folder
from .service.requests import RequestError, StoredRequest, read_request


class ResultMove:
    """Moves results beside the file that is about to be saved, and redirects the paths.

    What another file refers to, too, is copied. Results of unfinished jobs stay until a later save: the service may be
    writing them. Raises OSError; then everything is where it was.
    """

    def __init__(self, file: Path) -> None:
        self.moved: dict[Path, Path] = {}
        self._copied: list[Path] = []
        folders, files = referenced_paths()
        try:
            for source in (*folders, *files):
                self._take_along(source, file)
        except OSError:
            self._take_back()
            raise
        remember_moved(self.moved)
        self._redirection = Redirection(self.moved, file.parent, file.parent)
        if self.moved:
            self._redirection.redirect_own()
            self._redirection.redirect_artists()

    def undo(self) -> None:
        """The file could not be saved: move everything back."""
        self._take_back()
        self._redirection.restore()

    def leave_copy(self) -> None:
        """Only a copy of the file was saved: it keeps what lies beside it, and the open file gets its own back."""
        for source, target in self.moved.items():
            if source not in self._copied:
                copy_results(target, source)
        self._redirection.restore()

    def _take_along(self, source: Path, file: Path) -> None:
        if not source.exists() or not source.is_relative_to(unsaved_folder()):
            return
        request = request_of(source)
        if request is not None and not request.ended:
            return
        target = file.parent / "look_beyond" / source.relative_to(unsaved_folder())
        target = unused_path(target, set(self.moved.values()))
        target.parent.mkdir(parents=True, exist_ok=True)
        self.moved[source] = target
        if request is not None and has_other_owner(request, source, file):
            self._copied.append(source)
            copy_results(source, target)
        else:
            shutil.move(source, target)

    def _take_back(self) -> None:
        for source, target in self.moved.items():
            if source in self._copied or source.exists():
                remove_results(target)
            else:
                shutil.move(target, source)


def request_of(folder: Path) -> StoredRequest | None:
    """The request of a result folder; None for a photo, and for a folder that has none."""
    with contextlib.suppress(RequestError):
        return read_request(folder)
    return None


def has_other_owner(request: StoredRequest, folder: Path, file: Path) -> bool:
    """Whether a result belongs to another .blend file that exists."""
    results = folder.parents[1]
    seen = [owner for owner in request.origin.files if owner and may_look_at(results, owner, str(file))]
    owners = [(results / owner).resolve() for owner in seen]
    return any(owner.is_file() and owner != file.resolve() for owner in owners)


def copy_results(source: Path, target: Path) -> None:
    """Copy a folder or a file."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def remove_results(path: Path) -> None:
    """Remove a folder or a file, as far as it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
