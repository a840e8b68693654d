"""Activation functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from slmdeploy.export.mil.ops.call import Array, Call, Operator

__all__ = ["OPERATORS"]

_HALF, _ONE = np.float32(0.5), np.float32(1)
_each_erf = np.frompyfunc(math.erf, 1, 1)


def _erf(x: Array) -> Array:
    return np.asarray(_each_erf(x), np.float32)


def _sigmoid(x: Array) -> Array:
    """By tanh, which neither overflows nor loses small values."""
    return _HALF * (_ONE + np.tanh(_HALF * x))


def _logistic(x: Array) -> Array:
    return _ONE / (_ONE + np.exp(-x))


def _silu(x: Array) -> Array:
    return x / (_ONE + np.exp(-x))


def _softplus(x: Array) -> Array:
    return np.logaddexp(x, np.float32(0))


def _gelu(call: Call) -> Array:
    x, mode = call.array("x"), call.text("mode", "EXACT")
    if mode == "EXACT":
        return _HALF * x * (_ONE + _erf(x * np.float32(math.sqrt(0.5))))
    if mode == "TANH_APPROXIMATION":
        inner: Array = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x * x * x)
        return _HALF * x * (_ONE + np.tanh(inner))
    if mode == "SIGMOID_APPROXIMATION":
        sharp: Array = np.float32(1.702) * x
        return x * _sigmoid(sharp)
    raise call.unsupported(f"mode {mode!r}")


def _leaky_relu(call: Call) -> Array:
    x = call.array("x")
    return np.where(x >= 0, x, np.float32(call.float("alpha", 0.01)) * x)


def _elu(call: Call) -> Array:
    x = call.array("x")
    below = np.float32(call.float("alpha", 1.0)) * np.expm1(np.minimum(x, 0))
    return np.where(x >= 0, x, below)


def _prelu(call: Call) -> Array:
    x, alpha = call.array("x"), call.array("alpha")
    slope = alpha.reshape(1, -1, *[1] * (x.ndim - 2))
    return np.where(x >= 0, x, slope * x)


def _sigmoid_hard(call: Call) -> Array:
    alpha, beta = call.float("alpha", 0.2), call.float("beta", 0.5)
    line: Array = np.float32(alpha) * call.array("x") + np.float32(beta)
    return np.clip(line, np.float32(0), _ONE)


def _softmax(call: Call) -> Array:
    x, axis = call.array("x"), call.int("axis", -1)
    powers: Array = np.exp(x - x.max(axis=axis, keepdims=True))
    powers /= powers.sum(axis=axis, keepdims=True)
    return powers


def _of_x(compute: Callable[[Array], Array]) -> Operator:
    return lambda call: compute(call.array("x"))


OPERATORS: Mapping[str, Operator] = {
    "elu": _elu,
    "erf": _of_x(_erf),
    "gelu": _gelu,
    "leaky_relu": _leaky_relu,
    "prelu": _prelu,
    "relu": _of_x(lambda x: np.maximum(x, np.float32(0))),
    "relu6": _of_x(lambda x: np.clip(x, np.float32(0), np.float32(6))),
    "sigmoid": _of_x(_logistic),
    "sigmoid_hard": _sigmoid_hard,
    "silu": _of_x(_silu),
    "softmax": _softmax,
    "softplus": _of_x(_softplus),
    "softsign": _of_x(lambda x: x / (_ONE + np.abs(x))),
    "tanh": _of_x(np.tanh),
}
