"""Is this text no text: loops, one token over and over, hardly any variety?

The check looks at token ids, so it needs no tokenizer and no language. It is meant
to let pass all text that people write and to stop what broken arithmetic writes.
A healthy small model that decodes greedily can fall into a loop, too; the caller
decides whether that counts (the ladder asks whether the reference does the same).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MIN_TOKENS", "degenerate", "non_finite"]

MIN_TOKENS = 12
"""Shorter texts are not judged."""

_LONGEST_PERIOD = 64
_WINDOW = 64
_Ids = npt.NDArray[np.int64]


def degenerate(ids: Sequence[int], *, logits: npt.NDArray[Any] | None = None) -> str | None:
    """Say what is wrong with a text, if it is degenerate.

    Args:
        ids: Token ids of the text, in order.
        logits: What they were chosen from, any shape; checked for NaN and infinity.

    Returns:
        The reason as a phrase (``"token 11 repeats 40 times in a row"``), or ``None``
        for a text with nothing wrong or too short to say.
    """
    if logits is not None and (reason := non_finite(logits)) is not None:
        return reason
    tokens = np.asarray(ids, dtype=np.int64)
    if tokens.size < MIN_TOKENS:
        return None
    return _one_token(tokens) or _loop(tokens) or _few_distinct(tokens)


def non_finite(values: npt.NDArray[Any]) -> str | None:
    """Say how many values are NaN or infinite; ``None`` where all are finite."""
    bad = int(values.size - np.isfinite(values).sum())
    return f"{bad} of {values.size} values are NaN or infinite" if bad else None


def _one_token(tokens: _Ids) -> str | None:
    """One token in a row for a quarter of the text, 8 at least, or for 32."""
    length, end = _longest_match(tokens, 1)
    if length + 1 < min(max(8, tokens.size // 4), 32):
        return None
    return f"token {tokens[end]} repeats {length + 1} times in a row"


def _loop(tokens: _Ids) -> str | None:
    """A phrase at least four times in a row that makes up half of the text."""
    for period in range(2, min(_LONGEST_PERIOD, tokens.size // 4) + 1):
        length, _ = _longest_match(tokens, period)
        covered = length + period
        if covered >= 4 * period and 2 * covered >= tokens.size:
            return f"a phrase of {period} tokens repeats {covered // period} times"
    return None


def _longest_match(tokens: _Ids, period: int) -> tuple[int, int]:
    """Longest stretch with ``tokens[i] == tokens[i - period]``: its length and last index."""
    same = tokens[period:] == tokens[:-period]
    breaks = np.flatnonzero(~same)
    edges = np.concatenate(([-1], breaks, [same.size]))
    gaps = np.diff(edges) - 1
    widest = int(gaps.argmax())
    return int(gaps[widest]), int(edges[widest + 1]) - 1 + period


def _few_distinct(tokens: _Ids) -> str | None:
    """Over half of the windows of 64 tokens hold fewer than an eighth as many kinds."""
    width = min(_WINDOW, tokens.size)
    starts = range(0, tokens.size - width + 1, width // 2)
    kinds = [int(np.unique(tokens[start : start + width]).size) for start in starts]
    limit = max(3, width // 8)
    if 2 * sum(count < limit for count in kinds) <= len(kinds):
        return None
    return f"only {min(kinds)} different tokens in {width}"
