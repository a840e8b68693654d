"""Convolutions and pools beside torch."""

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


W2, B2, DEPTHWISE, W1 = normal(6, 4, 3, 2), normal(6), normal(4, 1, 3, 3), normal(5, 4, 3)
INPUTS = {"x": normal(2, 4, 9, 7), "y": normal(2, 4, 9)}
T = torch.from_numpy

CASES = {
    "two dimensions": (
        lambda x, y: mb.conv(
            x=x, weight=W2, bias=B2, strides=[2, 1], pad_type="custom", pad=[1, 1, 2, 2]
        ),
        lambda x, y: functional.conv2d(x, T(W2), T(B2), (2, 1), (1, 2)),
    ),
    "dilated": (
        lambda x, y: mb.conv(x=x, weight=W2, dilations=[2, 3], pad_type="valid"),
        lambda x, y: functional.conv2d(x, T(W2), dilation=(2, 3)),
    ),
    "one group a channel": (
        lambda x, y: mb.conv(x=x, weight=DEPTHWISE, groups=4, pad_type="same"),
        lambda x, y: functional.conv2d(x, T(DEPTHWISE), padding=1, groups=4),
    ),
    "one dimension": (
        lambda x, y: mb.conv(x=y, weight=W1, pad_type="valid", strides=[2]),
        lambda x, y: functional.conv1d(y, T(W1), stride=2),
    ),
    "same with a stride": (
        lambda x, y: mb.conv(x=y, weight=W1, pad_type="same", strides=[2]),
        lambda x, y: functional.conv1d(functional.pad(y, (1, 1)), T(W1), stride=2),
    ),
    "max_pool": (
        lambda x, y: mb.max_pool(
            x=x, kernel_sizes=[3, 2], strides=[2, 2], pad_type="custom", pad=[1, 1, 0, 0]
        ),
        lambda x, y: functional.max_pool2d(x, (3, 2), (2, 2), (1, 0)),
    ),
    "avg_pool": (
        lambda x, y: mb.avg_pool(
            x=x,
            kernel_sizes=[3, 3],
            strides=[1, 1],
            pad_type="custom",
            pad=[1, 1, 1, 1],
            exclude_padding_from_average=True,
        ),
        lambda x, y: functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
    ),
    "avg_pool with padding": (
        lambda x, y: mb.avg_pool(
            x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="custom", pad=[1, 1, 1, 1]
        ),
        lambda x, y: functional.avg_pool2d(x, 3, 2, 1),
    ),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return both(CASES, INPUTS, tmp_path_factory.mktemp("convolution"))


@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_torch_does(results, name):
    assert_same(results[name], 1e-5)
