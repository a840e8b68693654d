"""Magnitude pruning: the smallest weights of a layer become zero."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import prune

from slmdeploy.compress.recipe import SparsitySpec
from slmdeploy.errors import RecipeError

__all__ = ["check_pattern", "kept_weights", "pruned"]


def check_pattern(name: str, columns: int, spec: SparsitySpec | None) -> None:
    """Refuse a pattern that does not divide the inputs of a layer.

    Raises:
        RecipeError: It does not.
    """
    kept_of = None if spec is None else spec.kept_of
    if kept_of is not None and columns % kept_of[1]:
        raise RecipeError(
            f"Layer {name!r} has {columns} inputs, which do not divide into blocks of "
            f"{kept_of[1]}.",
            hint="Choose another pattern, or a fraction in its place.",
        )


def kept_weights(weight: Tensor, spec: SparsitySpec) -> Tensor:
    """Which weights stay.

    Args:
        weight: float32 [rows, columns]; the columns divide into the pattern's blocks.
        spec: A fraction of the whole tensor, or N of M neighbours in a row.

    Returns:
        bool [rows, columns].
    """
    if spec.fraction is not None:
        # A float is a fraction to torch; its count is rounded to the nearest whole.
        method: Any = prune.L1Unstructured(spec.fraction)
        mask: Tensor = method.compute_mask(weight, torch.ones_like(weight))
        return mask.bool()
    kept, block = spec.kept_of or (1, 1)
    magnitudes = weight.abs().reshape(-1, block)
    largest = magnitudes.topk(kept, dim=-1).indices
    mask = torch.zeros_like(magnitudes, dtype=torch.bool).scatter_(1, largest, value=True)
    return mask.reshape(weight.shape)


def pruned(weight: Tensor, spec: SparsitySpec) -> Tensor:
    """The weights with zeros where none stay."""
    return torch.where(kept_weights(weight, spec), weight, 0.0)
