"""Python environments in the cache folder, one per tool."""

import os
import subprocess
import sys
from pathlib import Path

from job import Skip

TIMEOUT = 600


def python(cache: Path, name: str, packages: tuple[str, ...], build: tuple[str, ...] = ()) -> Path:
    """The Python of an environment with NumPy and these packages, which is made if it is missing.

    A failure is remembered: `rm -r CACHE/NAME` tries again.
    """
    folder = cache / "environments" / name
    done, failed = folder / "installed.txt", folder / "failed.txt"
    wanted = "\n".join(("numpy", *build, *packages))
    if failed.exists():
        raise Skip(failed.read_text())
    if not done.exists() or done.read_text() != wanted:
        print(f"speed: installing {' '.join(packages) or 'numpy'} in {folder}", file=sys.stderr)
        try:
            run(folder, [sys.executable, "-m", "venv", str(folder)])
            pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            run(folder, [*pip, "numpy", *build])
            if packages:
                run(folder, [*pip, *(["--no-build-isolation"] if build else []), *packages])
        except Skip as reason:
            folder.mkdir(parents=True, exist_ok=True)
            failed.write_text(str(reason))
            raise
        done.write_text(wanted)
    return folder / "bin/python"


def run(folder: Path, command: list[str]) -> None:
    # What a build finds in the environment, such as CMake.
    path = f"{folder / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    what = "pip install" if "pip" in command else "python -m venv"
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT, env={**os.environ, "PATH": path}, check=False
        )
    except subprocess.TimeoutExpired:
        raise Skip(f"{what} took more than {TIMEOUT} s") from None
    if done.returncode != 0:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines()]
        errors = [line for line in lines if "error" in line.lower() and len(line) > 30]
        raise Skip(f"{what} failed: {(errors or lines or ['no message'])[-1]}")
