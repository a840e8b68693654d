"""What a compressed weight is made of, for exporters that carry it as it is.

Compressed layers compute in float32 on what their parts stand for. An exporter that stores
parts takes them from here and quantizes nothing again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["WeightParts", "dense", "keep_parts", "parts_of"]

_ATTRIBUTE = "weight_parts"
_INDICES_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class WeightParts:
    """A weight [rows, columns] in parts.

    Attributes:
        bits: Of an integer or an index; 16 for floats that are only sparse.
        values: Integers, int8, or indices into the table, uint8; ``None`` for floats.
        scales: float32 [rows or fewer, columns or fewer]: of a block of integers, or of a
            table of integers; ``None`` where there are none.
        table: float32 [tables, 2^bits], ascending; a table of integers has integers here, to
            be multiplied by ``scales`` [tables, 1].
        sparse: Whether what is zero was left out on purpose.
    """

    bits: int
    values: Tensor | None = None
    scales: Tensor | None = None
    table: Tensor | None = None
    sparse: bool = False


def keep_parts(layer: nn.Module, parts: WeightParts) -> None:
    """Remember what the weight of a layer is made of."""
    # Not a buffer: it must not show up in a graph that is traced.
    setattr(layer, _ATTRIBUTE, parts)


def parts_of(layer: nn.Module) -> WeightParts | None:
    """The parts of a layer's or a table's weight; ``None`` for plain floats."""
    kept: WeightParts | None = getattr(layer, _ATTRIBUTE, None)
    weight: Any = getattr(layer, "weight", None)
    if not hasattr(weight, "qdata"):
        return kept
    # torchao's own tensor has the integers; what is kept beside it says that it is sparse.
    bits = int(str(weight.target_dtype).removeprefix("torch.int"))
    sparse = kept is not None and kept.sparse
    values, scales = weight.qdata.to(torch.int8), weight.scale.detach().float()
    return WeightParts(bits, values, scales.reshape(len(values), -1), sparse=sparse)


def dense(parts: WeightParts) -> Tensor | None:
    """The weights that integers or indices stand for, float32; ``None`` for floats.

    A product of an integer and a float16 scale is exact in float32.
    """
    if parts.values is None:
        return None
    if parts.table is None:
        return _scaled(parts.values.float(), parts.scales)
    tables = _scaled(parts.table, parts.scales)
    indices = parts.values.reshape(len(tables), -1)
    found = torch.empty(indices.shape)
    # Indices take 8 bytes each while they are looked up.
    at_once = max(1, _INDICES_AT_ONCE // len(tables))
    for some, into in zip(
        torch.split(indices, at_once, 1), torch.split(found, at_once, 1), strict=True
    ):
        into.copy_(tables.gather(1, some.long()))
    return found.reshape(parts.values.shape)


def _scaled(values: Tensor, scales: Tensor | None) -> Tensor:
    if scales is None:
        return values
    rows, columns = values.shape
    blocks = values.reshape(scales.shape[0], rows // scales.shape[0], scales.shape[1], -1)
    return (blocks * scales[:, None, :, None]).reshape(rows, columns)
