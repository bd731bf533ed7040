"""The results of a benchmark: lines of a file, and their medians."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median

OURS = "fm"
# Seconds: some tools print 0.00 for a short pass.
CLOCK = 1e-3


@dataclass(frozen=True)
class Kind:
    """What tools are compared on."""

    data: str
    model: str
    k: int
    threads: int


@dataclass
class Result:
    """The medians of a tool's trainings of one kind."""

    tool: str
    threads: int
    repeats: int
    rows_per_second: float  # in the fastest pass of a training
    valid: float  # the best logloss on the validation rows
    seconds_to_best: float
    test: dict[str, float]  # at the best pass
    curve: list[tuple[float, float]]  # seconds and validation logloss of a training
    peak_mb: float


@dataclass
class Results:
    """Everything that was measured."""

    kinds: dict[Kind, list[Result]]
    errors: dict[str, dict[str, list[Kind]]]  # by tool and reason
    about: dict[str, dict]  # by data set
    floors: dict[int, dict]  # by number of threads
    versions: dict[str, str]
    settings: dict[str, str]
    processors: list[str]
    days: list[str]
    loads: list[float]  # before each training
    cores: int


def lines(path: Path) -> list[dict]:
    """The objects of a file of lines. The last line may be incomplete after an interruption."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def read(path: Path) -> Results:
    latest = {line["key"]: line for line in lines(path)}.values()
    trainings = [line for line in latest if "tool" in line]
    done, errors = defaultdict(list), defaultdict(lambda: defaultdict(list))
    for line in trainings:
        kind = Kind(line["data"], line["model"], line["k"], line["threads"])
        if "error" in line:
            if kind not in errors[line["tool"]][line["error"]]:
                errors[line["tool"]][line["error"]].append(kind)
        else:
            done[kind, line["tool"]].append(line)
    about = {line["data"]: line["about"] for line in latest if "about" in line}
    kinds = defaultdict(list)
    for (kind, tool), runs in done.items():
        kinds[kind].append(summarized(tool, kind.threads, runs, about[kind.data]["rows"]["train"]))
    add_single_threaded(kinds)
    good = [line for line in trainings if "error" not in line]
    return Results(
        {kind: kinds[kind] for kind in sorted(kinds, key=lambda kind: (kind.data, kind.model, kind.k, kind.threads))},
        errors,
        about,
        {line["threads"]: line["floor"] for line in latest if "floor" in line},
        {line["tool"]: next(iter(line["versions"].values())) for line in good},
        {line["tool"]: line["settings"] for line in good},
        sorted({line["processor"] for line in good}),
        sorted({line["when"] for line in good}),
        [line["load"] for line in good],
        min((line["cores"] for line in good), default=1),
    )


def summarized(tool: str, threads: int, runs: list[dict], rows: int) -> Result:
    curves = [curve(run["epochs"]) for run in runs]
    best = [min(run["epochs"], key=lambda epoch: epoch["valid"]["logloss"]) for run in runs]
    # What else runs on the machine slows most passes down, but rarely all of them.
    fastest = [min(map(pass_seconds, run["epochs"])) for run in runs]
    return Result(
        tool,
        threads,
        len(runs),
        median(rows / seconds for seconds in fastest),
        median(epoch["valid"]["logloss"] for epoch in best),
        median(min(points, key=lambda point: point[1])[0] for points in curves),
        {name: median(epoch["test"][name] for epoch in best) for name in best[0]["test"]},
        sorted(curves, key=lambda points: points[-1][0])[len(curves) // 2],
        median(run["peak_mb"] for run in runs),
    )


def pass_seconds(epoch: dict) -> float:
    return max(CLOCK, epoch["fastest"] or epoch["seconds"] / epoch["passes"])


def curve(epochs: list[dict]) -> list[tuple[float, float]]:
    seconds, points = CLOCK, []
    for epoch in epochs:
        seconds += epoch["seconds"]
        points.append((seconds, epoch["valid"]["logloss"]))
    return points


def seconds_until(result: Result, logloss: float) -> float | None:
    return next((seconds for seconds, found in result.curve if found <= logloss + 5e-5), None)


def add_single_threaded(kinds: dict[Kind, list[Result]]) -> None:
    """A tool that has one thread only also competes where there are more."""
    for kind, found in kinds.items():
        single = kinds.get(Kind(kind.data, kind.model, kind.k, 1), []) if kind.threads > 1 else []
        names = {result.tool for result in found}
        found += [result for result in single if result.threads == 1 and result.tool not in names | {OURS}]
        found.sort(key=lambda result: -result.rows_per_second)


def peers_best(found: list[Result]) -> Result | None:
    """The tool besides ours with the best validation logloss."""
    return min((result for result in found if result.tool != OURS), key=lambda result: result.valid, default=None)
