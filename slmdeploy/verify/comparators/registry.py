"""All comparators, in the order in which they are reported."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from slmdeploy.errors import UnknownNameError
from slmdeploy.verify.comparators.base import Comparator, as_rows
from slmdeploy.verify.comparators.cosine import Cosine
from slmdeploy.verify.comparators.greedy_match_length import GreedyMatchLength
from slmdeploy.verify.comparators.kl import Kl
from slmdeploy.verify.comparators.max_abs_error import MaxAbsError
from slmdeploy.verify.comparators.snr_db import SnrDb
from slmdeploy.verify.comparators.top1_agreement import Top1Agreement

__all__ = ["COMPARATORS", "compare_all", "get_comparator"]

_ALL: tuple[Comparator, ...] = (
    MaxAbsError(),
    SnrDb(),
    Cosine(),
    Kl(),
    Top1Agreement(),
    GreedyMatchLength(),
)

COMPARATORS: dict[str, Comparator] = {comparator.name: comparator for comparator in _ALL}


def get_comparator(name: str) -> Comparator:
    """The comparator of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in COMPARATORS:
        raise UnknownNameError("comparator", name, COMPARATORS)
    return COMPARATORS[name]


def compare_all(reference: npt.NDArray[Any], test: npt.NDArray[Any]) -> dict[str, float | None]:
    """Every comparator on two finite arrays of the same shape [..., C]."""
    left, right = as_rows(reference), as_rows(test)
    return {name: comparator.compare(left, right) for name, comparator in COMPARATORS.items()}
