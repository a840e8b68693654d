"""Activation functions beside torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from slmdeploy.export.coreml.shim import coremltools
from tests.export.mil.programs import assert_same, both

mb = coremltools.converters.mil.Builder
X = np.concatenate([np.linspace(-30, 30, 41), np.linspace(-2, 2, 43)]).astype(np.float32)
INPUTS = {"x": X.reshape(2, 3, 7, 2)}
ALPHA = np.array([0.1, 0.2, 0.3], np.float32)

CASES = {
    "relu": (lambda x: mb.relu(x=x), torch.relu),
    "relu6": (lambda x: mb.relu6(x=x), functional.relu6),
    "leaky_relu": (
        lambda x: mb.leaky_relu(x=x, alpha=0.3),
        lambda x: functional.leaky_relu(x, 0.3),
    ),
    "elu": (lambda x: mb.elu(x=x, alpha=0.7), lambda x: functional.elu(x, 0.7)),
    "prelu": (
        lambda x: mb.prelu(x=x, alpha=ALPHA),
        lambda x: functional.prelu(x, torch.from_numpy(ALPHA)),
    ),
    "sigmoid": (lambda x: mb.sigmoid(x=x), torch.sigmoid),
    "sigmoid_hard": (
        lambda x: mb.sigmoid_hard(x=x, alpha=0.2, beta=0.5),
        lambda x: (0.2 * x + 0.5).clamp(0, 1),
    ),
    "silu": (lambda x: mb.silu(x=x), functional.silu),
    "softplus": (lambda x: mb.softplus(x=x), functional.softplus),
    "softsign": (lambda x: mb.softsign(x=x), functional.softsign),
    "tanh": (lambda x: mb.tanh(x=x), torch.tanh),
    "erf": (lambda x: mb.erf(x=x), torch.erf),
    "gelu": (lambda x: mb.gelu(x=x, mode="EXACT"), functional.gelu),
    "gelu tanh": (
        lambda x: mb.gelu(x=x, mode="TANH_APPROXIMATION"),
        lambda x: functional.gelu(x, approximate="tanh"),
    ),
    "gelu sigmoid": (
        lambda x: mb.gelu(x=x, mode="SIGMOID_APPROXIMATION"),
        lambda x: x * torch.sigmoid(1.702 * x),
    ),
    "softmax": (lambda x: mb.softmax(x=x, axis=-1), lambda x: torch.softmax(x, -1)),
    "softmax first": (lambda x: mb.softmax(x=x, axis=0), lambda x: torch.softmax(x, 0)),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return both(CASES, INPUTS, tmp_path_factory.mktemp("activation"))


@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_torch_does(results, name):
    assert_same(results[name])
