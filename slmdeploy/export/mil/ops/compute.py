"""Computes one operation; whatever numpy says against it becomes an error that names it."""

from __future__ import annotations

import numpy as np

from slmdeploy.errors import EvaluationError, SlmdeployError
from slmdeploy.export.mil.ops.call import Array, Call
from slmdeploy.export.mil.ops.registry import find_operator

__all__ = ["compute"]


def compute(call: Call, function: str) -> tuple[Array, ...]:
    """Results of an operation, of the shapes that the program declares.

    Args:
        call: The operation and its arguments.
        function: Where it stands, for messages.

    Raises:
        EvaluationError: The operator is not known, cannot take these arguments, or gives
            something else than is declared.
    """
    operation = call.operation
    who = f"{operation.kind} ({operation.name}) of {function!r}"
    operator = find_operator(operation.kind, f"{function}, {operation.name}")
    try:
        given = operator(call)
    except SlmdeployError:
        raise
    except (ValueError, IndexError, TypeError, ArithmeticError, MemoryError) as error:
        raise EvaluationError(f"{who} cannot be computed: {error}") from error
    # numpy gives a number, not an array, where all dimensions are indexed away
    results = tuple(np.asarray(one) for one in (given if isinstance(given, tuple) else (given,)))
    if len(results) != len(operation.outputs):
        declared = len(operation.outputs)
        raise EvaluationError(f"{who} gives {len(results)} results; {declared} are declared.")
    for (_, of), result in zip(operation.outputs, results, strict=True):
        if not of.fits(result.shape):
            raise EvaluationError(f"{who} gives {list(result.shape)}; {of} is declared.")
    return results
