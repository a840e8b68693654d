"""Sizes that follow from a configuration alone: for the account and for forecasts. No torch."""

from __future__ import annotations

import math

from slmdeploy.compress.recipe import EmbeddingSpec, LinearSpec

__all__ = ["RUNNER_BYTES", "embedding_bytes", "linear_bytes", "packed_linear_bytes"]

RUNNER_BYTES = 24 * 2**20
"""Resident set of the runner before it loads a model, libraries included."""


def linear_bytes(outputs: int, inputs: int, spec: LinearSpec) -> int:
    """Bytes that XNNPACK's file keeps of a linear layer, bias aside.

    ``8da4w`` has bfloat16 scales per group (one group per row where there are none), the
    other integer schemes float32 scales per row. Weight-only integers in groups are kept
    in float32, see ``storage.py``.
    """
    group = spec.group_size or inputs
    if spec.scheme in ("w4", "w8") and group != inputs:
        return 4 * outputs * inputs
    weights = outputs * math.ceil(inputs * spec.bits / 8)
    if spec.scheme == "8da4w":
        return weights + 2 * outputs * (inputs // group)
    return weights + (4 * outputs if spec.bits <= 8 else 0)


def packed_linear_bytes(outputs: int, inputs: int, spec: LinearSpec) -> int:
    """Bytes of the same layer in memory: XNNPACK widens float16 weights to float32."""
    return linear_bytes(outputs, inputs, LinearSpec() if spec.scheme == "fp16" else spec)


def embedding_bytes(rows: int, columns: int, spec: EmbeddingSpec) -> int:
    """Bytes of a table and its float32 scales; odd widths take the next larger container."""
    container = next(size for size in (2, 4, 8, 16, 32) if size >= spec.bits)
    groups = columns // (spec.group_size or columns)
    return rows * columns * container // 8 + (4 * rows * groups if spec.bits <= 8 else 0)
