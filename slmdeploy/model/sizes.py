"""Sizes of inputs that may vary: what they may be, and whether given ones are. No torch here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict

__all__ = [
    "Shapes",
    "Sizes",
    "Varying",
    "check_sizes",
    "dimensions",
    "extremes",
    "shapes_at",
    "values_of",
]

Shapes: TypeAlias = tuple[tuple[int, ...], ...]
"""A shape an input, in order."""


class Varying(BaseModel):
    """An axis whose size may vary.

    Axes of one dimension vary together: ``size = factor * dimension + offset``.

    Attributes:
        axis: Counted from 0.
        least: Smallest size.
        most: Largest size; ``None`` where a model names none, which no artifact can have.
        dimension: Its name; ``None`` of an output, whose size follows from the inputs'.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    axis: int
    least: int
    most: int | None
    dimension: str | None = None
    factor: int = 1
    offset: int = 0

    @property
    def expression(self) -> str:
        """The size in terms of the dimension, as in ``2*length+1``."""
        times = "" if self.factor == 1 else f"{self.factor}*"
        plus = "" if self.offset == 0 else f"{self.offset:+d}"
        return f"{times}{self.dimension}{plus}"

    @property
    def bounds(self) -> str:
        """As in ``1 to 16``."""
        return f"{self.least} or more" if self.most is None else f"{self.least} to {self.most}"


Sizes: TypeAlias = tuple[tuple[Varying, ...], ...]
"""The varying axes of each input, in order; empty where all shapes are fixed."""


def check_sizes(names: Sequence[str], shapes: Sequence[Sequence[int]], sizes: Sizes) -> str | None:
    """What is wrong with the sizes of inputs, as a sentence; ``None`` if nothing is.

    Args:
        names: Of the inputs.
        shapes: Of the inputs, each with as many axes as it should have.
        sizes: Their varying axes; others are not looked at.
    """
    seen: dict[str | None, tuple[int, str]] = {}
    for name, shape, axes in zip(names, shapes, sizes, strict=True):
        for one in axes:
            size = shape[one.axis]
            place = f"axis {one.axis} of input {name!r}"
            said = f"{place[0].upper()}{place[1:]} is {size}"
            if size < one.least or (one.most is not None and size > one.most):
                return f"{said}; {one.expression} may be {one.bounds}."
            value, rest = divmod(size - one.offset, one.factor)
            if rest:
                return f"{said}, which is not {one.expression} ({one.bounds})."
            known, where = seen.setdefault(one.dimension, (value, f"{place} ({size})"))
            if known != value:
                wanted = one.factor * known + one.offset
                return f"{said}; by {where} it must be {wanted}: {one.expression}."
    return None


def dimensions(sizes: Sizes) -> dict[str, tuple[int, int]]:
    """Least and most of each dimension, none of them without a bound."""
    found: dict[str, tuple[int, int]] = {}
    for one in _axes(sizes):
        if one.dimension is None or one.most is None:
            continue
        least = -((one.offset - one.least) // one.factor)
        most = (one.most - one.offset) // one.factor
        low, high = found.get(one.dimension, (least, most))
        found[one.dimension] = max(low, least), min(high, most)
    return found


def values_of(shapes: Sequence[Sequence[int]], sizes: Sizes) -> dict[str, int]:
    """What each dimension is in these shapes, which must agree."""
    return {
        one.dimension: (shape[one.axis] - one.offset) // one.factor
        for shape, axes in zip(shapes, sizes, strict=True)
        for one in axes
        if one.dimension is not None
    }


def shapes_at(shapes: Sequence[Sequence[int]], sizes: Sizes, values: Mapping[str, int]) -> Shapes:
    """Shapes with their dimensions at other values."""
    found = []
    for shape, axes in zip(shapes, sizes, strict=True):
        changed = list(shape)
        for one in axes:
            if one.dimension is not None:
                changed[one.axis] = one.factor * values[one.dimension] + one.offset
        found.append(tuple(changed))
    return tuple(found)


def extremes(shapes: Sequence[Sequence[int]], sizes: Sizes) -> tuple[Shapes, ...]:
    """The smallest and the largest shapes, where they are others than the given ones."""
    given = tuple(tuple(shape) for shape in shapes)
    ranges = dimensions(sizes).items()
    ends = ({name: pair[end] for name, pair in ranges} for end in (0, 1))
    found = dict.fromkeys(shapes_at(given, sizes, values) for values in ends)
    return tuple(one for one in found if one != given)


def _axes(sizes: Sizes) -> Iterable[Varying]:
    return (one for axes in sizes for one in axes)
