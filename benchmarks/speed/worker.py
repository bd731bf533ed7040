"""Runs one job in the environment of its tool: `python worker.py JOB.json ANSWER.jsonl`.

Writes a line per epoch, so that what was measured stays when the tool fails later.
"""

import importlib
import json
import re
import subprocess
import sys
import time
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from job import Job, Peer, Skip


def main(job_file: str, answer_file: str) -> int:
    job = Job.read(Path(job_file))
    peer: Peer = importlib.import_module(f"peers.{job.tool}").PEER
    best, waited, begin = float("inf"), 0, time.perf_counter()
    with open(answer_file, "w", encoding="utf-8") as answer:

        def say(line: dict) -> None:
            answer.write(json.dumps(line) + "\n")
            answer.flush()

        packages = {name: version(name) for name in map(bare, peer.packages)}
        say({"versions": packages | ({peer.name: program_version(job)} if peer.executable else {})})
        try:
            for epoch in peer.train(job):
                say({"epoch": asdict(epoch)})
                loss = epoch.valid.get("logloss", float("inf"))
                best, waited = (loss, 0) if loss < best else (best, waited + 1)
                if waited >= job.patience or time.perf_counter() - begin > job.limit:
                    break
        except Skip as reason:
            say({"error": str(reason)})
            return 1
        except Exception as error:  # a tool may fail in any way: the benchmark goes on with the next
            say({"error": f"{type(error).__name__}: {error}".splitlines()[0]})
            return 1
    return 0


def program_version(job: Job) -> str:
    """The number that follows the program's name or the word version in what it prints about itself."""
    done = subprocess.run([str(job.program), "--version"], capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"(?im)(?:^\w+|version:?) +(\d+\.\d+[\w.-]*)", done.stdout + done.stderr)
    return found.group(1) if found else "unknown"


def bare(requirement: str) -> str:
    """`name` of `name==1.0`."""
    return requirement.replace("<", "=").replace(">", "=").split("=")[0]


def version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
