"""Batch norms that become part of the convolution before them.

coremltools does so itself, in float32, and rounds the products to float16 afterwards. Done here,
before torch computes what the package is held against, both have the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from slmdeploy.export.coreml.lifting import add_constant, stored_values
from slmdeploy.export.coreml.plain import half

__all__ = ["fold_batch_norms"]

_CORE, _TRACED = "aten._native_batch_norm_legit_no_training.default", "aten.batch_norm.default"
"""A norm among the core operators, and as a module is traced."""

_CONVOLUTIONS = ("convolution", "conv1d", "conv2d", "conv3d")


def fold_batch_norms(exported: ExportedProgram) -> None:
    """Multiply the weights of convolutions by the scales of their batch norms, in place.

    W' = W g / sqrt(v + e) and b' = (b - m) g / sqrt(v + e) + h, for a norm with weight g, bias h,
    mean m, variance v and epsilon e; rounded to float16.

    Args:
        exported: Of a module in evaluation mode. A norm stays where its convolution has other
            users or is transposed, and where a weight is computed in the graph.

    Raises:
        ExportError: A product is beyond float16.
    """
    values = stored_values(exported)
    for node in list(exported.graph.nodes):
        if _follows_convolution(node):
            _fold(node, exported, values)
    exported.graph.eliminate_dead_code()
    exported.graph_module.recompile()


def _follows_convolution(norm: Any) -> bool:
    operator = str(norm.target)
    if operator not in (_CORE, _TRACED) or (operator == _TRACED and norm.args[5]):
        return False
    before = norm.args[0]
    if not isinstance(before, Node) or len(before.users) != 1:
        return False
    names = str(before.target).split(".")
    if names[0] != "aten" or names[1] not in _CONVOLUTIONS:
        return False
    return names[1] != "convolution" or not before.args[6]  # transposed


def _fold(norm: Any, exported: ExportedProgram, values: Mapping[Node, Tensor]) -> None:
    before = norm.args[0]
    weight, bias = before.args[1], before.args[2] if len(before.args) > 2 else None
    gain, shift, mean, variance = norm.args[1:5]
    given = [one for one in (weight, bias, gain, shift, mean, variance) if one is not None]
    if variance is None or not all(one in values for one in given):
        return
    epsilon = norm.args[6 if str(norm.target) == _CORE else 7]

    def value(node: Node | None, otherwise: float) -> Tensor | float:
        return otherwise if node is None else values[node]

    scale = value(gain, 1.0) / torch.sqrt(values[variance] + epsilon)
    product = values[weight] * scale.reshape(-1, *[1] * (values[weight].dim() - 1))
    rest = (value(bias, 0.0) - values[mean]) * scale + value(shift, 0.0)
    name = f"{weight.name} with the batch norm after it"
    before.args = (
        before.args[0],
        add_constant(exported, half(name, product), weight),
        add_constant(exported, half(name, rest), mean),
        *before.args[3:],
    )
    for user in [norm] if str(norm.target) == _TRACED else list(norm.users):
        user.replace_all_uses_with(before)
        exported.graph_signature.replace_all_uses(user.name, before.name)
