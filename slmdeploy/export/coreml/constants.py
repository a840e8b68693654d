"""Numbers of a graph that are no weights, as float16 has them.

A package holds cosines of positions, masks and factors in float16; torch computes with float32.
Scores of 8 then differ by more than the order of additions explains, though nothing is wrong.
Rounded here, before torch computes what the package is held against, both have the same numbers.
coremltools computes what is constant in float32 before it rounds, and so it is done here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node
from torch.fx.node import map_arg

from slmdeploy.export.coreml.carry import carried_weights
from slmdeploy.export.coreml.plain import LARGEST_HALF

__all__ = ["nearest_half", "round_constants"]

_ATEN = torch.ops.aten
_TO = _ATEN._to_copy.default  # noqa: SLF001 - so the operator is called

_SIZES = ("upsample", "interpolate")
"""Operators whose floats say how large the result is."""

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
        exported: Its other weights have float16's numbers already, if they can (``half``).
    """
    constants = _constants(exported)
    for node in list(exported.graph.nodes):
        if node.op == "call_function" and node not in constants:
            _multiply(node, constants)
            _round_numbers(node)
    constants = _constants(exported)  # with reciprocals of divisors
    first = next(node for node in exported.graph.nodes if node.op != "placeholder")
    for node, value in constants.items():
        if isinstance(value, Tensor) and _differs(value):
            where = first if node.op == "placeholder" else node.next
            users = [one for one in node.users if one not in constants and one.op != "output"]
            _round_for(node, where, users)
    exported.graph_module.recompile()


def _constants(exported: ExportedProgram) -> dict[Node, Any]:
    """Values of the nodes that no input, no changed buffer and no carried weight has a part in."""
    found: dict[Node, Any] = _stored(exported)
    for node in exported.graph.nodes:
        fixed = all(one in found for one in node.all_input_nodes)
        if node.op == "call_function" and fixed and not _draws(node):
            arguments = map_arg((node.args, node.kwargs), found.__getitem__)
            found[node] = node.target(*arguments[0], **arguments[1])
    return found


def _stored(exported: ExportedProgram) -> dict[Node, Any]:
    """Values of placeholders: parameters, buffers and constants."""
    nodes = {node.name: node for node in exported.graph.nodes if node.op == "placeholder"}
    changed = exported.graph_signature.buffers_to_mutate.values()
    left = {*changed, *carried_weights(exported.state_dict)}
    values = {**exported.constants, **exported.state_dict}
    return {
        nodes[spec.arg.name]: values[spec.target]
        for spec in exported.graph_signature.input_specs
        if spec.target in values and spec.target not in left
    }


def _draws(node: Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def _multiply(node: Node, constants: Mapping[Node, Any]) -> None:
    """Make a division by something constant a product."""
    if node.target not in (_ATEN.div.Tensor, _ATEN.div.Scalar):
        return
    number, divisor = node.args
    if not isinstance(number, Node) or not number.meta["val"].is_floating_point():
        return
    if isinstance(divisor, Node):
        value = constants.get(divisor)
        if value is None or not bool(torch.reciprocal(value).isfinite().all()):
            return
        with node.graph.inserting_before(node):
            inverse = node.graph.call_function(_ATEN.reciprocal.default, (divisor,))
        inverse.meta["val"] = torch.reciprocal(divisor.meta["val"])
        node.args = (number, inverse)
    elif isinstance(divisor, (int, float)) and divisor:
        node.args = (number, 1 / divisor)
    else:
        return
    node.target = _ATEN.mul.Tensor


def _round_numbers(node: Node) -> None:
    if any(one in str(node.target) for one in _SIZES):
        return
    node.args = tuple(map(_rounded, node.args))
    node.kwargs = {key: _rounded(value) for key, value in node.kwargs.items()}


def _rounded(value: Any) -> Any:
    return nearest_half(value) if isinstance(value, float) else value


def _differs(value: Tensor) -> bool:
    """Whether float16 has other numbers for it, and none that is lost.

    coremltools leaves float32 to what is beyond float16, and keeps small numbers from zero.
    """
    if not value.is_floating_point():
        return False
    rounded = value.half().to(value.dtype)
    lost = (rounded.isinf() & value.isfinite()) | ((rounded == 0) & (value != 0))
    return not torch.equal(rounded, value) and not bool(lost.any())


def _round_for(node: Node, where: Node, users: Sequence[Node]) -> None:
    """Let some users of a node have its numbers in float16, by a cast and one back."""
    if not users:
        return
    wide = node.meta["val"]
    with node.graph.inserting_before(where):
        narrow = node.graph.call_function(_TO, (node,), {"dtype": torch.float16})
        narrow.meta["val"] = wide.half()
        back = node.graph.call_function(_TO, (narrow,), {"dtype": wide.dtype})
        back.meta["val"] = wide
    for user in users:
        user.replace_input_with(node, back)
