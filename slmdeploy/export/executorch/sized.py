"""Inputs of varying sizes, as torch and ExecuTorch have them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx import Node
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols
from torch.utils._sympy.value_ranges import ValueRanges, bound_sympy

from slmdeploy.export.executorch.lowering import OwningPartitioner
from slmdeploy.export.executorch.problems import translated
from slmdeploy.model.dynamic import resized, symbol_ranges, tied_sizes
from slmdeploy.model.sizes import Sizes, Varying, dimensions, shapes_at, values_of

__all__ = [
    "SizedPartitioner",
    "depends_on_values",
    "dynamic_shapes",
    "settled",
    "to_trace",
    "varying_outputs",
]

_TRACEABLE = 2
"""Smallest size that torch does not take for a fixed one while it traces."""


_RESHAPED = (
    "unsqueeze_copy.default",
    "convolution.default",
    "_native_batch_norm_legit_no_training.default",
)
"""What XNNPACK takes by reshaping it; the last two where they have no height and width."""

_PLANES = 4
"""Axes of what has height and width."""


class SizedPartitioner(OwningPartitioner):
    """Leaves outside what would be reshaped with two axes that vary: XNNPACK infers one."""

    def __init__(self) -> None:
        super().__init__()
        for name in _RESHAPED:
            config = self.target_partitioner_configs[name]
            config.check_constraints = _unless_two_vary(config.check_constraints)


def _unless_two_vary(taken: Callable[..., bool]) -> Callable[..., bool]:
    def check(node: Node, program: ExportedProgram) -> bool:
        value = node.meta["val"]
        value = value if isinstance(value, Tensor) else value[0]
        varying = sum(not isinstance(size, int) for size in value.shape)
        planes = value.ndim >= _PLANES and "unsqueeze" not in str(node.target)
        return (planes or varying < 2) and taken(node, program)

    return check


def dynamic_shapes(module: nn.Module, sizes: Sizes, *, hints: bool = False) -> Any:
    """What ``torch.export`` takes for these sizes; ``None`` where none vary.

    Args:
        module: Whose inputs they are.
        sizes: The axes of each input that may vary.
        hints: Let torch find what ties the axes whose dimension has no name of the user's.
    """
    if not sizes:
        return None
    roots = {
        name: Dim(_torch_name(name), min=least, max=most)
        for name, (least, most) in dimensions(sizes).items()
    }
    rows = [
        {one.axis: _dim(one, roots, hint=hints and not _named(one)) for one in axes} or None
        for axes in sizes
    ]
    kinds = [one.kind for one in inspect.signature(module.forward).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        return tuple(rows)
    place = kinds.index(inspect.Parameter.VAR_POSITIONAL)
    return (*rows[:place], tuple(rows[place:]))


def _named(one: Varying) -> bool:
    return str(one.dimension).isidentifier()


def _torch_name(dimension: str) -> str:
    """As torch wants it: ``ids_1_`` for ``ids[1]``."""
    return re.sub(r"\W", "_", dimension)


def _dim(one: Varying, roots: Mapping[str, Dim], *, hint: bool) -> Any:
    if hint:
        return Dim.DYNAMIC(min=one.least, max=one.most)
    root = roots[str(one.dimension)]
    times = root if one.factor == 1 else one.factor * root
    return times if one.offset == 0 else times + one.offset


def settled(
    module: nn.Module, names: Sequence[str], inputs: tuple[Tensor, ...], sizes: Sizes
) -> Sizes:
    """Sizes whose axes are tied as torch finds where the user gave no names.

    Raises:
        ExportError: The module does not take all sizes.
    """
    if all(_named(one) for axes in sizes for one in axes):
        return sizes
    with torch.no_grad(), translated("trace the model"):
        shapes = dynamic_shapes(module, sizes, hints=True)
        given = to_trace(inputs, sizes)
        program = torch.export.export(module, given, dynamic_shapes=shapes, strict=False)
    return tied_sizes(program, names, inputs, sizes)


def to_trace(inputs: tuple[Tensor, ...], sizes: Sizes) -> tuple[Tensor, ...]:
    """Inputs to trace with: torch takes an axis of size 1 for one that never varies."""
    shapes = [tuple(value.shape) for value in inputs]
    values = values_of(shapes, sizes)
    ranges = dimensions(sizes)
    for one in (one for axes in sizes for one in axes):
        name = str(one.dimension)
        wanted = -((one.offset - _TRACEABLE) // one.factor)
        values[name] = max(values[name], min(wanted, ranges[name][1]))
    return resized(inputs, shapes_at(shapes, sizes, values))


def depends_on_values(value: Tensor) -> bool:
    """Whether a shape follows from more than the shapes of the inputs."""
    return any(free_unbacked_symbols(size) for size in value.shape if not isinstance(size, int))


def varying_outputs(exported: ExportedProgram, values: Sequence[Tensor]) -> Sizes:
    """The axes of a program's outputs that vary with its inputs, and their bounds.

    Args:
        exported: Before it is lowered.
        values: What stands in its graph for the outputs.
    """
    ranges = {symbol: ValueRanges(*pair) for symbol, pair in symbol_ranges(exported).items()}

    def axis_of(axis: int, size: Any) -> Varying:
        found = bound_sympy(size.node.expr, ranges)
        return Varying(axis=axis, least=int(found.lower), most=int(found.upper))

    return tuple(
        tuple(
            axis_of(axis, size)
            for axis, size in enumerate(value.shape)
            if not isinstance(size, int)
        )
        for value in values
    )
