"""The program `fm`, with the libtorch of the installed PyTorch."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn, Union

__all__ = ["Error", "export", "main", "run", "train"]

PathText = Union[str, "os.PathLike[str]"]
Flag = Union[str, int, float, bool, None, "os.PathLike[str]"]

# The version that the program is linked to.
_TORCH = "2.11."
_PROGRAM = Path(__file__).parent / "bin" / "fm"


class Error(RuntimeError):
    """The program failed, or cannot be started."""


def _environment() -> dict[str, str]:
    """This process's environment, with the folder of PyTorch's libraries first in the loader's path.

    PyTorch may be in another folder of packages than this module, so a path relative to the program is not enough.
    """
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        raise Error(f"PyTorch is not installed for {sys.executable}: pip install 'torch=={_TORCH}*'")
    version = importlib.metadata.version("torch")
    if not version.startswith(_TORCH):
        raise Error(f"PyTorch {_TORCH}* is needed, and {version} is installed: pip install 'torch=={_TORCH}*'")
    folder = os.path.join(list(spec.submodule_search_locations)[0], "lib")
    name = "DYLD_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"
    earlier = os.environ.get(name)
    return {**os.environ, name: os.pathsep.join([folder, earlier] if earlier else [folder])}


def main() -> NoReturn:
    """Replaces this process with the program."""
    try:
        environment = _environment()
        os.execve(_PROGRAM, ["fm", *sys.argv[1:]], environment)
    except (Error, OSError) as error:
        sys.exit(f"error: {error}")


def run(*arguments: Flag, echo: bool = True) -> str:
    """Runs `fm` with these arguments, and returns its standard output.

    Messages go to `sys.stderr` line by line, unless `echo` is false.

    Raises `Error` with the last message if the program fails.
    """
    command = [str(_PROGRAM), *(os.fspath(a) if isinstance(a, os.PathLike) else str(a) for a in arguments)]
    # One pipe is read while the program runs. The other is a file, so that neither can fill up unread.
    import tempfile

    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(
            command,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        ) as process:
            assert process.stderr is not None
            last = ""
            for line in process.stderr:
                last = line.strip() or last
                if echo:
                    sys.stderr.write(line)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    if process.returncode != 0:
        what = last.removeprefix("error: ") or f"`{' '.join(command[:2])}` ended with {process.returncode}"
        raise Error(what)
    return text


def _flags(settings: Mapping[str, Flag | Iterable[Flag]]) -> list[Flag]:
    """`{"batch_size": 64, "force": True, "set": ["a=1"]}` as `--batch-size 64 --force --set a=1`."""
    flags: list[Flag] = []
    for name, value in settings.items():
        flag = "--" + name.replace("_", "-")
        values = [value] if isinstance(value, (str, int, float, os.PathLike)) or value is None else list(value)
        for one in values:
            if one is True:
                flags.append(flag)
            elif one is not None and one is not False:
                flags.append(f"{flag}={os.fspath(one) if isinstance(one, os.PathLike) else one}")
    return flags


def train(
    data: PathText | None = None,
    *,
    run: PathText,
    label: str | None = None,
    model: str | None = None,
    **settings: Flag | Iterable[Flag],
) -> Path:
    """Trains a model in the folder `run`, and returns that folder.

    `settings` are the flags of `fm train`, with `_` for `-`: `epochs=5`, `force=True`, `model_option=["k=8"]`. The
    results are printed.

    Raises `Error` if the program fails.
    """
    flags = _flags({"data": data, "run": run, "label": label, "model": model, **settings})
    sys.stdout.write(_run("train", *flags))
    return Path(run)


def export(run: PathText, output: PathText, **settings: Flag | Iterable[Flag]) -> Path:
    """Exports a run to a file, and returns that file.

    `settings` are the flags of `fm export`: `with_catalogue=True` for recommendations, `dtype="f16"`.

    Raises `Error` if the program fails.
    """
    _run("export", run, *_flags({"output": output, **settings}))
    return Path(output)


# `train` and `export` have an argument called `run`.
_run = run
