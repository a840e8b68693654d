"""Reductions over axes, running sums, and the largest values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from slmdeploy.export.mil.ops.call import Array, Call, Operator, Result

__all__ = ["OPERATORS"]


def _over(compute: Callable[..., Any]) -> Operator:
    def operator(call: Call) -> Array:
        x = call.array("x")
        axes = tuple(call.ints("axes")) if call.has("axes") else None
        return np.asarray(compute(x, axis=axes, keepdims=call.bool("keep_dims")))

    return operator


def _at(compute: Callable[..., Any]) -> Operator:
    def operator(call: Call) -> Array:
        found = compute(call.array("x"), axis=call.int("axis", -1))
        axis = call.int("axis", -1)
        return np.expand_dims(found, axis) if call.bool("keep_dims") else np.asarray(found)

    return operator


def _l2_norm(x: Array, **over: Any) -> Any:
    return np.sqrt(np.square(x).sum(**over))


def _log_sum_exp(x: Array, *, axis: tuple[int, ...] | None, keepdims: bool) -> Any:
    top = x.max(axis=axis, keepdims=True)
    total = np.log(np.exp(x - top).sum(axis=axis, keepdims=True)) + top
    return total if keepdims else np.squeeze(total, axis)


def _cumsum(call: Call) -> Array:
    x, axis = call.array("x"), call.int("axis", 0)
    if call.bool("reverse"):
        x = np.flip(x, axis)
    total = np.cumsum(x, axis=axis, dtype=x.dtype)
    if call.bool("exclusive"):
        total = total - x
    return np.flip(total, axis) if call.bool("reverse") else total


def _topk(call: Call) -> Result:
    x, axis = call.array("x"), call.int("axis", -1)
    count = call.int("k", 1)
    if count < 0:
        count = x.shape[axis]
    order = np.argsort(x if call.bool("ascending") else -x, axis=axis, kind="stable")
    places = np.take(order, range(count), axis=axis)
    return np.take_along_axis(x, places, axis), places


def _argsort(call: Call) -> Array:
    x = call.array("x")
    keys = x if call.bool("ascending") else -x
    return np.argsort(keys, axis=call.int("axis", -1), kind="stable")


OPERATORS: Mapping[str, Operator] = {
    "argsort": _argsort,
    "cumsum": _cumsum,
    "reduce_argmax": _at(np.argmax),
    "reduce_argmin": _at(np.argmin),
    "reduce_l1_norm": _over(lambda x, **over: np.abs(x).sum(**over)),
    "reduce_l2_norm": _over(_l2_norm),
    "reduce_log_sum": _over(lambda x, **over: np.log(x.sum(**over))),
    "reduce_log_sum_exp": _over(_log_sum_exp),
    "reduce_max": _over(np.max),
    "reduce_mean": _over(np.mean),
    "reduce_min": _over(np.min),
    "reduce_prod": _over(np.prod),
    "reduce_sum": _over(np.sum),
    "reduce_sum_square": _over(lambda x, **over: np.square(x).sum(**over)),
    "topk": _topk,
}
