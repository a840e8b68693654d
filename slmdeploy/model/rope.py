"""Tables of the rotary position embedding, with the scalings that families use.

The rules are those of ``modeling_rope_utils`` of Hugging Face Transformers, in the same order
of float32 operations: at position 100,000 a frequency that is wrong in its last bit turns an
angle by 0.01.

``dynamic`` and ``longrope`` depend there on how long the text has become. An exported graph has
one table, so here they depend on the positions that the table covers: on the exported context.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from slmdeploy.errors import ModelReadError, UnsupportedModelError
from slmdeploy.model.config import DecoderConfig

__all__ = ["ROPE_SCALINGS", "inverse_frequencies", "rope_tables"]


@dataclass(frozen=True)
class _Rope:
    """What a rule is given."""

    theta: float
    dims: int
    scaling: Mapping[str, Any]
    context: int
    positions: int

    def plain(self, theta: Any = None) -> Tensor:
        """Frequencies without any scaling."""
        return 1.0 / ((self.theta if theta is None else theta) ** self.exponents())

    def exponents(self) -> Tensor:
        """0 to 1, one for each frequency."""
        return torch.arange(0, self.dims, 2, dtype=torch.float32) / self.dims

    def number(self, key: str, default: float | None = None) -> float:
        """A parameter; ``KeyError`` where it is missing and has no default."""
        value = self.scaling.get(key)
        if value is None and default is None:
            raise KeyError(key)
        return float(default if value is None else value)  # type: ignore[arg-type]

    @property
    def factor(self) -> float:
        """By how much waves are stretched; ``ValueError`` where that is no stretching."""
        factor = self.number("factor")
        if not 0 < factor < math.inf:
            raise ValueError(f"factor is {factor}")
        return factor

    @property
    def original(self) -> float:
        """Positions before the scaling."""
        return self.number("original_max_position_embeddings", self.context)


_Rule = Callable[[_Rope], tuple[Tensor, float]]
"""Gives frequencies, and what cosines and sines are multiplied by."""


def _linear(rope: _Rope) -> tuple[Tensor, float]:
    return rope.plain() / rope.factor, 1.0


def _dynamic(rope: _Rope) -> tuple[Tensor, float]:
    """A larger base for contexts beyond the trained one."""
    factor, original = rope.factor, rope.original
    # A tensor, as there: float32 from here on.
    length = torch.tensor(max(rope.positions, int(original)))
    grown = (factor * length / original) - (factor - 1)
    return rope.plain(rope.theta * grown ** (rope.dims / (rope.dims - 2))), 1.0


def _llama3(rope: _Rope) -> tuple[Tensor, float]:
    """Llama 3.1's rule: long waves are stretched, short ones kept, between them blended."""
    factor, original = rope.factor, rope.number("original_max_position_embeddings")
    low, high = rope.number("low_freq_factor"), rope.number("high_freq_factor")
    plain = rope.plain()
    waves = 2 * math.pi / plain
    stretched = torch.where(waves > original / low, plain / factor, plain)
    smooth = (original / waves - low) / (high - low)
    blended = (1 - smooth) * stretched / factor + smooth * stretched
    between = ~(waves < original / high) & ~(waves > original / low)
    return torch.where(between, blended, stretched), 1.0


def _mscale(scale: float, mscale: float = 1.0) -> float:
    return 1.0 if scale <= 1 else 0.1 * mscale * math.log(scale) + 1.0


