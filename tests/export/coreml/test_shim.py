"""What is mended in coremltools."""

from __future__ import annotations

import numpy as np
import pytest
from coremltools.converters.mil import Builder

from slmdeploy.export.coreml.shim import const_deduplication, require_mended

HALF = np.float16(6e-8)
"""The smallest step of float16."""


def kept_of(one, other):
    """How many of two constants are kept."""

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(200,))])
    def program(x):
        left = Builder.cast(x=Builder.const(val=one), dtype="fp32")
        right = Builder.cast(x=Builder.const(val=other), dtype="fp32")
        return Builder.add(x=x, y=Builder.add(x=left, y=right))

    require_mended()
    return len(const_deduplication.find_constants([program.functions["main"]]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int32])
def test_constants_that_are_equal_are_one(dtype):
    values = np.arange(200).astype(dtype)
    assert kept_of(values, values.copy()) == 1


def test_constants_that_are_close_are_two():
    values = np.zeros(200, np.float16)
    other = values.copy()
    other[150] = HALF
    assert kept_of(values, other) == 2
