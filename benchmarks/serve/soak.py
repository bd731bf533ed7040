"""A long load of all kinds of requests, while the served file is replaced again and again.

    python3 benchmarks/serve/soak.py --fm target/release/fm --seconds 600

It fails if a request gets another answer than it should, if memory grows by more than a twentieth after the first part
of a run of at least five minutes, or if SIGTERM loses a request that has been accepted. Everything stays on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import itertools
import json
import shutil
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from client import Answer, Connection, request
from served import ROW, Served, allow_many_files, make_models, replace

# How much memory may grow after the first part of the time, in which allocators and graphs settle.
GROWTH = 1.05
SETTLING = 0.2
# Memory has not settled in fewer seconds: then it is printed, but the soak does not fail.
SHORTEST = 300.0
# Seconds between two replacements of the file.
RELOAD = 10.0
NAMES = ("user", "film", "genres", "price")


def rows(count: int) -> list[dict[str, Any]]:
    others = ({"user": at, "film": f"f{at * 7 % 320}", "genres": ["Drama"], "price": None} for at in range(1, count))
    return [ROW, *others]


def tensors(count: int) -> tuple[bytes, int]:
    """A request of the Open Inference Protocol with binary tensors, and the length of its JSON."""
    parts = []
    for name in NAMES:
        values = ("Drama" if name == "genres" else row.get(name) for row in rows(count))
        texts = (str("" if value is None else value).encode() for value in values)
        parts.append(b"".join(struct.pack("<I", len(text)) + text for text in texts))
    inputs = [
        {"name": name, "shape": [count, 1], "datatype": "BYTES", "parameters": {"binary_data_size": len(part)}}
        for name, part in zip(NAMES, parts)
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    return head + b"".join(parts), len(head)


# Method, path, body, headers, and the status that it must get.
Kind = tuple[str, str, bytes, dict[str, str], int]


def kinds() -> list[Kind]:
    """Each kind of request, as often as a client might send it."""
    binary, length = tensors(16)
    sizes = (1, 1, 1, 4, 32, 200)
    score: list[Kind] = [("POST", "/score", json.dumps(rows(count)).encode(), {}, 200) for count in sizes]
    infer = ("POST", "/v2/models/model/infer", binary, {"inference_header_content_length": str(length)}, 200)
    return [
        *score * 4,
        *[infer] * 6,
        ("GET", "/recommend?user=4&k=5", b"", {}, 200),
        ("POST", "/explain", json.dumps(ROW).encode(), {}, 200),
        ("GET", "/schema", b"", {}, 200),
        ("GET", "/metrics", b"", {}, 200),
        ("GET", "/v2/health/ready", b"", {}, 200),
        ("GET", "/none", b"", {}, 404),
        ("POST", "/score", b"{", {}, 400),
        ("POST", "/score", b" " * 100_000 + b"[{}]", {}, 200),
    ]


class Load:
    """Clients that ask until they are told to stop."""

    def __init__(self, server: Served, files: list[Path]) -> None:
        self.server, self.files = server, files
        self.counts: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []
        self.known: set[float] = set()
        self.is_over = False

    async def client(self, start: int) -> None:
        of_all = kinds()
        connection = await Connection.open(self.server.address)
        for at in itertools.count(start):
            if self.is_over:
                break
            # 7 and the number of kinds have no common factor, so that each client sends all of them.
            method, path, body, headers, status = of_all[at * 7 % len(of_all)]
            try:
                answer = await connection.ask(method, path, body, **headers)
            except (EOFError, OSError, TimeoutError) as error:
                self.wrong.append(f"{method} {path}: {type(error).__name__} {error}")
                connection = await Connection.open(self.server.address)
                continue
            self.counts[path.split("?")[0]] += 1
            if answer.status != status:
                self.wrong.append(f"{method} {path}: {answer.status} {answer.body[:200]!r}")
            elif path == "/score" and status == 200:
                self._score(answer)
        connection.close()

    def _score(self, answer: Answer) -> None:
        first = answer.json()["predictions"][0]
        # The first row is the same in all requests but one, which has no values. Batches differ in rounding.
        self.known.add(round(first, 4))

    async def reload(self, served: Path) -> int:
        """Replaces the file until the end; how often."""
        for count in itertools.count():
            for _ in range(int(RELOAD * 10)):
                if self.is_over:
                    return count
                await asyncio.sleep(0.1)
            replace(served, self.files[count % 2])
        return 0


async def soak(server: Served, served: Path, files: list[Path], seconds: float, clients: int) -> bool:
    load = Load(server, files)
    reloading = asyncio.create_task(load.reload(served))
    asking = [asyncio.create_task(load.client(start)) for start in range(clients)]
    start = time.monotonic()
    await asyncio.sleep(seconds * SETTLING)
    settled = server.memory()
    highest = settled
    shown = 0
    while time.monotonic() - start < seconds:
        await asyncio.sleep(1)
        highest = max(highest, server.memory())
        if (part := int(10 * (time.monotonic() - start) / seconds)) > shown:
            shown = part
            count = sum(load.counts.values())
            print(f"  {10 * part} %: {count:,} requests, memory x {server.memory() / settled:.3f}", flush=True)
    load.is_over = True
    await asyncio.gather(*asking)
    reloads = await reloading
    grown = server.memory() / settled
    loads = server.metric("fm_model_loads_total")
    count = sum(load.counts.values())
    print(f"{count:,} requests, {len(load.wrong)} wrong, {reloads} replaced files, {loads:.0f} loads")
    print(f"memory x {grown:.3f} at the end, x {highest / settled:.3f} at most, after {SETTLING:.0%} of the time")
    for what in load.wrong[:5]:
        print(f"  {what}")
    # Two files, each with the first row and the row without values.
    if len(load.known) > 4 or reloads > 1 and len(load.known) < 3:
        print(f"  scores of {len(load.known)} kinds: {sorted(load.known)[:9]}")
        return False
    # A busy machine may take longer to load a file than the next one takes to come, which then is loaded instead.
    has_grown = grown > GROWTH and seconds >= SHORTEST
    return not load.wrong and not has_grown and loads >= (reloads - 1) / 2


async def stop_under_load(server: Served, clients: int) -> bool:
    """SIGTERM while every client waits for an answer."""
    body = json.dumps(rows(50)).encode()
    connections = [await Connection.open(server.address) for _ in range(clients)]
    for connection in connections:
        await connection.send(request("POST", "/score", body))
    # A head that has arrived is an accepted request.
    await asyncio.sleep(0.05)
    stopping = asyncio.create_task(asyncio.to_thread(server.stop))
    found = await asyncio.gather(*(connection.read() for connection in connections), return_exceptions=True)
    answered = sum(isinstance(answer, Answer) and answer.status == 200 for answer in found)
    code = await stopping
    print(f"SIGTERM: {answered} of {clients} accepted requests answered, exit code {code}")
    return answered == clients and code == 0


async def run(server: Served, served: Path, files: list[Path], args: argparse.Namespace) -> bool:
    held = await soak(server, served, files, args.seconds, args.clients)
    stopped = await stop_under_load(server, 200)
    complaints = server.complaints()
    for line in complaints[:5]:
        print(f"  log: {line}")
    return held and stopped and not complaints


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fm", type=Path, required=True, help="the program")
    parser.add_argument("--seconds", type=float, default=600, help="how long [default: 600]")
    parser.add_argument("--clients", type=int, default=16, help="connections that ask all the time [default: 16]")
    args = parser.parse_args()
    allow_many_files()
    with tempfile.TemporaryDirectory() as folder:
        files = make_models(args.fm.resolve(), Path(folder))
        served = Path(folder) / "model.pt"
        shutil.copy(files[0], served)
        # An explanation counts as thousands of rows, and all clients may want one at the same time.
        options = ["--reload-every", "1", "--max-queue", "200000"]
        with Served(args.fm.resolve(), served, *options) as server:
            good = asyncio.run(run(server, served, files, args))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
