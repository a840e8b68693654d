"""Numbers of a graph, as float16 has them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from slmdeploy.export.coreml.constants import as_float16, nearest_half, round_constants

X = torch.linspace(-3, 7, 5)
PLACES = torch.arange(5)


def rounded(compute, x=X, **values):
    """What a program computes once its constants are rounded; it may have buffers."""

    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            for name, value in values.items():
                self.register_buffer(name, value)

        def forward(self, x):
            return compute(x, *(self.get_buffer(name) for name in values))

    program = torch.export.export(Module(), (x,), strict=False).run_decompositions()
    round_constants(program)
    program.validate()
    return program.module()(x)


class Computing(nn.Module):
    def __init__(self, compute):
        super().__init__()
        self.compute = compute

    def forward(self, x):
        return self.compute(x)


def half(value):
    return torch.as_tensor(value).half().float()


@given(st.floats(allow_nan=False))
def test_a_number_is_rounded_once(value):
    found = nearest_half(value)
    assert nearest_half(found) == found
    assert math.copysign(1, found) == math.copysign(1, value)


@given(st.floats(6.2e-5, 65504) | st.floats(-65504, -6.2e-5))
def test_a_number_moves_by_half_a_step_at_most(value):
    assert nearest_half(value) == np.float16(value)
    assert abs(nearest_half(value) - value) <= abs(value) * 2**-11


@pytest.mark.parametrize("value", [65505.0, -1e9, math.inf, -math.inf])
def test_what_float16_does_not_have_stays(value):
    assert nearest_half(value) == value


def test_a_small_number_does_not_become_zero():
    assert nearest_half(1e-12) == 2**-24
    assert nearest_half(-1e-12) == -(2**-24)
    assert nearest_half(0.0) == 0.0


@pytest.mark.parametrize(
    ("compute", "wanted"),
    [
        (lambda x: x * 0.1, X * half(0.1)),
        (lambda x: x + 0.3, X + half(0.3)),
        (lambda x: torch.divide(x, 3), X * half(1 / 3)),
        (lambda x: x.clone().div_(3), X * half(1 / 3)),
        (lambda x: x / 3, X * half(1 / 3)),
        (lambda x: x / (PLACES + 3), X * half(1 / (PLACES + 3))),
        (lambda x: x / math.sqrt(96), X * half(1 / math.sqrt(96))),
        (lambda x: x / 4, X / 4),
        (lambda x: x * torch.cos(PLACES * 0.37), X * half(torch.cos(PLACES * 0.37))),
        (lambda x: x / (PLACES + 0.7), X * half(1 / (PLACES + 0.7))),
        (lambda x: x + torch.tensor(0.3), X + half(0.3)),
    ],
    ids=[
        "factor",
        "term",
        "divide",
        "in place",
        "3",
        "whole numbers",
        "root",
        "4",
        "cosines",
        "divisors",
        "tensor",
    ],
)
def test_numbers_are_those_of_float16(compute, wanted):
    torch.testing.assert_close(rounded(compute), wanted, atol=0, rtol=2e-7)


def test_what_is_given_back_as_it_is_stays():
    found = rounded(lambda x, c: (x, c), c=torch.tensor([0.1]))
    assert torch.equal(found[1], torch.tensor([0.1]))


def test_what_is_constant_is_computed_before_it_is_rounded():
    frequency = torch.tensor([0.123456])
    found = rounded(lambda x, f: x + torch.cos(1000 * f), frequency=frequency)
    torch.testing.assert_close(found, X + half(torch.cos(1000 * frequency)), atol=0, rtol=2e-7)


def test_a_constant_that_an_input_meets_is_rounded_and_its_other_uses_are_not():
    frequency = torch.tensor([0.123456])
    found = rounded(lambda x, f: x * f + torch.cos(1000 * f), frequency=frequency)
    wanted = X * half(frequency) + half(torch.cos(1000 * frequency))
    torch.testing.assert_close(found, wanted, atol=0, rtol=2e-7)


def test_a_constant_with_a_number_beyond_float16_stays():
    constant = torch.tensor([1e5, 0.1, 1, 1, 1])
    assert torch.equal(rounded(lambda x, c: x * c, c=constant), X * constant)


def test_a_small_number_beside_others_does_not_become_zero_in_a_small_tensor():
    found = as_float16(torch.tensor([1e-9, -1e-9, 0.0, 0.1]))
    assert found.tolist() == [2**-24, -(2**-24), 0.0, float(half(0.1))]
    assert not as_float16(torch.full((400,), 1e-9)).any()


@pytest.mark.parametrize(
    "compute",
    [lambda x: functional.leaky_relu(x, 0.3), lambda x: functional.elu(x, 0.3)],
    ids=["leaky_relu", "elu"],
)
def test_slopes_stay_as_they_do_in_a_package(compute):
    program = torch.export.export(Computing(compute), (X,), strict=False).run_decompositions({})
    round_constants(program)
    assert torch.equal(program.module()(X), compute(X))


def test_numbers_of_float16_keep_their_type():
    x = X.half()
    found = rounded(lambda x: (x / torch.arange(1, 6)) @ torch.ones(5, 2).half(), x)
    assert found.dtype is torch.float16


def test_what_a_subgraph_is_given_stays():
    frequency = 1 / 10000 ** (torch.arange(16) / 16)
    x = torch.arange(512.0)[:, None]

    def compute(x, f):
        with torch.autocast("cpu", enabled=False):
            table = torch.cos(f * torch.arange(512)[:, None])
        return x + table

    found = rounded(compute, x, f=frequency)
    assert (found - compute(x, frequency)).abs().max() < 3e-4


def test_factors_that_say_how_large_a_result_is_stay():
    x = torch.rand(1, 1, 10, 10)

    def compute(x):
        return functional.interpolate(x, scale_factor=1.3001, mode="nearest")

    assert torch.equal(rounded(compute, x), compute(x))


def test_whole_numbers_stay_whole():
    ids = torch.tensor([4097, 3])
    assert torch.equal(rounded(lambda x: x // 3 + 4097, ids), ids // 3 + 4097)


def test_carried_weights_stay():
    layer = nn.Linear(3, 2, bias=False)
    layer.weight = nn.Parameter(torch.full((2, 3), 0.1), requires_grad=False)
    layer.register_buffer("_COREML_/weight/compression_type", torch.tensor([3]))
    program = torch.export.export(nn.Sequential(layer), (torch.eye(3),), strict=False)
    program = program.run_decompositions()
    round_constants(program)
    assert torch.equal(program.module()(torch.eye(3)), torch.full((3, 2), 0.1))
