"""Any other module through the exporter."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slmdeploy.compress.generic import compress_module
from slmdeploy.compress.recipe import BUILTIN_RECIPES
from slmdeploy.errors import ExportError
from slmdeploy.export.coreml.plugin import EXPORTER
from slmdeploy.export.mil.evaluate import Evaluator
from slmdeploy.export.mil.package import open_package
from slmdeploy.export.options import CoremlOptions
from slmdeploy.progress import silent
from slmdeploy.target.recipes import fitted
from tests.export.coreml import modules

X = torch.linspace(-1, 1, 6).reshape(2, 3)


def export(module, inputs, path, *, recipe="fp16", names=("x",), outputs=("y",)):
    module.eval()
    compressed = compress_module(module, fitted("coreml", BUILTIN_RECIPES[recipe]))
    artifact = EXPORTER.export_module(
        compressed,
        module,
        inputs,
        CoremlOptions(),
        path,
        input_names=names,
        output_names=outputs,
        progress=silent,
    )
    return artifact, compressed


@pytest.mark.parametrize("recipe", ["fp16", "w8"])
def test_a_module_computes_what_its_compressed_self_does(recipe, tmp_path):
    torch.manual_seed(0)
    inputs = torch.randint(0, 50, (1, 7)), torch.rand(1, 7)
    artifact, compressed = export(
        modules.Scores(), inputs, tmp_path / "m.mlpackage", recipe=recipe, names=("ids", "weights")
    )
    wanted = compressed.module(*inputs).detach().numpy()
    np.testing.assert_allclose(artifact.traced[0], wanted, atol=1e-5)
    app = Evaluator(open_package(tmp_path / "m.mlpackage"))
    given = EXPORTER.module_inputs(inputs, ("ids", "weights"))
    found = app.run("main", {"ids": given[0].numpy(), "weights": given[1].numpy()})
    np.testing.assert_allclose(found["y"], wanted, atol=1e-4)
    (method,) = artifact.methods.values()
    assert [(one.name, one.dtype) for one in method.inputs] == [
        ("ids", "int32"),
        ("weights", "float32"),
    ]
    assert any("int64" in note for note in artifact.notes)


def test_outputs_have_their_names(tmp_path):
    export(modules.Two(), (X,), tmp_path / "m.mlpackage", outputs=("more", "twice"))
    found = Evaluator(open_package(tmp_path / "m.mlpackage")).run("main", {"x": X.numpy()})
    np.testing.assert_allclose(found["more"], X.numpy() + 1, atol=1e-6)
    np.testing.assert_allclose(found["twice"], X.numpy() * 2, atol=1e-6)


def test_a_row_that_sees_no_place_is_no_nan(tmp_path):
    inputs = torch.linspace(-1, 1, 24).reshape(6, 4), torch.tensor([1.0, 1, 1, 0, 0, 0])
    artifact, compressed = export(
        modules.Windowed(), inputs, tmp_path / "m.mlpackage", names=("x", "mask")
    )
    given = {"x": inputs[0].numpy(), "mask": inputs[1].numpy()}
    for mode in ("fp32", "fp16"):
        found = Evaluator(open_package(tmp_path / "m.mlpackage"), mode).run("main", given)["y"]
        np.testing.assert_allclose(found, compressed.module(*inputs).numpy(), atol=5e-3)
    np.testing.assert_allclose(artifact.traced[0], compressed.module(*inputs).numpy(), atol=1e-6)


@pytest.mark.parametrize("recipe", ["fp16", "w8"])
def test_torch_computes_with_the_numbers_of_the_package(recipe, tmp_path):
    x = torch.linspace(-2, 2, 40).reshape(1, 4, 10)
    path = tmp_path / "m.mlpackage"
    artifact, compressed = export(modules.Positioned(), (x,), path, recipe=recipe)
    found = Evaluator(open_package(path)).run("main", {"x": x.numpy()})["y"]
    (traced,) = artifact.traced
    assert np.abs(found - traced).max() < 1e-5
    assert 1e-4 < np.abs(compressed.module(x)[0].detach().numpy() - traced).max() < 0.05


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (modules.Unlowerable(), "Core ML has no operator for '.*svd"),
        (modules.Branching(), "way through its code depends on the values"),
        (modules.Shapeless(), "shape of something in the model depends on the values"),
        (modules.Failing(), "fails on its example inputs: RuntimeError: this model is unwell"),
        (modules.Texts(), "gives str, not tensors"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, torch.nn.Module) else "",
)
def test_what_core_ml_cannot_have_is_refused_by_name(module, said, tmp_path):
    with pytest.raises(ExportError, match=said):
        export(module, (X,), tmp_path / "m.mlpackage")
    assert not list(tmp_path.iterdir())


def test_inputs_of_other_types_are_refused_by_name():
    with pytest.raises(ExportError, match=r"'x' is of torch.float64.*float32 and int32"):
        EXPORTER.module_inputs((X.double(),), ("x",))
    with pytest.raises(ExportError, match="'x' has values beyond 32 bits"):
        EXPORTER.module_inputs((torch.tensor([2**40]),), ("x",))
