"""Cosine similarity."""

from __future__ import annotations

import numpy as np

from slmdeploy.verify.comparators.base import Better, Rows

__all__ = ["Cosine"]


class Cosine:
    """Cosine of the angle between the two outputs, each taken as one long vector.

    It does not see a wrong scale, which ``snr_db`` does. A vector of zeros has no
    direction: 1 against another one of zeros, 0 against anything else.
    """

    name = "cosine"
    better: Better = "higher"

    def compare(self, reference: Rows, test: Rows) -> float:
        """Compare two arrays of shape [N, C]."""
        left, right = _unit(reference), _unit(test)
        if left is None or right is None:
            return 1.0 if left is right else 0.0
        return float(np.clip((left * right).sum(), -1.0, 1.0))


def _unit(values: Rows) -> Rows | None:
    """The vector scaled to length 1; ``None`` where it is all zeros."""
    largest = float(abs(values).max())
    if largest == 0.0:
        return None
    scaled = values / largest  # so that no square overflows
    unit: Rows = scaled / np.sqrt((scaled * scaled).sum())
    return unit
