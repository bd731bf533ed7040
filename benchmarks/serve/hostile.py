"""Clients that mean harm, while a polite one must get all its answers.

    python3 benchmarks/serve/hostile.py --fm target/release/fm

Each scene has a server of its own, a bounded number of clients and an end. Everything stays on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from client import Answer, Connection, Polite, read_answer, request
from served import ROW, Served, allow_many_files, make_models

Outcomes = collections.Counter[str]
GONE = (EOFError, OSError, TimeoutError)


async def outcome(work: Awaitable[Answer], patience: float = 30.0) -> str:
    """The status of an answer, or `closed` if the server ended the connection without one."""
    try:
        return str((await asyncio.wait_for(work, patience)).status)
    except TimeoutError:
        return "nothing"
    except (EOFError, OSError):
        return "closed"


async def one(server: Served, data: bytes, ends: bool = False) -> Answer:
    """Sends bytes on a new connection, ends this side if asked to, and reads one answer."""
    reader, writer = await asyncio.open_connection(*server.address)
    try:
        with contextlib.suppress(*GONE):
            writer.write(data)
            if ends:
                writer.write_eof()
            await writer.drain()
        return await read_answer(reader)
    finally:
        writer.close()


async def many(count: int, at_once: int, work: Callable[[], Awaitable[str]]) -> Outcomes:
    room = asyncio.Semaphore(at_once)

    async def limited() -> str:
        async with room:
            return await work()

    return collections.Counter(await asyncio.gather(*(limited() for _ in range(count))))


async def held(server: Served, count: int) -> list[Connection]:
    """Open connections that send nothing."""
    return [await Connection.open(server.address) for _ in range(count)]


async def newcomers(server: Served) -> Outcomes:
    """Clients that come now, and ask on a connection of their own."""
    return await many(200, 4, lambda: outcome(one(server, request("POST", "/score", b'[{"user": "4"}]'))))


async def open_ten_thousand(server: Served) -> Outcomes:
    """Ten thousand connections are open, and each gets an answer in the end."""
    connections = await held(server, 10_000)
    room = asyncio.Semaphore(64)

    async def ask(connection: Connection) -> str:
        async with room:
            return await outcome(connection.ask("POST", "/score", [ROW]), 60)

    found = collections.Counter(await asyncio.gather(*map(ask, connections)))
    for connection in connections:
        connection.close()
    return found


async def beyond_the_limit(server: Served) -> Outcomes:
    """Ten thousand idle connections want the places of a server that has a tenth of them."""
    connections = await held(server, 10_000)
    # A connection can lose its place once it has been idle for a second.
    await asyncio.sleep(1)
    found = await newcomers(server)
    for connection in connections:
        connection.close()
    return found


async def slow_heads(server: Served) -> Outcomes:
    """Two thousand clients send a byte of the head each second, while others come and ask."""

    async def dribble() -> None:
        connection = await Connection.open(server.address)
        with contextlib.suppress(*GONE):
            for byte in request("GET", "/schema")[:20]:
                await connection.send(bytes([byte]))
                await asyncio.sleep(1)
        connection.close()

    slow = [asyncio.create_task(dribble()) for _ in range(2000)]
    await asyncio.sleep(3)
    found = await newcomers(server)
    await asyncio.gather(*slow)
    return found


async def slow_bodies(server: Served) -> Outcomes:
    """Clients announce a body and send a byte each second: the server's timeout is 2 s."""

    async def dribble() -> str:
        connection = await Connection.open(server.address)

        async def send() -> None:
            await connection.send(request("POST", "/score", b" " * 1000)[:-1000])
            while True:
                await connection.send(b" ")
                await asyncio.sleep(1)

        sending = asyncio.create_task(send())
        found = await outcome(connection.read())
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        connection.close()
        return found

    return await many(900, 900, dribble)


async def header_bombs(server: Served) -> Outcomes:
    """Five thousand headers, a header of a MiB, a path of a MiB, and a head that never ends."""
    names = "".join(f"h{number}: x\r\n" for number in range(5000))
    bombs = [
        f"GET / HTTP/1.1\r\n{names}\r\n".encode(),
        b"GET / HTTP/1.1\r\nhuge: " + b"x" * (1 << 20) + b"\r\n\r\n",
        b"GET /" + b"x" * (1 << 20) + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200_000,
    ]
    found: Outcomes = collections.Counter()
    for bomb in bombs:
        found += await many(250, 32, lambda: outcome(one(server, bomb)))
    return found


