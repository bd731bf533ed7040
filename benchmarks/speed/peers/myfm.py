"""myFM: Gibbs sampling."""

import time
from collections.abc import Iterator

from job import Epoch, Job, Peer


def train(job: Job) -> Iterator[Epoch]:
    import numpy as np
    from myfm import MyFMClassifier

    from metric import measure
    from rows import load

    data = load(job.folder)
    rows = {part: of.csr(data.features).astype(np.float64) for part, of in data.parts.items()}
    sampler = MyFMClassifier(rank=job.k, random_seed=job.repeat)
    seconds: list[float] = []
    ticks = [time.perf_counter()]

    def tick(*_: object) -> tuple[bool, None]:
        now = time.perf_counter()
        seconds.append(now - ticks[-1])
        ticks.append(now)
        return now - ticks[0] > job.limit, None

    sampler.fit(
        rows["train"], data.parts["train"].labels > 0, n_iter=job.epochs, n_kept_samples=max(1, job.epochs - 5),
        grouping=data.field_of.tolist(), callback=tick,
    )  # fmt: skip
    valid, test = (
        measure(data.parts[part].labels, sampler.predict_proba(rows[part], n_workers=job.threads))
        for part in ("valid", "test")
    )
    yield Epoch(sum(seconds), len(seconds), min(seconds), valid, test)


PEER = Peer("myfm", ("bayesian_fm",), train, "Gibbs sampling, probit", packages=("myfm",), threads=(1,))
