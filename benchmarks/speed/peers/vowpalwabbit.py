"""Vowpal Wabbit: its field-aware factorization, `--lrqfa`."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from string import ascii_letters

from job import Epoch, Job, Peer

SETTINGS = "--loss_function logistic -l 0.1 --quiet"
PASSES = 5


def train(job: Job) -> Iterator[Epoch]:
    import numpy as np
    from vowpalwabbit import Workspace

    from metric import measure
    from rows import load_labels

    about = json.loads(Path(job.file("about.json")).read_text())
    fields, passes = len(about["fields"]), min(PASSES, job.epochs)
    # A slot for each number of the model.
    bits = (about["features"] * (1 + fields * job.k)).bit_length()
    text, model, cache, scores = job.file("train.vw"), *map(job.scratch, ("model", "train.cache", "scores.txt"))
    # Reads the text once, without learning.
    Workspace(f"--quiet -t -d {text} --cache_file {cache}").finish()
    machine = f"--lrqfa {ascii_letters[:fields]}{job.k} -b {bits} --random_seed {job.repeat}"
    begin = time.perf_counter()
    learner = Workspace(
        f"{SETTINGS} {machine} --passes {passes} --holdout_off -d {text} --cache_file {cache} -f {model}"
    )
    seconds = time.perf_counter() - begin
    learner.finish()
    found = []
    for part in ("valid", "test"):
        Workspace(f"-i {model} -t -d {job.file(part + '.vw')} -p {scores} --link logistic --quiet").finish()
        found.append(measure(load_labels(job, part), np.loadtxt(scores, usecols=0)))
    yield Epoch(seconds, passes, None, *found)


PEER = Peer("vowpalwabbit", ("ffm",), train, f"--lrqfa {SETTINGS}", packages=("vowpalwabbit",), threads=(1,))
