"""xLearn: AdaGrad."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from job import Epoch, Job, Peer, Skip

# From a small search on the validation rows of MovieLens-1M. FM is better without the normalisation of rows.
SETTINGS = {"fm": {"lr": 0.1, "lambda": 0.00005}, "ffm": {"lr": 0.2, "lambda": 0.0001}}


def train(job: Job) -> Iterator[Epoch]:
    # It fails without a name of a user.
    os.environ.setdefault("USER", "fm")
    import xlearn

    from peers.scored import measured

    create, suffix = (xlearn.create_fm, "libsvm") if job.model == "fm" else (xlearn.create_ffm, "libffm")
    model, scores, log = job.scratch("model"), job.scratch("scores.txt"), job.scratch("log.txt")
    learner = create()
    learner.setTrain(job.file(f"train.{suffix}"))
    learner.setValidate(job.file(f"valid.{suffix}"))
    if job.model == "fm":
        learner.disableNorm()
    settings = {"task": "binary", "opt": "adagrad", "k": job.k, "epoch": job.epochs, "nthread": job.threads}
    # The library prints its times to the standard output of the process.
    output = os.dup(1)
    with open(log, "wb") as file:
        os.dup2(file.fileno(), 1)
        learner.fit(settings | {"stop_window": job.patience} | SETTINGS[job.model], model)
        learner.setTest(job.file(f"scored.{suffix}"))
        learner.setSigmoid()
        learner.predict(model, scores)
    os.dup2(output, 1)
    # A line per pass: its number, the logloss of training and of validation, and its seconds.
    number = r"\s+(\d+\.\d+)"
    text = re.sub(r"\x1b\[[\d;]*m", "", Path(log).read_text(errors="replace"))
    table = re.findall(rf"^\D*\d+%\D+\d+{number}{number}{number}\s*$", text, re.MULTILINE)
    if not table:
        raise Skip("its output has no times")
    valid, test = measured(job, scores)
    best = min(range(len(table)), key=lambda i: float(table[i][1]))
    for i, (_, loss, seconds) in enumerate(table):
        at_best = i == best
        yield Epoch(float(seconds), valid=valid if at_best else {"logloss": float(loss)}, test=test if at_best else {})


# Its build needs CMake and a C++ compiler.
PEER = Peer(
    "xlearn",
    ("fm", "ffm"),
    train,
    f"AdaGrad: {SETTINGS}",
    packages=("xlearn==0.40a1", "scipy", "scikit-learn"),
    build=("cmake<4", "setuptools<70", "wheel"),
)
