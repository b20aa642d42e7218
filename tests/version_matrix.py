"""The extension's tests in several Blenders, one after another: before a release, beside the suite.

    python tests/version_matrix.py PYTHON [PYTHON ...]

Each PYTHON is that of an environment with another `bpy` (4.2, 4.5, 5.0 for Python 3.11; 5.2 for 3.13), pytest and
nothing else. Prints one line a Blender; ends with 1 if any failed.
"""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = "import bpy, sys; print(f'Blender {bpy.app.version_string}, Python {sys.version.split()[0]}')"


def main(pythons: list[str]) -> int:
    if not pythons:
        print(__doc__, file=sys.stderr)
        return 2
    failed = 0
    for python in pythons:
        name = subprocess.run([python, "-c", VERSION], capture_output=True, text=True).stdout.strip() or python
        started = time.monotonic()
        done = subprocess.run(
            [python, "-m", "pytest", "tests/blender_addon", "-q"], cwd=ROOT, capture_output=True, text=True
        )
        summary = (done.stdout.strip().splitlines() or ["nothing was said"])[-1]
        print(
            f"{name}: {'passed' if done.returncode == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s",
            flush=True,
        )
        if done.returncode:
            failed = 1
            print(f"  {summary}\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
