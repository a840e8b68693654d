"""Forms of operators that give the same bits on every processor.

XNNPACK has kernels of its own for each instruction set. Its matrix products, elementwise
arithmetic, ``exp`` and ``log`` gave the same bits with AVX512, with AVX2 and FMA, and on
aarch64; its ``rsqrt``, its ``sigmoid`` and its product with a single row of weights did not:
two of them start from an estimate of the processor's, and the third adds in another order.
One step of float32 in a hidden state of 84 moves a logit by 1e-5, so these are replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.nn import functional

from slmdeploy.model.decoder import Decoder, RMSNorm

__all__ = ["SteadyRMSNorm", "steady_norms", "steady_operators"]

_ROWS = 8
"""XNNPACK's product with this many rows adds in order; as many as a NEON kernel computes."""


class SteadyRMSNorm(RMSNorm):
    """The same norm; its mean is computed in several rows, of which one is taken."""

    def __init__(self, norm: RMSNorm) -> None:
        nn.Module.__init__(self)
        self.eps = norm.eps
        self.weight = norm.weight
        self.register_buffer("mean", norm.mean.repeat(_ROWS, 1), persistent=False)

    def average(self, x: Tensor) -> Tensor:
        """Mean over the last dimension, which stays with size 1."""
        return functional.linear(x, self.mean)[..., :1]


def steady_norms(decoder: Decoder) -> None:
    """Exchange all norms of a decoder, in place."""
    for name, part in list(decoder.named_modules(remove_duplicate=False)):
        if type(part) is RMSNorm:
            decoder.set_submodule(name, SteadyRMSNorm(part))


def _rsqrt(x: Tensor) -> Tensor:
    """1 / sqrt(x) for x > 0: an estimate, and one step of Newton's method for 1 / y^2 = x.

    The estimate's relative error of 2e-6 becomes its square, so what is left is rounding.
    """
    y = torch.exp(torch.log(x) * -0.5)
    return y * (1.5 - x * 0.5 * (y * y))


def _silu(x: Tensor) -> Tensor:
    """The argument times the logistic function; 0 where exp(-x) is infinite, as it should be."""
    return x / (torch.exp(-x) + 1.0)


def _sigmoid(x: Tensor) -> Tensor:
    """The logistic function; a division by a sum would be a reciprocal, which XNNPACK lacks."""
    return torch.tanh(x * 0.5) * 0.5 + 0.5


_FORMS: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.rsqrt.default: _rsqrt,
    torch.ops.aten.sigmoid.default: _sigmoid,
    torch.ops.aten.silu.default: _silu,
}


def steady_operators(program: ExportedProgram) -> ExportedProgram:
    """The same program with ``rsqrt``, ``sigmoid`` and ``silu`` written out; all else is left."""
    written: ExportedProgram = program.run_decompositions(_FORMS)
    return written
