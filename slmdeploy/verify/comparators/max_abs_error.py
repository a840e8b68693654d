"""The largest absolute difference."""

from __future__ import annotations

from slmdeploy.verify.comparators.base import Better, Rows

__all__ = ["MaxAbsError"]


class MaxAbsError:
    """``max |test - reference|``, in the unit of the output (logits)."""

    name = "max_abs_error"
    better: Better = "lower"

    def compare(self, reference: Rows, test: Rows) -> float:
        """Compare two arrays of shape [N, C]."""
        return float(abs(test - reference).max())
