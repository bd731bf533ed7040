"""The tools, one per file. To add one, write its file and add its name here."""

import importlib

from job import Peer

NAMES = ("fm", "libfm", "libffm", "xlearn", "modern_fm", "myfm", "vowpalwabbit", "deepctr_torch")


def peers() -> list[Peer]:
    return [importlib.import_module(f"peers.{name}").PEER for name in NAMES]
