"""Products of matrices, by BLAS in float32."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from slmdeploy.export.mil.ops.call import Array, Call, Operator

__all__ = ["OPERATORS"]


def _linear(call: Call) -> Array:
    product = call.array("x") @ call.array("weight").T
    if call.has("bias"):
        product += call.array("bias")
    return product


def _matmul(call: Call) -> Array:
    x, y = call.array("x"), call.array("y")
    if call.bool("transpose_x"):
        x = x.swapaxes(-1, -2)
    if call.bool("transpose_y"):
        y = y.swapaxes(-1, -2)
    product: Array = np.matmul(x, y)
    return product


def _einsum(call: Call) -> Array:
    values = call.arrays("values")
    return np.asarray(np.einsum(call.text("equation"), *values, optimize=True))


OPERATORS: Mapping[str, Operator] = {
    "einsum": _einsum,
    "linear": _linear,
    "matmul": _matmul,
}
