"""The Python module as its users see it: run by wheel-test.sh in an empty folder, with the wheel installed."""

import contextlib
import datetime
import importlib.metadata
import io
import json
import math
import random
import subprocess
import sys
import threading
from pathlib import Path

import torch

import fm


def write_table(path: str) -> None:
    """Clicks with a pattern that a factorization machine learns."""
    draw = random.Random(1)
    genres = ["Drama", "War", "Comedy", "Action"]
    with open(path, "w", encoding="utf-8") as file:
        file.write("user,film,genres,price,like\n")
        for _ in range(3000):
            user, film = draw.randrange(50), draw.randrange(40)
            of_film = "|".join(sorted({genres[film % 4], genres[film // 4 % 4]}))
            file.write(f"{user},f{film},{of_film},{film * 1.5},{int((user + film) % 3 == 0)}\n")


def raises(kind: type, words: str, call: object) -> None:
    try:
        call()  # type: ignore[operator]
    except kind as error:
        assert words in str(error) and "\n" not in str(error), error
    else:
        raise AssertionError(f"nothing is raised: {words}")


def trained() -> tuple[Path, Path]:
    write_table("clicks.csv")
    with contextlib.redirect_stdout(io.StringIO()) as table, contextlib.redirect_stderr(io.StringIO()) as messages:
        run = fm.train("clicks.csv", label="like", model="fm", run="runs/likes", epochs=2, set=["train.seed=3"])
        file = fm.export(run, "likes.pt", with_catalogue=True)
    assert "fm, test" in table.getvalue() and "epoch" in messages.getvalue()
    assert run.joinpath("settings.toml").is_file() and file.is_file()
    with contextlib.redirect_stderr(io.StringIO()):
        raises(fm.Error, "--force", lambda: fm.train("clicks.csv", label="like", run="runs/likes"))
        raises(fm.Error, "none.csv", lambda: fm.train("none.csv", label="like", run="runs/none"))
    return run, file


def check_scores(model: fm.Model) -> None:
    rows = [
        {"user": 4, "film": "f3", "genres": ["Drama", "War"], "price": 4.5},
        {"user": 5.0, "film": "f0", "genres": [], "price": None},
        {"user": "nobody", "film": b"f7"},
    ]
    texts = [
        {"user": "4", "film": "f3", "genres": "Drama|War", "price": "4.5"},
        {"user": "5", "film": "f0"},
        {"user": "nobody", "film": "f7"},
    ]
    expected = model.module.score(texts)
    names = ["user", "film", "genres", "price"]
    columns = {name: [row.get(name) for row in rows] for name in names}
    columns["price"][1] = math.nan
    flat = {name: [row.get(name, "") for row in texts] for name in names}
    for data in (rows, texts, columns, flat, iter(rows), {name: tuple(column) for name, column in columns.items()}):
        found = model.score(data)
        assert found.dtype == torch.float32 and torch.equal(found, expected), (data, found, expected)
    many = model.score({name: column * 5000 for name, column in flat.items()})
    assert many.shape == (15000,) and torch.allclose(many[-3:], expected, atol=1e-6)
    assert model.score([]).shape == model.score({}).shape == (0,) and model.score([{}]).shape == (1,)
    assert torch.equal(model.score([{}, {}]), model.score([{"other": 1}, {}])) and model.score([{}, {}]).shape == (2,)
    for module in ("pandas", "polars"):
        try:
            frames = __import__(module)
        except ImportError:
            print(f"skipped: there is no {module}")
            continue
        lenient = {"strict": False} if module == "polars" else {}
        for data in (columns, flat):
            assert torch.equal(model.score(frames.DataFrame(data, **lenient)), expected), module
    raises(ValueError, "different numbers of rows", lambda: model.score({"user": [1, 2], "film": ["f1"]}))
    raises(TypeError, "a column must be a list", lambda: model.score({"user": "4"}))
    raises(TypeError, "a row must be a dict", lambda: model.score([4]))
    raises(TypeError, "within a list", lambda: model.score([{"genres": [["a"]]}]))
    day = datetime.date(2024, 5, 6)
    assert torch.equal(model.score([{"user": day}]), model.module.score([{"user": "2024-05-06"}]))


def check_the_rest(model: fm.Model) -> None:
    best = model.recommend(4, k=3, exclude=["f3"])
    items, scores = model.module.recommend({"user": "4"}, 3, ["f3"])
    assert [(item, score) for item, _, score in best] == list(zip(items, scores.tolist())) and len(best) == 3
    assert best == model.recommend({"user": "4"}, 3, ["f3"]) and best[0].title == best[0].item
    row = {"user": 4, "film": "f3", "genres": ["Drama", "War"]}
    found = model.explain(row)
    assert list(found.terms) and abs(found.baseline + sum(found.terms.values()) - found.logit) < 1e-5, found
    assert abs(found.prediction - model.score([row]).item()) < 1e-6 and set(found.terms) == set(row)
    assert model.schema["label"]["column"] == "like" and model.schema["user"] == "user"
    expected = model.score([row])
    answers = [torch.empty(0)] * 8

    def ask(at: int) -> None:
        for _ in range(20):
            answers[at] = model.score([row])

    threads = [threading.Thread(target=ask, args=[at]) for at in range(len(answers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(answer, expected) for answer in answers)


def check_files(file: Path) -> None:
    Path("cut.pt").write_bytes(file.read_bytes()[:-1000])
    raises(fm.Error, "cut.pt", lambda: fm.load("cut.pt"))
    raises(fm.Error, "none.pt", lambda: fm.load("none.pt"))
    with contextlib.redirect_stderr(io.StringIO()):
        fm.export("runs/likes", "plain.pt")
    assert json.loads(fm.run("runs", "--json", echo=False))
    licences = [path for path in importlib.metadata.files("fm-torch") or [] if "licenses" in path.parts]
    assert {path.name for path in licences} == {"LICENSE", "THIRD-PARTY-LICENSES"}, licences
    assert all("MIT licence" in path.read_text() or path.name == "LICENSE" for path in licences)
    program = [sys.executable, "-m", "fm"]
    assert subprocess.run([*program, "--version"], capture_output=True, check=True).stdout.startswith(b"fm ")
    assert subprocess.run([*program, "no-such"], capture_output=True, check=False).returncode == 2


_, exported = trained()
loaded = fm.load(exported)
check_scores(loaded)
check_the_rest(loaded)
check_files(exported)
print(f"the wheel works with PyTorch {torch.__version__} in Python {sys.version.split()[0]}")
