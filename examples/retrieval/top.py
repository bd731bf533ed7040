"""The best items of a user, from an index of vectors.

    python examples/retrieval/top.py vectors --user 42

`vectors` is the folder that `fm export RUN --format vectors --output vectors` writes. The result is that of
`fm recommend RUN --user 42`. Requires faiss-cpu, numpy and pyarrow.
"""

import argparse
from pathlib import Path

import faiss
import numpy
import pyarrow.parquet


def build(vectors):
    """An index of all items by inner product. Replace it by an approximate one, such as HNSW, for many items."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


def best(index, query, seen, k):
    """The rows and the inner products of the k best items that the user has not seen."""
    unseen = faiss.IDSelectorNot(faiss.IDSelectorBatch(seen))
    products, rows = index.search(query[None], k, params=faiss.SearchParameters(sel=unseen))
    # Without enough items, FAISS fills up with -1.
    return [(row, product) for row, product in zip(rows[0], products[0]) if row >= 0]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--user", required=True)
    arguments.add_argument("--top", type=int, default=10)
    arguments = arguments.parse_args()

    items = pyarrow.parquet.read_table(arguments.folder / "items.parquet", columns=["item", "title"])
    users = pyarrow.parquet.read_table(arguments.folder / "users.parquet", columns=["user", "constant", "seen"])
    row = users["user"].to_pylist().index(arguments.user)
    query = numpy.load(arguments.folder / "users.npy", mmap_mode="r")[row]
    index = build(numpy.load(arguments.folder / "items.npy"))

    seen = numpy.array(users["seen"][row].as_py(), dtype="int64")
    for rank, (item, product) in enumerate(best(index, numpy.array(query), seen, arguments.top), 1):
        logit = product + users["constant"][row].as_py()
        print(f"{rank}\t{items['item'][int(item)]}\t{items['title'][int(item)]}\t{logit:.6f}")


if __name__ == "__main__":
    main()
