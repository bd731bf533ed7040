"""The rows of a data set in memory, for tools that take arrays."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from job import PARTS, Job


@dataclass
class Rows:
    """Ragged rows: those of row i are ids[starts[i]:starts[i + 1]], in the order of their fields."""

    labels: np.ndarray  # 0 and 1
    starts: np.ndarray
    ids: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def csr(self, features: int) -> Any:
        """The rows as a SciPy matrix."""
        from scipy.sparse import csr_matrix

        return csr_matrix((self.values, self.ids, self.starts), shape=(len(self), features))

    def save(self, path: Path) -> None:
        np.savez(path, labels=self.labels, starts=self.starts, ids=self.ids, values=self.values)


@dataclass
class DataSet:
    """The parts of a data set and what is known about them."""

    parts: dict[str, Rows]
    fields: list[dict]  # name and whether it is multi-valued
    field_of: np.ndarray  # of each feature
    best_logloss: float | None = None  # of the model that drew the labels, on the test rows

    @property
    def features(self) -> int:
        return len(self.field_of)


def load_labels(job: Job, part: str) -> np.ndarray:
    with np.load(job.file(f"{part}.npz")) as arrays:
        return arrays["labels"]


def load(folder: str) -> DataSet:
    path = Path(folder)
    about = json.loads((path / "about.json").read_text())
    parts = {}
    for part in PARTS:
        with np.load(path / f"{part}.npz") as arrays:
            parts[part] = Rows(**arrays)
    return DataSet(parts, about["fields"], np.load(path / "field_of.npy"), about["best_logloss"])
