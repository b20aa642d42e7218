"""Build the Blender extension: our wheel, the wheels it needs, and the zip that Blender installs.

    python build_addon.py                      for this platform, into dist/
    python build_addon.py --all-platforms      one zip per platform
    python build_addon.py --install            and install it for the Blender of this Python
    python build_addon.py --repository FOLDER  all platforms, as a repository that Blender can subscribe to

Run it with a Python that has Blender as a module (`pip install bpy`): building, validating and installing are
Blender's own. pip fetches the pyzmq wheels, from wherever this machine's pip settings say.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
SOURCE = ROOT / "blender_addon"
PYZMQ = "27.3.0"

# Blender reads the Pythons that an extension supports from the names of its wheels, and takes pyzmq's `cp311`
# beside `cp312-abi3` for "3.11 only". This tag, which our wheel truthfully carries, says the rest.
PYTHONS = ("cp311", "cp312", "cp313", "cp314", "cp315")

# Blender's platform -> pip's platform tag.
PLATFORMS = {
    "linux-x64": "manylinux_2_28_x86_64",
    "macos-arm64": "macosx_11_0_arm64",
    "macos-x64": "macosx_11_0_x86_64",
    "windows-x64": "win_amd64",
}
# For Blender 4.2 to 5.0, and for 5.1 and later.
PYZMQ_WHEELS = (("3.11", "cp311"), ("3.12", "abi3"))


class BuildError(Exception):
    """What kept the extension from being built, with the remedy."""


def version() -> str:
    """The one version of method, service and extension."""
    text = (ROOT / "lookbeyond" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE).group(1)


# --- the wheels ---------------------------------------------------------------------------------------------


def kit_sources() -> dict[str, bytes]:
    """What the add-on shares with the service, by its path in the wheel: geometry, client, and what a photo says."""
    sources = {
        "lookbeyond_kit/__init__.py": f'"""What the Look Beyond add-on shares with its service."""\n\n'
        f'__version__ = "{version()}"\n'.encode(),
        "lookbeyond_kit/client.py": (ROOT / "inference_service" / "client.py").read_bytes(),
    }
    for folder in (ROOT / "inference_service" / "wire", ROOT / "lookbeyond" / "geometry"):
        for module in sorted(folder.rglob("*.py")):
            sources[f"lookbeyond_kit/{module.relative_to(folder.parent).as_posix()}"] = module.read_bytes()
    for name in ("__init__", "tags", "colour_tags", "containers", "exif", "pixels"):
        module = ROOT / "lookbeyond" / "photo" / f"{name}.py"
        sources[f"lookbeyond_kit/photo/{name}.py"] = module.read_bytes()
    return sources


def build_kit_wheel(folder: Path) -> Path:
    """Write the wheel `lookbeyond_kit` into `folder`: the same sources always give the same bytes.

    The version carries a hash of the content, because Blender keeps an installed wheel for as long as its
    name stays: a rebuilt extension would otherwise run with the old kit.
    """
    sources = kit_sources()
    digest = hashlib.sha256(b"".join(name.encode() + b"\0" + data for name, data in sorted(sources.items())))
    full_version = f"{version()}+h{digest.hexdigest()[:10]}"
    tag = f"{'.'.join(PYTHONS)}-none-any"
    information = f"lookbeyond_kit-{full_version}.dist-info"
    files = dict(sorted(sources.items())) | {
        f"{information}/METADATA": (
            "Metadata-Version: 2.1\nName: lookbeyond-kit\n"
            f"Version: {full_version}\n"
            "Summary: What the Look Beyond add-on shares with its service: geometry and client\n"
            "License: GPL-3.0-or-later\nRequires-Python: >=3.11\n"
        ).encode(),
        f"{information}/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: build_addon\nRoot-Is-Purelib: true\n"
            + "".join(f"Tag: {python}-none-any\n" for python in PYTHONS)
        ).encode(),
        f"{information}/LICENSE": (ROOT / "LICENSE").read_bytes(),
    }
    files[f"{information}/RECORD"] = record(files, f"{information}/RECORD")
    wheel = folder / f"lookbeyond_kit-{full_version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, data)
    return wheel


def record(files: Mapping[str, bytes], own_name: str) -> bytes:
    """The RECORD of a wheel: name, urlsafe sha256 without padding, size (PEP 376, PEP 427)."""
    import base64

    lines = []
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(data)}")
    return ("\n".join([*lines, f"{own_name},,"]) + "\n").encode()


def fetch_pyzmq(folder: Path, platforms: Iterable[str]) -> list[Path]:
    """The upstream pyzmq wheels for `platforms`, unchanged; what `folder` has already is used again."""
    folder.mkdir(parents=True, exist_ok=True)
    wheels = []
    for name in platforms:
        for python, abi in PYZMQ_WHEELS:
            wheels.append(cached_pyzmq(folder, name, abi) or download_pyzmq(folder, name, python, abi))
    return list(dict.fromkeys(wheels))  # one wheel may serve two platforms


def cached_pyzmq(folder: Path, name: str, abi: str) -> Path | None:
    mark = {"linux-x64": "manylinux*_x86_64", "windows-x64": "win_amd64"}.get(name, "macosx*universal2")
    found = sorted(folder.glob(f"pyzmq-{PYZMQ}-*-{abi}-{mark}.whl"))
    return found[0] if found else None


def download_pyzmq(folder: Path, name: str, python: str, abi: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", f"pyzmq=={PYZMQ}", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--implementation=cp", f"--python-version={python}"]
    command += [f"--abi={abi}", f"--platform={PLATFORMS[name]}", f"--dest={folder}"]
    done = subprocess.run(command, capture_output=True, text=True)
    wheel = cached_pyzmq(folder, name, abi)
    if done.returncode or wheel is None:
        raise BuildError(
            f"pip could not download pyzmq {PYZMQ} for {name} and Python {python}; check the network and"
            f" pip's settings. pip said: {(done.stderr or done.stdout).strip()[-300:]}"
        )
    return wheel


# --- the extension ------------------------------------------------------------------------------------------


def blender_extension_tool() -> Path:
    """Blender's own `blender_ext.py`, from the bpy of this Python."""
    bpy = importlib.util.find_spec("bpy")
    if bpy is None or not bpy.submodule_search_locations:
        raise BuildError(
            f"{sys.executable} has no Blender: run this with the Python of an environment that has one"
            " (python dev.py setup makes .venv-blender)."
        )
    tool = "[0-9]*/scripts/addons_core/bl_pkg/cli/blender_ext.py"
    return next(Path(bpy.submodule_search_locations[0]).glob(tool))


