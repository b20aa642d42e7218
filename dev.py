"""Set up what Look Beyond needs, then show it or test it.

    python dev.py demo     a photo becomes a panorama and a shot, inside Blender; see out/demo/
    python dev.py test     every check and test (or some: lint, method, bench, extension, end-to-end)
    python dev.py look     a sheet of real photos and what becomes of them, to look at; see out/look/
    python dev.py evaluate the bench: figures on rooms and real panoramas nobody trained on; see out/report/
    python dev.py build    what an artist installs, in dist/: the service's wheel and the extension's zip
    python dev.py setup    only the environments

Two environments stand beside this file, as they do at an artist's: `.venv` for the service (PyTorch) and
`.venv-blender` for Blender as a Python module; the extension's tests make a third, `.venv-other-blender`, for
another version of it. Until they stand, only the standard library is used. What is there is used again for as
long as pyproject.toml and this file ask for the same things.
"""

import argparse
import ctypes
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

# The Pythons that PyPI has a current bpy for, and the bpy of each that differs from it most.
BLENDER = {(3, 11): "5.0.1", (3, 13): "5.2.3"}
OTHER_BLENDER = {(3, 11): "4.2.23", (3, 13): "5.3.0"}
ROOT = Path(__file__).resolve().parent
SERVICE_ENVIRONMENT = ROOT / ".venv"
BLENDER_ENVIRONMENT = ROOT / ".venv-blender"
OTHER_BLENDER_ENVIRONMENT = ROOT / ".venv-other-blender"

# What Blender loads on Linux and no wheel brings, by Debian package.
LIBRARIES = {
    "libX11.so.6": "libx11-6",
    "libXrender.so.1": "libxrender1",
    "libXxf86vm.so.1": "libxxf86vm1",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libgomp.so.1": "libgomp1",
    "libSM.so.6": "libsm6",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libEGL_mesa.so.0": "libegl-mesa0",
}


class SetupError(Exception):
    """What keeps the command from running, in one sentence with the remedy."""


def say(message: str) -> None:
    print(f"» {message}", flush=True)


# --- the Python ----------------------------------------------------------------------------------------------


def other_pythons() -> Iterator[list[str]]:
    """Commands that may start a Python which Blender is published for: on PATH, of pyenv, the py launcher or uv."""
    for major, minor in BLENDER:
        version = f"{major}.{minor}"
        yield [f"python{version}"]
        pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
        for python in sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True):
            yield [str(python)]
        yield ["py", f"-{version}"]
        yield ["uv", "run", "--no-project", "--python", version, "python"]


def right_python() -> list[str] | None:
    """The first of `other_pythons` that starts and has the right version; None if there is none."""
    check = "import sys; print(*sys.version_info[:2])"
    for command in other_pythons():
        if shutil.which(command[0]):
            said = subprocess.run([*command, "-c", check], capture_output=True, text=True).stdout.split()
            if said in [[str(part) for part in version] for version in BLENDER]:
                return command
    return None


def how_to_get_python() -> str:
    """One line that installs a Python which Blender is published for."""
    if shutil.which("uv"):
        return "uv python install 3.13"
    if os.name == "nt":
        return "winget install Python.Python.3.13"
    if sys.platform == "darwin":
        return "brew install python@3.13"
    return "curl -LsSf https://astral.sh/uv/install.sh | sh && ~/.local/bin/uv python install 3.13"


def run_in_right_python() -> int:
    command = right_python()
    if command is None:
        print(
            "dev.py: Look Beyond is set up with Python 3.11 or 3.13, for which Blender is published, and none was found"
            f" here. Get one, then run this again: {how_to_get_python()}",
            file=sys.stderr,
        )
        return 1
    return subprocess.run([*command, *sys.argv]).returncode


# --- the machine --------------------------------------------------------------------------------------------


def missing_packages() -> list[str]:
    """Debian packages that Blender or `venv` needs and that this Linux lacks."""
    if not sys.platform.startswith("linux"):
        return []
    packages = []
    for library, package in LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            packages.append(package)
    if importlib.util.find_spec("ensurepip") is None:  # Debian ships it separately
        packages.append(f"python{sys.version_info[0]}.{sys.version_info[1]}-venv")
    return packages


