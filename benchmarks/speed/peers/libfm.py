"""libFM (Rendle), whose executable `--libfm` names: SGD."""

from collections.abc import Iterator
from pathlib import Path

from job import Epoch, Job, Peer, call

# By data set: the passes, and the settings of a small search on the validation rows.
SETTINGS = {
    "ml-1m": (12, "-learn_rate 0.02 -regular 0,0,0.02 -init_stdev 0.05"),
    "frappe": (30, "-learn_rate 0.02 -regular 0,0,0.005 -init_stdev 0.05"),
    "criteo-like": (4, "-learn_rate 0.01 -regular 0,0,0.01 -init_stdev 0.02"),
}


def train(job: Job) -> Iterator[Epoch]:
    from peers.scored import measured

    # It scores only after the last pass, so the number of passes is a setting.
    passes, settings = SETTINGS[job.set]
    passes = min(passes, job.epochs)
    log, scores = job.scratch("log.tsv"), job.scratch("scores.txt")
    files = ["-train", job.file("train.libsvm"), "-test", job.file("scored.libsvm"), "-out", scores, "-rlog", log]
    command = [str(job.program), "-task", "c", "-method", "sgd", "-dim", f"1,1,{job.k}", "-iter", str(passes)]
    call(job, [*command, *files, *settings.split(), "-seed", str(job.repeat)])
    names, *lines = [line.split("\t") for line in Path(log).read_text().splitlines()]
    seconds = sum(float(line[names.index("time_learn")]) for line in lines)
    valid, test = measured(job, scores)
    yield Epoch(seconds, passes, valid, test)


PEER = Peer("libfm", ("fm",), train, "SGD", threads=(1,), executable=True)
