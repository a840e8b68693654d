"""Dynamic shapes, as ``torch.export`` takes them and as its programs have them.

This module imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram
from torch.export.dynamic_shapes import _DerivedDim, _DimHint, _DimHintType

from slmdeploy.errors import ModelReadError
from slmdeploy.model.sizes import Shapes, Sizes, Varying, check_sizes

__all__ = ["program_sizes", "read_dynamic", "resized", "symbol_ranges", "tied_sizes"]

_SMALLEST = 1
"""An axis is never empty, though a ``Dim`` without ``min`` says 0."""

_TRACED = 2
"""Torch takes axes for no smaller than this where it was not told by name."""

_INT32 = torch.iinfo(torch.int32)
"""Sizes on a device; a bound beyond them is none."""


@dataclass(frozen=True)
class _Axis:
    """An axis as torch has it, with the range of its dimension."""

    axis: int
    dimension: str
    least: int
    most: int | None
    factor: int = 1
    offset: int = 0


def read_dynamic(dynamic: object, names: Sequence[str], inputs: Sequence[Tensor]) -> Sizes:
    """What dynamic shapes say of each input.

    Each ``Dim.AUTO`` and ``Dim.DYNAMIC`` is a dimension of its own, as in ``ids[1]``, until
    ``tied_sizes`` knows better.

    Args:
        dynamic: A table by the names of inputs, or one for each in order; ``None`` for none.
        names: Of the inputs.
        inputs: The examples.

    Raises:
        ModelReadError: They name no input or axis, or the examples have other sizes.
    """
    if dynamic is None:
        return ()
    rows = [
        _axes(name, value, spec)
        for name, value, spec in zip(names, inputs, _by_input(dynamic, names), strict=True)
    ]
    return _sizes(rows, names, inputs)


def program_sizes(
    program: ExportedProgram, names: Sequence[str], inputs: Sequence[Tensor]
) -> Sizes:
    """What a program says of each input, its dimensions by the names of their symbols.

    Raises:
        ModelReadError: The examples have other sizes.
    """
    rows = _rows(program)
    if len(rows) != len(inputs):
        return ()  # what else it takes is told when it is run
    return _sizes(rows, names, inputs)


def tied_sizes(
    program: ExportedProgram, names: Sequence[str], inputs: Sequence[Tensor], sizes: Sizes
) -> Sizes:
    """Sizes whose axes are tied as in a program that was traced with them.

    Bounds are the narrowest of those that were given and those that torch found.

    Raises:
        ModelReadError: The examples have other sizes.
    """
    rows = _rows(program)
    given = {(place, one.axis): one for place, axes in enumerate(sizes) for one in axes}
    tied: dict[str, _Axis] = {}
    for place, row in enumerate(rows):
        for one in row:
            found = _narrowed(one, given[place, one.axis])
            tied[one.dimension] = _both(tied.get(one.dimension, found), found)
    return _sizes([[_with_range(one, tied) for one in row] for row in rows], names, inputs)


def _with_range(one: _Axis, tied: Mapping[str, _Axis]) -> _Axis:
    known = tied[one.dimension]
    return replace(one, dimension=known.dimension, least=known.least, most=known.most)


def _narrowed(one: _Axis, given: Varying) -> _Axis:
    """An axis by the name that was given, with the range of its dimension."""
    least = -((one.offset - given.least) // one.factor)
    most = None if given.most is None else (given.most - one.offset) // one.factor
    inferred = one.least if one.least > _TRACED else 0
    found = replace(one, dimension=str(given.dimension), least=max(least, inferred), most=most)
    return _both(found, replace(found, most=one.most))


def _both(one: _Axis, other: _Axis) -> _Axis:
    """The range that two axes of a dimension leave; by a name that is a user's, if one is."""
    bounds = [axis.most for axis in (one, other) if axis.most is not None]
    named = next((axis for axis in (one, other) if axis.dimension.isidentifier()), one)
    least = max(one.least, other.least)
    return replace(named, least=least, most=min(bounds, default=None))


