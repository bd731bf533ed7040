"""Clients of `fm serve`: python serve.py torch|triton|kserve ADDRESS MODEL ...

The server at ADDRESS serves MODEL.pt of the current folder for each MODEL. `torch` compares its answers with those of
PyTorch, bit for bit; `triton` and `kserve` ask it with tritonclient and with KServe's client, and compare with its JSON
API.
"""

import json
import random
import sys
import urllib.request

import numpy

BATCHES = (1, 2, 7, 64, 300)


def get(address, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"http://{address}{path}", data) as answer:
        return json.load(answer)


def rows_of(schema, count, draw):
    """Rows of known, unknown and missing values."""
    columns = [(column["name"], [value["value"] for value in column["values"]]) for column in schema["columns"]]
    odd = ["", "never seen", "7.0"]
    value = lambda known: draw.choice(known if known and draw.random() < 0.8 else odd)
    return [{name: value(known) for name, known in columns} for _ in range(count)]


def scores(address, model, rows):
    answer = get(address, f"/score?model={model}", rows)
    return numpy.array(answer["predictions"], dtype=numpy.float32)


def assert_equal(found, expected):
    assert found.dtype == expected.dtype == numpy.float32 and found.shape == expected.shape, (found, expected)
    assert (found.view(numpy.uint32) == expected.view(numpy.uint32)).all(), abs(found - expected).max()


def with_torch(address, model, schema, draw):
    import torch

    torch.set_num_threads(1)
    module = torch.jit.load(f"{model}.pt")
    for count in BATCHES:
        rows = rows_of(schema, count, draw)
        assert_equal(scores(address, model, rows), module.score(rows).numpy())
    if schema["items"]:
        items, expected = module.recommend({schema["user"]: "3"}, 5)
        found = get(address, f"/recommend?model={model}&user=3&k=5")["items"]
        assert [item["item"] for item in found] == items
        assert_equal(numpy.array([item["score"] for item in found], dtype=numpy.float32), expected.numpy())


def with_triton(address, model, schema, draw):
    import tritonclient.http as triton
    from tritonclient.utils import InferenceServerException

    client = triton.InferenceServerClient(address)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(model, "1")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert model in [entry["name"] for entry in client.get_model_repository_index()]
    names = [tensor["name"] for tensor in client.get_model_metadata(model)["inputs"]]
    assert names == [column["name"] for column in schema["columns"]]
    for count in BATCHES:
        rows = rows_of(schema, count, draw)
        expected = scores(address, model, rows)
        for is_binary in (True, False):
            for shape in ([count], [count, 1]):
                inputs = []
                for name in names:
                    texts = numpy.array([row[name] for row in rows], dtype=object).reshape(shape)
                    inputs.append(triton.InferInput(name, shape, "BYTES"))
                    inputs[-1].set_data_from_numpy(texts, binary_data=is_binary)
                outputs = [triton.InferRequestedOutput("OUTPUT__0", binary_data=is_binary)]
                answer = client.infer(model, inputs, outputs=outputs, request_id="one")
                found = answer.as_numpy("OUTPUT__0")
                assert list(found.shape) == shape and answer.get_response()["id"] == "one"
                assert_equal(found.reshape(-1), expected)
        # Without outputs, the client asks for bytes.
        assert_equal(client.infer(model, inputs).as_numpy("OUTPUT__0").reshape(-1), expected)
    encoded = client.get_model_metadata(f"{model}_ids")["inputs"]
    inputs = [triton.InferInput(tensor["name"], [1, tensor["shape"][1]], tensor["datatype"]) for tensor in encoded]
    # Id 0 is of the first field alone.
    inputs[0].set_data_from_numpy(numpy.zeros(inputs[0].shape(), dtype=numpy.int64))
    inputs[1].set_data_from_numpy(numpy.ones(inputs[1].shape(), dtype=numpy.float32))
    for name, wrong in ((f"{model}_ids", inputs), (model, inputs), ("none", inputs)):
        try:
            client.infer(name, wrong)
        except InferenceServerException as error:
            assert "has id 0" in str(error) or "unknown input" in str(error) or "no model `none`" in str(error), error
        else:
            raise AssertionError("a wrong request is answered")


def with_kserve(address, model, schema, draw):
    import asyncio

    import httpx
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
    from kserve.protocol.infer_type import RequestedOutput

    names = [column["name"] for column in schema["columns"]]
    base = f"http://{address}"

    def request(rows, name_of, is_binary):
        inputs = []
        for name in names:
            texts = numpy.array([row[name] for row in rows], dtype=object).reshape([-1, 1])
            inputs.append(InferInput(name_of(name), list(texts.shape), "BYTES"))
            inputs[-1].set_data_from_numpy(texts, binary_data=is_binary)
        outputs = [RequestedOutput("OUTPUT__0", {"binary_data": is_binary})]
        return InferRequest(model, inputs, request_id="one", request_outputs=outputs)

    async def ask():
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        assert await client.is_server_live(base) and await client.is_server_ready(base)
        assert await client.is_model_ready(base, model)
        for count in BATCHES:
            rows = rows_of(schema, count, draw)
            expected = scores(address, model, rows)
            for is_binary in (True, False):
                answer = await client.infer(base, request(rows, str, is_binary), model_name=model)
                assert answer.id == "one" and answer.model_name == model and answer.outputs[0].shape == [count, 1]
                found = answer.outputs[0].as_numpy().astype(numpy.float32)
                assert_equal(found.reshape(-1), expected)
        try:
            await client.infer(base, request(rows, "no_{}".format, True), model_name=model)
        except httpx.HTTPStatusError as error:
            assert error.response.status_code == 400 and "unknown input" in error.response.text, error.response.text
        else:
            raise AssertionError("a wrong request is answered")
        await client.close()

    asyncio.run(ask())


def main(which, address, *models):
    draw = random.Random(1)
    for model in models:
        schema = get(address, f"/schema?model={model}")
        {"torch": with_torch, "triton": with_triton, "kserve": with_kserve}[which](address, model, schema, draw)
        print(f"{model}: {which} agrees")


main(*sys.argv[1:])
