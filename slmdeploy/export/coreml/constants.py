"""Numbers of a graph that are no weights, as float16 has them.

A package holds cosines of positions, masks and factors in float16; torch computes with float32.
Scores of 8 then differ by more than the order of additions explains, though nothing is wrong.
Rounded here, before torch computes what the package is held against, both have the same numbers.
coremltools computes what is constant in float32 before it rounds, and so it is done here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._ops import HigherOrderOperator
from torch.export import ExportedProgram
from torch.fx import Node
from torch.fx.node import map_arg

from slmdeploy.export.coreml.lifting import add_constant, stored_values
from slmdeploy.export.coreml.plain import LARGEST_HALF

__all__ = ["as_float16", "nearest_half", "round_constants"]

_ATEN = torch.ops.aten
_DIVISIONS = tuple(
    getattr(operator, overload)
    for operator in (_ATEN.div, _ATEN.divide, _ATEN.true_divide)
    for overload in ("Tensor", "Scalar")
)

_LEFT = re.compile(r"upsample|interpolate|elu|threshold")
"""Operators whose floats say how large the result is, or stay float32 from iOS 17 on."""

_SMALL = 400
"""Elements below which coremltools looks for what would become zero."""

_SMALLEST = float(np.finfo(np.float16).smallest_subnormal)
"""What coremltools makes of a number that would become zero, since one divides by it."""


def nearest_half(value: float) -> float:
    """The float16 that a package has for a number; the number itself beyond float16.

    Args:
        value: Any.
    """
    if not math.isfinite(value) or abs(value) > LARGEST_HALF:
        return value
    rounded = float(np.float16(value))
    return rounded if rounded or not value else math.copysign(_SMALLEST, value)


def round_constants(exported: ExportedProgram) -> None:
    """Round what a graph computes with, in place; weights that are carried are left.

    Divisions by a constant become products, as coremltools makes them.

    Args:
        exported: Without operators that change what they are given (``run_decompositions``).
    """
    constants = _constants(exported)
    for node in list(exported.graph.nodes):
        if node.op == "call_function" and node not in constants:
            _multiply(node, exported, constants)
            _round_numbers(node)
    exact: set[int] = set()
    for node, value in constants.items():
        users = [one for one in node.users if one not in constants and _computes(one)]
        if users and isinstance(value, Tensor) and value.is_floating_point():
            _round_for(exported, node, value, users, exact)
    exported.graph.eliminate_dead_code()
    exported.graph_module.recompile()


def _constants(exported: ExportedProgram) -> dict[Node, Any]:
    """Values of the nodes that no input, no changed buffer and no carried weight has a part in."""
    found: dict[Node, Any] = {**stored_values(exported)}
    for node in exported.graph.nodes:
        fixed = all(one in found for one in node.all_input_nodes)
        if node.op == "call_function" and fixed and not _draws(node):
            arguments = map_arg((node.args, node.kwargs), found.__getitem__)
            found[node] = node.target(*arguments[0], **arguments[1])
    return found


def _draws(node: Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def _computes(node: Node) -> bool:
    """Whether a node is an operator: the output gives back, a subgraph computes by itself."""
    return node.op == "call_function" and not isinstance(node.target, HigherOrderOperator)


def _multiply(node: Node, exported: ExportedProgram, constants: Mapping[Node, Any]) -> None:
    """Make a division by something constant a product."""
    if node.target not in _DIVISIONS:
        return
    number, divisor = node.args
    if not isinstance(number, Node) or number.meta["val"].dtype is not torch.float32:
        return
    if isinstance(divisor, Node):
        inverse = torch.reciprocal(constants[divisor]) if divisor in constants else None
        if inverse is None or not bool(inverse.isfinite().all()):
            return
        node.args = (number, add_constant(exported, as_float16(inverse), divisor))
    elif isinstance(divisor, (int, float)) and divisor:
        node.args = (number, 1 / divisor)
    else:
        return
    node.target = _ATEN.mul.Tensor


def _round_numbers(node: Node) -> None:
    if not _LEFT.search(str(node.target)):
        node.args = tuple(map(_rounded, node.args))
        node.kwargs = {key: _rounded(value) for key, value in node.kwargs.items()}


def _rounded(value: Any) -> Any:
    return nearest_half(value) if isinstance(value, float) else value


def as_float16(value: Tensor) -> Tensor:
    """Numbers as a package has them, in their own type.

    coremltools leaves an operator in float32 that has a number beyond float16, and keeps small
    ones from zero in small tensors (``_check_underflow_to_zero`` in its ``quantization.py``).

    Args:
        value: Floats.
    """
    rounded = value.half().to(value.dtype)
    if bool((rounded.isinf() & value.isfinite()).any()):
        return value
    if value.numel() < _SMALL:
        lost = (rounded == 0) & (value != 0)
        rounded = torch.where(lost, torch.sign(value) * _SMALLEST, rounded)
    return rounded


def _round_for(
    exported: ExportedProgram, node: Node, value: Tensor, users: Sequence[Node], exact: set[int]
) -> None:
    """Let some users of a node have its numbers in float16.

    ``exact`` has the storages that were looked through and have no others: weights are moved
    about much and are large.
    """
    storage = value.untyped_storage().data_ptr()
    if storage in exact:
        return
    rounded = as_float16(value)
    if torch.equal(rounded, value):
        if value.untyped_storage().nbytes() == value.nbytes:
            exact.add(storage)
        return
    constant = add_constant(exported, rounded, node)
    for user in users:
        user.replace_input_with(node, constant)
