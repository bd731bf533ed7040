"""Exported models. All methods are those of the file: this module only turns values into texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch

from fm.program import PathText, run
from fm.values import Cell, as_lists, columns, has_lists, joined, rows, text

__all__ = ["Explanation", "Model", "Recommendation", "load"]

# Rows that are scored at once, which bounds memory.
_BATCH = 8192


class Recommendation(NamedTuple):
    """A recommended item."""

    item: str
    """Its id."""
    title: str | None
    """Its title, if the file has one."""
    score: float
    """Its prediction, without the limits of the label."""


class Explanation(NamedTuple):
    """What each field adds to a prediction."""

    prediction: float
    """The probability or the label."""
    logit: float
    """The sum of `baseline` and all terms: the log-odds, or the label before it is limited to its range."""
    baseline: float
    """The sum if all values are missing."""
    terms: dict[str, float]
    """The Shapley value of each field that has a value, the largest effect first."""


class Model:
    """An exported model: see `load`."""

    def __init__(self, path: Path, module: torch.jit.ScriptModule, titles: Mapping[str, str]) -> None:
        self.path = path
        """The file."""
        self.module = module
        """PyTorch's module, with the methods that the documentation of exported files lists."""
        self._titles = titles

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The label and the fields with their vocabularies."""
        return cast("dict[str, Any]", json.loads(self.module.schema()))

    def score(self, data: Any) -> torch.Tensor:
        """Predictions `[B]`, float32: probabilities, or labels within the range of the training rows.

        `data` is a list of rows, each a dict of values by column; a dict of columns; or a frame of pandas, Polars or
        Arrow. A value is a text, a number, a date, a bool, None for a missing value, or a list of them.
        """
        by_column = columns(data)
        with torch.inference_mode():
            if by_column is None:
                by_row = rows(data)
                parts = [self._score_rows(by_row[at : at + _BATCH]) for at in range(0, len(by_row), _BATCH)]
            else:
                count = max(map(len, by_column.values()), default=0)
                parts = [self._score_columns(by_column, at) for at in range(0, count, _BATCH)]
            return torch.cat(parts) if parts else torch.empty(0)

    def _score_rows(self, part: list[dict[str, Cell]]) -> torch.Tensor:
        if any(has_lists(row.values()) for row in part):
            return cast(torch.Tensor, self.module.score_lists([as_lists(row) for row in part]))
        names = dict.fromkeys(name for row in part for name in row)
        # PyTorch converts a list per column faster than a dict per row. Rows without columns have no length there.
        if len(part) == 1 or not names:
            return cast(torch.Tensor, self.module.score(part))
        by_column = {name: [row.get(name, "") for row in part] for name in names}
        return cast(torch.Tensor, self.module.score_columns(by_column))

    def _score_columns(self, by_column: dict[str, list[Cell]], at: int) -> torch.Tensor:
        part = {name: column[at : at + _BATCH] for name, column in by_column.items()}
        if any(has_lists(column) for column in part.values()):
            return self._score_rows([dict(zip(part, row)) for row in zip(*part.values())])
        return cast(torch.Tensor, self.module.score_columns(part))

    def recommend(self, user: object, k: int = 10, exclude: Iterable[object] = ()) -> list[Recommendation]:
        """The best `k` items for a user, best first: a list, without the items in `exclude`.

        `user` is the id, or a dict with the columns of the user and the context. The file must have a catalogue:
        export it with `with_catalogue=True`.
        """
        if not isinstance(user, Mapping):
            user = {self._column(self.schema["user"]): user}
        texts = {str(name): self._text(str(name), value) for name, value in user.items()}
        with torch.inference_mode():
            items, scores = self.module.recommend(texts, k, [text(item) for item in exclude])
        return [Recommendation(item, self._titles.get(item), score) for item, score in zip(items, scores.tolist())]

    def explain(self, row: Mapping[str, object]) -> Explanation:
        """The Shapley values of the fields of a row. It starts the program, so it takes a moment."""
        texts = ((str(name), self._text(str(name), value)) for name, value in row.items())
        given = [f"--row={name}={value}" for name, value in texts if value]
        found = json.loads(run("explain", self.path, *given, "--json", echo=False))
        shapley = found["shapley"]
        terms = {group["of"][0]["field"]: group["term"] for group in shapley["fields"] if group["of"]}
        return Explanation(found["prediction"], found["logit"], shapley["baseline"], terms)

    def _column(self, name: str | None) -> str:
        if name is None:
            raise ValueError("the model has no user: give a dict of values by column")
        fields = (field for field in self.schema["fields"] if field["name"] == name)
        return str(next(fields).get("column", name))

    def _text(self, column: str, value: object) -> str:
        """The text of a value in a column."""
        of_column = (field for field in self.schema["fields"] if field.get("column", field["name"]) == column)
        lists = [field for field in of_column if "separator" in field]
        separator = lists[0]["separator"] if lists else None
        return joined(value, separator, bool(lists and lists[0].get("exact", False)))

    def __repr__(self) -> str:
        return f"fm.load({str(self.path)!r})"


def load(path: PathText, *, device: str | torch.device = "cpu", verify: bool = True) -> Model:
    """Loads a file that `fm export` has written.

    The file is a program, so load only files from people whose programs you would run. `verify` checks first that it is
    whole, which PyTorch does not.

    Raises `fm.Error` if it is not.
    """
    if verify:
        run("verify", path, echo=False)
    extra = {"titles.json": ""}
    module = torch.jit.load(str(path), map_location=device, _extra_files=extra)  # type: ignore[no-untyped-call]
    titles = extra["titles.json"]
    return Model(Path(path), module, json.loads(titles) if titles else {})
