"""RMSNorm for float16: its squares cannot overflow, whatever comes in."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["HalfRMSNorm"]

SMALLEST = 1e-3
"""Rows are never made larger than by this; its reciprocal's square is within float16."""


class HalfRMSNorm(nn.Module):
    """Root mean square normalization of rows that were brought to at most 1 first.

    The states of SmolLM2-135M reach 22,500, and float16 ends at 65,504: the square of any
    state above 255 is infinite there, and the row behind it becomes zero. Divided by its
    largest magnitude ``m`` a row gives the same result, with ``eps`` divided by ``m`` squared.

    Args:
        weight: float32 [size] or [groups, size].
        eps: As of the norm that this one stands for.
    """

    root: Tensor
    smallest: Tensor

    def __init__(self, weight: Tensor, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach(), requires_grad=False)
        self.register_buffer("root", torch.tensor([math.sqrt(eps)]), persistent=False)
        self.register_buffer("smallest", torch.tensor([SMALLEST]), persistent=False)

    def average(self, x: Tensor) -> Tensor:
        """Mean over the last dimension, which stays with size 1."""
        return x.mean(dim=-1, keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize the last dimension of ``x``."""
        # With tensors, not numbers: coremltools makes a clamp's missing end infinite, and of a
        # number over a tensor an ``inverse``, which adds 1e-4 to what it divides by.
        largest = torch.maximum(x.abs().amax(dim=-1, keepdim=True), self.smallest)
        small, root = x / largest, torch.div(self.root, largest)
        variance = (small * small).mean(dim=-1, keepdim=True) + root * root
        return small * torch.rsqrt(variance) * self.weight
