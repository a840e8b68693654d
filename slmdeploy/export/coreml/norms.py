"""Batch norms that become part of the convolution before them.

coremltools does so itself, in float32, and rounds the products to float16 afterwards. Done here,
before torch computes what the package is held against, both have the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node

from slmdeploy.export.coreml.plain import half

__all__ = ["fold_batch_norms"]

_CORE, _TRACED = "aten._native_batch_norm_legit_no_training.default", "aten.batch_norm.default"
"""A norm among the core operators, and as a module is traced."""

_CONVOLUTIONS = ("convolution", "conv1d", "conv2d", "conv3d")


@dataclass(frozen=True)
class _Pair:
    """A norm and the convolution before it, with the nodes of their weights."""

    norm: Node
    convolution: Node
    weight: Node
    bias: Node | None
    gain: Node
    shift: Node
    mean: Node
    variance: Node
    epsilon: float


def fold_batch_norms(exported: ExportedProgram) -> None:
    """Multiply the weights of convolutions by the scales of their batch norms, in place.

    W' = W g / sqrt(v + e) and b' = (b - m) g / sqrt(v + e) + h, for a norm with weight g, bias h,
    mean m, variance v and epsilon e; rounded to float16.

    Args:
        exported: Of a module in evaluation mode. A norm stays where its convolution has other
            users, is transposed, or shares its weights, and where it has no weights of its own.

    Raises:
        ExportError: A product is beyond float16.
    """
    places = _places(exported)
    for node in list(exported.graph.nodes):
        pair = _pair(node)
        if pair is not None and _is_alone(pair, places):
            _fold(pair, exported, places)
    exported.graph.eliminate_dead_code()
    exported.graph_module.recompile()


def _places(exported: ExportedProgram) -> dict[str, str]:
    """Names in the state by names of placeholders."""
    signature = exported.graph_signature
    return {**signature.inputs_to_parameters, **signature.inputs_to_buffers}


def _pair(norm: Any) -> _Pair | None:
    """What a node says, if it is a norm after a convolution that can take it in."""
    operator = str(norm.target)
    if operator not in (_CORE, _TRACED) or (operator == _TRACED and norm.args[5]):
        return None
    before: Any = norm.args[0]
    if not isinstance(before, Node) or len(before.users) != 1:
        return None
    names = str(before.target).split(".")
    transposed = names[1:2] == ["convolution"] and before.args[6]
    if names[0] != "aten" or names[1] not in _CONVOLUTIONS or transposed:
        return None
    given: Any = before.args
    gain, shift, mean, variance = own = norm.args[1:5]
    if None in own:
        return None
    return _Pair(
        norm,
        before,
        weight=given[1],
        bias=given[2] if len(given) > 2 else None,
        gain=gain,
        shift=shift,
        mean=mean,
        variance=variance,
        epsilon=norm.args[6 if operator == _CORE else 7],
    )


def _is_alone(pair: _Pair, places: dict[str, str]) -> bool:
    """Whether all of it is in the state, and nobody else reads what would change."""
    read = (pair.weight, pair.bias, pair.gain, pair.shift, pair.mean, pair.variance)
    return all(one is None or one.name in places for one in read) and all(
        len(one.users) == 1 for one in (pair.weight, pair.shift)
    )


def _fold(pair: _Pair, exported: ExportedProgram, places: dict[str, str]) -> None:
    def value(node: Node) -> Tensor:
        found: Tensor = exported.state_dict[places[node.name]]
        return found

    scale = value(pair.gain) / torch.sqrt(value(pair.variance) + pair.epsilon)
    weight = value(pair.weight)
    before = 0.0 if pair.bias is None else value(pair.bias)
    made = {
        pair.weight: weight * scale.reshape(-1, *[1] * (weight.dim() - 1)),
        pair.shift: (before - value(pair.mean)) * scale + value(pair.shift),
    }
    for node, product in made.items():
        place = places[node.name]
        exported.state_dict[place] = nn.Parameter(half(place, product), requires_grad=False)
    # The norm's own bias is of the right size, and is there even if the convolution has none.
    pair.convolution.args = (*pair.convolution.args[:2], pair.shift, *pair.convolution.args[3:])
    for user in [pair.norm] if str(pair.norm.target) == _TRACED else list(pair.norm.users):
        user.replace_all_uses_with(pair.convolution)
        exported.graph_signature.replace_all_uses(user.name, pair.convolution.name)
