"""What the file holds is what the compressed module has, number by number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema

from slmdeploy.compress.recipe import load_recipe
from slmdeploy.errors import ExportError
from slmdeploy.export.litert.plugin import LITERT
from slmdeploy.export.litert.quantizing import quantize_file
from slmdeploy.export.litert.weights import Carried, carried_weights, weight_digests
from slmdeploy.model.attention import step_logits
from tests.export.litert.tiny import CONTINUATION, PROMPT, compressed, decoder, export

KINDS = {"INT8": 9, "INT4": 17}


def constants(path):
    """Quantized constants by name: (values, scales)."""
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    content = path.read_bytes()
    found = {}
    for tensor in model.subgraphs[0].tensors:
        about, buffer = tensor.quantization, model.buffers[tensor.buffer]
        if about is None or tensor.type not in KINDS.values():
            continue
        raw = content[buffer.offset : buffer.offset + buffer.size] if buffer.offset else None
        data = np.frombuffer(raw, np.uint8) if raw else np.asarray(buffer.data)
        if tensor.type == KINDS["INT4"]:
            pairs = np.stack([data & 15, data >> 4], axis=-1).reshape(-1).astype(np.int8)
            values = np.where(pairs > 7, pairs - 16, pairs)
        else:
            values = data.view(np.int8)
        found[tensor.name.decode()] = values.reshape(tensor.shape), about.scale
    return found


@pytest.mark.parametrize("name", ["8da8w", "8da4w-channel", "w8"])
def test_integers_and_scales_of_the_compressed_model_are_in_the_file(name, converted, tmp_path):
    model = compressed(load_recipe(name))
    export(model, converted(), tmp_path / "model.tflite")
    found = list(constants(tmp_path / "model.tflite").values())
    layers = [
        layer for part in model.module.layer_list() for layer in (part.qkv, part.o, part.down)
    ]
    for layer in layers:
        values = layer.weight.qdata.numpy()
        scales = layer.weight.scale.float().numpy().reshape(-1)
        assert any(
            kept.shape == values.shape
            and np.array_equal(kept, values)
            and np.array_equal(kept_scales, scales)
            for kept, kept_scales in found
        )


def test_a_weight_that_is_not_in_the_file_is_noticed(converted, tmp_path):
    source = converted() / "float.tflite"
    table = {("linear", "0" * 64): Carried(bits=16)}
    with pytest.raises(ExportError, match="changed 1 of 1 weights"):
        quantize_file(source, tmp_path / "model.tflite", table)


def test_a_table_that_the_converter_looked_up_itself_is_counted(converted, tmp_path):
    source = converted() / "float.tflite"
    table = {("embedding", "0" * 64): Carried(bits=16)}
    assert quantize_file(source, tmp_path / "model.tflite", table) == 1


def test_a_module_still_runs_after_its_export(converted, tmp_path):
    model = compressed(load_recipe("8da8w"))
    tokens = torch.from_numpy(PROMPT), torch.from_numpy(CONTINUATION)
    before = step_logits(model.module, *tokens)
    export(model, converted(), tmp_path / "model.tflite")
    assert LITERT.consumes is False
    assert bool((step_logits(model.module, *tokens) == before).all())


def test_what_stays_in_float32_is_not_carried():
    module = decoder()
    digests = weight_digests(module)
    assert digests["embedding"][1] == digests["head"][1]  # tied
    assert digests["embedding"][0] != digests["head"][0]
    assert carried_weights(module, digests, {}) == {}
