"""Reductions beside torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slmdeploy.export.coreml.shim import coremltools
from tests.export.mil.programs import assert_same, both

mb = coremltools.converters.mil.Builder
INPUTS = {"x": np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)}

OVER = {
    "reduce_mean": torch.mean,
    "reduce_sum": torch.sum,
    "reduce_max": torch.amax,
    "reduce_min": torch.amin,
    "reduce_l1_norm": lambda x, dim, keepdim: x.abs().sum(dim, keepdim),
    "reduce_l2_norm": lambda x, dim, keepdim: x.norm(2, dim, keepdim),
    "reduce_sum_square": lambda x, dim, keepdim: x.square().sum(dim, keepdim),
    "reduce_log_sum_exp": torch.logsumexp,
}


def over(name, *, keep):
    return lambda x: getattr(mb, name)(x=x, axes=[0, -1], keep_dims=keep)


CASES = {
    **{
        name: (over(name, keep=False), lambda x, f=f: f(x, dim=(0, -1), keepdim=False))
        for name, f in OVER.items()
    },
    **{
        f"{name} kept": (over(name, keep=True), lambda x, f=f: f(x, dim=(0, -1), keepdim=True))
        for name, f in OVER.items()
    },
    "reduce_prod": (lambda x: mb.reduce_prod(x=x, axes=[1]), lambda x: x.prod(1)),
    "reduce_log_sum": (
        lambda x: mb.reduce_log_sum(x=mb.abs(x=x), axes=[1]),
        lambda x: x.abs().sum(1).log(),
    ),
    "reduce_argmax": (lambda x: mb.reduce_argmax(x=x, axis=1), lambda x: x.argmax(1)),
    "reduce_argmin": (
        lambda x: mb.reduce_argmin(x=x, axis=-1, keep_dims=True),
        lambda x: x.argmin(-1, keepdim=True),
    ),
    "all": (lambda x: mb.reduce_sum(x=x), lambda x: x.sum()),
    "cumsum": (lambda x: mb.cumsum(x=x, axis=1), lambda x: x.cumsum(1)),
    "cumsum from the end": (
        lambda x: mb.cumsum(x=x, axis=1, reverse=True, exclusive=True),
        lambda x: x.flip(1).cumsum(1).flip(1) - x,
    ),
    "topk": (lambda x: mb.topk(x=x, k=2, axis=-1), lambda x: tuple(torch.topk(x, 2, -1))),
    "topk smallest": (
        lambda x: mb.topk(x=x, k=2, axis=1, ascending=True),
        lambda x: tuple(torch.topk(x, 2, 1, largest=False)),
    ),
    "argsort": (lambda x: mb.argsort(x=x, axis=-1, ascending=True), lambda x: x.argsort(-1)),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return both(CASES, INPUTS, tmp_path_factory.mktemp("reduction"))


@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_torch_does(results, name):
    assert_same(results[name])
