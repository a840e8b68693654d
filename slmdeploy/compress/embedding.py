"""Embedding tables of 2 to 8 bits, read through ExecuTorch's own operators, and palettes.

The operators ``quantized_decomposed::embedding_{2bit,4bit,byte}`` gather rows of a packed
table and scale them, so a table is never expanded. Widths between are stored in the
next larger container: 3 bits in 4, 5 to 7 bits in 8.
"""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn

from slmdeploy.compress.palette import check_channels, palettize
from slmdeploy.compress.parts import WeightParts, dense, keep_parts
from slmdeploy.compress.recipe import EmbeddingSpec
from slmdeploy.errors import RecipeError

__all__ = [
    "HalfEmbedding",
    "QuantizedEmbedding",
    "compress_embedding",
    "embedding_of",
    "looked_up",
    "pack",
    "symmetric",
    "unpacked",
]

_LEAST_HALF = 2.0**-24


def symmetric(
    weight: Tensor, bits: int, group_size: int, *, half: bool = False
) -> tuple[Tensor, Tensor]:
    """Quantize rows to symmetric integers, rounding to nearest.

    Args:
        weight: float32 [rows, columns].
        bits: 2 to 8; values lie in [-2^(bits-1), 2^(bits-1) - 1].
        group_size: Columns that share a scale; divides the columns.
        half: Whether scales are rounded to float16.

    Returns:
        int8 [rows, columns] and float32 scales [rows, columns / group_size].
    """
    top = 2 ** (bits - 1) - 1
    grouped = weight.reshape(weight.shape[0], -1, group_size)
    # At two bits the positive side has one value only; the negative one sets the scale.
    reach = grouped.abs().amax(dim=-1, keepdim=True) / (top if bits > 2 else 2)
    reach = reach.half().float() if half else reach
    scales = reach.clamp(min=_LEAST_HALF if half else torch.finfo(torch.float32).tiny)
    values = (grouped / scales).round().clamp(-top - 1, top)
    return values.reshape(weight.shape).to(torch.int8), scales.squeeze(-1)


def pack(values: Tensor, container: int) -> Tensor:
    """Pack integers in bytes as ExecuTorch's embedding operators read them.

    Args:
        values: int8 [rows, columns], each within ``container`` bits.
        container: 2, 4 or 8. With 4, the first of two neighbours is in the high half;
            with 2, the first of four is in the lowest two bits.

    Returns:
        int8 [rows, columns] for 8, else uint8 [rows, columns * container / 8].
    """
    if container == 8:
        return values
    per_byte = 8 // container
    shifted = (values.to(torch.int16) + 2 ** (container - 1)).reshape(len(values), -1, per_byte)
    places = [4, 0] if container == 4 else [0, 2, 4, 6]
    powers = torch.tensor([2**place for place in places], dtype=torch.int16)
    packed: Tensor = (shifted * powers).sum(dim=-1).to(torch.uint8)
    return packed


def unpacked(packed: Tensor, container: int) -> Tensor:
    """The integers of packed rows [..., bytes]: int8 [..., columns].

    Args:
        packed: As ``pack`` gives them.
        container: As for ``pack``.
    """
    if container == 8:
        return packed.to(torch.int8)
    places = [4, 0] if container == 4 else [0, 2, 4, 6]
    parts = [packed >> place & (2**container - 1) for place in places]
    values: Tensor = torch.stack(parts, dim=-1).flatten(-2).to(torch.int16)
    signed: Tensor = (values - 2 ** (container - 1)).to(torch.int8)
    return signed


