"""Element by element: arithmetic, comparisons, logic."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from slmdeploy.export.mil.ops.call import Array, Call, Operator

__all__ = ["OPERATORS"]


def _two(compute: Callable[[Array, Array], Array]) -> Operator:
    return lambda call: compute(call.array("x"), call.array("y"))


def _one(compute: Callable[[Array], Array]) -> Operator:
    return lambda call: compute(call.array("x"))


def _rsqrt(call: Call) -> Array:
    return np.float32(1) / np.sqrt(call.array("x") + np.float32(call.float("epsilon", 1e-12)))


def _log(call: Call) -> Array:
    return np.log(call.array("x") + np.float32(call.float("epsilon", 1e-45)))


def _inverse(call: Call) -> Array:
    return np.float32(1) / (call.array("x") + np.float32(call.float("epsilon", 1e-4)))


def _clip(call: Call) -> Array:
    low, high = np.float32(call.float("alpha")), np.float32(call.float("beta"))
    return np.clip(call.array("x"), low, high)


def _threshold(call: Call) -> Array:
    return np.maximum(call.array("x"), np.float32(call.float("alpha")))


def _select(call: Call) -> Array:
    return np.where(call.array("cond"), call.array("a"), call.array("b"))


def _cast(call: Call) -> Array:
    """The evaluator casts to the type that the program declares for the result."""
    x = call.array("x")
    return x != 0 if call.text("dtype") == "bool" else x


OPERATORS: Mapping[str, Operator] = {
    "add": _two(np.add),
    "sub": _two(np.subtract),
    "mul": _two(np.multiply),
    "real_div": _two(np.true_divide),
    "floor_div": _two(np.floor_divide),
    "mod": _two(np.mod),
    "pow": _two(np.power),
    "maximum": _two(np.maximum),
    "minimum": _two(np.minimum),
    "equal": _two(np.equal),
    "not_equal": _two(np.not_equal),
    "greater": _two(np.greater),
    "greater_equal": _two(np.greater_equal),
    "less": _two(np.less),
    "less_equal": _two(np.less_equal),
    "logical_and": _two(np.logical_and),
    "logical_or": _two(np.logical_or),
    "logical_xor": _two(np.logical_xor),
    "logical_not": _one(np.logical_not),
    "abs": _one(np.abs),
    "ceil": _one(np.ceil),
    "cos": _one(np.cos),
    "exp": _one(np.exp),
    "exp2": _one(np.exp2),
    "floor": _one(np.floor),
    "round": _one(np.round),
    "sign": _one(np.sign),
    "sin": _one(np.sin),
    "sqrt": _one(np.sqrt),
    "square": _one(np.square),
    "tan": _one(np.tan),
    "atan": _one(np.arctan),
    "identity": _one(lambda x: x),
    "rsqrt": _rsqrt,
    "log": _log,
    "inverse": _inverse,
    "clip": _clip,
    "threshold": _threshold,
    "select": _select,
    "cast": _cast,
}
