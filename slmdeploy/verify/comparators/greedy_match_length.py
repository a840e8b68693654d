"""How long both outputs would write the same text."""

from __future__ import annotations

import numpy as np

from slmdeploy.verify.comparators.base import Better, Rows
from slmdeploy.verify.comparators.top1_agreement import agreeing_rows

__all__ = ["GreedyMatchLength"]


class GreedyMatchLength:
    """Number of leading rows with the same choice.

    Over golden ids, row *i* is the choice of the *i*-th new token: greedy decoding
    of the two would part at the first row that differs.
    """

    name = "greedy_match_length"
    better: Better = "higher"

    def compare(self, reference: Rows, test: Rows) -> float:
        """Compare two arrays of shape [N, C]."""
        same = agreeing_rows(reference, test)
        return float(same.size if same.all() else np.argmin(same))
