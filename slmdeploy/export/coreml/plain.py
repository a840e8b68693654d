"""A compressed decoder as plain float32 layers, with what float16 makes of the rest.

Only plain layers can be traced and converted. Their weights are what the compressed layers
stand for, to the bit; norms, biases and rotary tables are rounded to float16 here, so that
torch computes on the same numbers as the package.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from slmdeploy.compress.embedding import HalfEmbedding, QuantizedEmbedding, looked_up
from slmdeploy.compress.parts import dense, parts_of
from slmdeploy.compress.quantize import Compressed
from slmdeploy.errors import ExportError
from slmdeploy.export.coreml.norm import HalfRMSNorm
from slmdeploy.model.decoder import Decoder, RMSNorm

__all__ = ["LARGEST_HALF", "dense_weight", "half", "plain_decoder", "plain_table"]

LARGEST_HALF = 65504.0
"""The largest finite float16."""


def half(name: str, value: Tensor) -> Tensor:
    """The nearest float16 values, in float32; the tensor itself where it has no others.

    Raises:
        ExportError: A value is beyond float16.
    """
    rounded = value.detach().half().float()
    if torch.equal(rounded, value):
        return value.detach()  # not a second copy of all weights
    if not bool(rounded.isfinite().all()):
        raise ExportError(
            f"{name} has a value of {value.abs().max():.4g}, beyond float16's {LARGEST_HALF:.0f}; "
            "Core ML computes in float16.",
            hint="Export the model for a target of ExecuTorch or LiteRT.",
        )
    return rounded


def dense_weight(name: str, layer: nn.Linear) -> Tensor:
    """The weights of a linear layer as numbers, float32 [outputs, inputs].

    Raises:
        ExportError: A weight is beyond float16.
    """
    parts = parts_of(layer)
    if parts is None or parts.values is None:
        return half(name, layer.weight)
    # What looks weights up keeps them looked up; of integers there is nothing but integers.
    weight = dense(parts) if parts.table is None else layer.weight.detach()
    return half(name, layer.weight) if weight is None else weight


def _dense_table(name: str, embedding: nn.Module) -> Tensor:
    if isinstance(embedding, QuantizedEmbedding):
        return looked_up(embedding.table, embedding.scales, embedding.container)
    if isinstance(embedding, HalfEmbedding):
        return embedding.table.float()
    weight = embedding.get_parameter("weight").detach()
    return half(name, weight) if parts_of(embedding) is None else weight


def plain_table(name: str, embedding: nn.Module) -> nn.Embedding:
    """A table of plain float32 rows.

    Raises:
        ExportError: A value is beyond float16.
    """
    weight = _dense_table(name, embedding)
    with torch.device("meta"):
        made = nn.Embedding(*weight.shape)
    made.weight = nn.Parameter(weight, requires_grad=False)
    return made


@torch.no_grad()
def plain_decoder(compressed: Compressed) -> Decoder:
    """The decoder with the same names of layers, all of them plain.

    Raises:
        ExportError: A norm, a bias or a weight is beyond float16.
    """
    source = compressed.module
    with torch.device("meta"):
        made = Decoder(source.config, source.positions)
    for name, part in source.named_modules():
        if isinstance(part, nn.Linear):
            made.set_submodule(name, _linear(name, part))
        elif isinstance(part, RMSNorm):
            made.set_submodule(name, HalfRMSNorm(half(name, part.weight), part.eps))
    made.embedding = plain_table("embedding", source.embedding)
    for name, value in [*made.named_parameters()]:
        if value.is_meta:
            parent, _, own = name.rpartition(".")
            rounded = half(name, source.get_parameter(name))
            setattr(made.get_submodule(parent), own, nn.Parameter(rounded, requires_grad=False))
    if torch.equal(made.head.weight, made.embedding.get_parameter("weight")):
        made.head.weight = made.embedding.get_parameter("weight")
    made.cos, made.sin = half("cos", source.cos), half("sin", source.sin)
    return made.eval()


def _linear(name: str, layer: nn.Linear) -> nn.Linear:
    with torch.device("meta"):
        made = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
    weight = dense_weight(name, layer)
    made.weight = nn.Parameter(weight, requires_grad=False)
    if layer.bias is not None:
        made.bias = nn.Parameter(half(f"{name}.bias", layer.bias), requires_grad=False)
    return made
