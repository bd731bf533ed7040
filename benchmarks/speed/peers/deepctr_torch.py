"""DeepCTR-Torch: DeepFM."""

import time
from collections.abc import Iterator

from job import Epoch, Job, Peer, Skip


def train(job: Job) -> Iterator[Epoch]:
    import numpy as np
    import torch
    from deepctr_torch.inputs import SparseFeat
    from deepctr_torch.models import DeepFM

    from metric import measure
    from rows import load

    data = load(job.folder)
    if any(field["multi"] for field in data.fields):
        raise Skip("multi-valued fields have no pooling by weight")
    torch.set_num_threads(job.threads)
    sizes = np.bincount(data.field_of)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    names = [field["name"] for field in data.fields]
    columns = [SparseFeat(name, size, embedding_dim=job.k) for name, size in zip(names, sizes.tolist())]
    inputs = {}
    for part, rows in data.parts.items():
        local = rows.ids.reshape(len(rows), len(names)) - first
        inputs[part] = {name: local[:, i] for i, name in enumerate(names)}
    learner = DeepFM(columns, columns, dnn_hidden_units=(400, 400, 400), dnn_dropout=0.2, seed=job.repeat)
    learner.compile("adam", "binary_crossentropy")
    for _ in range(job.epochs):
        begin = time.perf_counter()
        learner.fit(inputs["train"], data.parts["train"].labels, batch_size=4096, epochs=1, verbose=0)
        seconds = time.perf_counter() - begin
        valid, test = (
            measure(data.parts[part].labels, learner.predict(inputs[part], batch_size=4096).ravel())
            for part in ("valid", "test")
        )
        yield Epoch(seconds, valid=valid, test=test)


PEER = Peer(
    "deepctr_torch",
    ("deepfm",),
    train,
    "Adam, batches of 4096, [400, 400, 400], dropout 0.2",
    packages=("deepctr-torch", "requests"),
)
