"""The program of this repository."""

import json
from collections.abc import Iterator
from pathlib import Path

from job import Epoch, Job, Peer, call

ONLINE = "--set train.update=online --optimizer adagrad --lr 0.1 --l2 0.005"
BATCHES = "--optimizer adam --lr 0.001 --batch-size 4096 --hidden-units 400,400,400 --dropout 0.2"


def train(job: Job) -> Iterator[Epoch]:
    patience = 0 if job.model == "bayesian_fm" else job.patience
    options = f"{SETTINGS[job.model]} --epochs {job.epochs} --patience {patience}"
    run = Path(job.scratch("run"))
    files = [f"--{part}={job.file(part + '.csv')}" for part in ("train", "valid", "test")]
    command = [
        str(job.program), "train", *files, f"--schema={job.file('schema.toml')}", "--task=binary",
        f"--model={job.model}", f"--embedding-dim={job.k}", f"--threads={job.threads}", *options.split(),
        f"--run={run}", "--quiet",
    ]  # fmt: skip
    # Encoded rows are cached beside the data.
    folder = Path(job.folder) / "encoded"
    folder.mkdir(exist_ok=True)
    call(job, command, {"FM_DATA_DIR": str(folder), "OMP_NUM_THREADS": str(job.threads)})
    rows = json.loads(Path(job.file("about.json")).read_text())["rows"]["train"]
    summary = json.loads((run / "summary.json").read_text())
    for timing, metrics in zip(lines(run / "timings.jsonl"), lines(run / "metrics.jsonl")):
        valid = {name: metrics["valid"][name] for name in ("logloss", "auc")}
        best = metrics["epoch"] == summary["best_epoch"]
        test = {name: summary["test"][name] for name in ("logloss", "auc")} if best else {}
        yield Epoch(rows / timing["rows_per_second"], valid=valid, test=test)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


SETTINGS = {"fm": ONLINE, "ffm": ONLINE, "bayesian_fm": "", "deepfm": BATCHES}
PEER = Peer("fm", tuple(SETTINGS), train, f"FM and FFM: {ONLINE}; DeepFM: {BATCHES}", executable=True)
