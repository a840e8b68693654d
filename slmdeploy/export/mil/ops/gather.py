"""Elements by their indices, read (gather) or written (scatter)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from slmdeploy.export.mil.ops.call import Array, Call, Operator

__all__ = ["OPERATORS"]

_MODES: Mapping[str, Callable[..., Any] | None] = {
    "update": None,
    "add": np.add.at,
    "sub": np.subtract.at,
    "mul": np.multiply.at,
    "div": np.divide.at,
    "max": np.maximum.at,
    "min": np.minimum.at,
}


def _gather(call: Call) -> Array:
    x, indices, axis = call.array("x"), call.array("indices"), call.int("axis", 0)
    axis %= x.ndim
    batch = call.int("batch_dims", 0)
    if not batch:
        return np.take(x, indices.astype(np.int64), axis)
    if batch != axis:
        raise call.unsupported(f"{batch} batch dimensions and axis {axis}")
    flat = x.reshape(-1, *x.shape[batch:])
    rows = indices.astype(np.int64).reshape(len(flat), -1)
    found = np.stack([np.take(one, row, 0) for one, row in zip(flat, rows, strict=True)])
    return found.reshape(indices.shape + x.shape[batch + 1 :])


def _gather_along_axis(call: Call) -> Array:
    axis = call.int("axis", 0)
    return np.take_along_axis(call.array("x"), call.array("indices").astype(np.int64), axis)


def _gather_nd(call: Call) -> Array:
    x, indices = call.array("x"), call.array("indices").astype(np.int64)
    found: Array = x[_batched(indices, call.int("batch_dims", 0))]
    return found


def _scatter_nd(call: Call) -> Array:
    data, indices = call.array("data").copy(), call.array("indices").astype(np.int64)
    return _put(call, data, _batched(indices, 0), call.array("updates"))


def _scatter(call: Call) -> Array:
    data, indices = call.array("data").copy(), call.array("indices").astype(np.int64)
    axis = call.int("axis", 0) % data.ndim
    place = (slice(None),) * axis + (indices,)
    return _put(call, data, place, call.array("updates"))


def _scatter_along_axis(call: Call) -> Array:
    data, indices = call.array("data").copy(), call.array("indices").astype(np.int64)
    axis = call.int("axis", 0) % data.ndim
    grid = np.ogrid[tuple(slice(size) for size in indices.shape)]
    place = tuple(indices if i == axis else grid[i] for i in range(data.ndim))
    return _put(call, data, place, call.array("updates"))


def _batched(indices: Array, batch: int) -> tuple[Array, ...]:
    """An index of whole arrays: its last dimension names elements, the first ones count on."""
    columns = tuple(indices[..., i] for i in range(indices.shape[-1]))
    grid = np.ogrid[tuple(slice(size) for size in indices.shape[:-1])] if batch else []
    return (*grid[:batch], *columns)


def _put(call: Call, data: Array, place: tuple[Any, ...], updates: Array) -> Array:
    mode = call.text("mode", "add")
    if mode not in _MODES:
        raise call.unsupported(f"mode {mode!r}")
    at = _MODES[mode]
    if at is None:
        data[place] = updates
    else:
        at(data, place, updates)
    return data


OPERATORS: Mapping[str, Operator] = {
    "gather": _gather,
    "gather_along_axis": _gather_along_axis,
    "gather_nd": _gather_nd,
    "scatter": _scatter,
    "scatter_along_axis": _scatter_along_axis,
    "scatter_nd": _scatter_nd,
}
