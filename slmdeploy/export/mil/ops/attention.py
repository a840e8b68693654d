"""The fused attention operator of iOS 18."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from slmdeploy.export.mil.ops.call import Array, Call, Operator

__all__ = ["OPERATORS"]


def _attention(call: Call) -> Array:
    """``softmax(query key^T / sqrt(E) + mask) value``; a mask of truth values hides where False."""
    query, key, value = (call.array(name) for name in ("query", "key", "value"))
    scores = np.matmul(query, key.swapaxes(-1, -2))
    scores *= np.float32(1 / math.sqrt(query.shape[-1]))
    if call.has("attn_mask"):
        mask = call.array("attn_mask")
        scores = (
            np.where(mask, scores, np.float32(-np.inf)) if mask.dtype == bool else scores + mask
        )
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    result: Array = np.matmul(scores, value)
    return result


OPERATORS: Mapping[str, Operator] = {"scaled_dot_product_attention": _attention}
