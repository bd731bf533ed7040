"""Compares an exported model with the scores of `fm predict`: python parity.py MODEL.pt SCORED.csv ...

Written from the description of the format alone: it shares no code with the program.
"""

import bisect
import csv
import json
import math
import re
import sys
from itertools import accumulate

import torch


def number(text):
    """The finite number that a cell holds, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def fingerprint64(text):
    """FarmHash's fingerprint of a text of up to 16 bytes."""
    k0, k2, mask = 0xC3A5C85C97CB3127, 0x9AE16A3B2F90404F, (1 << 64) - 1
    data = text.encode("utf-8")
    n = len(data)
    assert 0 < n <= 16, text
    word = lambda at, size: int.from_bytes(data[at : at + size], "little")
    shift_mix = lambda x: x ^ (x >> 47)
    rotate = lambda x, bits: (x >> bits | x << (64 - bits)) & mask
    if n < 4:
        y, z = data[0] + (data[n // 2] << 8), n + (data[n - 1] << 2)
        return shift_mix(y * k2 & mask ^ z * k0 & mask) * k2 & mask
    factor = k2 + 2 * n
    if n < 8:
        u, v = n + (word(0, 4) << 3), word(n - 4, 4)
    else:
        a, b = (word(0, 8) + k2) & mask, word(n - 8, 8)
        u, v = (rotate(b, 37) * factor + a) & mask, (rotate(a, 25) + b) * factor & mask
    a = shift_mix((u ^ v) * factor & mask)
    return shift_mix((v ^ a) * factor & mask) * factor & mask


def ids_of(field, first_id):
    """The function from a value of a field to its id. `first_id` stands for what is unknown."""
    if "hash_buckets" in field:
        return lambda text: first_id + 1 + fingerprint64(text) % field["hash_buckets"] if text else first_id
    known = {value: first_id + 1 + position for position, value in enumerate(field.get("vocabulary", []))}
    return lambda text: known.get(text, first_id)


def canonical(text):
    """The form in which values are compared."""
    text = text.strip(" \t\n\r\f")
    if text.lower() in ("true", "false"):
        return text.lower()
    integral = re.fullmatch(r"(-?[1-9][0-9]*|0)\.0+", text, re.ASCII)
    return integral[1] if integral else text


def given(piece):
    """The value and the number in a piece of a list."""
    value, colon, text = piece.rpartition(":")
    if not colon:
        return piece, 1.0
    x = number(text)
    return ("", 1.0) if x is None else (canonical(value), x)


def clamped(x, limit):
    return max(-limit, min(x, limit))


def encode(field, first_id, text):
    """The ids and values of the slots of one field."""
    id_of = ids_of(field, first_id)
    if field["kind"] == "categorical":
        return [id_of(canonical(text))], [1.0]
    if field["kind"] == "numeric":
        value = number(text)
        if value is None:
            return [first_id], [1.0]
        transform = field.get("transform", "standardize")
        if transform in ("buckets", "criteo-log"):
            return [first_id + 1 + bisect.bisect_right(field["edges"], value)], [1.0]
        if transform == "min-max":
            return [first_id + 1], [min(max((value - field["min"]) / field["range"], 0.0), 1.0)]
        if transform == "identity":
            return [first_id + 1], [clamped(value, 1e6)]
        if transform == "log":
            value = math.copysign(math.log1p(abs(value)), value)
        return [first_id + 1], [clamped((value - field["mean"]) / field["std"], 100.0)]
    assert not text.strip().startswith("["), "none of these tables has lists in brackets"
    pieces = [canonical(piece) for piece in text.split(field["separator"]) if canonical(piece)]
    pairs = [given(piece) if field["weighting"] == "given" else (piece, 1) for piece in pieces]
    pairs = [(id_of(value), x) for value, x in pairs]
    numbers, n = {}, 0  # the sum of the numbers of each slot, in the order of the slots; how many values have a slot
    if field["kind"] == "sequence":
        kept = pairs[-field["max_len"] :] if field["keep"] == "last" else pairs[: field["max_len"]]
        ids, numbers, n = [id for id, _ in kept], dict(enumerate(x for _, x in kept)), len(kept)
    else:
        assert field["kind"] == "multi-valued", field["kind"]
        for id, x in pairs if field["keep"] == "first" else reversed(pairs):
            if id in numbers or len(numbers) < field["max_len"]:
                numbers[id] = numbers.get(id, 0) + x
                n += 1
        ids = list(numbers)
    padding = field["max_len"] - len(numbers)
    weights = {"sum": 1.0, "mean": 1.0 / max(n, 1), "sqrt": 1.0 / math.sqrt(max(n, 1)), "given": 1.0}
    weight = weights[field["weighting"]]
    values = [number * weight for number in numbers.values()]
    if field["weighting"] == "given":
        values = [clamped(value, 1e6) for value in values]
    return ids + [first_id] * padding, values + [0.0] * padding


def rows_of(schema):
    """The rows of the embedding table that each field owns: none if it shares those of another."""
    values = lambda field: field.get("hash_buckets", len(field.get("vocabulary", [])))
    numbers = lambda field: 2 + len(field.get("edges", []))
    own = lambda field: numbers(field) if field["kind"] == "numeric" else 1 + values(field)
    return [0 if "shares" in field else own(field) for field in schema["fields"]]


def predictions(label, logits):
    if label["task"] == "binary":
        return torch.sigmoid(logits)
    return (logits * label.get("scale", 1.0)).clamp(label["min"], label["max"])


def main(model_path, scored_path):
    files = {"schema.json": "", "settings.toml": ""}
    model = torch.jit.load(model_path, _extra_files=files)
    schema = json.loads(files["schema.json"])
    is_new = any("transform" in field or "column" in field for field in schema["fields"])
    assert schema["format"] == (3 if is_new else 2) and "null_values" not in schema
    assert b"[model]" in files["settings.toml"]
    parameters = dict(model.named_parameters())
    assert "linear.weight" in parameters and "embedding.weight" in parameters, sorted(parameters)
    assert parameters["linear.weight"].shape == (sum(rows_of(schema)), 1)

    with open(scored_path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    owners = {field["name"]: field for field in schema["fields"]}
    first_ids = dict(zip(owners, accumulate(rows_of(schema), initial=0)))
    ids, values = [], []
    for row in rows:
        row_ids, row_values = [], []
        for field in schema["fields"]:
            owner = field.get("shares", field["name"])
            known = {key: owners[owner][key] for key in ("vocabulary", "hash_buckets") if key in owners[owner]}
            field_ids, field_values = encode(field | known, first_ids[owner], row[field.get("column", field["name"])])
            row_ids += field_ids
            row_values += field_values
        ids.append(row_ids)
        values.append(row_values)
    ids, values = torch.tensor(ids, dtype=torch.int64), torch.tensor(values, dtype=torch.float32)
    expected = torch.tensor([float(row["score"]) for row in rows], dtype=torch.float64)

    worst = 0.0
    # All rows in large batches, the first ones in small batches.
    for batch, n in ((1, 400), (7, min(2800, len(rows))), (4096, len(rows))):
        with torch.no_grad():
            logits = torch.cat([model(i, x) for i, x in zip(ids[:n].split(batch), values[:n].split(batch))])
        assert logits.shape == (n,), logits.shape
        # Within 1e-6 of the prediction, or of 1.
        found, known = predictions(schema["label"], logits).double(), expected[:n]
        differences = (found - known).abs() / known.abs().clamp_min(1)
        worst = max(worst, differences.max().item())
    print(f"{model_path}: {len(rows)} rows, greatest difference {worst:.1e}")
    if not worst <= 1e-6:
        sys.exit(f"{model_path}: the predictions differ by up to {worst}")


for model, scored in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    main(model, scored)
