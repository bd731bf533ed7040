"""The metrics of predicted probabilities, the same for every tool."""

import numpy as np


def measure(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """The logloss and the AUC. Labels are 0 and 1."""
    return {"logloss": logloss(labels, probabilities), "auc": auc(labels, probabilities)}


def logloss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    p = np.clip(np.asarray(probabilities, np.float64), 1e-7, 1 - 1e-7)
    return float(-np.mean(np.where(labels > 0, np.log(p), np.log1p(-p))))


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """The probability that a positive row scores above a negative one, where ties count one half."""
    _, group, count = np.unique(np.asarray(scores), return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2
    positive = labels > 0
    n, m = int(positive.sum()), int((~positive).sum())
    if n == 0 or m == 0:
        return 0.5
    return float((rank[group][positive].sum() - n * (n + 1) / 2) / (n * m))


def sigmoid(scores: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(scores, np.float64)))
