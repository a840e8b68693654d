"""Tables of the rotary position embedding, with the scalings that families use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from slmdeploy.errors import ModelReadError, UnsupportedModelError
from slmdeploy.model.config import DecoderConfig

__all__ = ["inverse_frequencies", "rope_tables"]


def _llama3(frequencies: Tensor, scaling: Mapping[str, Any]) -> Tensor:
    """Llama 3.1's rule: long waves are stretched, short ones kept, between them blended.

    Source of the rule: ``rope_type: llama3`` in the configuration reference of
    Hugging Face Transformers.
    """
    factor = _factor(scaling)
    low, high = float(scaling["low_freq_factor"]), float(scaling["high_freq_factor"])
    original = float(scaling["original_max_position_embeddings"])
    waves = 2 * math.pi / frequencies
    blend = ((original / waves - low) / (high - low)).clamp(0.0, 1.0)
    return frequencies / factor * (1 - blend) + frequencies * blend


def _factor(scaling: Mapping[str, Any]) -> float:
    """By how much waves are stretched; ``ValueError`` where that is no stretching."""
    factor = float(scaling["factor"])
    if not factor > 0:
        raise ValueError(f"factor is {factor}")
    return factor


def inverse_frequencies(config: DecoderConfig) -> Tensor:
    """Angular frequencies, float32 [head_dim / 2].

    Raises:
        ModelReadError: The scaling lacks one of its parameters, or it is no number.
        UnsupportedModelError: The scaling is of a kind we do not have.
    """
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    frequencies = 1.0 / (config.rope_theta**exponents)
    scaling = config.rope_scaling
    if scaling is None:
        return frequencies
    kind = scaling["rope_type"]
    try:
        if kind == "linear":
            return frequencies / _factor(scaling)
        if kind == "llama3":
            return _llama3(frequencies, scaling)
    except KeyError as error:
        raise ModelReadError(f"Rope scaling {kind!r} has no {error.args[0]!r}.") from error
    except (TypeError, ValueError) as error:
        raise ModelReadError(f"Rope scaling {kind!r}: {error}.") from error
    raise UnsupportedModelError(f"Rope scaling {kind!r} is not supported.")


def rope_tables(config: DecoderConfig, positions: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each float32 [positions, 1, head_dim], halves the same."""
    angles = torch.outer(torch.arange(positions, dtype=torch.float32), inverse_frequencies(config))
    angles = torch.cat([angles, angles], dim=-1)[:, None]
    if angles.is_meta:
        return angles, angles.clone()
    exact = angles.double().numpy()
    # Not torch's: with several threads its cosine was once, in its first call of a process,
    # wrong by 1e-4 in the rows of one thread.
    return torch.from_numpy(np.cos(exact)).float(), torch.from_numpy(np.sin(exact)).float()
