"""Writes a data set in the formats of all tools: `python data.py NAME SOURCE FOLDER ROWS`.

| file | format |
|---|---|
| `PART.csv`, `schema.toml` | fm |
| `PART.libsvm`, `PART.libffm`, `PART.vw` | text formats of other tools, with labels -1 and 1 |
| `scored.libsvm`, `scored.libffm` | the validation and the test rows, for tools that score one file |
| `PART.npz`, `field_of.npy`, `about.json` | arrays |

PART is `train`, `valid` or `test`. All formats have the same rows in the same order.
"""

import csv
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from string import ascii_letters

import numpy as np

from job import PARTS
from rows import DataSet, Rows

SEED = 20
CHUNK = 100_000


def movielens(source: str, limit: int) -> DataSet:
    """MovieLens-1M: whether a rating is at least 4."""
    folder = Path(source)
    users = {line[0]: line[1:] for line in double_colons(folder / "users.dat")}
    genres = {line[0]: line[2].split("|") for line in double_colons(folder / "movies.dat")}
    ratings = double_colons(folder / "ratings.dat")
    order = np.random.default_rng(SEED).permutation(len(ratings))[:limit]
    names = ["user", "movie", "gender", "age", "occupation", "zip", "genres"]
    table = []
    labels = np.array([int(ratings[i][2]) >= 4 for i in order], np.float32)
    for i in order:
        user, movie = ratings[i][:2]
        gender, age, occupation, zip_code = users[user]
        table.append([[user], [movie], [gender], [age], [occupation], [zip_code[:3]], genres[movie]])
    return divided(encoded(table, labels, names), (0.8, 0.1))


def double_colons(path: Path) -> list[list[str]]:
    return [line.split("::") for line in path.read_text(encoding="latin-1").splitlines()]


def frappe(source: str, limit: int) -> DataSet:
    """Frappe: the parts that the folder has."""
    labels, table, sizes = [], [], []
    names: list[str] = []
    for part in PARTS:
        with open(Path(source) / f"{part}.csv", newline="", encoding="utf-8") as file:
            lines = csv.reader(file)
            names = next(lines)[1:]
            rows = [line for _, line in zip(range(limit), lines)]
        labels += [float(row[0]) for row in rows]
        table += [[[value] for value in row[1:]] for row in rows]
        sizes.append(len(rows))
    data = encoded(table, np.array(labels, np.float32), names)
    return divided(data, (sizes[0] / len(table), sizes[1] / len(table)))


def encoded(table: list[list[list[str]]], labels: np.ndarray, names: list[str]) -> tuple[Rows, list[dict], np.ndarray]:
    """Gives each value of each field a number. The values of a multi-valued field share a weight of 1."""
    numbers: list[dict[str, int]] = [{} for _ in names]
    multi = [False] * len(names)
    for row in table:
        for field, values in enumerate(row):
            multi[field] |= len(values) > 1
            for value in values:
                numbers[field].setdefault(value, len(numbers[field]))
    offsets = np.concatenate([[0], np.cumsum([len(known) for known in numbers])])
    ids, weights, starts = [], [], [0]
    for row in table:
        for field, values in enumerate(row):
            ids += [offsets[field] + numbers[field][value] for value in values]
            weights += [1 / len(values)] * len(values)
        starts.append(len(ids))
    rows = Rows(labels, np.array(starts), np.array(ids, np.int32), np.array(weights, np.float32))
    fields = [{"name": name, "multi": many} for name, many in zip(names, multi)]
    return rows, fields, np.repeat(np.arange(len(names)), np.diff(offsets))


def divided(data: tuple[Rows, list[dict], np.ndarray], shares: tuple[float, float]) -> DataSet:
    rows, fields, field_of = data
    first = round(shares[0] * len(rows))
    second = first + round(shares[1] * len(rows))
    bounds = [0, first, second, len(rows)]
    parts = {part: cut(rows, bounds[i], bounds[i + 1]) for i, part in enumerate(PARTS)}
    return DataSet(parts, fields, field_of)


def cut(rows: Rows, begin: int, end: int) -> Rows:
    first, last = rows.starts[begin], rows.starts[end]
    starts = rows.starts[begin : end + 1] - first
    return Rows(rows.labels[begin:end], starts, rows.ids[first:last], rows.values[first:last])


def criteo_like(_source: str, limit: int) -> DataSet:
    """Clicks like Criteo's: 39 fields with a million values in total, most of them rare, and labels drawn from an FM.

    The best possible logloss is that of the probabilities that the labels were drawn from.
    """
    fields, dim, rate, exponent = 39, 8, 0.25, 1.1
    random = np.random.default_rng(SEED)
    sizes = np.rint(np.geomspace(3, 258_000, fields)).astype(int)
    random.shuffle(sizes)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    ids = np.empty((limit, fields), np.int32)
    for field, size in enumerate(sizes):
        share = np.cumsum(np.arange(1, size + 1) ** -exponent)
        rank = np.searchsorted(share, random.random(limit) * share[-1])
        # Frequent values should not be neighbours in memory.
        ids[:, field] = offsets[field] + random.permutation(size)[rank]
    weights = random.standard_normal(offsets[-1], np.float32)
    vectors = random.standard_normal((offsets[-1], dim), np.float32)
    first, second = np.empty(limit), np.empty(limit)
    for begin in range(0, limit, CHUNK):
        chunk = ids[begin : begin + CHUNK]
        found = vectors[chunk]
        first[begin : begin + CHUNK] = weights[chunk].sum(1)
        second[begin : begin + CHUNK] = 0.5 * (found.sum(1) ** 2 - (found**2).sum(1)).sum(1)
    score = standardised(first) + standardised(second)
    probabilities = 1 / (1 + np.exp(-(score + bias_for(score, rate))))
    labels = (random.random(limit) < probabilities).astype(np.float32)
    starts = np.arange(limit + 1) * fields
    rows = Rows(labels, starts, ids.ravel(), np.ones(ids.size, np.float32))
    about = [{"name": f"c{field}", "multi": False} for field in range(fields)]
    data = divided((rows, about, np.repeat(np.arange(fields), sizes)), (0.8, 0.1))
    tested = len(data.parts["test"])
    p, drawn = probabilities[-tested:], labels[-tested:] > 0
    data.best_logloss = float(-np.mean(np.where(drawn, np.log(p), np.log1p(-p))))
    return data


