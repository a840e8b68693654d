"""Kullback-Leibler divergence of the next-token distributions."""

from __future__ import annotations

import numpy as np

from slmdeploy.verify.comparators.base import Better, Rows

__all__ = ["Kl", "log_softmax"]


class Kl:
    """Mean over rows of ``KL(softmax(reference) || softmax(test))``, in nats."""

    name = "kl"
    better: Better = "lower"

    def compare(self, reference: Rows, test: Rows) -> float:
        """Compare two arrays of shape [N, C]."""
        log_p, log_q = log_softmax(reference), log_softmax(test)
        per_row = (np.exp(log_p) * (log_p - log_q)).sum(axis=-1)
        return max(0.0, float(per_row.mean()))  # rounding can give -1e-17


def log_softmax(rows: Rows) -> Rows:
    """Logarithm of the softmax of each row; float64 [N, C] to the same shape."""
    shifted = rows - rows.max(axis=-1, keepdims=True)
    result: Rows = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result
