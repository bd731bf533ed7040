"""The least that a row needs, and what the machine does in a second: `python floor.py THREADS` measures the machine.

A tool that moves only these bytes and does only these operations, at the measured rates, trains as many rows a second
as `rows_per_second` says.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

NUMBER = 4  # bytes of a float32 and of an id


@dataclass(frozen=True)
class Machine:
    """What was measured."""

    bandwidth: float  # bytes that are read or written in a second
    products: float  # operations of float32 matrix products in a second
    cache: int  # bytes of the last-level cache


@dataclass(frozen=True)
class Needs:
    """What a row needs."""

    bytes: float
    operations: float

    def rows_per_second(self, machine: Machine) -> float:
        return 1 / max(self.bytes / machine.bandwidth, self.operations / machine.products)


def needs(about: dict, model: str, k: int, cache: int) -> Needs | None:
    """For a step of AdaGrad: each number that a row looks up has a state, and both are read and written.

    A table that fits into the last-level cache moves no bytes of memory; then the record of the row alone does.
    """
    slots, fields, features = about["active"], len(about["fields"]), about["features"]
    record = (slots + 1) * NUMBER
    if model == "fm":
        looked_up, table = slots * (1 + k), features * (1 + k)
        # Per slot and factor: 4 for the sums and the squares, 3 for the gradient. Per number: 6 for AdaGrad.
        operations = slots * (7 * k + 2) + 6 * looked_up
    elif model == "ffm":
        # A vector for each other field.
        looked_up, table = slots * (1 + (fields - 1) * k), features * (1 + (fields - 1) * k)
        # Per pair of fields: a product. Per number: 2 for the gradient and 6 for AdaGrad.
        operations = fields * (fields - 1) * k + 8 * looked_up
    else:
        return None
    moved = 0 if 2 * NUMBER * table <= cache else 4 * NUMBER * looked_up
    return Needs(record + moved, operations)


def last_level_cache() -> int:
    sizes = [0]
    for file in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = file.read_text().strip()
        sizes.append(int(text[:-1]) * {"K": 1 << 10, "M": 1 << 20}[text[-1]])
    return max(sizes)


def measure(threads: int) -> dict:
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    def fastest(work: object, times: int = 7) -> float:
        seconds = []
        for _ in range(times):
            begin = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - begin)
        return min(seconds)

    n = 1 << 25
    pairs = [(np.ones(n // threads, np.float32), np.zeros(n // threads, np.float32)) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        copying = fastest(lambda: list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs)))
    size = 1536
    a = np.random.default_rng(0).standard_normal((size, size), np.float32)
    multiplying = fastest(lambda: a @ a)
    return {"bandwidth": 2 * NUMBER * n / copying, "products": 2 * size**3 / multiplying, "cache": last_level_cache()}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