def standardised(numbers: np.ndarray) -> np.ndarray:
    return (numbers - numbers.mean()) / numbers.std()


def bias_for(score: np.ndarray, rate: float) -> float:
    """The bias with which the mean probability is `rate`."""
    low, high = -20.0, 20.0
    for _ in range(50):
        middle = (low + high) / 2
        too_low = np.mean(1 / (1 + np.exp(-(score + middle)))) < rate
        low, high = (middle, high) if too_low else (low, middle)
    return low


def write(data: DataSet, folder: Path) -> None:
    for part, rows in data.parts.items():
        rows.save(folder / f"{part}.npz")
        write_text(data, rows, folder, part)
    np.save(folder / "field_of.npy", data.field_of)
    (folder / "schema.toml").write_text(schema(data.fields))
    for suffix in ("libsvm", "libffm"):
        scored = (folder / f"{part}.{suffix}" for part in ("valid", "test"))
        (folder / f"scored.{suffix}").write_bytes(b"".join(file.read_bytes() for file in scored))
    active = len(data.parts["train"].ids) / len(data.parts["train"])
    about = {
        "rows": {part: len(rows) for part, rows in data.parts.items()},
        "fields": data.fields,
        "features": data.features,
        "active": active,
        "best_logloss": data.best_logloss,
    }
    (folder / "about.json").write_text(json.dumps(about))


def write_text(data: DataSet, rows: Rows, folder: Path, part: str) -> None:
    """Writes the text formats. A slot's text is looked up by its id and the number of values that share its field."""
    shared = np.rint(1 / rows.values).astype(np.int64)
    most = int(shared.max())
    field_of = data.field_of.tolist()
    signed = np.where(rows.labels > 0, 1, -1).tolist()
    plain = (rows.labels > 0).astype(int).tolist()
    weights = [f"{1 / n:.6g}" for n in range(1, most + 1)]
    code = (shared - 1) * data.features + rows.ids
    columns = [f" |{ascii_letters[field]} " for field in range(len(data.fields))]

    first = np.ones(len(rows.ids), bool)
    first[1:] = data.field_of[rows.ids[1:]] != data.field_of[rows.ids[:-1]]
    first[rows.starts[:-1]] = True
    write_lines(
        folder / f"{part}.csv", plain, rows, rows.ids + first * data.features,
        [f"|{i}" for i in range(data.features)] + [f",{i}" for i in range(data.features)],
        ",".join(["label"] + [field["name"] for field in data.fields]),
    )  # fmt: skip
    write_lines(
        folder / f"{part}.libsvm", signed, rows, code, [f" {i}:{w}" for w in weights for i in range(data.features)]
    )  # fmt: skip
    write_lines(
        folder / f"{part}.libffm", signed, rows, code,
        [f" {field}:{i}:{w}" for w in weights for i, field in enumerate(field_of)],
    )  # fmt: skip
    write_lines(
        folder / f"{part}.vw", signed, rows, code,
        [f"{columns[field]}{i}:{w}" for w in weights for i, field in enumerate(field_of)],
    )  # fmt: skip


def write_lines(
    path: Path, labels: list[int], rows: Rows, code: np.ndarray, texts: list[str], header: str = ""
) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.writelines([header + "\n"] if header else [])
        for begin in range(0, len(rows), CHUNK):
            starts = rows.starts[begin : begin + CHUNK + 1]
            slots = [texts[i] for i in code[starts[0] : starts[-1]].tolist()]
            bounds = (starts - starts[0]).tolist()
            pairs: Iterable[tuple[int, int]] = zip(bounds, bounds[1:])
            file.writelines(
                f"{label}{''.join(slots[a:b])}\n" for label, (a, b) in zip(labels[begin : begin + CHUNK], pairs)
            )


def schema(fields: list[dict]) -> str:
    lines = ['label = "label"']
    for field in fields:
        lines += ["", "[[field]]", f'name = "{field["name"]}"']
        lines += ['kind = "multi-valued"', 'separator = "|"', 'weighting = "mean"'] if field["multi"] else []
        lines += [] if field["multi"] else ['kind = "categorical"']
    return "\n".join(lines) + "\n"


SETS: dict[str, Callable[[str, int], DataSet]] = {"ml-1m": movielens, "frappe": frappe, "criteo-like": criteo_like}

if __name__ == "__main__":
    name, source, folder, limit = sys.argv[1:]
    write(SETS[name](source, int(limit)), Path(folder))
