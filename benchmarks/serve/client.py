"""A client of HTTP/1.1 that also sends what no client should."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

# How long an answer may take before it counts as lost. The server's own limits are far below.
PATIENCE = 60.0


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """The next answer.

    Raises `EOFError` or `OSError` if the connection ends before it is whole.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Answer(int(head[0].split(" ")[1]), headers, body)


class Connection:
    """An open connection, which requests share one after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @staticmethod
    async def open(address: tuple[str, int]) -> Connection:
        return Connection(*await asyncio.open_connection(*address))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read(self) -> Answer:
        return await asyncio.wait_for(read_answer(self.reader), PATIENCE)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.send(request(method, path, data, **headers))
        return await self.read()

    def close(self) -> None:
        self.writer.close()


class Polite:
    """A client that asks all the time on one connection, while others misbehave."""

    def __init__(self, address: tuple[str, int], row: dict[str, str], pause: float = 0.02) -> None:
        self.answers = 0
        self.failures: list[str] = []
        self._address, self._row, self._pause = address, row, pause
        self._expected: Any = None

    async def __aenter__(self) -> Polite:
        self._connection = await Connection.open(self._address)
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._connection.close()

    async def _run(self) -> None:
        while True:
            try:
                answer = await self._connection.ask("POST", "/score", [self._row])
                self._count(answer)
            except (EOFError, OSError, TimeoutError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
                self._connection = await Connection.open(self._address)
            await asyncio.sleep(self._pause)

    def _count(self, answer: Answer) -> None:
        found = answer.json().get("predictions")
        self._expected = self._expected or found
        if answer.status == 200 and found == self._expected:
            self.answers += 1
        else:
            self.failures.append(f"status {answer.status}, {answer.body[:100]!r}")
