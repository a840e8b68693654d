"""Chooses the next token, bit for bit as ``docs/runner-protocol.md`` fixes it.

Sums run in one order, by ``cumsum``; numpy's ``sum`` adds in pairs, in an order that
depends on the processor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slmdeploy.runtime.litert_board.saying import BROKE, Failure

__all__ = ["Random", "Sampler", "portable_exp"]

_WORD = (1 << 64) - 1


class Random:
    """xoshiro256** 1.0 by Blackman and Vigna, seeded by Vigna's splitmix64.

    Both are in the public domain (prng.di.unimi.it); written from their description.
    """

    def __init__(self, seed: int) -> None:
        self._state: list[int] = []
        for _ in range(4):
            seed = (seed + 0x9E3779B97F4A7C15) & _WORD
            z = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _WORD
            self._state.append(z ^ (z >> 31))

    def next(self) -> int:
        """The next number of 64 bits."""
        s = self._state
        result = (_rotated((s[1] * 5) & _WORD, 7) * 9) & _WORD
        shifted = (s[1] << 17) & _WORD
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= shifted
        s[3] = _rotated(s[3], 45)
        return result

    def uniform(self) -> float:
        """In [0, 1), of 53 bits."""
        return (self.next() >> 11) * 2.0**-53


def _rotated(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (64 - bits))) & _WORD


def portable_exp(x: Any) -> Any:
    """Exp of float64 values of at most 0, by additions and multiplications alone.

    ``exp(x) = 2^k exp(r)`` with ``|r| <= ln(2) / 2``, and ``exp(r)`` by its Taylor series
    to the 13th power; ln(2) is split in two so that r is exact enough.
    """
    kept = np.maximum(x, -701.0)  # what is below is 0 in the end, and may be infinite
    k = np.floor(kept * 1.4426950408889634 + 0.5)
    r = (kept - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10
    total = np.ones_like(kept)
    for power in range(13, 0, -1):
        total = 1 + total * r / power
    return np.where(x < -700, 0.0, np.ldexp(total, k.astype(np.int32)))


class Sampler:
    """Settings, the tokens that occurred, and the generator.

    Args:
        settings: Has ``temperature``, ``top_k``, ``top_p``, ``min_p``,
            ``repetition_penalty`` and ``seed``.
        vocabulary: Number of tokens.
    """

    def __init__(self, settings: Any, vocabulary: int) -> None:
        self._how = settings
        self._seen = np.zeros(vocabulary, dtype=bool)
        self._random = Random(settings.seed)

    def saw(self, token: int) -> None:
        """Count a token of the prompt or the answer for the repetition penalty."""
        self._seen[token] = True

    def pick(self, logits: Any) -> int:
        """The next token's id.

        Args:
            logits: float32 [vocabulary].

        Raises:
            Failure: ``bad_logits``: one of them is not a number.
        """
        values = self._penalized(logits)
        likeliest = int(values.argmax())
        if self._how.temperature <= 0:
            return likeliest
        ids = self._top_k(values)
        shares = portable_exp((values[ids] - values[likeliest]) / self._how.temperature)
        ids, shares = self._top_p(ids, shares)
        kept = shares >= self._how.min_p * shares.max()
        return self._draw(ids[kept], shares[kept])

    def _penalized(self, logits: Any) -> Any:
        values = logits.astype(np.float64)
        wrong = np.isnan(values) | (values == np.inf)
        if wrong.any():
            raise Failure(
                BROKE,
                "bad_logits",
                f"The logit of token {int(wrong.argmax())} is not a finite number.",
                "slmdeploy verify finds the step that broke.",
            )
        penalty = self._how.repetition_penalty
        if penalty != 1:
            seen = values[self._seen]
            values[self._seen] = np.where(seen > 0, seen / penalty, seen * penalty)
        return values

    def _top_k(self, values: Any) -> Any:
        """Ids of the k largest, in the order of ids; of equals the smaller id."""
        count = self._how.top_k
        if count == 0 or count >= len(values):
            return np.arange(len(values))
        # A stable sort leaves equals in the order of ids.
        return np.sort(np.argsort(-values, kind="stable")[:count])

    def _top_p(self, ids: Any, shares: Any) -> Any:
        """The smallest set whose shares reach ``top_p`` of their sum, in the order of ids."""
        if self._how.top_p >= 1:
            return ids, shares
        mark = self._how.top_p * np.cumsum(shares)[-1]
        order = np.argsort(-shares, kind="stable")
        sums = np.cumsum(shares[order])
        count = min(int(np.searchsorted(sums, mark)) + 1, len(order))
        kept = np.sort(order[:count])
        return ids[kept], shares[kept]

    def _draw(self, ids: Any, shares: Any) -> int:
        sums = np.cumsum(shares)
        mark = self._random.uniform() * sums[-1]
        place = int(np.searchsorted(sums, mark, side="right"))
        return int(ids[min(place, len(ids) - 1)])
