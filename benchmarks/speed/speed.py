"""Trains factorization machines with fm and with other tools on the same files, and writes docs/performance.md.

Results are kept as they come: the same command continues a benchmark that was stopped.
"""

import argparse
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import environments
import report
from job import Job, Peer, Skip
from peers import peers
from results import lines as read_lines

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DEFAULT_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fm-speed"
DEFAULT_DATA = Path(os.environ.get("FM_DATA_DIR", Path.home() / ".local/share/fm"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make speed", description=__doc__)

    def numbers(text: str) -> list[int]:
        return [int(number) for number in text.split(",")]

    def names(text: str) -> list[str]:
        return text.split(",")

    add = parser.add_argument
    add("--fm", type=Path, default=ROOT / "target/release/fm", metavar="PATH", help="this repository's program")
    add("--libfm", type=Path, metavar="PATH", help="the executable libFM")
    add("--libffm", type=Path, metavar="PATH", help="the executable ffm-train, with ffm-predict beside it")
    add("--data-dir", type=Path, default=DEFAULT_DATA, metavar="DIR", help="folder of data sets, with ml-1m in it")
    add("--frappe", type=Path, metavar="DIR", help="folder with Frappe's train.csv, valid.csv and test.csv")
    add("--criteo-rows", type=int, default=2_000_000, metavar="N", help="rows of the generated set [2,000,000]")
    add("--rows", type=int, default=10**9, metavar="N", help="maximum number of rows of the other sets [all]")
    add("--sets", type=names, default=names("ml-1m,frappe,criteo-like"), metavar="NAME,...", help="data sets [all]")
    add("--tools", type=names, metavar="NAME,...", help=f"tools [all: {','.join(peer.name for peer in peers())}]")
    add(
        "--models",
        type=names,
        default=names("fm,ffm"),
        metavar="NAME,...",
        help="fm, ffm, bayesian_fm, deepfm [fm,ffm]",
    )
    add("--fm-k", type=numbers, default=[8, 16], metavar="K,...", help="lengths of FM's vectors [8,16]")
    add("--ffm-k", type=numbers, default=[4, 8], metavar="K,...", help="lengths of FFM's vectors [4,8]")
    add("--threads", type=numbers, default=[1, 2], metavar="N,...", help="numbers of threads [1,2]")
    add("--repeats", type=int, default=5, metavar="N", help="trainings of each kind; medians are reported [5]")
    add("--epochs", type=int, default=30, metavar="N", help="maximum number of passes [30]")
    add("--patience", type=int, default=2, metavar="N", help="passes without a better validation logloss [2]")
    add("--limit", type=float, default=900, metavar="SECONDS", help="longest training [900]")
    add("--quick", action="store_true", help="one repeat, one thread, the smaller k, MovieLens-1M")
    add("--again", type=names, default=[], metavar="NAME,...", help="tools whose earlier results do not count")
    add(
        "--cache",
        type=Path,
        default=DEFAULT_CACHE,
        metavar="DIR",
        help=f"environments, data, results [{DEFAULT_CACHE}]",
    )
    add(
        "--page", type=Path, default=ROOT / "docs/performance.md", metavar="FILE", help="the page [docs/performance.md]"
    )
    add("--note", default="", metavar="TEXT", help="a sentence for the page, such as how busy the machine was")
    add("--render-only", action="store_true", help="write the page from the results at hand")
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.threads, options.sets = 1, options.threads[:1], options.sets[:1]
        options.fm_k, options.ffm_k = options.fm_k[:1], options.ffm_k[:1]
    options.tools = options.tools or [peer.name for peer in peers()]
    for kind, given, known in (
        ("tool", options.tools + options.again, [peer.name for peer in peers()]),
        ("model", options.models, ["fm", "ffm", "bayesian_fm", "deepfm"]),
        ("data set", options.sets, ["ml-1m", "frappe", "criteo-like"]),
    ):
        unknown = [name for name in given if name not in known]
        if unknown:
            parser.error(f"unknown {kind} {unknown[0]}; known: {', '.join(known)}")
    for program in (options.fm, options.libfm, options.libffm):
        if program and not options.render_only and not os.access(program, os.X_OK):
            parser.error(f"{program} is not an executable")
    return options


def say(text: str) -> None:
    print(f"speed: {text}", file=sys.stderr, flush=True)


def main() -> int:
    options = arguments()
    results = options.cache / "results.jsonl"
    options.cache.mkdir(parents=True, exist_ok=True)
    if not options.render_only:
        try:
            measure_all(options, results)
        except KeyboardInterrupt:
            say("stopped; the same command continues")
            return 130
        except Skip as reason:
            say(f"error: {reason}")
            return 1
    if not results.exists():
        say(f"error: there are no results in {results}")
        return 1
    command = "make speed" + (f' OPTIONS="{shown(sys.argv[1:])}"' if sys.argv[1:] else "")
    report.write(results, options.page, command, options.note)
    say(f"wrote {options.page}")
    return 0


def shown(words: list[str]) -> str:
    """The options without those that name this machine's folders or rendering."""
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in ("--cache", "--page", "--again", "--note"):
            skip = True
        elif word != "--render-only":
            kept.append(Path(word).name if word.startswith("/") else word)
    return shlex.join(kept)


def measure_all(options: argparse.Namespace, results: Path) -> None:
    base = environments.python(options.cache, "base", ())
    folders = {name: folder for name in options.sets if (folder := data_set(options, base, name))}
    lines = [line for line in read_lines(results) if "error" not in line and line.get("tool") not in options.again]
    known = {line["key"] for line in lines}
    for threads in options.threads:
        if f"floor/{threads}" not in known:
            record(results, {"key": f"floor/{threads}", "threads": threads, "floor": floor(base, threads)})
    for folder in folders.values():
        about = json.loads((folder / "about.json").read_text())
        record(results, {"key": f"data/{folder.name}", "data": folder.name, "about": about})
    for job, peer in jobs(options, folders):
        if job.key in known:
            continue
        line = {"key": job.key, "tool": job.tool, "data": job.data, "model": job.model, "k": job.k}
        line |= {"threads": job.threads, "repeat": job.repeat, "settings": peer.settings, "load": os.getloadavg()[0]}
        line |= {"cores": os.cpu_count(), "processor": processor(), "when": time.strftime("%Y-%m-%d")}
        try:
            python = (
                base if peer.executable else environments.python(options.cache, peer.name, peer.packages, peer.build)
            )
            line |= train(job, python)
        except Skip as reason:
            line["error"] = str(reason)
        say(f"{job.key}: {summary(line)}")
        record(results, line)


def jobs(options: argparse.Namespace, folders: dict[str, Path]) -> Iterator[tuple[Job, Peer]]:
    """All trainings, in turns: each tool trains once before the next repeat."""
    programs = {"fm": options.fm, "libfm": options.libfm, "libffm": options.libffm}
    lengths = {"fm": options.fm_k, "ffm": options.ffm_k, "bayesian_fm": options.fm_k[:1], "deepfm": [10]}
    contestants = [peer for peer in peers() if peer.name in options.tools]
    contestants = [peer for peer in contestants if not peer.executable or programs[peer.name]]
    kinds = [
        (name, model, k, threads)
        for name in folders
        for model in options.models
        for k in lengths[model]
        for threads in options.threads
    ]
    for repeat in range(1, options.repeats + 1):
        for name, model, k, threads in kinds:
            for peer in contestants:
                if model in peer.models and (peer.threads is None or threads in peer.threads):
                    program = programs.get(peer.name)
                    executable = str(program.resolve()) if program else None
                    yield Job(
                        name, folders[name].name, str(folders[name]), peer.name, model, k, threads, repeat,
                        options.epochs, options.patience, options.limit, "", executable,
                    ), peer  # fmt: skip


def data_set(options: argparse.Namespace, python: Path, name: str) -> Path | None:
    """The folder of a data set in all formats, or none for one that the user does not have."""
    sources = {"ml-1m": options.data_dir / "ml-1m", "frappe": options.frappe, "criteo-like": None}
    source, rows = sources[name], options.criteo_rows if name == "criteo-like" else options.rows
    if name == "frappe" and source is None:
        return None
    if name == "ml-1m" and not (source / "ratings.dat").exists():
        raise Skip(f"{source} has no ratings.dat; run `fm data download ml-1m`, or name its folder with --data-dir")
    folder = options.cache / "data" / (name if rows == 10**9 else f"{name}-{rows}")
    if not (folder / "about.json").exists():
        say(f"writing {folder.name} in all formats")
        folder.mkdir(parents=True, exist_ok=True)
        command = [str(python), str(HERE / "data.py"), name, str(source), str(folder), str(rows)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Skip(f"{name}: {(done.stderr.strip().splitlines() or ['data.py failed'])[-1]}")
    return folder


def floor(python: Path, threads: int) -> dict:
    done = subprocess.run(
        [str(python), str(HERE / "floor.py"), str(threads)],
        stdout=subprocess.PIPE,
        env=with_threads(threads),
        check=True,
    )
    return json.loads(done.stdout)


def with_threads(threads: int) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
    return {**os.environ, **{name: str(threads) for name in names}}


def train(job: Job, python: Path) -> dict:
    """Trains in a process of its own, whose memory is measured."""
    work = Path(tempfile.mkdtemp(prefix="fm-speed-"))
    try:
        job.work = str(work)
        job.write(work / "job.json")
        command = [str(python), str(HERE / "worker.py"), str(work / "job.json"), str(work / "answer.jsonl")]
        with open(work / "output.txt", "wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=output, env=with_threads(job.threads), start_new_session=True
            )
            try:
                status, usage = wait(process, 1.5 * job.limit + 60)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
        answers = read_lines(work / "answer.jsonl")
        line = {"epochs": [answer["epoch"] for answer in answers if "epoch" in answer]}
        line["peak_mb"] = usage.ru_maxrss / 1024
        line["versions"] = next((answer["versions"] for answer in answers if "versions" in answer), {})
        errors = [answer["error"] for answer in answers if "error" in answer]
        if errors or status != 0 or not line["epochs"]:
            text = (work / "output.txt").read_text(errors="replace").strip().splitlines()
            line["error"] = (errors or text[-1:] or [f"exit status {status}"])[0]
        return line
    finally:
        shutil.rmtree(work, ignore_errors=True)


def wait(process: subprocess.Popen, limit: float) -> tuple[int, "os.struct_rusage"]:
    """The exit status of a process and the resources that it and its children used."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        if done:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage
        time.sleep(0.05)
    raise Skip(f"it ran for more than {limit:.0f} s")


def summary(line: dict) -> str:
    if "error" in line:
        return f"skipped: {line['error']}"
    best = min(line["epochs"], key=lambda epoch: epoch["valid"].get("logloss", 9))
    seconds, passes = (sum(epoch[name] for epoch in line["epochs"]) for name in ("seconds", "passes"))
    test = best["test"].get("logloss", float("nan"))
    return f"{passes} passes, {seconds / passes:.3f} s each, logloss {best['valid']['logloss']:.4f}, test {test:.4f}"


def record(results: Path, line: dict) -> None:
    with open(results, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            found = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        sets = [name for name in ("avx512f", "avx2") if name in Path("/proc/cpuinfo").read_text().split()]
        return f"{found[0]}, {len(found)} cores" + (f", {sets[0].upper()}" if sets else "")
    except (OSError, IndexError):
        return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    sys.exit(main())
