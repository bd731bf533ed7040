"""Logs a run of `fm train` to MLflow or to Weights & Biases: its settings, each epoch, its results, and its files.

    pip install mlflow
    python log_run.py mlflow runs/deepfm-1
    mlflow ui

    pip install wandb
    WANDB_MODE=offline python log_run.py wandb runs/deepfm-1
    wandb sync wandb/offline-run-*
"""

import json
import sys
import tomllib
from pathlib import Path


def flat(values, prefix=""):
    """The entries of nested tables by dotted names, as on the command line: `train.lr`."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


class Run:
    """The folder of a run."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.name = self.folder.resolve().name
        # The declaration of a table is not a setting to compare runs by.
        settings = tomllib.loads((self.folder / "settings.toml").read_text())
        settings.get("data", {}).pop("schema", None)
        self.settings = dict(flat(settings))
        # A program that was killed may have left half of a line, and one in its first epoch no file.
        metrics = self.folder / "metrics.jsonl"
        text = metrics.read_text() if metrics.exists() else ""
        self.epochs = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        # The metrics of a calibrated run are those of its calibrated scores.
        self.summary = {**self.read("summary.json"), **self.read("calibration.json")}

    def read(self, name):
        """The content of a JSON file; nothing if there is none, as before the end of training."""
        path = self.folder / name
        return json.loads(path.read_text()) if path.exists() else {}

    def metrics_of(self, epoch):
        """The metrics of an epoch by their names in a tracker; those that are not finite are null, and left out."""
        found = {"train/loss": epoch["train_loss"]}
        found.update({f"valid/{name}": value for name, value in epoch["valid"].items()})
        return {name: value for name, value in found.items() if value is not None}

    def results(self):
        found = {f"test/{name}": value for name, value in self.summary.get("test", {}).items()}
        for baseline, metrics in self.summary.get("baselines", {}).items():
            found.update({f"baseline/{baseline}/{name}": value for name, value in metrics.items()})
        return {name: value for name, value in found.items() if value is not None}

    def files(self):
        """Small files that describe the run; checkpoints stay where they are."""
        names = ["settings.toml", "schema.json", "summary.json", "metrics.jsonl", "calibration.json"]
        return [self.folder / name for name in names if (self.folder / name).exists()]


def without_at(metrics):
    """Names of metrics cannot have an `@` in MLflow."""
    return {name.replace("@", "_at_"): value for name, value in metrics.items()}


def to_mlflow(run):
    import mlflow

    mlflow.set_experiment("fm")
    with mlflow.start_run(run_name=run.name):
        # MLflow's parameters are texts of at most 6,000 characters.
        mlflow.log_params({name: str(value)[:6000] for name, value in run.settings.items()})
        for epoch in run.epochs:
            mlflow.log_metrics(without_at(run.metrics_of(epoch)), step=epoch["epoch"])
        mlflow.log_metrics(without_at(run.results()))
        for file in run.files():
            mlflow.log_artifact(str(file))


def to_wandb(run):
    import wandb

    with wandb.init(project="fm", name=run.name, config=run.settings) as logged:
        for epoch in run.epochs:
            logged.log(run.metrics_of(epoch), step=epoch["epoch"])
        logged.summary.update(run.results())
        for file in run.files():
            logged.save(str(file), base_path=str(run.folder), policy="now")


if __name__ == "__main__":
    trackers = {"mlflow": to_mlflow, "wandb": to_wandb}
    if len(sys.argv) != 3 or sys.argv[1] not in trackers:
        sys.exit("usage: log_run.py mlflow|wandb RUN")
    trackers[sys.argv[1]](Run(sys.argv[2]))
