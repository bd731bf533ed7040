"""Compares ONNX files with libtorch's scores: python onnx_parity.py FOLDER

A folder in FOLDER holds a `model.onnx`, and for each of several batches an .npz of `ids`, `values`, `logits` and a
`tolerance`.
"""

import json
import pathlib
import sys

import numpy
import onnx
import onnxruntime


def check_format(file):
    """What every file promises, whatever its model."""
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert model.producer_name == "fm" and model.producer_version
    schema = json.loads(next(entry.value for entry in model.metadata_props if entry.key == "schema.json"))
    slots = sum(field.get("max_len", 1) for field in schema["fields"])
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    }
    assert shapes == {"ids": ["batch", slots], "values": ["batch", slots], "logits": ["batch"]}, shapes
    # Shapes that the checker finds by itself must not contradict what is declared.
    onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    read = {name for node in model.graph.node for name in node.input} | {"logits"}
    made = {name for node in model.graph.node for name in node.output}
    stored = {tensor.name for tensor in model.graph.initializer}
    assert made <= read, f"nobody reads {made - read}"
    assert stored <= read, f"nobody reads {stored - read}"
    assert all(node.op_type != "Identity" for node in model.graph.node)


def sessions(file):
    """As it stands, and as onnxruntime would have it."""
    for level in ["ORT_DISABLE_ALL", "ORT_ENABLE_ALL"]:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.intra_op_num_threads = 1
        yield onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def difference(session, batch):
    """The greatest difference of a row, as part of its logit where that is above 1."""
    expected = batch["logits"]
    [found] = session.run(["logits"], {"ids": batch["ids"], "values": batch["values"]})
    assert found.dtype == numpy.float32 and found.shape == expected.shape, (found.dtype, found.shape, expected.shape)
    assert numpy.isfinite(found).all()
    return float(numpy.max(numpy.abs(found - expected) / numpy.maximum(1, numpy.abs(expected)), initial=0))


failed = False
for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    file = folder / "model.onnx"
    try:
        check_format(file)
        batches = [numpy.load(rows) for rows in sorted(folder.glob("*.npz"))]
        assert batches and any(batch["logits"].std() > 1e-3 for batch in batches if batch["logits"].size), "no variety"
        worst = max(difference(session, batch) for session in sessions(file) for batch in batches)
    except Exception as error:
        print(f"{folder.name}: {error}", file=sys.stderr)
        failed = True
        continue
    print(f"{folder.name}: {worst:.1e}")
    tolerance = batches[0]["tolerance"]
    if not worst <= tolerance:
        print(f"{folder.name}: {worst:.1e} is more than {tolerance:.0e}", file=sys.stderr)
        failed = True
sys.exit(failed)
