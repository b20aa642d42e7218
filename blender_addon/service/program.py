"""The program that runs the service, and its log. No bpy here."""

import os
import shlex
import sys
from pathlib import Path

from ..kit import KIT_VERSION, find_on_path, runtime_file
from ..tasks import JobError

INSTALL_COMMAND = f"pip install lookbeyond-{KIT_VERSION}-py3-none-any.whl"
"""Installs the service on this machine from the file that comes with the extension; `pipx` and `uv tool` do, too."""


def find_program() -> str | None:
    """The program lookbeyond: on the PATH, or where pip, pipx and uv install a user's programs."""
    home = Path.home()
    usual = [home / ".local/bin", home / "bin", home / "Scripts", home / ".local/pipx/venvs/lookbeyond/bin"]
    usual += [home / ".local/share/pipx/venvs/lookbeyond/bin", home / ".local/share/uv/tools/lookbeyond/bin"]
    usual += sorted(home.glob("Library/Python/3.*/bin")) if sys.platform == "darwin" else []
    if appdata := os.environ.get("APPDATA"):
        usual += [*sorted(Path(appdata).glob("Python/Python3*/Scripts")), Path(appdata) / "uv/tools/lookbeyond/Scripts"]
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, usual)])
    found = find_on_path("lookbeyond", path)
    return None if found is None else str(found)


def service_command(preference: str) -> list[str]:
    """The command that starts the service: that of the preferences, else the installed `lookbeyond`.

    A Blender that was started from a desktop lacks the PATH of a shell, so the usual folders are searched as well.
    Raises `JobError`.
    """
    if preference.strip():
        if Path(preference).expanduser().is_file():  # a path with spaces needs no quotes
            words = [str(Path(preference).expanduser())]
        else:
            words = shlex.split(preference, posix=os.name != "nt")
        if not Path(words[0]).expanduser().is_file() and find_on_path(words[0], os.environ.get("PATH", "")) is None:
            raise JobError(f"There is no program {words[0]}: correct the service command in the add-on's preferences.")
        return words if "serve" in words else [*words, "serve"]
    program = find_program()
    if program is None:
        raise JobError(
            f"The program lookbeyond was not found: install the service ({INSTALL_COMMAND}), or enter"
            " its path in the add-on's preferences."
        )
    return [program, "serve"]


def log_text(message: str) -> str:
    """The message and the last lines of the service's log, as text."""
    log = runtime_file().with_name("service.log")
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-200:]
    except OSError:
        lines = ["(the service has written no log on this machine)"]
    return "\n".join([message, f"Add-on {KIT_VERSION}, Python {sys.version.split()[0]}, {sys.platform}", "", *lines])