def install_system_libraries() -> None:
    packages = missing_packages()
    if not packages:
        return
    command = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        raise SetupError(
            "Blender needs system libraries that this machine lacks; install what your system calls these"
            f" Debian packages, then run this again: {' '.join(packages)}."
        )
    if os.geteuid() != 0:
        raise SetupError(f"System libraries are missing; run `sudo apt-get update && sudo {command}`, then this again.")
    say(f"Installing system libraries: {' '.join(packages)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for line in ("apt-get update", command):
        done = subprocess.run(line.split(), env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SetupError(f"`{line}` failed: {last_words(done.stderr or done.stdout)}")


def last_words(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it printed nothing"])[-1]


# --- the environments ---------------------------------------------------------------------------------------


def python_of(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def program_of(environment: Path, name: str) -> Path:
    return python_of(environment).with_name(name + (".exe" if os.name == "nt" else ""))


def runs_this_python(environment: Path) -> bool:
    """Whether the environment is there and made with the Python that runs now."""
    try:
        version = subprocess.run(
            [python_of(environment), "-c", "import sys; print(*sys.version_info[:2])"],
            capture_output=True,
            text=True,
        ).stdout
    except OSError:
        return False
    return version.split() == [str(part) for part in sys.version_info[:2]]


def make_environment(environment: Path, requirements: Sequence[str], proof: str, cause: str) -> None:
    """Make `environment` hold `requirements` (pip's words), unless it does already.

    `cause` is the text of what the requirements come from: while it is unchanged, the environment stays. `proof` is
    a Python statement that must run in it.
    """
    wanted = hashlib.sha256(
        json.dumps([str(environment), list(requirements), cause, sys.version, platform.machine()]).encode()
    ).hexdigest()
    stamp = environment / "look_beyond.stamp"
    if stamp.is_file() and stamp.read_text() == wanted and python_of(environment).exists():
        return
    started = time.monotonic()
    say(f"Setting up {environment.name} (once, some minutes): {' '.join(requirements)}")
    if not runs_this_python(environment):
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", environment], capture_output=True, text=True)
        if made.returncode:
            raise SetupError(f"Could not make {environment}: {last_words(made.stderr + made.stdout)}")
    log = environment / "setup.log"
    with log.open("w") as output:
        # One call, so that pip settles on one PyTorch for everything that depends on it.
        installed = subprocess.run(
            [python_of(environment), "-m", "pip", "install", "--disable-pip-version-check", *requirements],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if installed.returncode:
        raise SetupError(f"pip could not fill {environment.name} ({log}): {last_words(log.read_text())}")
    works = subprocess.run([python_of(environment), "-c", proof], cwd=ROOT, capture_output=True, text=True)
    if works.returncode:
        raise SetupError(f"{environment.name} was made but does not work: {last_words(works.stderr)}")
    stamp.write_text(wanted)
    say(f"{environment.name} is ready after {time.monotonic() - started:.0f} s")


def read_pyproject() -> dict:
    import tomllib  # not needed by a Python that only looks for another

    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def set_up() -> None:
    install_system_libraries()
    pyproject = read_pyproject()
    packaging = {part: pyproject[part] for part in ("build-system", "project", "dependency-groups")}
    make_environment(
        SERVICE_ENVIRONMENT,
        ["--editable", ".[dev]"],
        "import torch, diffusers, transformers, zmq, cv2, OpenEXR",
        json.dumps(packaging),
    )
    make_blender(BLENDER_ENVIRONMENT, BLENDER[sys.version_info[:2]])


def make_blender(environment: Path, version: str) -> None:
    tools = read_pyproject()["dependency-groups"]["blender"]
    # Blender 4.2 was built with NumPy 1 and, as the only one, does not say so.
    own = ["numpy<2"] if version.startswith("4.2") else []
    make_environment(environment, [f"bpy=={version}", *own, *tools], "import bpy", "")


# --- what is done with them ---------------------------------------------------------------------------------


def run(python: Path, *arguments: str | Path) -> bool:
    """Run in an environment, its own programs first on PATH; whether it succeeded."""
    environment = os.environ | {
        "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "LOOKBEYOND_BLENDER_PYTHON": str(python_of(BLENDER_ENVIRONMENT)),
    }
    for foreign in ("PYTHONPATH", "PYTHONHOME"):
        environment.pop(foreign, None)
    return subprocess.run([python, *arguments], cwd=ROOT, env=environment).returncode == 0


def lint() -> bool:
    python = python_of(SERVICE_ENVIRONMENT)
    results = [
        run(python, "-m", "ruff", "format", "--check", "."),
        run(python, "-m", "ruff", "check", "."),
        run(program_of(SERVICE_ENVIRONMENT, "lint-imports")),
        run(python, "-m", "pyright", "--warnings"),
    ]
    return all(results)


def test_method(*options: str) -> bool:
    return run(
        python_of(SERVICE_ENVIRONMENT),
        *("-m", "pytest", "tests", "--ignore=tests/blender_addon", "--ignore=tests/end_to_end", *options),
    )


def test_bench() -> bool:
    out = ROOT / "out" / "quick_bench"
    shutil.rmtree(out, ignore_errors=True)  # what an earlier run cached knows nothing of this code
    return evaluate("--quick", "--against", ROOT / "docs" / "research" / "quick_bench.json", "--out", out)


def test_extension() -> bool:
    """Test in two Blenders; only in one, with a message, where the other cannot be installed."""
    environments = [BLENDER_ENVIRONMENT]
    other = OTHER_BLENDER[sys.version_info[:2]]
    try:
        make_blender(OTHER_BLENDER_ENVIRONMENT, other)
        environments.append(OTHER_BLENDER_ENVIRONMENT)
    except SetupError as error:
        say(f"SKIPPED: the extension is not tested in Blender {other}, which cannot be had here: {error}")
    return all([run(python_of(one), "-m", "pytest", "tests/blender_addon") for one in environments])


def test_end_to_end() -> bool:
    return run(python_of(SERVICE_ENVIRONMENT), "-m", "pytest", "tests/end_to_end")


STAGES: dict[str, Callable[[], bool]] = {
    "lint": lint,
    "method": test_method,
    "bench": test_bench,
    "extension": test_extension,
    "end-to-end": test_end_to_end,
}


def test(names: Sequence[str], coverage: bool) -> bool:
    # counting lines makes Python's share of the tests a third slower, so it is asked for
    stages = STAGES | ({"method": lambda: test_method("--cov", "--cov-report=term")} if coverage else {})
    outcomes = {}
    for name in names or stages:
        say(f"test: {name}")
        started = time.monotonic()
        outcomes[name] = (stages[name](), time.monotonic() - started)
    for name, (passed, seconds) in outcomes.items():
        say(f"{name}: {'passed' if passed else 'FAILED'} in {seconds:.0f} s")
    return all(passed for passed, _ in outcomes.values())


def build() -> bool:
    wheel = run(
        python_of(SERVICE_ENVIRONMENT),
        *("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", ROOT / "dist", ROOT),
    )
    built = wheel and run(python_of(BLENDER_ENVIRONMENT), ROOT / "build_addon.py")
    if built:
        say(f"{ROOT / 'dist'} holds {', '.join(sorted(path.name for path in (ROOT / 'dist').glob('look*')))}")
    return built


def evaluate(*arguments: str | Path) -> bool:
    """Run the bench; unless other options are given, with the eight panoramas that Blender brings (CC0)."""
    arguments = ("--out", ROOT / "out" / "report", *arguments)
    if "--quick" not in arguments and "--panoramas" not in arguments:
        folders = BLENDER_ENVIRONMENT.glob("[Ll]ib/**/site-packages/bpy/*/datafiles/studiolights/world")
        marked = ROOT / "tests" / "lookbeyond" / "evaluation" / "wall_bases.json"
        arguments = (*arguments, "--panoramas", next(folders), "--wall-bases", marked)
    return run(program_of(SERVICE_ENVIRONMENT, "lookbeyond"), "evaluate", *arguments)


def study(*arguments: str) -> bool:
    """The study, with the eight panoramas that Blender brings (CC0) unless others are named."""
    # as one would type them here: the report says how it was made
    if "--panoramas" not in arguments:
        folders = BLENDER_ENVIRONMENT.glob("[Ll]ib/**/site-packages/bpy/*/datafiles/studiolights/world")
        arguments = (*arguments, "--panoramas", next(folders).relative_to(ROOT).as_posix())
    if "--out" not in arguments:
        arguments = ("--out", "report", *arguments)
    return run(program_of(SERVICE_ENVIRONMENT, "lookbeyond"), "study", *arguments)


def demo(out: Path) -> bool:
    return run(python_of(SERVICE_ENVIRONMENT), "-m", "tests.end_to_end.demo", "--out", out)


def look(*arguments: str) -> bool:
    return run(
        python_of(SERVICE_ENVIRONMENT), "-m", "tests.end_to_end.look", "--out", ROOT / "out" / "look", *arguments
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("setup", help="make the environments")
    commands.add_parser("build", help="the service's wheel and the extension's zip, in dist/")
    demo_parser = commands.add_parser("demo", help="a photo becomes a panorama and a shot, inside Blender")
    demo_parser.add_argument("--out", type=Path, default=ROOT / "out" / "demo", help="default: %(default)s")
    commands.add_parser("evaluate", help="the bench; what follows is handed to `lookbeyond evaluate`", add_help=False)
    commands.add_parser("look", help="real photos and what becomes of them; --photos FOLDER for others", add_help=False)
    commands.add_parser("study", help="the paper's experiments; the rest goes to `lookbeyond study`", add_help=False)
    test_parser = commands.add_parser("test", help="every check and test")
    test_parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"some of: {', '.join(STAGES)}")
    test_parser.add_argument("--coverage", action="store_true", help="count the lines that the method's tests run")
    arguments, further = parser.parse_known_args()
    if further and arguments.command not in ("evaluate", "look", "study"):
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    if arguments.command == "test" and not set(arguments.stages) <= set(STAGES):
        parser.error(f"a stage is one of: {', '.join(STAGES)}")
    try:
        set_up()
    except SetupError as error:
        print(f"dev.py: {error}", file=sys.stderr)
        return 1
    done = True
    if arguments.command == "demo":
        done = demo(arguments.out.resolve())
    elif arguments.command == "test":
        done = test(arguments.stages, arguments.coverage)
    elif arguments.command == "evaluate":
        done = evaluate(*further)
    elif arguments.command == "study":
        done = study(*further)
    elif arguments.command == "look":
        done = look(*further)
    elif arguments.command == "build":
        done = build()
    return 0 if done else 1


if __name__ == "__main__":
    try:
        sys.exit(main() if sys.version_info[:2] in BLENDER else run_in_right_python())
    except KeyboardInterrupt:
        sys.exit(130)
