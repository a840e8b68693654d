"""Compressed weights: what they stand for.

Forms of iOS 16 keep parameters as attributes and shapes beside packed bytes; those of iOS 18
take tensors of 1 to 8 bits and scales of blocks. Joint forms give a mask and what is not zero.
Source: ``coremltools/converters/mil/mil/ops/defs/iOS16`` and ``iOS18`` (``constexpr_ops.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from slmdeploy.export.mil.bits import unpack_bits
from slmdeploy.export.mil.ops.blocks import blocked, per_block
from slmdeploy.export.mil.ops.call import Array, Call, Operator, Result

__all__ = ["OPERATORS"]


def _affine_dequantize(call: Call) -> Array:
    """IOS 16: ``scale (data - zero_point)``, a scale for all or one for each part of an axis."""
    data = call.array("quantized_data").astype(np.float32)
    shape = [1] * data.ndim
    shape[call.int("axis")] = -1
    scale, zero = (
        value.astype(np.float32).reshape(shape if value.size > 1 else ())
        for value in (call.array("scale"), call.array("zero_point"))
    )
    return (data - zero) * scale


def _blockwise_shift_scale(call: Call) -> Array:
    offset = call.array("offset") if call.has("offset") else None
    return _shift_scale(call.array("data"), call.array("scale"), offset)


def _shift_scale(data: Array, scale: Array, offset: Array | None) -> Array:
    values = data.astype(np.float32)  # a copy: what follows writes into it
    if offset is not None:
        view = blocked(values, offset.shape)
        view -= per_block(offset.astype(np.float32))
    view = blocked(values, scale.shape)
    view *= per_block(scale)
    return values


def _lut_to_dense(call: Call) -> Array:
    if call.has("shape"):
        return _packed_lut(call)
    axis = call.int("vector_axis") if call.has("vector_axis") else None
    return _look_up(call.array("indices"), call.array("lut"), axis)


def _packed_lut(call: Call) -> Array:
    """IOS 16: one table of ``2 ** bits`` entries, indices packed into bytes."""
    lut, shape = call.array("lut"), call.ints("shape")
    bits = int(math.log2(lut.size))
    places = unpack_bits(call.array("indices").view(np.uint8), bits, math.prod(shape))
    found: Array = lut.reshape(-1)[places].reshape(shape)
    return found


def _look_up(indices: Array, lut: Array, axis: int | None) -> Array:
    """IOS 18: a table for each block; an entry is a vector along ``axis``, or one number.

    Args:
        indices: [d0, d1, ...].
        lut: [blocks of d0, blocks of d1, ..., entries, numbers in an entry].
        axis: Of the result, along which the numbers of an entry lie.
    """
    *groups, entries, wide = lut.shape
    first = np.arange(math.prod(groups), dtype=np.int32).reshape(groups) * np.int32(entries)
    places = blocked(indices.astype(np.int32), groups)
    places += per_block(first)
    flat = places.reshape(indices.shape)
    table = lut.reshape(-1, wide)
    if wide == 1:
        found: Array = table[:, 0][flat]
        return found
    along = (axis or 0) % indices.ndim
    spread = np.moveaxis(table[flat], -1, along + 1)
    sizes = [size * (wide if i == along else 1) for i, size in enumerate(indices.shape)]
    return spread.reshape(sizes)


def _sparse_to_dense(call: Call) -> Array:
    values = call.array("nonzero_data")
    if not call.has("shape"):
        return _spread(call.array("mask").astype(bool), values)
    shape = call.ints("shape")
    mask = unpack_bits(call.array("mask").view(np.uint8), 1, math.prod(shape))
    return _spread(mask.astype(bool).reshape(shape), values)


def _spread(mask: Array, values: Array) -> Array:
    """Values at the places of a mask, in order, and 0 elsewhere."""
    dense = np.zeros(mask.shape, values.dtype)
    dense[mask] = values.reshape(-1)
    return dense


def _lut_to_sparse(call: Call) -> Result:
    mask = call.array("indices_mask").astype(bool)
    indices = _spread(mask, call.array("indices_nonzero_data"))
    lut, axis = call.array("lut"), call.int("vector_axis") if call.has("vector_axis") else None
    dense = _look_up(indices, lut, axis)
    if axis is not None:  # an entry of the mask stands for all numbers of a vector
        mask = np.repeat(mask, lut.shape[-1], axis)
    return mask, dense[mask]


def _sparse_shift_scale(call: Call) -> Result:
    mask = call.array("data_mask").astype(bool)
    data = _spread(mask, call.array("nonzero_data"))
    offset = call.array("offset") if call.has("offset") else None
    return mask, _shift_scale(data, call.array("scale"), offset)[mask]


OPERATORS: Mapping[str, Operator] = {
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_blockwise_shift_scale": _blockwise_shift_scale,
    "constexpr_cast": lambda call: call.array("source_val"),
    "constexpr_lut_to_dense": _lut_to_dense,
    "constexpr_lut_to_sparse": _lut_to_sparse,
    "constexpr_sparse_blockwise_shift_scale": _sparse_shift_scale,
    "constexpr_sparse_to_dense": _sparse_to_dense,
}
