"""Writes the page about performance, with its charts."""

import textwrap
from pathlib import Path

import charts
from floor import Machine, needs
from results import OURS, Kind, Result, Results, peers_best, read, seconds_until

TITLES = {"fm": "FM", "ffm": "FFM", "bayesian_fm": "Bayesian FM", "deepfm": "DeepFM"}
SETS = {
    "ml-1m": "MovieLens-1M: whether a rating is at least 4; a random 80/10/10 split; fields user, film, gender, age, "
    "occupation, the first three digits of the zip code, and genres",
    "frappe": "Frappe: whether a user used an app in a context; the split of the files",
    "criteo-like": "Criteo-like: generated clicks with 39 fields and a million values, Zipf-distributed, labels drawn "
    "from an FM; a random 80/10/10 split",
}


def write(results_file: Path, page: Path, command: str, note: str) -> None:
    results = read(results_file)
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    for old in images.glob("performance-*.svg"):
        old.unlink()
    sections = [introduction(results, command, note), verdict(results)]
    for data in results.about:
        sections += section(results, data, images)
    sections += [floors(results), tools(results), skipped(results), METHOD]
    page.write_text("\n\n".join(part.strip() for part in sections if part.strip()) + "\n", encoding="utf-8")


def introduction(results: Results, command: str, note: str) -> str:
    repeats = sorted({result.repeats for found in results.kinds.values() for result in found})
    loads = f"{min(results.loads):.1f} to {max(results.loads):.1f}" if results.loads else "unknown"
    return f"""
# Performance

Whole trainings of factorization machines with `fm` and with other tools, on the same rows. The program
[benchmarks/speed](../benchmarks/speed/README.md) wrote this page:

```sh
{command}
```

| | |
|---|---|
| processor | {"; ".join(results.processors)} |
| measured | {" to ".join(dict.fromkeys((results.days[0], results.days[-1])))} |
| trainings of each kind | {" or ".join(map(str, repeats))}, of which the tables show medians |
| load average before a training | {loads} |

{textwrap.fill(note, 120)}

{busy(results)}
"""


def busy(results: Results) -> str:
    """A warning if other programs needed the cores that the tools ran on."""
    most = max(results.loads, default=0)
    words = (
        f"**The machine was busy: the load average reached {most:.1f} on {results.cores} cores.** Times of the clock "
        "are too long then, and differently so for each tool. The metrics hold; measure the speed again on a machine "
        "that does nothing else."
    )
    return textwrap.fill(words, 120) if most > results.cores / 2 + 1 else ""


