"""What the driver asks of a tool, what the tool answers, and the entry that describes the tool."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

PARTS = ("train", "valid", "test")


class Skip(Exception):
    """A tool cannot do a job, for a reason of one line."""


@dataclass
class Job:
    """One training."""

    set: str  # name of the data set
    data: str  # the same, with the number of rows if it is limited
    folder: str  # its files
    tool: str
    model: str
    k: int
    threads: int
    repeat: int
    epochs: int  # maximum number of passes over the training rows
    patience: int  # passes without a better validation logloss before the end
    limit: float  # seconds before the training is stopped
    work: str  # a folder for temporary files
    program: str | None = None  # the tool's executable

    @property
    def key(self) -> str:
        """What makes the job different from all others."""
        return f"{self.data}/{self.model}/{self.k}/{self.threads}/{self.tool}/{self.repeat}"

    def file(self, name: str) -> str:
        return str(Path(self.folder) / name)

    def scratch(self, name: str) -> str:
        return str(Path(self.work) / name)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @staticmethod
    def read(path: Path) -> "Job":
        return Job(**json.loads(path.read_text()))


@dataclass
class Epoch:
    """The state after some passes over the training rows."""

    seconds: float  # of training in these passes, without reading, validation and prediction
    passes: int = 1
    fastest: float | None = None  # seconds of the fastest of several passes, if they are known
    valid: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Peer:
    """A tool: how it is installed, which models it has, and how it trains one."""

    name: str
    models: tuple[str, ...]
    train: Callable[[Job], Iterator[Epoch]]
    settings: str  # the settings, as the page shows them
    packages: tuple[str, ...] = ()  # from PyPI, besides NumPy
    build: tuple[str, ...] = ()  # from PyPI, where building the packages needs more than they declare
    threads: tuple[int, ...] | None = None  # numbers of threads that it supports, if not all
    executable: bool = False  # whether an option names its executable


def call(job: Job, command: list[str], environment: dict[str, str] | None = None) -> str:
    """The output of a program that must succeed."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=job.limit,
            cwd=job.work, env={**os.environ, **(environment or {})}, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Skip(f"it ran for more than {job.limit:.0f} s") from None
    if done.returncode != 0:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()]
        raise Skip((errors or lines[-1:] or [f"exit code {done.returncode}"])[0].removeprefix("error: "))
    return done.stdout