def extension_tool(*arguments: str | Path) -> None:
    command = [sys.executable, blender_extension_tool(), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"Blender's extension tool refused: {(done.stdout + done.stderr).strip()}")


def this_platform() -> str:
    system = {"Linux": "linux", "Darwin": "macos", "Windows": "windows"}.get(platform.system(), "other")
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(platform.machine().lower())
    name = f"{system}-{machine or platform.machine().lower()}"
    if name not in PLATFORMS:
        raise BuildError(f"The extension is not built for {name}; it is for {', '.join(PLATFORMS)}.")
    return name


def build_extension(output: Path, platforms: Sequence[str]) -> list[Path]:
    """Build and validate a zip for each of `platforms` in `output`; wheels are kept in output/wheels."""
    output.mkdir(parents=True, exist_ok=True)
    pyzmq = fetch_pyzmq(output / "wheels", platforms)
    with tempfile.TemporaryDirectory() as temporary:
        stage = Path(temporary) / "look_beyond"
        shutil.copytree(SOURCE, stage, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        (stage / "wheels").mkdir()
        wheels = [build_kit_wheel(stage / "wheels")]
        wheels += [Path(shutil.copy2(wheel, stage / "wheels")) for wheel in pyzmq]
        fill_manifest(stage / "blender_manifest.toml", platforms, wheels)
        shutil.copy2(ROOT / "LICENSE", stage / "LICENSE")
        built = Path(temporary) / "built"
        built.mkdir()
        extension_tool("build", "--source-dir", stage, "--output-dir", built, "--split-platforms")
        zips = []
        for name in platforms:
            archive = built / f"look_beyond-{version()}-{name.replace('-', '_')}.zip"
            extension_tool("validate", archive)
            zips.append(Path(shutil.move(archive, output / archive.name)))
    return zips


def fill_manifest(manifest: Path, platforms: Sequence[str], wheels: Sequence[Path]) -> None:
    text = manifest.read_text(encoding="utf-8")
    text = re.sub(r'^version = "[^"]*"', f'version = "{version()}"', text, count=1, flags=re.MULTILINE)
    lists = f"platforms = {json.dumps(list(platforms))}\n"
    lists += f"wheels = {json.dumps([f'./wheels/{wheel.name}' for wheel in wheels], indent=4)}\n\n"
    manifest.write_text(text.replace("[permissions]", f"{lists}[permissions]", 1), encoding="utf-8")


def install(archive: Path) -> None:
    """Install and enable the zip in the user's Blender settings (BLENDER_USER_RESOURCES moves them).

    In a process of its own, because Blender reads where its settings lie when it is loaded, and because its
    operator says FINISHED even when nothing was installed.
    """
    script = (
        "import sys, bpy\n"
        "bpy.ops.wm.read_userpref()\n"  # a module begins with factory settings: never save those over the user's
        "bpy.ops.extensions.package_install_files(\n"
        "    repo='user_default', filepath=sys.argv[1], enable_on_install=True)\n"
        "bpy.ops.wm.save_userpref()\n"
        "sys.exit('bl_ext.user_default.look_beyond' not in bpy.context.preferences.addons)\n"
    )
    command = [sys.executable, "-c", script, str(archive)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    if done.returncode:
        raise BuildError(f"Blender did not install {archive}: {(done.stdout + done.stderr).strip()[-600:]}")


def make_repository(folder: Path, zips: Sequence[Path]) -> Path:
    """A static repository of the zips: put the folder on any web server and give Blender its index.json.

    Returns the index. Blender then installs, and updates, by itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for former in folder.glob("look_beyond-*.zip"):
        former.unlink()
    for archive in zips:
        shutil.copy2(archive, folder / archive.name)
    extension_tool("server-generate", "--repo-dir", folder, "--html")
    return folder / "index.json"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output-dir", type=Path, default=ROOT / "dist", help="default: dist/ beside this file")
    parser.add_argument("--all-platforms", action="store_true", help=f"one zip for each of {', '.join(PLATFORMS)}")
    parser.add_argument("--install", action="store_true", help="install it for the Blender of this Python")
    parser.add_argument("--repository", type=Path, metavar="FOLDER", help="make a static repository of all platforms")
    options = parser.parse_args(arguments)
    try:
        platforms = list(PLATFORMS) if options.all_platforms or options.repository else [this_platform()]
        zips = build_extension(options.output_dir.resolve(), platforms)
        for archive in zips:
            print(f"{archive} ({archive.stat().st_size / 1e6:.1f} MB)")
        if options.repository:
            print(f"Subscribe Blender to {make_repository(options.repository.resolve(), zips)}")
        if options.install:
            own = next(archive for archive in zips if this_platform().replace("-", "_") in archive.name)
            install(own)
            print(f"Installed {own.name}")
    except BuildError as error:
        print(f"build_addon.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
