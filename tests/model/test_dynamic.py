from __future__ import annotations

import pytest
import torch
from torch.export import Dim

from slmdeploy.errors import ModelReadError
from slmdeploy.model.dynamic import program_sizes, read_dynamic, resized
from slmdeploy.model.sizes import Varying
from tests.model import nets

IDS, MASK = torch.arange(8)[None], torch.ones(1, 8)
NAMES = ("ids", "mask")
LENGTH = Dim("length", min=2, max=16)


def read(dynamic, inputs=(IDS, MASK), names=NAMES):
    return read_dynamic(dynamic, names[: len(inputs)], inputs)


def bounds(sizes):
    return [[(one.axis, one.least, one.most, one.expression) for one in axes] for axes in sizes]


@pytest.mark.parametrize(
    "dynamic",
    [
        {"ids": {1: LENGTH}, "mask": {1: LENGTH}},
        {"ids": [None, LENGTH], "mask": (1, LENGTH)},
        ({1: LENGTH}, {0: Dim.STATIC, 1: LENGTH}),
    ],
)
def test_a_dimension_is_read_in_each_form_that_torch_takes(dynamic):
    assert bounds(read(dynamic)) == [[(1, 2, 16, "length")]] * 2


@pytest.mark.parametrize("dynamic", [None, {}, {"ids": None}, ({1: 8}, None)])
def test_shapes_that_do_not_vary_are_fixed(dynamic):
    assert read(dynamic) == ()


def test_inputs_that_are_not_named_do_not_vary():
    assert bounds(read({"mask": {1: LENGTH}})) == [[], [(1, 2, 16, "length")]]


def test_an_axis_without_a_smallest_size_is_never_empty():
    assert bounds(read({"ids": {1: Dim("length", max=16)}}))[0] == [(1, 1, 16, "length")]


def test_an_axis_that_can_be_only_one_is_fixed():
    assert read({"ids": {0: Dim("rows", max=1)}}) == ()


def test_sizes_may_be_lines_of_a_dimension():
    half = Dim("half", max=8)
    found = read({"ids": {1: 2 * half}, "mask": {1: 2 * half}})
    assert bounds(found) == [[(1, 2, 16, "2*half")]] * 2
    shifted = read({"ids": {1: half + 4}})
    assert bounds(shifted)[0] == [(1, 4, 12, "half+4")]


@pytest.mark.parametrize("hint", [Dim.AUTO, Dim.DYNAMIC])
def test_hints_are_dimensions_of_their_own(hint):
    found = read({"ids": {1: hint(min=3, max=9)}, "mask": {1: hint}})
    assert bounds(found) == [[(1, 3, 9, "ids[1]")], [(1, 1, None, "mask[1]")]]


def test_a_dimension_without_a_bound_has_none():
    assert bounds(read({"ids": {1: Dim("length", min=4)}}))[0] == [(1, 4, None, "length")]


@pytest.mark.parametrize(
    ("dynamic", "said"),
    [
        ({"text": {1: LENGTH}}, "given for text, but the example inputs are ids, mask"),
        (({1: LENGTH},), "one for each of ids, mask in this order, not 1"),
        (LENGTH, "in this order, not Dim"),
        ({"ids": LENGTH}, "shape of input 'ids' is .*, not a table by axis"),
        ({"ids": {2: LENGTH}}, "axis 2 of input 'ids', which has axes 0 to 1"),
        ({"ids": {1: 9}}, "say 9 of axis 1 of input 'ids', which is 8 in the examples"),
        ({"ids": {1: Dim("n", max=4)}}, "Axis 1 of input 'ids' is 8; n may be 1 to 4"),
        ({"ids": {1: 3 * Dim("n", max=4)}}, r"is 8, which is not 3\*n \(3 to 12\)"),
        (
            {"ids": {1: LENGTH}, "mask": {0: LENGTH}},
            "Axis 0 of input 'mask' is 1; length may be 2 to 16",
        ),
        (
            {"ids": {1: LENGTH}, "mask": {1: Dim("length", max=9)}},
            "two dimensions 'length' of other bounds",
        ),
    ],
)
def test_what_does_not_fit_the_examples_is_told(dynamic, said):
    with pytest.raises(ModelReadError, match=said):
        read(dynamic)


def test_inputs_are_cut_or_repeated_to_other_sizes():
    ids, mask = resized((IDS, MASK), ((1, 3), (2, 10)))
    assert ids.tolist() == [[0, 1, 2]]
    assert mask.shape == (2, 10)
    (longer,) = resized((IDS,), ((1, 10),))
    assert longer.tolist() == [[*range(8), 0, 1]]


def exported(dynamic, module=None, inputs=(IDS,)):
    return torch.export.export(module or nets.Words().eval(), inputs, dynamic_shapes=dynamic)


def test_a_programs_sizes_are_those_that_it_was_exported_with():
    program = exported({"ids": {1: LENGTH}})
    ((found,),) = program_sizes(program, ["ids"], [IDS])
    assert (found.axis, found.least, found.most) == (1, 2, 16)


def test_a_programs_sizes_may_be_lines():
    (image,) = program_sizes(_halves(), ["image"], [nets.halves()[1]])
    assert [(one.axis, one.least, one.most, one.factor) for one in image] == [
        (2, 4, 32, 4),
        (3, 4, 32, 4),
    ]
    assert len({one.dimension for one in image}) == 1


def _halves():
    module, image, dynamic = nets.halves()
    return exported(dynamic, module.eval(), (image,))


def test_a_program_of_fixed_shapes_has_no_sizes():
    assert program_sizes(exported(None), ["ids"], [IDS]) == ()


def test_a_program_without_a_bound_has_none():
    ((found,),) = program_sizes(exported({"ids": {1: Dim("n")}}), ["ids"], [IDS])
    assert found == Varying(axis=1, least=1, most=None, dimension=found.dimension)
