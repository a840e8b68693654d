"""The configuration of the one decoder: what its families differ in. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["DecoderConfig"]


@dataclass(frozen=True)
class DecoderConfig:
    """Shape and switches of a decoder-only transformer.

    Attributes:
        family: Name of the family that made this configuration.
        context: Positions that the model was trained for.
        rope_scaling: The checkpoint's rope parameters where they are more than
            ``default``; ``None`` otherwise.
        tied: The head is the embedding table.
        qkv_bias: The query, key and value projections have a bias.
        qk_norm: Queries and keys are normalized per head before the rotation.
    """

    family: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    norm_eps: float
    rope_theta: float
    context: int
    tied: bool
    qkv_bias: bool = False
    qk_norm: bool = False
    rope_scaling: Mapping[str, Any] | None = None
    bos_id: int | None = None
    eos_ids: tuple[int, ...] = ()
