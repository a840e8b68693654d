"""Encoders with a method for each of several lengths of a text. No torch here.

The methods compute the same function with the same weights; a text goes through the one that
has the least to fill up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LONGEST", "MOST", "SHORTEST", "Examples", "by_method", "checked_lengths", "method_name"]

SHORTEST, LONGEST, MOST = 2, 8192, 8
"""Of a length, in tokens; and how many of them an artifact may have."""

Examples: TypeAlias = "Sequence[Tensor] | Mapping[str, tuple[Tensor, ...]]"
"""Example inputs of the one method, or of several by their names."""


def method_name(length: int) -> str:
    """The method for texts of a length, where there are several."""
    return f"forward_{length}"


def checked_lengths(lengths: Iterable[int]) -> tuple[int, ...]:
    """Lengths in ascending order, each once.

    Raises:
        ValueError: One is too small or too large, or there are too many, or none.
    """
    found = tuple(sorted(set(lengths)))
    for length in found:
        if not SHORTEST <= length <= LONGEST:
            raise ValueError(f"a length is {SHORTEST} to {LONGEST} tokens, not {length}")
    if not 1 <= len(found) <= MOST:
        raise ValueError(f"there may be 1 to {MOST} lengths, not {len(found)}")
    return found


def by_method(inputs: Examples, usual: str) -> dict[str, tuple[Tensor, ...]]:
    """Example inputs by the name of their method; ``usual`` where there is one."""
    return dict(inputs) if isinstance(inputs, Mapping) else {usual: tuple(inputs)}
