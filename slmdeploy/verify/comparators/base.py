"""What a comparator is, and the shape in which it gets its arrays."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Better", "Comparator", "Rows", "as_rows"]

Rows = npt.NDArray[np.float64]
"""Finite values, float64 [N, C]: N positions or inputs, C classes."""

Better = Literal["lower", "higher"]


class Comparator(Protocol):
    """One number for the distance of ``test`` from ``reference``.

    Both arrays are finite and of the same shape [N, C], N and C at least 1; the
    ladder sees to that. The result is finite.
    """

    @property
    def name(self) -> str:
        """Key in ``RungResult.metrics``; says the unit where there is one."""

    @property
    def better(self) -> Better:
        """Which way is nearer: ``lower`` makes a limit an upper one."""

    def compare(self, reference: Rows, test: Rows) -> float:
        """Compare two arrays of shape [N, C]."""


def as_rows(array: npt.NDArray[Any]) -> Rows:
    """View an array of any shape [..., C] as float64 rows [N, C].

    A vector [C] is one row; a scalar is one row of one value.
    """
    values = np.asarray(array, dtype=np.float64)
    return values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)