def _yarn(rope: _Rope) -> tuple[Tensor, float]:
    """YaRN (Peng et al. 2023, arXiv 2309.00071)."""
    original = rope.original
    factor = rope.context / original if rope.scaling.get("factor") is None else rope.factor
    mscale, all_dims = rope.number("mscale", 0), rope.number("mscale_all_dim", 0)
    inferred = _mscale(factor)
    if mscale and all_dims:
        inferred = _mscale(factor, mscale) / _mscale(factor, all_dims)

    def dimension(rotations: float) -> float:
        turns = math.log(original / (rotations * 2 * math.pi))
        return (rope.dims * turns) / (2 * math.log(rope.theta))

    low = dimension(rope.number("beta_fast", 0) or 32)
    high = dimension(rope.number("beta_slow", 0) or 1)
    if rope.scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, rope.dims - 1)
    if low == high:
        high += 0.001
    ramp = (torch.arange(rope.dims // 2, dtype=torch.float32) - low) / (high - low)
    kept = 1 - ramp.clamp(0, 1)
    waves = rope.theta ** rope.exponents()
    frequencies = 1.0 / (factor * waves) * (1 - kept) + 1.0 / waves * kept
    return frequencies, rope.number("attention_factor", inferred)


def _longrope(rope: _Rope) -> tuple[Tensor, float]:
    """LongRoPE (Ding et al. 2024, arXiv 2402.13753): a factor for each frequency."""
    original = rope.original
    factor = rope.context / original if rope.scaling.get("factor") is None else rope.factor
    inferred = 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
    kind = "long_factor" if rope.positions > original else "short_factor"
    factors = torch.tensor([float(one) for one in rope.scaling[kind]], dtype=torch.float32)
    if len(factors) != rope.dims // 2:
        raise ValueError(f"{kind} has {len(factors)} numbers, and there are {rope.dims // 2} waves")
    waves = factors * rope.theta ** rope.exponents()
    return 1.0 / waves, rope.number("attention_factor", inferred)


_RULES: Mapping[str, _Rule] = {
    "dynamic": _dynamic,
    "linear": _linear,
    "llama3": _llama3,
    "longrope": _longrope,
    "yarn": _yarn,
}

ROPE_SCALINGS = tuple(_RULES)
"""Kinds of scaling that we have."""


def inverse_frequencies(
    config: DecoderConfig, positions: int | None = None, *, table: int = 0
) -> tuple[Tensor, float]:
    """Angular frequencies, float32 [rotated / 2], and the factor of cosines and sines.

    Args:
        config: What the model is.
        positions: How many the table shall cover; the trained context where it is not given.
        table: 0, or 1 for the local one.

    Raises:
        ModelReadError: The scaling lacks one of its parameters, or it is no number.
        UnsupportedModelError: The scaling is of a kind we do not have.
    """
    theta, scaling = config.rope_theta, config.rope_scaling
    if table and config.local_rope is not None:
        theta, scaling = config.local_rope
    rope = _Rope(theta, config.rotated, scaling or {}, config.context, positions or config.context)
    if scaling is None:
        return rope.plain(), 1.0
    kind = scaling["rope_type"]
    if kind not in _RULES:
        raise UnsupportedModelError(f"Rope scaling {kind!r} is not supported.")
    try:
        return _RULES[kind](rope)
    except KeyError as error:
        raise ModelReadError(f"Rope scaling {kind!r} has no {error.args[0]!r}.") from error
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ModelReadError(f"Rope scaling {kind!r}: {error}.") from error


def rope_tables(config: DecoderConfig, positions: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each float32 [positions, tables, head_dim].

    Both halves of what is rotated are the same; dimensions beyond have 1 and 0, which leaves
    them as they are.
    """
    tables = 1 if config.local_rope is None else 2
    parts = [_table(config, positions, table) for table in range(tables)]
    cos, sin = (torch.stack(part, dim=1) for part in zip(*parts, strict=True))
    return cos, sin


def _table(config: DecoderConfig, positions: int, table: int) -> tuple[Tensor, Tensor]:
    frequencies, factor = inverse_frequencies(config, positions, table=table)
    angles = torch.outer(torch.arange(positions, dtype=torch.float32), frequencies)
    if angles.is_meta:
        empty = torch.empty(positions, config.head_dim, device="meta")
        return empty, empty.clone()
    angles = torch.cat([angles, angles], dim=-1)
    exact = np.zeros((positions, config.head_dim))
    exact[:, : config.rotated] = angles.double().numpy()
    # Not torch's: with several threads its cosine was once, in its first call of a process,
    # wrong by 1e-4 in the rows of one thread.
    cos, sin = (torch.from_numpy(each(exact)).float() for each in (np.cos, np.sin))
    cos[:, : config.rotated] *= factor
    sin[:, : config.rotated] *= factor
    return cos, sin
