"""Modules with dynamic shapes: one method for all sizes within the bounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from slmdeploy.compress.generic import compress_module
from slmdeploy.compress.recipe import BUILTIN_RECIPES
from slmdeploy.errors import ExportError
from slmdeploy.export.executorch.generic import export_module
from slmdeploy.export.executorch.sized import settled
from slmdeploy.export.options import ExecutorchOptions
from slmdeploy.model.dynamic import resized
from slmdeploy.model.modules import given_module
from slmdeploy.model.sizes import shapes_at
from tests.export.executorch.test_generic import run
from tests.model import nets


def export(made, place, recipe="none"):
    """What a function of the user's gave, in its artifact; beside it the module as compressed."""
    module, inputs, dynamic = made
    given = given_module(module, (inputs,) if torch.is_tensor(inputs) else inputs, dynamic=dynamic)
    compressed = compress_module(given.module, BUILTIN_RECIPES[recipe])
    artifact = export_module(
        compressed,
        given.inputs,
        ExecutorchOptions(),
        place / "model.pte",
        input_names=given.input_names,
        output_names=given.output_names,
        golden=given.inputs,
        sizes=given.sizes,
    )
    return given, compressed.module, artifact


def at(given, **values):
    shapes = [tuple(value.shape) for value in given.inputs]
    return resized(given.inputs, shapes_at(shapes, given.sizes, values))


def largest_error(given, module, artifact, **values):
    inputs = at(given, **values)
    with torch.no_grad():
        wanted = [value.numpy() for value in module(*inputs)]
    got = run(artifact, *inputs)
    assert [one.shape for one in got] == [one.shape for one in wanted]
    return max(np.abs(one - other).max() for one, other in zip(got, wanted, strict=True))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return export(nets.pairs(), tmp_path_factory.mktemp("pairs"))


@pytest.mark.parametrize(("rows", "length"), [(1, 1), (2, 8), (3, 5), (4, 12), (1, 12)])
def test_one_method_computes_all_sizes(pairs, rows, length):
    assert largest_error(*pairs, rows=rows, length=length) <= 1e-5


def test_inputs_and_outputs_are_described_with_their_bounds(pairs):
    forward = pairs[2].methods["forward"]
    shown = {one.name: (one.shape, one.shape_text) for one in (*forward.inputs, *forward.outputs)}
    assert shown == {
        "ids": ((2, 8), "[1..4, 1..12]"),
        "mask": ((2, 8), "[1..4, 1..12]"),
        "output_0": ((2, 8, 32), "[1..4, 1..12, 32]"),
        "output_1": ((2, 32), "[1..4, 32]"),
    }
    names = [[one.dimension for one in axes] for axes in forward.sizes]
    assert names == [["rows", "length"]] * 2


def test_memory_is_planned_for_the_largest_sizes(pairs, tmp_path):
    module, inputs, _ = nets.pairs()
    given = {name: value.repeat(2, 2)[:, :12] for name, value in inputs.items()}
    _, _, fixed = export((module, given, None), tmp_path)
    planned = [one.methods["forward"].planned_bytes for one in (pairs[2], fixed)]
    assert planned[0] >= planned[1] > 4 * 12 * 32 * 4


def test_no_operator_of_sizes_is_counted_as_one_outside(pairs):
    outside = pairs[2].methods["forward"].outside
    assert all("::" in name for name in outside)


def test_convolutions_take_sides_that_follow_from_one_dimension(tmp_path):
    found = export(nets.halves(), tmp_path)
    forward = found[2].methods["forward"]
    assert [one.shape_text for one in (*forward.inputs, *forward.outputs)] == [
        "[1, 3, 4..32, 4..32]"
    ] * 2
    for side in (1, 3, 8):
        assert largest_error(*found, side=side) <= 1e-5


def test_an_example_of_one_row_still_varies(tmp_path):
    rows = torch.export.Dim("rows", max=8)
    found = export((nn.Linear(4, 4), torch.ones(1, 4), {"input": {0: rows}}), tmp_path)
    assert found[2].methods["forward"].inputs[0].shape == (1, 4)
    for count in (1, 8):
        assert largest_error(*found, rows=count) <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["w8", "8da8w", "8da4w", "fp16"])
def test_compressed_weights_compute_all_sizes(tmp_path, recipe):
    given, module, artifact = export(nets.pairs(), tmp_path, recipe)
    for rows, length in ((1, 1), (2, 8), (4, 12)):
        inputs = at(given, rows=rows, length=length)
        with torch.no_grad():
            wanted = module(*inputs)[0].numpy()
        got = run(artifact, *inputs)[0]
        noise = np.square(got - wanted).sum() or 1e-12
        assert 10 * np.log10(np.square(wanted).sum() / noise) >= 35


def settle(made):
    module, inputs, dynamic = made
    given = given_module(module, inputs, dynamic=dynamic)
    found = settled(given.module, given.input_names, given.inputs, given.sizes)
    return given.sizes, found


def shown(sizes):
    return [[f"{one.expression} {one.bounds}" for one in axes] for axes in sizes]


def test_axes_of_hints_are_tied_as_torch_finds_them():
    before, after = settle(nets.hinted())
    assert shown(before)[0] == ["ids[0] 1 to 9", "ids[1] 1 to 128"]
    assert shown(after) == [["rows 1 to 4", "ids[1] 1 to 12"]] * 2


class Twice(nn.Module):
    """Its second input is twice as long as its first."""

    def forward(self, x, y):
        return torch.cat([x, x], dim=1) + y


def test_axes_of_hints_may_be_lines_of_each_other():
    any_ = torch.export.Dim.AUTO
    dynamic = ({1: any_(max=8)}, {1: any_(min=4, max=14)})
    _, after = settle((Twice(), (torch.ones(2, 4), torch.ones(2, 8)), dynamic))
    assert shown(after) == [["x[1] 2 to 7"], ["2*x[1] 4 to 14"]]


def test_named_dimensions_are_left_as_they_are():
    before, after = settle(nets.pairs())
    assert after is before


def test_a_hint_that_the_code_fixes_is_refused():
    with pytest.raises(ExportError, match="does not take all sizes of its dynamic shapes"):
        settle((Fixed(), (torch.ones(1, 8),), {"x": {1: torch.export.Dim.DYNAMIC(max=16)}}))


def refusal(made, place):
    with pytest.raises(ExportError) as caught:
        export(made, place)
    assert "\n" not in caught.value.message
    assert list(place.iterdir()) == []
    return caught.value


def test_a_bound_that_the_code_does_not_hold_is_refused_with_torchs_suggestion(tmp_path):
    error = refusal(nets.too_wide(), tmp_path)
    assert "does not take all sizes of its dynamic shapes" in error.message
    assert "length" in error.message
    assert error.hint == "torch suggests: length = Dim('length', max=12)"


class Fixed(nn.Module):
    """Its code holds for eight places alone."""

    def forward(self, x):
        return x.reshape(-1, 8) * 2


def test_a_size_that_the_code_fixes_is_refused_with_torchs_suggestion(tmp_path):
    places = torch.export.Dim("places", max=16)
    error = refusal((Fixed(), torch.ones(1, 8), {"x": {1: places}}), tmp_path)
    assert "places" in error.message
    assert error.hint.startswith("torch suggests: places = ")
