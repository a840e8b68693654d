"""Convolutions and pools over one to three dimensions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from slmdeploy.export.mil.ops.call import Array, Call, Operator

__all__ = ["OPERATORS"]


def _padding(call: Call, sizes: tuple[int, ...], reach: list[int], strides: list[int]) -> Any:
    """Pairs of elements to add before and after each spatial dimension."""
    kind = call.text("pad_type", "valid")
    if kind == "valid":
        return [(0, 0)] * len(sizes)
    if kind == "custom":
        given = call.ints("pad")
        return list(zip(given[::2], given[1::2], strict=True))
    if kind in {"same", "same_lower"}:
        pairs = []
        for size, length, stride in zip(sizes, reach, strides, strict=True):
            total = max(0, (-(-size // stride) - 1) * stride + length - size)
            few, many = total // 2, total - total // 2
            pairs.append((few, many) if kind == "same" else (many, few))
        return pairs
    raise call.unsupported(f"pad_type {kind!r}")


def _windows(x: Array, kernel: list[int], strides: list[int], dilations: list[int]) -> Array:
    """Views [N, C, *outside, *kernel] of each place where the kernel stands."""
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    axes = tuple(range(2, x.ndim))
    every = np.lib.stride_tricks.sliding_window_view(x, reach, axes)
    places = tuple(slice(None, None, stride) for stride in strides)
    taps = tuple(slice(None, None, dilation) for dilation in dilations)
    found: Array = every[(slice(None), slice(None), *places, *taps)]
    return found


def _conv(call: Call) -> Array:
    x, weight, groups = call.array("x"), call.array("weight"), call.int("groups", 1)
    rank = x.ndim - 2
    strides, dilations = call.ints("strides", [1] * rank), call.ints("dilations", [1] * rank)
    kernel = list(weight.shape[2:])
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    pairs = _padding(call, x.shape[2:], reach, strides)
    windows = _windows(np.pad(x, [(0, 0), (0, 0), *pairs]), kernel, strides, dilations)
    outside = windows.shape[2 : 2 + rank]
    parts = np.split(windows, groups, axis=1)
    taken = [1, *range(2 + rank, 2 + 2 * rank)]
    given = list(range(1, 2 + rank))
    made = [
        np.tensordot(part, kernels, (taken, given))
        for part, kernels in zip(parts, np.split(weight, groups), strict=True)
    ]
    y = np.moveaxis(np.concatenate(made, axis=-1), -1, 1).reshape(len(x), len(weight), *outside)
    return y + call.array("bias").reshape(-1, *[1] * rank) if call.has("bias") else y


def _pool(compute: Callable[..., Array], fill: float) -> Operator:
    def operator(call: Call) -> Array:
        x, kernel = call.array("x"), call.ints("kernel_sizes")
        rank = len(kernel)
        if call.bool("ceil_mode"):
            raise call.unsupported("ceil_mode")
        strides = call.ints("strides", [1] * rank)
        pairs = [(0, 0), (0, 0), *_padding(call, x.shape[2:], kernel, strides)]
        ones = [1] * rank
        windows = _windows(np.pad(x, pairs, constant_values=fill), kernel, strides, ones)
        over = tuple(range(2 + rank, 2 + 2 * rank))
        if not call.bool("exclude_padding_from_average"):
            return compute(windows, axis=over)
        inside = _windows(np.pad(np.ones_like(x), pairs), kernel, strides, ones)
        return np.asarray(windows.sum(axis=over) / inside.sum(axis=over))

    return operator


OPERATORS: Mapping[str, Operator] = {
    "avg_pool": _pool(np.mean, 0.0),
    "conv": _conv,
    "max_pool": _pool(np.max, -np.inf),
}