def verdict(results: Results) -> str:
    table = ["## Summary", "", "Ratios: above 1, `fm` is better.", ""]
    table += [
        "| data | model | k | threads | `fm`'s rows a second ÷ those of the fastest other tool | "
        "seconds to the others' best validation logloss: theirs ÷ `fm`'s | test logloss: `fm`, the best other |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    losses = []
    for kind, found in results.kinds.items():
        ours = next((result for result in found if result.tool == OURS), None)
        others = [result for result in found if result.tool != OURS]
        if not ours or not others:
            continue
        fastest, best = max(others, key=lambda result: result.rows_per_second), peers_best(found)
        speed = ours.rows_per_second / fastest.rows_per_second
        reached = seconds_until(ours, best.valid)
        sooner = best.seconds_to_best / reached if reached else None
        ends = f"{number(ours.test['logloss'])}, {number(best.test['logloss'])} ({best.tool})"
        table.append(
            f"| {kind.data} | {TITLES[kind.model]} | {kind.k} | {kind.threads} | {speed:.2f} ({fastest.tool}) | "
            f"{f'{sooner:.2f}' if sooner else 'not reached'} ({best.tool}) | {ends} |"
        )
        name = f"{TITLES[kind.model]} with k = {kind.k} on {kind.data}, {threads(kind.threads)}"
        if speed < 1:
            losses.append(f"{name}: {fastest.tool} trains {1 / speed:.2f} times as many rows a second.")
        if not sooner:
            losses.append(f"{name}: `fm` does not reach {best.tool}'s validation logloss of {number(best.valid)}.")
        elif sooner < 1:
            losses.append(f"{name}: {best.tool} reaches its best validation logloss {1 / sooner:.2f} times as soon.")
    if losses:
        table += ["", "Where `fm` loses:", "", *(f"- {loss}" for loss in losses)]
    return "\n".join(table) if len(table) > 6 else ""


def section(results: Results, data: str, images: Path) -> list[str]:
    """A data set: a table and a chart for each model."""
    about = results.about[data]
    known = next((words for name, words in SETS.items() if data.startswith(name)), data)
    sizes = about["rows"]
    facts = (
        f"{known}. {sizes['train']:,} training rows with {about['active']:.1f} active values of {about['features']:,}"
    )
    if about["best_logloss"]:
        facts += f"; the best possible test logloss is {number(about['best_logloss'])}"
    kinds = {kind: found for kind, found in results.kinds.items() if kind.data == data}
    if not kinds:
        return []
    parts = [f"## {data}\n\n{textwrap.fill(facts + '.', 120)}"]
    colours = charts.palette(
        [OURS, *sorted({result.tool for found in results.kinds.values() for result in found} - {OURS})]
    )
    for model in dict.fromkeys(kind.model for kind in kinds):
        chosen = {kind: found for kind, found in kinds.items() if kind.model == model}
        parts.append(f"### {TITLES[model]} on {data}\n\n{table(results, chosen)}")
        groups = [
            (
                f"k = {kind.k}, {threads(kind.threads)}",
                [(r.tool, r.rows_per_second, rate(r.rows_per_second)) for r in found],
            )
            for kind, found in chosen.items()
        ]
        picture = charts.bars(f"{TITLES[model]} on {data}: training rows a second", groups, colours)
        parts.append(
            image(images, f"performance-{data}-{model}-speed.svg", picture, f"Rows a second of {TITLES[model]}")
        )
        kind, found = next(iter(chosen.items()))
        title = f"{TITLES[model]}, k = {kind.k}, {threads(kind.threads)}: validation logloss over seconds of training"
        picture = charts.lines(title, [(result.tool, result.curve) for result in found], colours)
        parts.append(image(images, f"performance-{data}-{model}-loss.svg", picture, title))
    return parts


def table(results: Results, kinds: dict[Kind, list[Result]]) -> str:
    lines = [
        "| k | threads | tool | speed, `fm` = 1 | rows/s | share of the floor's rows/s | best validation logloss | "
        "test logloss | test AUC | seconds to it | seconds to the others' best | peak MB |",
        "|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, found in kinds.items():
        ours = next((result.rows_per_second for result in found if result.tool == OURS), None)
        best = peers_best(found)
        for result in found:
            until = seconds_until(result, best.valid) if best else None
            lines.append(
                f"| {kind.k} | {result.threads} | {result.tool} | "
                f"{f'{result.rows_per_second / ours:.2f}' if ours else '–'} | {rate(result.rows_per_second)} | "
                f"{share(results, kind, result)} | {number(result.valid)} | {number(result.test.get('logloss'))} | "
                f"{number(result.test.get('auc'))} | {result.seconds_to_best:.1f} | "
                f"{f'{until:.1f}' if until else '–'} | {result.peak_mb:,.0f} |"
            )
    return "\n".join(lines)


def share(results: Results, kind: Kind, result: Result) -> str:
    least = limit(results, kind, result.threads)
    return f"{result.rows_per_second / least:.0%}" if least else "–"


def limit(results: Results, kind: Kind, count: int) -> float | None:
    """The rows a second at which the machine does nothing that it need not."""
    if count not in results.floors:
        return None
    machine = Machine(**results.floors[count])
    row = needs(results.about[kind.data], kind.model, kind.k, machine.cache)
    return row.rows_per_second(machine) if row else None


def floors(results: Results) -> str:
    lines = ["## The floor", "", "What the machine does in a second, measured, and what a row of AdaGrad needs.", ""]
    lines += ["| threads | GB/s of memory | GFLOP/s of float32 products | last-level cache |", "|---:|---:|---:|---:|"]
    for count, found in sorted(results.floors.items()):
        bandwidth, products = found["bandwidth"] / 1e9, found["products"] / 1e9
        lines.append(f"| {count} | {bandwidth:.1f} | {products:.0f} | {found['cache'] / 2**20:.0f} MiB |")
    lines += ["", "| data | model | k | threads | bytes a row | operations a row | the floor's rows/s |"]
    lines += ["|---|---|---:|---:|---:|---:|---:|"]
    for kind in results.kinds:
        least = limit(results, kind, kind.threads)
        if least:
            machine = Machine(**results.floors[kind.threads])
            row = needs(results.about[kind.data], kind.model, kind.k, machine.cache)
            lines.append(
                f"| {kind.data} | {TITLES[kind.model]} | {kind.k} | {kind.threads} | {row.bytes:,.0f} | "
                f"{row.operations:,.0f} | {rate(least)} |"
            )
    lines += ["", FLOOR]
    return "\n".join(lines) if results.floors else ""


def tools(results: Results) -> str:
    lines = ["## Tools", "", "| tool | version | method |", "|---|---|---|"]
    lines += [f"| {name} | {results.versions[name]} | {results.settings[name]} |" for name in sorted(results.versions)]
    return "\n".join(lines)


def skipped(results: Results) -> str:
    if not any(results.errors.values()):
        return ""
    lines = ["## Skipped", "", "| tool | where | reason |", "|---|---|---|"]
    for tool, reasons in sorted(results.errors.items()):
        for reason, kinds in reasons.items():
            where = "; ".join(
                f"{TITLES[kind.model]} k = {kind.k} on {kind.data}, {threads(kind.threads)}" for kind in kinds
            )
            lines.append(f"| {tool} | {where} | {reason.replace('|', ' ')} |")
    return "\n".join(lines)


def image(folder: Path, name: str, picture: str, description: str) -> str:
    (folder / name).write_text(picture, encoding="utf-8")
    return f"![{description}](images/{name})"


def number(x: float | None) -> str:
    """A metric as `.5164`."""
    return "–" if x is None else f"{x:.4f}".removeprefix("0")


def rate(rows: float) -> str:
    return f"{rows / 1e6:.2f} M" if rows >= 1e5 else f"{rows / 1e3:.1f} k"


def threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


FLOOR = """The bytes are those of the record and, if parameters and states do not fit into the last-level cache, of each
looked-up number and its state, read and written once. Frequent values stay in a cache even then, so a tool can be
faster than this floor where few values make up most of the rows."""

METHOD = """## Method

- Each tool trains in a process of its own, in turns, with the settings in
  [benchmarks/speed/peers](../benchmarks/speed/peers). They come from a small search on MovieLens-1M, and are the same
  for all sets.
- Rows a second are those of the fastest pass of a training, as the tool itself measures it, without reading, validation
  and prediction. libFM measures seconds of the processor, all others seconds of the clock.
- Training stops after two passes without a better validation logloss. The test rows are scored with the parameters of
  the best pass. Tools that only score at their end have a fixed number of passes and one point in the charts.
- Seconds to a logloss count training alone, up to the end of the first pass that reaches it.
- Peak memory is that of the process with all that it loads, such as Python's libraries.
- A tool with one thread only also appears among those with more.
- Compare ratios, not seconds: another processor has others, and other programs on the same machine slow all tools
  down."""
