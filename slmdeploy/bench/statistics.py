"""The statistics of a report, each with its definition and its smallest sample.

Nothing is trimmed and no distribution is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = [
    "CONFIDENCE",
    "iqr",
    "median",
    "median_interval",
    "quantile",
    "spread",
    "supported_quantile",
    "values_needed",
]

CONFIDENCE = 0.95


def quantile(values: Sequence[float], q: float) -> float:
    """The q-quantile by linear interpolation between order statistics.

    Type 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages" (The
    American Statistician 50, 1996): position ``(n - 1) q`` in the sorted values,
    counted from 0. It is what numpy and R do by default.

    Args:
        values: At least one, in any order.
        q: From 0 to 1.
    """
    ordered = sorted(values)
    position = (len(ordered) - 1) * q
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    step = ordered[above] - ordered[below]
    return ordered[below] + (position - below) * step


def median(values: Sequence[float]) -> float:
    """The 0.5-quantile of at least one value."""
    return quantile(values, 0.5)


def values_needed(q: float) -> int:
    """How many values a quantile needs: one is to be expected beyond it.

    10 for p90, 20 for p95, 100 for p99. With fewer, the estimate is next to the
    extreme value and says nothing about the tail.
    """
    return math.ceil(round(1 / min(q, 1 - q), 9))


def supported_quantile(values: Sequence[float], q: float) -> float | None:
    """The quantile, or ``None`` where there are too few values for it."""
    return quantile(values, q) if len(values) >= values_needed(q) else None


def iqr(values: Sequence[float]) -> tuple[float, float] | None:
    """First and third quartile; ``None`` for fewer than four values."""
    if len(values) < values_needed(0.25):
        return None
    return quantile(values, 0.25), quantile(values, 0.75)


def spread(values: Sequence[float]) -> float | None:
    """``(max - min) / median``; ``None`` for fewer than two values or a median of 0."""
    middle = median(values) if len(values) >= 2 else 0.0
    return (max(values) - min(values)) / abs(middle) if middle else None


def median_interval(
    values: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """A confidence interval of the median from order statistics.

    The k-th smallest and k-th largest value enclose the median with probability
    ``1 - 2 P(B < k)``, B binomial with n and 1/2, whatever the distribution
    (Conover, "Practical Nonparametric Statistics", section 3.2). k is the largest
    that keeps ``confidence``.

    Returns:
        The two values, or ``None`` for fewer than six, where not even the whole
        range has 95 %.
    """
    n, outside, k = len(values), 0.0, 0
    while k < n // 2:
        outside += 2 * math.comb(n, k) / 2**n
        if outside > 1 - confidence:
            break
        k += 1
    if k == 0:
        return None
    ordered = sorted(values)
    return ordered[k - 1], ordered[-k]
