"""The program that runs the service, where installers put it, and its log. No bpy here."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from ..kit import KIT_VERSION, runtime_file
from ..tasks import JobError

INSTALL_COMMAND = "pip install lookbeyond"
"""What puts the service on this machine; `pipx` and `uv tool` do as well."""


def find_program() -> str | None:
    """The program lookbeyond: on the PATH, or where pip, pipx and uv put programs of a user."""
    home = Path.home()
    usual = [home / ".local/bin", home / "bin", home / "Scripts", home / ".local/pipx/venvs/lookbeyond/bin"]
    usual += [home / ".local/share/pipx/venvs/lookbeyond/bin", home / ".local/share/uv/tools/lookbeyond/bin"]
    usual += sorted(home.glob("Library/Python/3.*/bin")) if sys.platform == "darwin" else []
    if appdata := os.environ.get("APPDATA"):
        usual += [*sorted(Path(appdata).glob("Python/Python3*/Scripts")), Path(appdata) / "uv/tools/lookbeyond/Scripts"]
    return shutil.which("lookbeyond") or shutil.which("lookbeyond", path=os.pathsep.join(map(str, usual)))


def service_command(preference: str) -> list[str]:
    """The command that starts the service: what the preferences say, else `lookbeyond` where installers put
    it.

    Blender started from a desktop does not see the PATH of a shell, so the usual folders are looked into,
    too. Raises `JobError`.
    """
    if preference.strip():
        if Path(preference).expanduser().is_file():  # a path with spaces needs no quotes
            words = [str(Path(preference).expanduser())]
        else:
            words = shlex.split(preference, posix=os.name != "nt")
        if shutil.which(words[0]) is None:
            raise JobError(f"There is no program {words[0]}: correct the service command in the add-on's preferences.")
        return words if "serve" in words else [*words, "serve"]
    program = find_program()
    if program is None:
        raise JobError(
            f"The program lookbeyond was not found: install the service ({INSTALL_COMMAND}), or give"
            " its path in the add-on's preferences."
        )
    return [program, "serve"]


def log_text(message: str) -> str:
    """The message and the last of what the service has said, as text."""
    log = runtime_file().with_name("service.log")
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-200:]
    except OSError:
        lines = ["(the service has written no log on this machine)"]
    return "\n".join([message, f"Add-on {KIT_VERSION}, Python {sys.version.split()[0]}, {sys.platform}", "", *lines])
