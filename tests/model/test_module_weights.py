from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from slmdeploy.errors import ModelReadError
from slmdeploy.model.module_weights import ModuleWeights


def test_parameters_are_tensors_like_those_of_a_file():
    module = nn.Linear(3, 2).half()
    weights = ModuleWeights(module, (Path("net.pt2"),))
    assert weights.names() == ("bias", "weight")
    assert (weights.shape("weight"), weights.dtype("weight")) == ((2, 3), "float16")
    assert weights.nbytes("weight") == 12
    assert weights.load("weight").dtype == torch.float32
    assert np.concatenate(list(weights.pieces("bias"))).shape == (2,)
    assert weights.files() == (weights.file_of("bias"),) == (Path("net.pt2"),)


def test_a_shared_parameter_counts_once():
    linear = nn.Linear(2, 2)
    weights = ModuleWeights(nn.Sequential(linear, linear), ())
    assert weights.names() == ("0.bias", "0.weight")
    assert weights.files() == ()


def test_an_unknown_name_is_our_error():
    with pytest.raises(ModelReadError, match="no tensor 'x'"):
        ModuleWeights(nn.Linear(2, 2), ()).load("x")


def test_values_that_are_not_finite_are_refused():
    module = nn.Linear(2, 2)
    module.bias.data[0] = float("inf")
    with pytest.raises(ModelReadError, match="'bias' in the module has 1 of 2"):
        ModuleWeights(module, ())
