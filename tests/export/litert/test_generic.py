"""Any module with example inputs to a ``.tflite`` with one signature."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from slmdeploy.compress.generic import compress_module
from slmdeploy.compress.recipe import load_recipe
from slmdeploy.errors import ExportError
from slmdeploy.export.litert.generic import convert_module, narrowed
from slmdeploy.export.litert.plugin import LITERT
from slmdeploy.export.options import LitertOptions
from slmdeploy.model.generic import example_inputs, load_generic
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from slmdeploy.progress import silent
from tests.export.litert.modules import (
    Branching,
    Failing,
    Scores,
    Shapeless,
    Texts,
    Two,
    Unlowerable,
)
from tests.export.litert.tiny import snr_db, start

X = torch.ones(2, 3)


def invoke(program, model, folder, inputs):
    """Outputs of the runner's invoke mode."""
    flags = ["--method", "forward", "--output-dir", str(folder)]
    for index, value in enumerate(inputs):
        file = folder / f"input-{index}.bin"
        file.write_bytes(value.numpy().tobytes())
        flags += ["--input", str(file)]
    ran = start(program, model, "invoke", *flags)
    assert ran.code == 0, (ran.events, ran.stderr)
    return [
        np.fromfile(one["file"], one["dtype"]).reshape(one["shape"]) for one in ran.of("output")
    ]


def export(module, inputs, names, outputs, path, *, recipe="none"):
    compressed = compress_module(copy.deepcopy(module), load_recipe(recipe))
    return LITERT.export_module(
        compressed,
        module,
        inputs,
        LitertOptions(),
        path,
        input_names=names,
        output_names=outputs,
        progress=silent,
    )


@pytest.mark.parametrize("recipe", ["none", "8da8w"])
def test_a_module_computes_the_same_on_the_runtime(recipe, program, tmp_path):
    torch.manual_seed(0)
    module = Scores().eval()
    inputs = torch.randint(0, 50, (1, 12)), torch.rand(1, 12)
    path = tmp_path / "model.tflite"
    artifact = export(module, inputs, ("ids", "weights"), ("scores",), path, recipe=recipe)
    names = [(one.name, one.dtype) for one in artifact.methods["forward"].inputs]
    assert names == [("ids", "int32"), ("weights", "float32")]
    found = invoke(program, path, tmp_path, narrowed(inputs, ("ids", "weights")))[0]
    reference = artifact.traced[0]
    if recipe == "none":
        np.testing.assert_allclose(found, reference, atol=1e-5)
    else:
        assert snr_db(reference, found) >= 35
        assert path.stat().st_size < 12_000
    assert any("int64" in note for note in artifact.notes)


def test_several_outputs_keep_their_order(program, tmp_path):
    path = tmp_path / "model.tflite"
    artifact = export(Two(), (X,), ("x",), ("sum", "product"), path)
    assert [one.name for one in artifact.methods["forward"].outputs] == ["sum_0", "product_1"]
    found = invoke(program, path, tmp_path, (X,))
    assert [float(one[0, 0]) for one in found] == [2.0, 2.0]
    assert [one.shape for one in found] == [(2, 3), (2, 3)]


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Branching(), "depends on the values"),
        (Failing(), "fails on its example inputs.*unwell"),
        (Unlowerable(), r"LiteRT has no operator for aten\._linalg_svd"),
        (Shapeless(), "shape of something in the model depends"),
        (Texts(), "gives str, not tensors"),
    ],
)
def test_what_cannot_be_converted_is_told_in_a_sentence(module, words, tmp_path):
    with pytest.raises(ExportError, match=words) as caught:
        convert_module(module, (X,), tmp_path / "m.tflite", input_names=("x",), output_names=("y",))
    assert "\n" not in caught.value.message
    assert not (tmp_path / "m.tflite").exists()


def test_values_beyond_32_bits_are_refused():
    with pytest.raises(ExportError, match="'ids' has values beyond 32 bits"):
        narrowed((torch.tensor([2**40]),), ("ids",))


def test_dtypes_that_litert_does_not_take_are_refused():
    with pytest.raises(ExportError, match="complex64"):
        narrowed((torch.zeros(1, dtype=torch.complex64),), ("x",))


def test_the_converter_keeps_the_terminal_clean(tmp_path, capfd):
    convert_module(Two(), (X,), tmp_path / "m.tflite", input_names=("x",), output_names=("a", "b"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["none", "fp16", "8da8w"])
def test_the_intent_classifier_goes_through(recipe, tiny_intents, program, tmp_path):
    model = read_model(parse_ref(str(tiny_intents)))
    inputs, names = example_inputs(model, 32), ("input_ids", "attention_mask")
    path = tmp_path / "model.tflite"
    artifact = export(load_generic(model), inputs, names, ("logits",), path, recipe=recipe)
    found = invoke(program, path, tmp_path, narrowed(inputs, names))[0]
    reference = artifact.traced[0]
    if recipe == "none":
        np.testing.assert_allclose(found, reference, atol=1e-4)
    assert snr_db(reference, found) >= 30
    assert found.argmax() == reference.argmax()