def _rows(program: ExportedProgram) -> list[list[_Axis]]:
    """The axes of each input that are symbols."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    ranges = symbol_ranges(program)
    return [
        [
            _of_symbol(axis, size, ranges)
            for axis, size in enumerate(getattr(values.get(str(name)), "shape", ()))
            if isinstance(size, torch.SymInt)
        ]
        for name in program.graph_signature.user_inputs
    ]


def symbol_ranges(program: ExportedProgram) -> dict[Any, tuple[int, int | None]]:
    """Least and most of each symbol of a program.

    Of one that is no axis by itself torch keeps a narrower range than of the lines of it.
    """
    found: dict[Any, tuple[int, int | None]] = {}
    for expression, said in program.range_constraints.items():
        line = _line(expression)
        if line is None:
            continue
        symbol, factor, offset = line
        lower, upper = _number(said.lower), _number(said.upper)
        least = -((offset - (lower or 0)) // factor)
        most = None if upper is None else (upper - offset) // factor
        low, high = found.get(symbol, (least, most))
        endless = most is None or high is None
        found[symbol] = min(low, least), None if endless else max(most or 0, high or 0)
    return found


def resized(inputs: Sequence[Tensor], shapes: Shapes) -> tuple[Tensor, ...]:
    """Inputs of other shapes: each axis is cut, or repeated from its start.

    Every value is one of the examples', and so in the range that the model takes.
    """
    found = []
    for value, shape in zip(inputs, shapes, strict=True):
        one = value
        for axis, size in enumerate(shape):
            if one.shape[axis] != size:
                one = one.index_select(axis, torch.arange(size) % one.shape[axis])
        found.append(one)
    return tuple(found)


def _by_input(dynamic: object, names: Sequence[str]) -> list[Any]:
    if isinstance(dynamic, Mapping):
        strange = [str(name) for name in dynamic if name not in names]
        if strange:
            raise ModelReadError(
                f"Dynamic shapes are given for {', '.join(strange)}, but the example inputs "
                f"are {', '.join(names)}."
            )
        return [dynamic.get(name) for name in names]
    if isinstance(dynamic, (tuple, list)) and len(dynamic) == len(names):
        return list(dynamic)
    given = f"{len(dynamic)}" if isinstance(dynamic, (tuple, list)) else type(dynamic).__name__
    raise ModelReadError(
        f"Dynamic shapes are a table by the names of inputs, or one for each of "
        f"{', '.join(names)} in this order, not {given}."
    )


def _axes(name: str, value: Tensor, spec: Any) -> list[_Axis]:
    if spec is None:
        return []
    given = spec if isinstance(spec, Mapping) else None
    if isinstance(spec, (tuple, list)) and len(spec) == value.ndim:
        given = dict(enumerate(spec))
    if given is None:
        raise ModelReadError(
            f"The dynamic shape of input {name!r} is {spec!r}, not a table by axis or one Dim "
            f"for each of its {value.ndim} axes."
        )
    found = [_axis(name, value, axis, dim) for axis, dim in given.items()]
    return [one for one in found if one is not None]


def _axis(name: str, value: Tensor, axis: Any, dim: Any) -> _Axis | None:
    if not isinstance(axis, int) or not 0 <= axis < value.ndim:
        raise ModelReadError(
            f"Dynamic shapes name axis {axis!r} of input {name!r}, which has axes 0 to "
            f"{value.ndim - 1}."
        )
    if isinstance(dim, _DimHint):
        if dim.type is _DimHintType.STATIC:
            return None
        return _Axis(axis, f"{name}[{axis}]", dim.min or 0, dim.max)
    if isinstance(dim, Dim):
        root = dim.root if isinstance(dim, _DerivedDim) else dim
        offset, one = (int(dim.fn(x)) if isinstance(dim, _DerivedDim) else x for x in (0, 1))
        return _Axis(axis, root.__name__, int(root.min), _number(root.max), one - offset, offset)
    if dim is None or dim == value.shape[axis]:
        return None
    raise ModelReadError(
        f"Dynamic shapes say {dim!r} of axis {axis} of input {name!r}, which is "
        f"{value.shape[axis]} in the examples."
    )


def _of_symbol(
    axis: int, size: torch.SymInt, ranges: Mapping[Any, tuple[int, int | None]]
) -> _Axis:
    """An axis of a program: torch has it as a line of one symbol."""
    found = _line(size.node.expr)
    if found is None:
        raise ModelReadError(f"An input of the program has the size {size}, which is no line.")
    symbol, factor, offset = found
    least, most = ranges.get(symbol, (0, None))
    return _Axis(axis, str(symbol), least, most, factor, offset)


def _line(expression: Any) -> tuple[Any, int, int] | None:
    """Symbol, factor and offset of ``factor * symbol + offset``."""
    symbols = list(expression.free_symbols)
    if len(symbols) != 1:
        return None
    offset, one, two = (expression.subs(symbols[0], value) for value in (0, 1, 2))
    if two - one != one - offset:
        return None
    return symbols[0], int(one - offset), int(offset)


def _number(bound: Any) -> int | None:
    """A bound of torch's; ``None`` for one at infinity."""
    whole = isinstance(bound, int) or getattr(bound, "is_Integer", False)
    return int(bound) if whole and int(bound) <= _INT32.max else None


def _sizes(rows: Sequence[list[_Axis]], names: Sequence[str], inputs: Sequence[Tensor]) -> Sizes:
    """The sizes of axes from the ranges of their dimensions, held against the examples."""
    least: dict[str, int] = {}
    most: dict[str, int | None] = {}
    for one in (one for row in rows for one in row):
        if most.setdefault(one.dimension, one.most) != one.most:
            raise ModelReadError(f"There are two dimensions {one.dimension!r} of other bounds.")
        smallest = -((one.offset - _SMALLEST) // one.factor)
        least[one.dimension] = max(least.get(one.dimension, 0), one.least, smallest)
    found = tuple(
        tuple(_varying(one, least[one.dimension], most[one.dimension]) for one in row)
        for row in rows
    )
    fault = check_sizes(names, [tuple(value.shape) for value in inputs], found)
    if fault is not None:
        raise ModelReadError(f"The example inputs do not have the dynamic shapes: {fault}")
    varying = tuple(tuple(one for one in row if one.least != one.most) for row in found)
    return varying if any(varying) else ()


def _varying(one: _Axis, least: int, most: int | None) -> Varying:
    return Varying(
        axis=one.axis,
        least=one.factor * least + one.offset,
        most=None if most is None else one.factor * most + one.offset,
        dimension=one.dimension,
        factor=one.factor,
        offset=one.offset,
    )
