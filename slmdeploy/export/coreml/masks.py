"""Masks of attention that stay finite in float16.

Models of transformers add the smallest float32 number, -3.4e38, to the scores of places that shall
not be seen. In float16 it is minus infinity, and a row that sees no place at all (what fills a text
up, where a window is shorter than the filling) becomes NaN in its softmax, as zero times infinity
does in what pools the rows. Any number that is low enough is as good.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx.node import map_aggregate

from slmdeploy.export.coreml.plain import LARGEST_HALF

__all__ = ["FLOOR", "LOWEST", "keep_masks_finite"]

LOWEST = -LARGEST_HALF
"""The lowest finite float16."""

FLOOR = LOWEST / 2
"""Half of it, since models add a mask for the filling to one for the window."""

_BOUNDS = ("clamp", "hardtanh")
"""Operators whose numbers say how far a value may go; nothing is added to them."""


def keep_masks_finite(exported: ExportedProgram) -> None:
    """Raise numbers below float16's lowest one to ``FLOOR``, in place.

    Args:
        exported: Whose numbers in the graph, constants and buffers are changed. Parameters are
            refused elsewhere (``half``); minus infinity is left: who writes it means it.
    """
    for node in exported.graph.nodes:
        if node.op == "call_function" and not any(one in str(node.target) for one in _BOUNDS):
            node.args = map_aggregate(node.args, _raised)
            node.kwargs = map_aggregate(node.kwargs, _raised)
    for name, value in exported.constants.items():
        if isinstance(value, Tensor):
            exported.constants[name] = _raised_tensor(value)
    for name in exported.graph_signature.buffers:
        if name in exported.state_dict:
            exported.state_dict[name] = _raised_tensor(exported.state_dict[name])


def _raised(value: Any) -> Any:
    low = isinstance(value, float) and float("-inf") < value < LOWEST
    return FLOOR if low else value


def _raised_tensor(value: Tensor) -> Tensor:
    if not value.is_floating_point():
        return value
    low = (value < LOWEST) & value.isfinite()
    return torch.where(low, FLOOR, value) if bool(low.any()) else value
