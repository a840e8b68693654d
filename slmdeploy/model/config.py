"""The configuration of the one decoder: what its families differ in. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["DecoderConfig"]


@dataclass(frozen=True)
class DecoderConfig:
    """Shape and switches of a decoder-only transformer.

    The factors and ``norm_offset`` are folded into the weights when these are loaded, so that
    no graph has them (``slmdeploy.model.folding``).

    Attributes:
        family: Name of the family that made this configuration.
        context: Positions that the model was trained for.
        rope_scaling: The checkpoint's rope parameters where they are more than
            ``default``; ``None`` otherwise.
        tied: The head is the embedding table.
        qkv_bias: The query, key and value projections have a bias.
        qk_norm: Queries and keys are normalized before the rotation.
        qk_norm_over: What is normalized: each ``head`` by itself, or all of a ``projection``.
        activation: Of the feed-forward part's gate.
        norm: ``rms``, or ``layer`` with a mean taken off and a bias added.
        pre_norm: What attention and feed-forward part read is normalized.
        post_norm: What they give is normalized before it is added.
        rotary_dim: Dimensions of a head that are rotated, the first ones; ``None`` for all.
        windows: Places that each layer sees, its own among them; ``None`` for all of them, and
            empty where no layer has a window.
        ropes: Which rotary table each layer has: 0, 1 (``local_rope``) or ``None`` for no
            rotation; empty where all layers have table 0.
        local_rope: Base and scaling of table 1.
        attention_cap: Scores are kept within this limit by a tanh.
        logits_cap: Logits are kept within this limit by a tanh; what they are divided by before
            it is folded, too.
        embedding_factor: What comes out of the embedding is multiplied by it.
        attention_scale: What scores are multiplied by; ``None`` for 1 / sqrt(head_dim).
        residual_factor: What attention and feed-forward part give is multiplied by it.
        logits_factor: Logits are multiplied by it.
        norm_offset: Added to the weights of all norms.
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
    qk_norm_over: Literal["head", "projection"] = "head"
    activation: Literal["silu", "gelu_tanh"] = "silu"
    norm: Literal["rms", "layer"] = "rms"
    pre_norm: bool = True
    post_norm: bool = False
    rotary_dim: int | None = None
    windows: tuple[int | None, ...] = ()
    ropes: tuple[int | None, ...] = ()
    local_rope: tuple[float, Mapping[str, Any] | None] | None = None
    attention_cap: float | None = None
    logits_cap: float | None = None
    embedding_factor: float = 1.0
    attention_scale: float | None = None
    residual_factor: float = 1.0
    logits_factor: float = 1.0
    norm_offset: float = 0.0

    @property
    def rotated(self) -> int:
        """Dimensions of a head that are rotated."""
        return self.head_dim if self.rotary_dim is None else self.rotary_dim

    def rope(self, layer: int) -> int | None:
        """The rotary table of a layer; ``None`` where it has no rotation."""
        return self.ropes[layer] if self.ropes else 0

    def window(self, layer: int, capacity: int) -> int | None:
        """Places that a layer sees of a cache; ``None`` where it sees all of it."""
        window = self.windows[layer] if self.windows else None
        return window if window is not None and window < capacity else None

    def windows_within(self, capacity: int) -> tuple[int | None, ...]:
        """The different values of ``window``, in the order of the layers."""
        return tuple(dict.fromkeys(self.window(n, capacity) for n in range(self.layers)))