async def half_closed(server: Served) -> Outcomes:
    """Clients send a whole request and end their side before they read."""
    body = b'[{"user": "4", "film": "f3"}]'
    return await many(2000, 32, lambda: outcome(one(server, request("POST", "/score", body), ends=True)))


async def cut_off(server: Served) -> Outcomes:
    """Clients end within the head or the body."""
    whole = request("POST", "/score", b'[{"user": "4", "film": "f3"}]')
    cuts = iter(range(1, 10_000))
    return await many(2000, 32, lambda: outcome(one(server, whole[: next(cuts) % (len(whole) - 1) + 1], ends=True)))


async def gone_before_the_answer(server: Served) -> Outcomes:
    """Clients send requests of a thousand rows, and disappear."""
    body = b"[" + b",".join([b'{"user": "4", "film": "f3", "genres": ["Drama"]}'] * 1000) + b"]"

    async def vanish() -> str:
        connection = await Connection.open(server.address)
        with contextlib.suppress(*GONE):
            await connection.send(request("POST", "/score", body))
        connection.writer.transport.abort()
        return "gone"

    return await many(300, 16, vanish)


async def deaf(server: Served) -> Outcomes:
    """Clients ask for long answers and read none: the server's timeout is 2 s."""

    async def ask() -> str:
        connection = await Connection.open(server.address)
        connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
        try:
            # Until neither side can write more: the answers are longer than what the system keeps for a client.
            for _ in range(200):
                await asyncio.wait_for(connection.send(request("GET", "/schema") * 1000), 20)
        except TimeoutError:
            return "never given up"
        except OSError:
            return "closed"
        finally:
            connection.writer.transport.abort()
        return "all taken"

    return await many(100, 100, ask)


# The scene, options of its server, and the outcomes that it may have.
SCENES: list[tuple[Callable[[Served], Awaitable[Outcomes]], list[str], set[str]]] = [
    (open_ten_thousand, ["--max-connections", "10100"], {"200"}),
    (beyond_the_limit, [], {"200"}),
    (slow_heads, [], {"200"}),
    (slow_bodies, ["--timeout", "2"], {"408"}),
    (header_bombs, [], {"400", "414", "431", "closed"}),
    (half_closed, [], {"200"}),
    (cut_off, [], {"400", "closed"}),
    (gone_before_the_answer, [], {"gone"}),
    (deaf, ["--timeout", "2"], {"closed"}),
]


async def play(fm: Path, file: Path, at: int) -> bool:
    scene, options, allowed = SCENES[at]
    with Served(fm, file, *options) as server:
        async with Polite(server.address, ROW) as polite:
            await asyncio.sleep(0.5)
            before = server.memory()
            # The scene itself must end, too.
            found = await asyncio.wait_for(scene(server), 300)
            await asyncio.sleep(0.5)
        grown = server.memory() / before
        closed = await all_closed(server)
        code = server.stop()
        complaints = server.complaints()
    good = set(found) <= allowed and not polite.failures and closed and code == 0 and not complaints
    outcomes = ", ".join(f"{count} x {what}" for what, count in found.most_common())
    answers = f"{polite.answers} of {polite.answers + len(polite.failures)}"
    word = "ok" if good else "FAILED"
    print(f"{word:6} {scene.__name__}: {outcomes}; polite {answers}; memory x {grown:.2f}", flush=True)
    for what in (*polite.failures[:3], *complaints[:3], *([] if closed else ["connections stay open"])):
        print(f"       {what}")
    return good


async def all_closed(server: Served) -> bool:
    """Whether the server has closed what the clients left, but for the question itself."""
    for _ in range(100):
        if server.metric("fm_connections") <= 1:
            return True
        await asyncio.sleep(0.1)
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fm", type=Path, required=True, help="the program")
    parser.add_argument("--scene", help="this one only")
    args = parser.parse_args()
    allow_many_files()
    with tempfile.TemporaryDirectory() as folder:
        file = make_models(args.fm.resolve(), Path(folder))[0]
        scenes = [at for at, (scene, _, _) in enumerate(SCENES) if args.scene in (None, scene.__name__)]
        good = [asyncio.run(play(args.fm.resolve(), file, at)) for at in scenes]
    sys.exit(0 if good and all(good) else 1)


if __name__ == "__main__":
    main()
