"""Arithmetic, comparisons and logic beside torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slmdeploy.export.coreml.shim import coremltools
from tests.export.mil.programs import assert_same, both

mb = coremltools.converters.mil.Builder
random = np.random.default_rng(0)
INPUTS = {
    "x": random.normal(size=(2, 3, 4)).astype(np.float32),
    "y": random.normal(size=(3, 1)).astype(np.float32),
    "n": random.integers(1, 9, (2, 3, 4)).astype(np.int32),
    "m": random.integers(-5, -1, (2, 3, 4)).astype(np.int32),
}

TWO = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "real_div": torch.true_divide,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "equal": torch.eq,
    "not_equal": torch.ne,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "floor_div": lambda x, y: torch.div(x, y, rounding_mode="floor"),
    "mod": torch.remainder,
}
ONE = {
    "abs": torch.abs,
    "atan": torch.atan,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "floor": torch.floor,
    "identity": torch.clone,
    "round": torch.round,
    "sign": torch.sign,
    "sin": torch.sin,
    "square": torch.square,
    "tan": torch.tan,
}


def two(name):
    return lambda x, y, n, m: getattr(mb, name)(x=x, y=y)


def of_integers(name):
    return lambda x, y, n, m: getattr(mb, name)(x=m, y=n)


def one(name):
    return lambda x, y, n, m: getattr(mb, name)(x=x)


CASES = {
    **{name: (two(name), lambda x, y, n, m, f=f: f(x, y)) for name, f in TWO.items()},
    **{
        f"{name} n": (of_integers(name), lambda x, y, n, m, f=f: f(m, n))
        for name, f in TWO.items()
        if name != "real_div"
    },
    **{name: (one(name), lambda x, y, n, m, f=f: f(x)) for name, f in ONE.items()},
    "pow": (
        lambda x, y, n, m: mb.pow(x=mb.abs(x=x), y=y),
        lambda x, y, n, m: x.abs() ** y,
    ),
    "sqrt": (lambda x, y, n, m: mb.sqrt(x=mb.abs(x=x)), lambda x, y, n, m: x.abs().sqrt()),
    "rsqrt": (
        lambda x, y, n, m: mb.rsqrt(x=mb.abs(x=x), epsilon=0.25),
        lambda x, y, n, m: (x.abs() + 0.25).rsqrt(),
    ),
    "log": (
        lambda x, y, n, m: mb.log(x=mb.abs(x=x), epsilon=0.5),
        lambda x, y, n, m: (x.abs() + 0.5).log(),
    ),
    "inverse": (
        lambda x, y, n, m: mb.inverse(x=x, epsilon=3.0),
        lambda x, y, n, m: 1 / (x + 3.0),
    ),
    "clip": (
        lambda x, y, n, m: mb.clip(x=x, alpha=-0.5, beta=0.25),
        lambda x, y, n, m: x.clamp(-0.5, 0.25),
    ),
    "threshold": (
        lambda x, y, n, m: mb.threshold(x=x, alpha=0.1),
        lambda x, y, n, m: x.clamp(min=0.1),
    ),
    "select": (
        lambda x, y, n, m: mb.select(cond=mb.greater(x=x, y=0.0), a=x, b=mb.mul(x=x, y=9.0)),
        lambda x, y, n, m: torch.where(x > 0, x, 9 * x),
    ),
    "logical": (
        lambda x, y, n, m: mb.logical_xor(
            x=mb.logical_and(x=mb.greater(x=x, y=0.0), y=mb.less(x=x, y=0.5)),
            y=mb.logical_or(x=mb.logical_not(x=mb.greater(x=n, y=4)), y=mb.less(x=x, y=-1.0)),
        ),
        lambda x, y, n, m: ((x > 0) & (x < 0.5)) ^ ((n <= 4) | (x < -1)),
    ),
    "cast to int": (
        lambda x, y, n, m: mb.cast(x=mb.mul(x=x, y=3.0), dtype="int32"),
        lambda x, y, n, m: (x * 3).to(torch.int32),
    ),
    "cast to bool": (
        lambda x, y, n, m: mb.cast(x=mb.cast(x=mb.mul(x=x, y=0.5), dtype="bool"), dtype="fp32"),
        lambda x, y, n, m: (x != 0).float(),
    ),
    "cast to fp32": (
        lambda x, y, n, m: mb.cast(x=n, dtype="fp32"),
        lambda x, y, n, m: n.float(),
    ),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return both(CASES, INPUTS, tmp_path_factory.mktemp("arithmetic"))


@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_torch_does(results, name):
    assert_same(results[name])
