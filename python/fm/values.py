"""Values of Python, pandas, Polars and Arrow as the texts that an exported file reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Union

Cell = Union[str, list[str]]
Columns = dict[str, list[Cell]]

# How pandas and numpy write a missing value.
_MISSING = frozenset({"nan", "NaT", "<NA>"})


def cell(value: object) -> Cell:
    """The text of a value, or the texts of a list; an empty one for a missing value."""
    # Most values are texts, which need no further questions.
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        return [text(part) for part in value]
    if getattr(value, "ndim", 0) or hasattr(value, "to_list"):
        return [text(part) for part in _listed(value)]
    return text(value)


def text(value: object) -> str:
    """The text of a value that is no list."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode()
    # Dates.
    if hasattr(value, "isoformat"):
        written = str(value.isoformat())
    elif isinstance(value, (list, tuple, dict, set)):
        raise TypeError(f"a list or an object within a list cannot be a value: {value!r}")
    else:
        written = str(value)
    return "" if written in _MISSING else written


def joined(value: object, separator: str | None, is_exact: bool) -> str:
    """The text of a value or a list, for callers that have one text per column."""
    found = cell(value)
    if isinstance(found, str):
        return found
    found = [part for part in found if part]
    if len(found) < 2:
        return found[0] if found else ""
    if separator is None:
        raise ValueError(f"a column of single values cannot hold a list: {value!r}")
    if not any(separator in part for part in found) and not found[0].lstrip().startswith("["):
        return separator.join(found)
    if is_exact:
        raise ValueError(f"a value contains the separator `{separator}`: {value!r}")
    return json.dumps(found)


def rows(data: Iterable[Mapping[str, object]]) -> list[dict[str, Cell]]:
    """Rows, each with the values by column."""
    found = []
    for row in data:
        if not isinstance(row, Mapping):
            raise TypeError(f"a row must be a dict of values by column, and one is {type(row).__name__}")
        found.append({str(name): cell(value) for name, value in row.items()})
    return found


def columns(data: Any) -> Columns | None:
    """The columns of a dict, of a frame of pandas or Polars, or of a table of Arrow; `None` for anything else."""
    if isinstance(data, Mapping):
        found = {str(name): _listed(column) for name, column in data.items()}
    elif hasattr(data, "to_pydict"):
        found = data.to_pydict()
    elif hasattr(data, "columns") and hasattr(data, "__getitem__"):
        found = {str(name): _listed(data[name]) for name in data.columns}
    else:
        return None
    lengths = {len(column) for column in found.values()}
    if len(lengths) > 1:
        of = ", ".join(f"{name} {len(column)}" for name, column in found.items())
        raise ValueError(f"the columns have different numbers of rows: {of}")
    return {name: [cell(value) for value in column] for name, column in found.items()}


def has_lists(cells: Iterable[Cell]) -> bool:
    """Whether a value is a list."""
    return any(isinstance(one, list) for one in cells)


def as_lists(row: Mapping[str, Cell]) -> dict[str, list[str]]:
    """Each value as a list, which `score_lists` reads like the value."""
    return {name: one if isinstance(one, list) else [one] for name, one in row.items()}


def _listed(column: Any) -> Sequence[object]:
    if isinstance(column, (str, bytes)):
        raise TypeError(f"a column must be a list of values, and one is the text {column!r}: for one row, give [row]")
    for name in ("to_list", "tolist"):
        if hasattr(column, name):
            found = getattr(column, name)()
            return found if isinstance(found, list) else [found]
    if not isinstance(column, Iterable):
        raise TypeError(f"a column must be a list of values, and one is {column!r}: for one row, give [row]")
    return list(column)
