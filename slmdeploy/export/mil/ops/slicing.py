"""Parts of an array by begin, end and stride, read or written."""

from __future__ import annotations

from collections.abc import Mapping

from slmdeploy.export.mil.ops.call import Array, Call, Operator

__all__ = ["OPERATORS"]


def _index(call: Call, x: Array) -> tuple[slice | int, ...]:
    """The index that a call describes; numpy's rules for negative numbers are Core ML's."""
    rank = x.ndim
    begin, end = call.ints("begin", [0] * rank), call.ints("end", [0] * rank)
    stride = call.ints("stride", [1] * rank)
    from_start, to_end, single = (
        call.ints(name, [0] * rank) for name in ("begin_mask", "end_mask", "squeeze_mask")
    )
    return tuple(
        begin[i]
        if single[i]
        else slice(None if from_start[i] else begin[i], None if to_end[i] else end[i], stride[i])
        for i in range(rank)
    )


def _slice_by_index(call: Call) -> Array:
    x = call.array("x")
    part: Array = x[_index(call, x)]
    return part


def _slice_update(call: Call) -> Array:
    x = call.array("x").copy()
    x[_index(call, x)] = call.array("update")
    return x


def _slice_by_size(call: Call) -> Array:
    x = call.array("x")
    pairs = zip(call.ints("begin"), call.ints("size"), x.shape, strict=True)
    part: Array = x[
        tuple(
            slice(begin % length if length else 0, None if size == -1 else begin % length + size)
            for begin, size, length in pairs
        )
    ]
    return part


OPERATORS: Mapping[str, Operator] = {
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "slice_update": _slice_update,
}
