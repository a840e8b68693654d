"""Parameters that hold for blocks of a tensor: views in which they broadcast."""

from __future__ import annotations

from collections.abc import Sequence

from slmdeploy.errors import EvaluationError
from slmdeploy.export.mil.ops.call import Array

__all__ = ["blocked", "per_block"]


def blocked(data: Array, counts: Sequence[int]) -> Array:
    """A tensor with each dimension cut in two: blocks, and elements of a block.

    Args:
        data: [d0, d1, ...].
        counts: Blocks in each dimension; they divide it evenly.

    Raises:
        EvaluationError: They do not.
    """
    sizes = []
    for length, count in zip(data.shape, counts, strict=True):
        if count < 1 or length % count:
            raise EvaluationError(f"{length} elements cannot be cut into {count} blocks.")
        sizes += [count, length // count]
    return data.reshape(sizes)


def per_block(parameters: Array) -> Array:
    """Parameters of blocks in the shape that broadcasts against ``blocked``."""
    return parameters.reshape([size for count in parameters.shape for size in (count, 1)])
