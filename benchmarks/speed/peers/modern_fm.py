"""modern_fm: AdaGrad on batches."""

import time
from collections.abc import Iterator

from job import Epoch, Job, Peer


def train(job: Job) -> Iterator[Epoch]:
    import numpy as np
    from modern_fm import FFMClassifier, FMClassifier

    from metric import measure
    from rows import load

    data = load(job.folder)
    rows = {part: of.csr(data.features) for part, of in data.parts.items()}
    kind = FMClassifier if job.model == "fm" else FFMClassifier
    learner = kind(
        n_factors=job.k, optimizer="adagrad", learning_rate=0.1, batch_size=512, n_jobs=job.threads,
        l2_linear=1e-5, l2_factors=1e-5, random_state=job.repeat,
    )  # fmt: skip
    labels = data.parts["train"].labels
    arguments = {} if job.model == "fm" else {"field_ids": data.field_of}
    for passed in range(job.epochs):
        begin = time.perf_counter()
        first = {"classes": np.array([0.0, 1.0]), **arguments} if passed == 0 else {}
        learner.partial_fit(rows["train"], labels, **first)
        seconds = time.perf_counter() - begin
        valid, test = (
            measure(data.parts[part].labels, learner.predict_proba(rows[part])[:, 1]) for part in ("valid", "test")
        )
        yield Epoch(seconds, valid=valid, test=test)


PEER = Peer(
    "modern_fm", ("fm", "ffm"), train, "AdaGrad, learning rate 0.1, L2 1e-5, batches of 512", packages=("modern-fm",)
)
