"""All operators that the evaluator computes, by the name that programs use."""

from __future__ import annotations

from collections.abc import Mapping

from slmdeploy.errors import EvaluationError
from slmdeploy.export.mil.ops import (
    activation,
    arithmetic,
    attention,
    constexpr,
    convolution,
    gather,
    linear,
    normalization,
    reduction,
    shape,
    slicing,
    state,
)
from slmdeploy.export.mil.ops.call import Operator

__all__ = ["MODULES", "MOVES", "OPERATORS", "find_operator"]

MODULES = (
    activation,
    arithmetic,
    attention,
    constexpr,
    convolution,
    gather,
    linear,
    normalization,
    reduction,
    shape,
    slicing,
    state,
)

OPERATORS: Mapping[str, Operator] = {
    name: operator for module in MODULES for name, operator in module.OPERATORS.items()
}

MOVES = frozenset({*shape.OPERATORS, *slicing.OPERATORS, *state.OPERATORS}) - {"range_1d"} | {
    *("gather", "gather_along_axis", "gather_nd", "identity", "select"),
}
"""Those whose results are elements of their arguments: rounded once, they stay as they are."""


def find_operator(kind: str, where: str) -> Operator:
    """The operator of a name.

    Args:
        kind: Its name.
        where: Where the program uses it, for the message.

    Raises:
        EvaluationError: It is not among them.
    """
    if kind not in OPERATORS:
        raise EvaluationError(
            f"The evaluator does not compute the operator {kind!r} (in {where}).",
            hint=f"It computes {len(OPERATORS)} operators: slmdeploy/export/mil/ops. "
            "Verify the package on a Mac, or write the model without this one.",
        )
    return OPERATORS[kind]
