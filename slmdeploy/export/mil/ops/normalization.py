"""Normalizations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from slmdeploy.export.mil.ops.call import Array, Call, Operator

__all__ = ["OPERATORS"]


def _normalized(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    centred = x - x.mean(axis=axes, keepdims=True)
    variance = np.square(centred).mean(axis=axes, keepdims=True)
    result: Array = centred / np.sqrt(variance + np.float32(epsilon))
    return result


def _layer_norm(call: Call) -> Array:
    x = call.array("x")
    axes = tuple(call.ints("axes", list(range(x.ndim))))
    y = _normalized(x, axes, call.float("epsilon", 1e-5))
    shape = [size if axis in {a % x.ndim for a in axes} else 1 for axis, size in enumerate(x.shape)]
    if call.has("gamma"):
        y = y * call.array("gamma").reshape(shape)
    return y + call.array("beta").reshape(shape) if call.has("beta") else y


def _instance_norm(call: Call) -> Array:
    x = call.array("x")
    y = _normalized(x, tuple(range(2, x.ndim)), call.float("epsilon", 1e-5))
    return _scaled(call, y)


def _batch_norm(call: Call) -> Array:
    x = call.array("x")
    wide = _per_channel(x)
    spread = np.sqrt(call.array("variance") + np.float32(call.float("epsilon", 1e-5)))
    y = (x - call.array("mean").reshape(wide)) / spread.reshape(wide)
    return _scaled(call, y)


def _l2_norm(call: Call) -> Array:
    """Over the last three dimensions, as Core ML defines it."""
    x = call.array("x")
    total = np.square(x).sum(axis=tuple(range(max(0, x.ndim - 3), x.ndim)), keepdims=True)
    result: Array = x / np.sqrt(total + np.float32(call.float("epsilon", 1e-6)))
    return result


def _per_channel(x: Array) -> tuple[int, ...]:
    return (1, -1, *[1] * (x.ndim - 2))


def _scaled(call: Call, y: Array) -> Array:
    wide = _per_channel(y)
    if call.has("gamma"):
        y = y * call.array("gamma").reshape(wide)
    return y + call.array("beta").reshape(wide) if call.has("beta") else y


OPERATORS: Mapping[str, Operator] = {
    "batch_norm": _batch_norm,
    "instance_norm": _instance_norm,
    "l2_norm": _l2_norm,
    "layer_norm": _layer_norm,
}
