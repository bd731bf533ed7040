"""The metrics of a text file with a probability for each validation row and then each test row."""

import numpy as np

from job import Job
from metric import measure
from rows import load_labels


def measured(job: Job, path: str) -> tuple[dict[str, float], dict[str, float]]:
    scores = np.loadtxt(path)
    valid, test = load_labels(job, "valid"), load_labels(job, "test")
    return measure(valid, scores[: len(valid)]), measure(test, scores[len(valid) :])
