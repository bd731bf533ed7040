"""LIBFFM, whose executable `ffm-train` `--libffm` names."""

import re
from collections.abc import Iterator
from pathlib import Path

from job import Epoch, Job, Peer, call

# From a small search on the validation rows of MovieLens-1M.
SETTINGS = "-r 0.2 -l 0.0001"


def train(job: Job) -> Iterator[Epoch]:
    from peers.scored import measured

    model, scores = job.scratch("model"), job.scratch("scores.txt")
    command = [str(job.program), "-k", str(job.k), "-t", str(job.epochs), "-s", str(job.threads), "--auto-stop"]
    files = ["-p", job.file("valid.libffm"), job.file("train.libffm"), model]
    output = call(job, [*command, *SETTINGS.split(), *files])
    # A line per pass: its number, the logloss of training and of validation, and the seconds so far.
    table = [line.split() for line in output.splitlines() if re.fullmatch(r"\s*\d+(\s+[\d.]+){3}\s*", line)]
    call(job, [str(Path(str(job.program)).with_name("ffm-predict")), job.file("scored.libffm"), model, scores])
    valid, test = measured(job, scores)
    best = min(range(len(table)), key=lambda i: float(table[i][2]))
    # The seconds have one decimal, so a single pass says little.
    mean = float(table[-1][3]) / len(table)
    before = 0.0
    for i, (_, _, loss, seconds) in enumerate(table):
        metrics = (valid, test) if i == best else ({"logloss": float(loss)}, {})
        yield Epoch(float(seconds) - before, 1, mean, *metrics)
        before = float(seconds)


PEER = Peer("libffm", ("ffm",), train, f"AdaGrad: {SETTINGS}", executable=True)