class QuantizedEmbedding(nn.Module):
    """A packed table with scales.

    Args:
        weight: float32 [rows, columns]; or what it became elsewhere, int8 [rows, columns]
            and float32 scales [rows, columns / group size].
        spec: Bits and group size.
        half: Whether scales are rounded to float16.

    Raises:
        RecipeError: The group size does not divide the columns.
    """

    table: Tensor
    scales: Tensor

    def __init__(
        self, weight: Tensor | tuple[Tensor, Tensor], spec: EmbeddingSpec, *, half: bool = False
    ) -> None:
        super().__init__()
        columns = (weight if isinstance(weight, Tensor) else weight[0]).shape[1]
        group = spec.group_size or columns
        if columns % group or columns % 4:
            raise RecipeError(
                f"Embedding rows of {columns} values do not divide into groups of {group}.",
                hint="Choose a group_size that divides the hidden size.",
            )
        self.bits = spec.bits
        self.container = next(size for size in (2, 4, 8) if size >= spec.bits)
        values, scales = (
            symmetric(weight, spec.bits, group, half=half) if isinstance(weight, Tensor) else weight
        )
        self.register_buffer("table", pack(values, self.container))
        self.register_buffer("scales", scales)
        # Registers the operators and their meaning in torch; other exporters do without.
        with contextlib.suppress(ImportError):
            import executorch.exir.passes._quant_patterns_and_replacements  # noqa: F401

    @property
    def weight_parts(self) -> WeightParts:
        """Integers and scales, as ``parts_of`` asks for them."""
        return WeightParts(self.bits, unpacked(self.table, self.container), self.scales.float())

    def forward(self, tokens: Tensor) -> Tensor:
        """Rows of ``tokens`` (int64, any shape), float32 [..., columns]."""
        operators = torch.ops.quantized_decomposed
        if not hasattr(operators, "embedding_byte"):
            return looked_up(self.table[tokens], self.scales[tokens], self.container)
        gather = {
            2: operators.embedding_2bit,
            4: operators.embedding_4bit,
            8: operators.embedding_byte,
        }[self.container]
        half = 2 ** (self.container - 1)
        rows: Tensor = gather(self.table, self.scales, None, -half, half - 1, tokens)
        return rows


def looked_up(rows: Tensor, scales: Tensor, container: int) -> Tensor:
    """What ExecuTorch's operators give for rows of a table, in plain torch.

    Args:
        rows: Packed rows, [..., columns * container / 8].
        scales: float32 [..., groups].
        container: As for ``pack``.

    Returns:
        float32 [..., columns].
    """
    grouped = unpacked(rows, container).float().reshape(*scales.shape, -1)
    widened: Tensor = (grouped * scales[..., None]).flatten(-2)
    return widened


class HalfEmbedding(nn.Module):
    """A float16 table whose rows are widened as they are read.

    Args:
        weight: float32 [rows, columns].

    Raises:
        RecipeError: A value is too large for float16.
    """

    table: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        table = weight.to(torch.float16)
        if not bool(table.isfinite().all()):
            raise RecipeError(
                f"The embedding has a value of {weight.abs().max():.4g}, beyond float16's 65504.",
                hint="Choose a recipe whose embedding is not fp16.",
            )
        self.register_buffer("table", table)

    def forward(self, tokens: Tensor) -> Tensor:
        """Rows of ``tokens``, float32."""
        return nn.functional.embedding(tokens, self.table).to(torch.float32)


def compress_embedding(
    embedding: nn.Module, spec: EmbeddingSpec, *, half: bool = False
) -> nn.Module:
    """A module that does what ``embedding`` does, on a table as ``spec`` says.

    Args:
        embedding: Has a parameter ``weight``, float32 [rows, columns].
        spec: What to do.
        half: Whether scales are rounded to float16.

    Raises:
        RecipeError: Groups or tables do not divide the weight, or a value is too large for
            float16.
    """
    if spec.bits == 32:
        return embedding
    weight = embedding.get_parameter("weight").detach()
    if spec.palette is not None:
        check_channels("The embedding", len(weight), spec.palette)
        return embedding_of(palettize(weight, spec.palette, half=half))
    if spec.bits == 16:
        return HalfEmbedding(weight)
    return QuantizedEmbedding(weight, spec, half=half)


def embedding_of(parts: WeightParts) -> nn.Embedding:
    """A plain table of float32 that remembers what it stands for."""
    weight = dense(parts)
    if weight is None:
        raise TypeError("an embedding is made of integers or indices")
    made = nn.Embedding(weight.shape[0], weight.shape[1], _weight=weight, _freeze=True)
    keep_parts(made, parts)
    return made
