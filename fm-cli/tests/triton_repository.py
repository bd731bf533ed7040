"""Serves exported models as Triton's PyTorch backend would: python triton_repository.py REPOSITORY/MODEL SCORED.csv ...

Written from the backend's rules alone: what it demands of config.pbtxt, and how it calls `forward`.
"""

import csv
import json
import os
import sys

import torch
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
from tritonclient.grpc.model_config_pb2 import TYPE_FP32, TYPE_INT64, TYPE_STRING


def load(folder):
    """The configuration, the model and its schema, as a server finds them."""
    with open(os.path.join(folder, "config.pbtxt"), encoding="utf-8") as file:
        config = text_format.Parse(file.read(), model_config_pb2.ModelConfig())
    files = {name: "" for name in ["schema.json", "settings.toml", "metrics.json", "model_card.md"]}
    model = torch.jit.load(os.path.join(folder, "1", "model.pt"), _extra_files=files)
    assert all(files.values()), [name for name, text in files.items() if not text]
    return config, model, json.loads(files["schema.json"])


def check(config, model, folder):
    """The rules of Triton and of its backend."""
    assert config.name == os.path.basename(folder), config.name
    assert (config.platform, config.backend) == ("pytorch_libtorch", "pytorch")
    assert config.max_batch_size > 1 and config.HasField("dynamic_batching")
    arguments = model.forward.schema.arguments[1:]
    assert [tensor.name for tensor in config.input] == [argument.name for argument in arguments]
    for tensor, argument in zip(config.input, arguments):
        expected = "List[str]" if tensor.data_type == TYPE_STRING else "Tensor"
        assert str(argument.type) == expected, (tensor.name, str(argument.type))
    assert [tensor.name for tensor in config.output] == ["OUTPUT__0"]
    for tensor in [*config.input, *config.output]:
        assert len(tensor.dims) >= 1 and all(size > 0 for size in tensor.dims), tensor
        if tensor.HasField("reshape"):
            # The same number of elements; none of one element for a reshape to no dimension.
            assert len(tensor.reshape.shape) == 0 and list(tensor.dims) == [1], tensor
    for tensor in config.input:
        shape = tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims
        # A List[str] has one dimension, which the batch takes.
        assert tensor.data_type != TYPE_STRING or len(shape) + 1 <= 1, tensor
    kinds = {tensor.name: (tensor.data_type, list(tensor.dims)) for tensor in config.input}
    assert [sample.batch_size for sample in config.model_warmup][0] == 1
    for sample in config.model_warmup:
        assert sample.batch_size <= config.max_batch_size
        given = {name: (tensor.data_type, list(tensor.dims)) for name, tensor in sample.inputs.items()}
        assert given == kinds, (given, kinds)
        assert all(tensor.zero_data for tensor in sample.inputs.values())


def warm_up(config, model):
    for sample in config.model_warmup:
        zeros = {TYPE_INT64: torch.int64, TYPE_FP32: torch.float32}
        inputs = [
            [""] * sample.batch_size
            if tensor.data_type == TYPE_STRING
            else torch.zeros(sample.batch_size, *tensor.dims, dtype=zeros[tensor.data_type])
            for tensor in config.input
        ]
        for _ in range(sample.count):
            assert model(*inputs).shape == (sample.batch_size,)


def compare(folder, config, model, inputs, expected):
    """The predictions of rows in batches. `inputs` hold an entry for each row."""
    worst = 0.0
    for batch in (1, 2, 7):
        rows = range(0, min(len(expected), 40 * batch), batch)
        found = torch.cat([model(*[column[first : first + batch] for column in inputs]) for first in rows])
        assert found.dtype == torch.float32 and found.shape == (min(len(expected), len(rows) * batch),), found.shape
        worst = max(worst, (found.double() - expected[: len(found)]).abs().max().item())
    print(f"{folder}: greatest difference {worst:.1e}")
    if not worst <= 1e-6:
        sys.exit(f"{folder}: the predictions differ by up to {worst}")


def main(folder, scored):
    with open(scored, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    expected = torch.tensor([float(row["score"]) for row in rows], dtype=torch.float64)
    assert (expected.max() - expected.min()).item() > 0.01

    config, model, schema = load(folder)
    check(config, model, folder)
    warm_up(config, model)
    columns = [[row[field["name"]] for row in rows] for field in schema["fields"]]
    compare(folder, config, model, columns, expected)

    ids_folder = folder + "_ids"
    config, ids_model, _ = load(ids_folder)
    check(config, ids_model, ids_folder)
    warm_up(config, ids_model)
    encoded = model.model.encode_columns({field["name"]: column for field, column in zip(schema["fields"], columns)})
    assert [list(tensor.dims) for tensor in config.input] == [[encoded[0].shape[1]]] * 2
    compare(ids_folder, config, ids_model, encoded, expected)


# As the backend does, unless told otherwise.
with torch.inference_mode():
    for folder, scored in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        main(folder, scored)
