"""Forms of operators that give the same bits on every processor.

XNNPACK has kernels of its own for each instruction set, and for some cores. Its elementwise
arithmetic, ``exp`` and ``log`` gave the same bits with AVX512, with AVX2 and FMA, and on
aarch64, and so did its matrix products, with two exceptions: a product with fewer than eight
rows of weights, and one of a single row of activations on a Cortex-A72 or A76, for which there
is a kernel that adds in another order. Its ``rsqrt`` and ``sigmoid`` differ as well. One step
of float32 in a hidden state of 84 moves a logit by 1e-5, so all these are replaced. Which
kernels XNNPACK takes depends on ``/proc/cpuinfo``: an emulator that shows another processor
there than the board's hides the difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.nn import functional

from slmdeploy.model.decoder import Decoder, RMSNorm

__all__ = ["SteadyLinear", "SteadyRMSNorm", "steady_layers", "steady_operators"]

_ROWS = 8
"""XNNPACK's product with this many rows adds in order; as many as a NEON kernel computes."""


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A matrix product [..., inputs] by [outputs, inputs]; a lone row gets one of zeros beside it.

    With float32 weights the time goes into reading them, once for both rows.
    """
    if math.prod(x.shape[:-1]) != 1:
        return functional.linear(x, weight, bias)
    return functional.linear(functional.pad(x, (0, 0, 0, 1)), weight, bias)[..., :1, :]


class SteadyLinear(nn.Linear):
    """The same layer; a lone row is not multiplied alone."""

    def __init__(self, linear: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_features] to [..., out_features]."""
        return _product(x, self.weight, self.bias)


class SteadyRMSNorm(RMSNorm):
    """The same norm; its mean is computed in several rows, of which one is taken."""

    def __init__(self, norm: RMSNorm) -> None:
        nn.Module.__init__(self)
        self.eps = norm.eps
        self.weight = norm.weight
        self.register_buffer("mean", norm.mean.repeat(_ROWS, 1), persistent=False)

    def average(self, x: Tensor) -> Tensor:
        """Mean over the last dimension, which stays with size 1."""
        return _product(x, self.mean)[..., :1]


def steady_layers(decoder: Decoder, *, linear: bool) -> None:
    """Exchange the norms of a decoder, in place.

    Args:
        decoder: Compressed.
        linear: Exchange the linear layers as well; they are all float32.
    """
    steady: dict[nn.Module, nn.Module] = {}
    for part in decoder.modules():
        if type(part) is RMSNorm:
            steady[part] = SteadyRMSNorm(part)
        elif linear and type(part) is nn.Linear:
            steady[part] = SteadyLinear(part)
    # Wherever they stand: a shared layer has several places.
    for name, part in list(decoder.named_modules(remove_duplicate=False)):
        if part in steady:
            decoder.set_submodule(name, steady[part])


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
