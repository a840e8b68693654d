"""How often both outputs choose the same class."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slmdeploy.verify.comparators.base import Better, Rows

__all__ = ["Top1Agreement", "agreeing_rows"]


class Top1Agreement:
    """Share of rows in which ``test`` chooses what ``reference`` chooses; 0 to 1."""

    name = "top1_agreement"
    better: Better = "higher"

    def compare(self, reference: Rows, test: Rows) -> float:
        """Compare two arrays of shape [N, C]."""
        return float(agreeing_rows(reference, test).mean())


def agreeing_rows(reference: Rows, test: Rows) -> npt.NDArray[np.bool_]:
    """For each row, whether the choice of ``test`` is a largest value of ``reference``.

    Where the reference has equal largest values, any of them counts as its choice:
    which one a runtime takes is a matter of order, not of arithmetic.

    Returns:
        bool [N].
    """
    choice = test.argmax(axis=-1)
    chosen = np.take_along_axis(reference, choice[:, None], axis=-1)[:, 0]
    same: npt.NDArray[np.bool_] = chosen == reference.max(axis=-1)
    return same
