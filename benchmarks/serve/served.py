"""Models to serve, and `fm serve` as a process."""

from __future__ import annotations

import http.client
import os
import random
import re
import resource
import signal
import subprocess
import threading
from pathlib import Path

ROW = {"user": "4", "film": "f3", "genres": "Drama|War", "price": "4.5"}
GENRES = ("Drama", "War", "Comedy", "Action")


def make_models(fm: Path, folder: Path) -> list[Path]:
    """Two exported files that score differently, with the same columns and a catalogue."""
    draw = random.Random(1)
    with open(folder / "clicks.csv", "w", encoding="utf-8") as file:
        file.write("user,film,genres,price,like\n")
        for _ in range(5000):
            user, film = draw.randrange(200), draw.randrange(300)
            of_film = "|".join(sorted({GENRES[film % 4], GENRES[film // 4 % 4]}))
            file.write(f"{user},f{film},{of_film},{film * 1.5},{int((user + film) % 3 == 0)}\n")
    files = []
    for name, seed in (("old", 1), ("new", 2)):
        train = ["train", "--data", "clicks.csv", "--label", "like", "--model", "deepfm", "--epochs", "2"]
        run = [str(fm), "--quiet", *train, "--seed", str(seed), "--run", f"runs/{name}"]
        subprocess.run(run, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        export = [str(fm), "--quiet", "export", f"runs/{name}", "--output", f"{name}.pt", "--with-catalogue"]
        subprocess.run(export, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        files.append(folder / f"{name}.pt")
    return files


def allow_many_files() -> int:
    """Raises the limit of open files as far as the system lets this process; returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Served:
    """`fm serve`, which ends with the block. What it writes is kept in `lines`."""

    def __init__(self, fm: Path, file: Path, *options: str, files: int | None = None) -> None:
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))) if files else None
        command = [str(fm), "serve", str(file), "--port", "0", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8", preexec_fn=limit)
        stderr = self.process.stderr
        assert stderr is not None
        self.lines: list[str] = []
        for line in stderr:
            self.lines.append(line)
            if found := re.search(r" on http://(.*):(\d+)", line):
                self.address = (found[1], int(found[2]))
                break
        else:
            raise SystemExit("".join(self.lines))
        self._reader = threading.Thread(target=lambda: self.lines.extend(stderr), daemon=True)
        self._reader.start()

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        connection.request("GET", "/metrics")
        page = connection.getresponse().read().decode()
        connection.close()
        values = re.findall(rf"^{re.escape(name)}(?:\{{.*\}})? (\S+)$", page, re.MULTILINE)
        assert values, f"no metric {name}"
        return sum(map(float, values))

    def memory(self) -> float:
        """Bytes that the process has in memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024.0

    def stop(self) -> int:
        """Asks it to stop, and returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def complaints(self) -> list[str]:
        """Warnings and errors in its log, without those of requests that it refused for lack of room."""
        told = (line for line in self.lines if re.search(r"WARN|ERROR|panic", line))
        return [line.strip() for line in told if "status=503" not in line]


def replace(file: Path, source: Path) -> None:
    """Puts a copy of a file in the place of another, as `fm export` does."""
    temporary = file.with_suffix(".copying")
    temporary.write_bytes(source.read_bytes())
    os.replace(temporary, file)
