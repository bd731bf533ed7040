"""What PyTorch can do with exported files: python clients.py MODEL ...

For each MODEL it reads, in the current folder: MODEL.pt; rows-1000.csv and MODEL.csv, the same with the program's scores;
narrow.csv and MODEL-narrow.csv, without some columns; MODEL.json, the program's list for a user; and the run in MODEL.
"""

import concurrent.futures
import contextlib
import csv
import io
import json
import struct
import sys

import torch

BATCHES = (1, 2, 7, 1000)
schemas = []  # those of the models that were checked
tolerance = 1e-6  # that of the model being checked
USER = {"reader": "nobody", "city": "", "moods": "", "book": "b02"}


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def lists(schema, row):
    """A row with a list for each field."""
    separators = {field["name"]: field.get("separator") for field in schema["fields"]}
    # A column that is not a field has no separator either.
    parts = lambda name, text: text.split(separators[name]) if separators.get(name) else [text]
    return {name: parts(name, text) for name, text in row.items()}


def columns(rows):
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def greatest(found, expected):
    assert found.shape == expected.shape and torch.isfinite(found).all(), (found.shape, expected.shape)
    # Relative to the score, or to 1.
    difference = ((found.double() - expected).abs() / expected.abs().clamp_min(1)).max().item() if len(found) else 0.0
    assert difference <= tolerance, difference
    return difference


def ways_to_score(model, schema):
    return [
        model.score,
        lambda rows: model.score([{name: text for name, text in row.items() if text} for row in rows]),
        lambda rows: model.score_lists([lists(schema, row) for row in rows]),
        lambda rows: model.score_columns(columns(rows)),
        lambda rows: model.predict(*model.encode(rows)),
        lambda rows: model.predict(*model.encode_lists([lists(schema, row) for row in rows])),
        lambda rows: model.predict(*model.encode_columns(columns(rows))),
    ]


def check_scores(ways, rows, expected, batches):
    """Batches of several sizes, and one of none at all."""
    worst = 0.0
    for way in ways:
        assert way([]).shape == (0,)
        for batch in batches:
            few = rows[: 10 * batch]
            found = torch.cat([way(few[at : at + batch]) for at in range(0, len(few), batch)]).detach()
            worst = max(worst, greatest(found, expected[: len(few)]))
    return worst


