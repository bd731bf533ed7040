"""Factorization machines: training by the program `fm`, and its exported models in PyTorch.

    run = fm.train("clicks.csv", label="click", run="runs/clicks")
    model = fm.load(fm.export(run, "clicks.pt", with_catalogue=True))
    model.score([{"user": 42, "item": "a"}])
"""

from fm.model import Explanation, Model, Recommendation, load
from fm.program import Error, export, run, train

__all__ = ["Error", "Explanation", "Model", "Recommendation", "export", "load", "run", "train"]
