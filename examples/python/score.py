"""Scores raw rows with an exported model. Requires PyTorch, and nothing else.

    python score.py MODEL.pt             show the methods of the file
    python score.py MODEL.pt ROWS.csv    write the rows with a column `score` to standard output
"""

import csv
import itertools
import json
import sys

import torch


def show(model, card):
    names = [field["name"] for field in json.loads(model.schema())["fields"]]
    print("fields:", *names)
    print("card:", card.decode().splitlines()[0])
    nothing = {}  # missing values use the row for unknown values, as unseen values do
    unseen = {name: "never seen" for name in names}
    print("rows:", model.score([nothing, unseen]))
    print("lists, for multi-valued fields:", model.score_lists([{name: ["never", "seen"] for name in names}]))
    print("columns:", model.score_columns({names[0]: ["never seen", ""]}))
    ids, values = model.encode([nothing, unseen])  # encode once, predict many times
    print("tensors:", model.predict(ids, values))
    try:
        print("recommended:", model.recommend(unseen, 3))
    except torch.jit.Error:
        print("no recommendations: export the run --with-catalogue")


def score_csv(model, path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows, writer = csv.reader(file), csv.writer(sys.stdout, lineterminator="\n")
        header = next(rows)
        writer.writerow([*header, "score"])
        while batch := list(itertools.islice(rows, 4096)):
            columns = dict(zip(header, map(list, zip(*batch, strict=True)), strict=True))
            scores = model.score_columns(columns).tolist()  # columns that are not fields are ignored
            writer.writerows([*row, f"{score:.9g}"] for row, score in zip(batch, scores, strict=True))


if len(sys.argv) not in (2, 3):
    sys.exit("usage: python score.py MODEL.pt [ROWS.csv]")
files = {"model_card.md": ""}
model = torch.jit.load(sys.argv[1], map_location="cpu", _extra_files=files)
if len(sys.argv) == 2:
    show(model, files["model_card.md"])
else:
    sys.stdout.reconfigure(encoding="utf-8")
    score_csv(model, sys.argv[2])