def names_in_checkpoint(path):
    """The names of a safetensors file's parameters."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        names = json.loads(file.read(length))
    return {name.removeprefix("model/") for name in names if name.startswith("model/")}


def check_names(model, run):
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    statistics = {name for name in buffers if not name.startswith("_")}
    assert parameters.keys() | statistics == names_in_checkpoint(f"{run}/checkpoints/best.safetensors")
    assert all(".moving_" in name for name in statistics), statistics


def check_extra_files(files, schema, run):
    with open(f"{run}/schema.json", encoding="utf-8") as file:
        assert json.loads(files["schema.json"]) == schema == json.load(file)
    with open(f"{run}/settings.toml", "rb") as file:
        assert files["settings.toml"] == file.read()
    assert "test" in json.loads(files["metrics.json"])
    assert files["model_card.md"].startswith(b"# ")


def check_recommendations(model, run):
    with open(f"{run}.json", encoding="utf-8") as file:
        expected = json.load(file)["items"]
    items, scores = model.recommend(USER, 1000)
    assert items == [item["item"] for item in expected]
    worst = greatest(scores, torch.tensor([item["score"] for item in expected], dtype=torch.float64))
    items, scores = model.recommend(USER, 3, [expected[0]["item"]])
    assert items == [item["item"] for item in expected[1:4]] and scores.numpy().shape == (3,)
    return worst


def check_training(model, rows):
    """What is loaded can be trained on, by itself or as a part of something larger."""
    before = model.score(rows)
    assert not before.requires_grad and before.numpy().shape == (len(rows),)
    ids, values = model.encode(rows)
    assert model(ids, values).requires_grad and not model.predict(ids, values).requires_grad
    model.train()
    assert torch.equal(model.score(rows), before), "dropout or batch norm is on"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    model(ids, values).mean().backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not without, without
    optimizer.step()
    after = model.score(rows)
    assert (after - before).abs().max() > 1e-3 and after.mean() < before.mean()


def check_modes(run, rows, expected):
    """A file works in any mode, in any order of modes and in threads, and leaves the mode as it was."""
    rows, expected = rows[:7], expected[:7]
    modes = (contextlib.nullcontext, torch.no_grad, torch.inference_mode, torch.enable_grad)
    for first in modes:
        model = torch.jit.load(f"{run}.pt")
        ways = [*ways_to_score(model, json.loads(model.schema())), lambda rows: model.to("cpu").score(rows)]
        for mode in (first, *modes):
            # libtorch optimises a graph in the first calls.
            for _ in range(3):
                with mode():
                    is_enabled = torch.is_grad_enabled()
                    for way in ways:
                        greatest(way(rows), expected)
                    assert len(model.recommend(USER, 3)[0]) == 3 and model.check(rows)
                    assert torch.is_grad_enabled() == is_enabled
    frozen = torch.jit.freeze(model.eval(), preserved_attrs=["score", "predict", "encode"])
    for mode in modes:
        with mode():
            greatest(frozen.score(rows), expected)
            greatest(frozen.predict(*frozen.encode(rows)), expected)
    model = torch.jit.load(f"{run}.pt")

    def score(mode):
        for _ in range(5):
            with mode():
                greatest(model.score(rows), expected)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(score, modes * 2))
    try:
        model.predict(*(part + 10**6 for part in model.encode(rows)))
        raise AssertionError("ids outside the tables")
    except RuntimeError:
        assert torch.is_grad_enabled()


def check_faults(model, rows):
    """The file says what it cannot use, and on which side the mistake is."""
    row = {"reader": "nobody", "Book": "b02", "tags": "kind1|new||newer", "price": "cheap", "age": "", "genres": "genre1:x"}
    counts, foreign = model.check([row, {"reader": " r01 ", "book": "b02", "price": "1.5"}])
    assert foreign == {"Book": 1}, foreign
    assert counts["reader"] == {"unknown": 1, "missing": 0, "malformed": 0}, counts
    assert counts["book"] == {"unknown": 0, "missing": 1, "malformed": 0}, counts
    assert counts["tags"] == {"unknown": 2, "missing": 1, "malformed": 0}, counts
    assert counts["price"] == {"unknown": 0, "missing": 0, "malformed": 1}, counts
    assert counts["age"] == {"unknown": 0, "missing": 2, "malformed": 0}, counts
    assert counts["genres"] == {"unknown": 0, "missing": 1, "malformed": 1}, counts
    counts, foreign = model.check(rows)
    # A model that has no sequences leaves that column out.
    assert foreign.keys() <= {"visited"} and all(counts[name]["missing"] < len(rows) for name in counts)


def main(run):
    global tolerance
    # Powers and layer norms of small numbers enlarge rounding.
    tolerance = 1e-5 if run in ("afn", "edcn") else 1e-6
    files = {"schema.json": "", "settings.toml": "", "metrics.json": "", "model_card.md": ""}
    model = torch.jit.load(f"{run}.pt", _extra_files=files)
    schema = json.loads(model.schema())
    rows, scored = read("rows-1000.csv"), read(f"{run}.csv")
    expected = torch.tensor([float(row["score"]) for row in scored], dtype=torch.float64)
    narrow, narrow_scored = read("narrow.csv"), read(f"{run}-narrow.csv")
    narrow_expected = torch.tensor([float(row["score"]) for row in narrow_scored], dtype=torch.float64)

    check_extra_files(files, schema, run)
    check_names(model, run)
    # What runs first decides how libtorch optimises the graph: large batches here, small ones below.
    ways = ways_to_score(model, schema)
    # Encoding depends on the schema alone: one model of each schema is scored in all ways.
    if schema in schemas:
        ways = ways[:1]
    schemas.append(schema)
    worst = check_scores(ways, rows, expected, BATCHES[::-1])
    worst = max(worst, check_scores(ways, narrow, narrow_expected, (1000,)))
    worst = max(worst, check_recommendations(model, run))

    copy = io.BytesIO()
    torch.jit.save(model, copy)
    copy.seek(0)
    again = torch.jit.load(copy).to("cpu")
    assert json.loads(again.schema()) == schema
    worst = max(worst, check_scores([again.score], rows, expected, BATCHES), check_recommendations(again, run))
    with torch.inference_mode():
        greatest(again.score(rows[:7]), expected[:7])
    # The methods are those of all models.
    if run in ("fm", "deepfm"):
        check_modes(run, rows, expected)
        check_faults(model, rows)
    check_training(again, rows)
    print(f"{run}: greatest difference of PyTorch {worst:.1e}")


for argument in sys.argv[1:]:
    main(argument)
