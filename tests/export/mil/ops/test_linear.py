"""Products of matrices, attention and normalizations beside torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from slmdeploy.export.coreml.shim import coremltools
from tests.export.mil.programs import assert_same, both

mb = coremltools.converters.mil.Builder
random = np.random.default_rng(0)


def normal(*shape):
    return random.normal(size=shape).astype(np.float32)


W, B, GAMMA, BETA = normal(7, 8), normal(7), normal(8), normal(8)
OTHER = normal(2, 8, 5, 4)
PER_CHANNEL = [np.abs(normal(3)) + 0.1 for _ in range(4)]
INPUTS = {
    "x": normal(2, 3, 5, 8),
    "k": normal(2, 3, 6, 8),
    "v": normal(2, 3, 6, 4),
    "m": (random.random((1, 3, 5, 6)) < 0.7).astype(np.int32),
}
T = torch.from_numpy

CASES = {
    "linear": (
        lambda x, k, v, m: mb.linear(x=x, weight=W, bias=B),
        lambda x, k, v, m: functional.linear(x, T(W), T(B)),
    ),
    "linear without bias": (
        lambda x, k, v, m: mb.linear(x=x, weight=W),
        lambda x, k, v, m: functional.linear(x, T(W)),
    ),
    "matmul": (
        lambda x, k, v, m: mb.matmul(x=x, y=k, transpose_y=True),
        lambda x, k, v, m: x @ k.mT,
    ),
    "matmul of transposed": (
        lambda x, k, v, m: mb.matmul(x=k, y=v, transpose_x=True),
        lambda x, k, v, m: k.mT @ v,
    ),
    "matmul by constant": (
        lambda x, k, v, m: mb.matmul(x=x, y=W.T.copy()),
        lambda x, k, v, m: x @ T(W).T,
    ),
    "einsum": (
        lambda x, k, v, m: mb.einsum(values=(x, OTHER), equation="nchw,nwhu->nchu"),
        lambda x, k, v, m: torch.einsum("nchw,nwhu->nchu", x, T(OTHER)),
    ),
    "attention": (
        lambda x, k, v, m: mb.scaled_dot_product_attention(query=x, key=k, value=v),
        lambda x, k, v, m: functional.scaled_dot_product_attention(x, k, v),
    ),
    "attention with truth values": (
        lambda x, k, v, m: mb.scaled_dot_product_attention(
            query=x, key=k, value=v, attn_mask=mb.cast(x=m, dtype="bool")
        ),
        lambda x, k, v, m: functional.scaled_dot_product_attention(x, k, v, m.bool()),
    ),
    "attention with numbers": (
        lambda x, k, v, m: mb.scaled_dot_product_attention(
            query=x, key=k, value=v, attn_mask=mb.cast(x=m, dtype="fp32")
        ),
        lambda x, k, v, m: functional.scaled_dot_product_attention(x, k, v, m.float()),
    ),
    "layer_norm": (
        lambda x, k, v, m: mb.layer_norm(x=x, axes=[-1], gamma=GAMMA, beta=BETA, epsilon=1e-3),
        lambda x, k, v, m: functional.layer_norm(x, (8,), T(GAMMA), T(BETA), 1e-3),
    ),
    "layer_norm of two dimensions": (
        lambda x, k, v, m: mb.layer_norm(x=x, axes=[2, 3], epsilon=1e-5),
        lambda x, k, v, m: functional.layer_norm(x, (5, 8)),
    ),
    "batch_norm": (
        lambda x, k, v, m: mb.batch_norm(
            x=x,
            mean=PER_CHANNEL[0],
            variance=PER_CHANNEL[1],
            gamma=PER_CHANNEL[2],
            beta=PER_CHANNEL[3],
            epsilon=1e-3,
        ),
        lambda x, k, v, m: functional.batch_norm(x, *map(T, PER_CHANNEL), eps=1e-3),
    ),
    "instance_norm": (
        lambda x, k, v, m: mb.instance_norm(
            x=x, gamma=PER_CHANNEL[2], beta=PER_CHANNEL[3], epsilon=1e-3
        ),
        lambda x, k, v, m: functional.instance_norm(
            x, weight=T(PER_CHANNEL[2]), bias=T(PER_CHANNEL[3]), eps=1e-3
        ),
    ),
    "l2_norm": (
        lambda x, k, v, m: mb.l2_norm(x=x, epsilon=1e-3),
        lambda x, k, v, m: x / (x.square().sum((1, 2, 3), keepdim=True) + 1e-3).sqrt(),
    ),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return both(CASES, INPUTS, tmp_path_factory.mktemp("linear"))


@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_torch_does(results, name):
    assert_same(results[name], 1e-5)
