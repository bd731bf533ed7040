#!/usr/bin/env python3
"""Writes the licences of the crates that the program contains: python3 scripts/licences.py FILE

It takes them from the sources that Cargo has downloaded for this platform. Crates that only tests and build scripts use
are left out: no file that is built contains them. libtorch is not part of the program, and has its own licences.

Environment:
  CARGO  the Cargo to ask [default: cargo]
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "fm-cli"
NAMES = re.compile(r"(un)?licen[cs]e|copying|copyright|notice", re.IGNORECASE)

HEADER = """Licences of the {count} Rust crates that fm contains

fm itself is under the MIT licence, in the file LICENSE. Programs in Rust also contain parts of its standard library,
which is under the MIT licence or the Apache License, Version 2.0, at the user's choice.
"""


def output(*command: str) -> str:
    try:
        return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    except FileNotFoundError:
        sys.exit(f"licences: there is no {command[0]}: install Rust, or set CARGO")
    except subprocess.CalledProcessError:
        sys.exit(f"licences: `{' '.join(command)}` failed (see its message above)")


def contained(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """The packages from elsewhere that become part of the program, by name."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node["deps"] for node in metadata["resolve"]["nodes"]}
    waiting = [id for id, package in packages.items() if package["name"] == PROGRAM]
    found = set(waiting)
    while waiting:
        for needed in nodes[waiting.pop()]:
            # The kinds are `dev`, `build`, and none for what is linked.
            if needed["pkg"] not in found and any(kind["kind"] is None for kind in needed["dep_kinds"]):
                found.add(needed["pkg"])
                waiting.append(needed["pkg"])
    outside = (packages[id] for id in found if packages[id]["source"])
    return sorted(outside, key=lambda package: (package["name"], package["version"]))


def texts(package: dict[str, Any]) -> list[str]:
    """The licences and notices in the folder of a package."""
    folder = Path(package["manifest_path"]).parent
    files = {path for path in folder.iterdir() if path.is_file() and NAMES.match(path.name)}
    if package["license_file"]:
        files.add((folder / package["license_file"]).resolve())
    read = (path.read_text("utf-8", "replace").replace("\r\n", "\n").strip("\n") for path in sorted(files))
    return [text for text in read if text.strip()]


def described(package: dict[str, Any]) -> str:
    words = [package["name"], package["version"], f"({package['license'] or 'see below'})"]
    return " ".join([*words, package["repository"] or package["homepage"] or ""]).rstrip()


def page(packages: list[dict[str, Any]]) -> str:
    # Many packages share a text, up to the breaks of lines.
    owners: dict[str, tuple[str, list[str]]] = {}
    without = []
    for package in packages:
        of_package = texts(package)
        for text in of_package:
            owners.setdefault(" ".join(text.split()), (text, []))[1].append(described(package))
        if not of_package:
            authors = ", ".join(re.sub(r" *<[^>]*>", "", author) for author in package["authors"])
            without.append(described(package) + (f", by {authors}" if authors else ""))
            if not package["license"]:
                sys.exit(f"licences: {package['name']} {package['version']} states no licence: replace this dependency")
    sections = [(text, names) for text, names in owners.values()]
    if without:
        note = "These packages contain no text of their licence: that of its name in this file applies."
        sections.append((note, without))
    rule = "\n" + "=" * 80 + "\n"
    return HEADER.format(count=len(packages)) + "".join(
        rule + "\n".join(dict.fromkeys(names)) + "\n\n" + text + "\n" for text, names in sections
    )


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(str(__doc__).strip())
    cargo = os.environ.get("CARGO", "cargo")
    host = next(line[6:] for line in output("rustc", "-vV").splitlines() if line.startswith("host: "))
    found = output(cargo, "metadata", "--locked", "--format-version=1", "--filter-platform", host)
    packages = contained(json.loads(found))
    file = Path(sys.argv[1])
    file.write_text(page(packages), "utf-8")
    print(f"licences: wrote those of {len(packages)} crates to {file}")


main()
