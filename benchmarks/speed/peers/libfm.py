"""libFM (Rendle), whose executable `--libfm` names: SGD."""

from collections.abc import Iterator
from pathlib import Path

from job import Epoch, Job, Peer, call

# From a small search on the validation rows of MovieLens-1M. It scores only after the last pass, so their number is a
# setting, too.
PASSES = 30
SETTINGS = "-learn_rate 0.01 -regular 0,0.002,0.01 -init_stdev 0.1"


def train(job: Job) -> Iterator[Epoch]:
    from peers.scored import measured

    passes = min(PASSES, job.epochs)
    log, scores = job.scratch("log.tsv"), job.scratch("scores.txt")
    files = ["-train", job.file("train.libsvm"), "-test", job.file("scored.libsvm"), "-out", scores, "-rlog", log]
    command = [str(job.program), "-task", "c", "-method", "sgd", "-dim", f"1,1,{job.k}", "-iter", str(passes)]
    call(job, [*command, *files, *SETTINGS.split(), "-seed", str(job.repeat)])
    names, *lines = [line.split("\t") for line in Path(log).read_text().splitlines()]
    # Seconds of the processor, not of the clock.
    seconds = [float(line[names.index("time_learn")]) for line in lines]
    valid, test = measured(job, scores)
    yield Epoch(sum(seconds), passes, min(seconds), valid, test)


PEER = Peer("libfm", ("fm",), train, f"SGD: {SETTINGS}", threads=(1,), executable=True)
