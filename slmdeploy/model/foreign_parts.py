"""Parts of ``transformers``' models in the form that exporters need: the same arithmetic.

A graph of these models falls into many pieces where a delegate has no operator for what their
authors wrote: a mean over the last dimension, heads that are repeated, angles that are computed
anew in each call. Such parts are exchanged for ours; a norm only where ours gives the same numbers.
This module imports torch and ``transformers``.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.pytorch_utils import Conv1D

from slmdeploy.model.decoder import LayerNorm, RMSNorm

__all__ = ["apart", "make_exportable", "plain_linears"]

_ATTENTION = "slmdeploy_grouped"
_CLOSE = 1e-5
_EPS = ("eps", "variance_epsilon", "norm_eps")


def plain_linears(model: nn.Module) -> None:
    """Turn layers that multiply as a linear layer does into one, in place: recipes know these.

    ``Conv1D`` has its weight transposed; Falcon's class differs in the order of operations alone.
    """
    for name, part in list(model.named_modules()):
        if isinstance(part, Conv1D):
            model.set_submodule(name, _linear(part.weight.detach().t().contiguous(), part.bias))
        elif type(part).__name__ == "FalconLinear":
            model.set_submodule(name, _linear(part.get_parameter("weight"), part.bias))


def _linear(weight: Tensor, bias: Any) -> nn.Linear:
    outputs, inputs = weight.shape
    linear = nn.Linear(inputs, outputs, bias=bias is not None, device="meta")
    linear.weight = nn.Parameter(weight.detach(), requires_grad=False)
    if bias is not None:
        linear.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return linear


def apart(model: nn.Module) -> str:
    """Give a tied head a weight of its own (the memory stays shared); the name of the head.

    Raises:
        ValueError: It has no head.
    """
    head: Any = model.get_output_embeddings()  # type: ignore[operator]
    if not isinstance(head, nn.Module):
        raise ValueError("it has no head that gives logits")  # noqa: TRY004 - of the model
    weight = head.get_parameter("weight").detach()
    head.weight = nn.Parameter(weight, requires_grad=False)
    names: dict[int, str] = {id(part): name for name, part in model.named_modules()}
    return names[id(head)]


@torch.no_grad()
def make_exportable(model: nn.Module, context: int) -> None:
    """Exchange norms, rotary tables and attention, in place.

    Args:
        model: A causal model of ``transformers``.
        context: Positions that its rotary tables shall have.
    """
    for name, part in list(model.named_modules()):
        ours = _norm(part) or _table(part, model, context)
        if ours is not None:
            model.set_submodule(name, ours)
    if getattr(model, "_supports_attention_backend", False):
        ALL_ATTENTION_FUNCTIONS.register(_ATTENTION, _grouped)
        ALL_MASK_ATTENTION_FUNCTIONS.register(_ATTENTION, eager_mask)
        config: Any = model.config
        config._attn_implementation = _ATTENTION  # noqa: SLF001 - the setter asks the hub


def _norm(part: nn.Module) -> nn.Module | None:
    """Our norm in the place of another one, if it gives the same; ``None`` if there is none."""
    if "norm" not in type(part).__name__.lower() or list(part.children()):
        return None
    weight, bias = getattr(part, "weight", None), getattr(part, "bias", None)
    shape: Any = getattr(part, "normalized_shape", ())
    scale = weight.detach() if isinstance(weight, Tensor) else torch.ones(tuple(shape))
    eps = next((getattr(part, key) for key in _EPS if hasattr(part, key)), 1e-5)
    if scale.dim() != 1 or not isinstance(eps, float):
        return None
    x = torch.randn(4, len(scale), generator=torch.Generator().manual_seed(0)) * 3 + 1
    wanted = part(x)
    for offset in (0.0, 1.0):  # which Gemma and Nemotron add to their weights
        for kind in (RMSNorm, LayerNorm):
            ours = _filled(kind, scale + offset, bias, eps)
            if float((ours(x) - wanted).abs().max()) <= _CLOSE * float(wanted.abs().max()):
                return ours
    return None


def _filled(
    kind: type[RMSNorm | LayerNorm], weight: Tensor, bias: Any, eps: float
) -> RMSNorm | LayerNorm:
    norm = kind(weight.shape[0], eps)
    inner = norm if isinstance(norm, RMSNorm) else norm.centered
    inner.weight = nn.Parameter(weight, requires_grad=False)
    if isinstance(norm, LayerNorm) and bias is not None:
        norm.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return norm


class _Table(nn.Module):
    """Rotary tables in the place of a module that computes them from positions."""

    def __init__(self, tables: dict[str | None, tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.names = list(tables)
        for index, (cos, sin) in enumerate(tables.values()):
            self.register_buffer(f"cos{index}", cos[0], persistent=False)
            self.register_buffer(f"sin{index}", sin[0], persistent=False)

    def forward(
        self, x: Tensor, position_ids: Tensor, layer_type: str | None = None
    ) -> tuple[Tensor, Tensor]:
        """Cosines and sines of positions [1, S]: [1, S, size] each."""
        del x
        index = self.names.index(layer_type)
        cos, sin = self.get_buffer(f"cos{index}"), self.get_buffer(f"sin{index}")
        return cos[position_ids], sin[position_ids]


def _table(part: nn.Module, model: nn.Module, context: int) -> nn.Module | None:
    if not type(part).__name__.endswith("RotaryEmbedding"):
        return None
    taken = list(inspect.signature(part.forward).parameters)
    if taken[:2] != ["x", "position_ids"]:
        return None
    config: Any = model.config
    kinds: list[str | None] = [None]
    if "layer_type" in taken:
        kinds = list(dict.fromkeys(config.layer_types))
    x, positions = torch.zeros(1, 1, 1), torch.arange(context)[None]
    more = ({} if kind is None else {"layer_type": kind} for kind in kinds)
    return _Table({k: part(x, positions, **m) for k, m in zip(kinds, more, strict=True)})


def _grouped(  # noqa: PLR0917 - transformers hands these over by position
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention without repeating keys: a group's heads are rows of one product.

    Args:
        module: Which attends; its own scale is in ``scaling``.
        query: [1, heads, S, size].
        key: [1, kv_heads, capacity, size].
        value: As ``key``.
        attention_mask: [1, 1, S, capacity], added to the scores.
        scaling: What scores are multiplied by; ``None`` for 1 / sqrt(size).
        softcap: Scores are kept within this limit by a tanh.

    Returns:
        [1, S, heads, size], and no weights.

    Views, not the one element of a dimension: that would be a copy outside of the delegate.
    """
    del module
    heads, length, size = query.shape[1:]
    groups, capacity = key.shape[1:3]
    rows = (query * (scaling or size**-0.5)).reshape(groups, -1, size)
    keys = key.view(groups, capacity, size)
    scores = torch.bmm(rows, keys.transpose(1, 2)).view(heads, length, capacity)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if attention_mask is not None:
        scores = scores + attention_mask.view(1, length, capacity)
    weights = torch.softmax(scores, dim=-1).view(groups, -1, capacity)
    values = value.view(groups, capacity, value.shape[3])
    attended = torch.bmm(weights, values).view(1, heads, length, value.shape[3])
    return attended.transpose(1, 2), None
