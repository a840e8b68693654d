"""Another shape or order for the same elements, and arrays made of a shape."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from slmdeploy.export.mil.ops.call import Array, Call, Operator, Result

__all__ = ["OPERATORS"]


def _reshape(call: Call) -> Array:
    """A 0 keeps the size of the same dimension, counted from the last; -1 takes what is left."""
    x, sizes = call.array("x"), call.ints("shape")
    kept = x.shape[-len(sizes) :] if len(sizes) <= x.ndim else x.shape
    return x.reshape([kept[i] if size == 0 else size for i, size in enumerate(sizes)])


def _squeeze(call: Call) -> Array:
    return np.squeeze(call.array("x"), tuple(call.ints("axes")) if call.has("axes") else None)


def _expand_dims(call: Call) -> Array:
    return np.expand_dims(call.array("x"), tuple(call.ints("axes")))


def _tile(call: Call) -> Array:
    return np.tile(call.array("x"), call.ints("reps"))


def _concat(call: Call) -> Array:
    values = [np.atleast_1d(value) for value in call.arrays("values")]
    axis = call.int("axis")
    if not call.bool("interleave"):
        return np.concatenate(values, axis)
    axis %= values[0].ndim
    mixed = np.stack(values, axis + 1)
    size = values[0].shape[axis] * len(values)
    return mixed.reshape(*values[0].shape[:axis], size, *values[0].shape[axis + 1 :])


def _split(call: Call) -> Result:
    x, axis = call.array("x"), call.int("axis")
    if call.has("split_sizes"):
        return tuple(np.split(x, np.cumsum(call.ints("split_sizes"))[:-1].tolist(), axis))
    return tuple(np.split(x, call.int("num_splits"), axis))


def _pad(call: Call) -> Array:
    x, pads = call.array("x"), call.ints("pad")
    pairs = list(zip(pads[::2], pads[1::2], strict=True))
    pairs = [(0, 0)] * (x.ndim - len(pairs)) + pairs
    mode = call.text("mode", "constant")
    if mode == "constant":
        return np.pad(x, pairs, constant_values=call.float("constant_val", 0.0))
    if mode == "reflect":
        return np.pad(x, pairs, mode="reflect")
    if mode == "replicate":
        return np.pad(x, pairs, mode="edge")
    raise call.unsupported(f"mode {mode!r}")


def _band_part(call: Call) -> Array:
    x, lower, upper = call.array("x"), call.int("lower", -1), call.int("upper", -1)
    below = np.arange(x.shape[-2])[:, None] - np.arange(x.shape[-1])
    kept = ((lower < 0) | (below <= lower)) & ((upper < 0) | (-below <= upper))
    return np.where(kept, x, np.zeros((), x.dtype))


def _one_hot(call: Call) -> Array:
    places, axis = call.array("indices"), call.int("axis", -1)
    size = call.int("one_hot_vector_size")
    hot = np.expand_dims(places, axis) == np.arange(size).reshape(
        [-1 if i == axis % (places.ndim + 1) else 1 for i in range(places.ndim + 1)]
    )
    return np.where(hot, call.array("on_value"), call.array("off_value"))


def _fill(call: Call) -> Array:
    value = call.array("value").reshape(-1)[0]
    return np.full(call.ints("shape"), value, value.dtype)


def _fill_like(call: Call) -> Array:
    value = call.array("value").reshape(-1)[0]
    return np.full(call.array("ref_tensor").shape, value, value.dtype)


def _range(call: Call) -> Array:
    start, end, step = (call.array(name).reshape(-1)[0] for name in ("start", "end", "step"))
    return np.arange(start, end, step, dtype=np.result_type(start, end, step))


def _reverse(call: Call) -> Array:
    return np.flip(call.array("x"), tuple(call.ints("axes")) if call.has("axes") else None)


def _flatten(call: Call) -> Array:
    x = call.array("x")
    axis = call.int("axis", 1)
    return x.reshape(int(np.prod(x.shape[: axis % x.ndim], dtype=np.int64)), -1)


OPERATORS: Mapping[str, Operator] = {
    "band_part": _band_part,
    "concat": _concat,
    "expand_dims": _expand_dims,
    "fill": _fill,
    "fill_like": _fill_like,
    "flatten2d": _flatten,
    "one_hot": _one_hot,
    "pad": _pad,
    "range_1d": _range,
    "reshape": _reshape,
    "reverse": _reverse,
    "shape": lambda call: np.asarray(call.array("x").shape, np.int32),
    "split": _split,
    "squeeze": _squeeze,
    "stack": lambda call: np.stack(call.arrays("values"), call.int("axis")),
    "tile": _tile,
    "transpose": lambda call: call.array("x").transpose(call.ints("perm")),
}
