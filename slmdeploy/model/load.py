"""Fill the decoder with a checkpoint's weights, one tensor in memory at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from slmdeploy.errors import ModelReadError
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.decoder import Decoder
from slmdeploy.model.families.base import Family
from slmdeploy.model.folding import folded

if TYPE_CHECKING:
    from slmdeploy.model.weights import WeightSource

__all__ = ["load_decoder"]

_FUSED = {
    "qkv.weight": ("q.weight", "k.weight", "v.weight"),
    "qkv.bias": ("q.bias", "k.bias", "v.bias"),
    "gate_up.weight": ("gate.weight", "up.weight"),
}


def load_decoder(
    config: DecoderConfig, family: Family, weights: WeightSource, *, positions: int
) -> Decoder:
    """Build the decoder in float32.

    A tied head shares the embedding's memory; ``compress`` parts them where a recipe
    treats them differently.

    Args:
        config: What the model is.
        family: How its tensors are named.
        weights: Where they are.
        positions: Positions that the rotary tables shall cover.

    Raises:
        ModelReadError: A tensor is missing or has the wrong shape.
    """
    names = family.tensor_names(config)
    missing = sorted(set(names.values()) - set(weights.names()))
    if missing:
        raise ModelReadError(
            f"The checkpoint lacks {len(missing)} of {len(names)} tensors, such as {missing[0]!r}."
        )

    def fetch(name: str) -> Tensor:
        return weights.load(names[name])

    with torch.device("meta"):
        decoder = Decoder(config, positions)
    for name in [key for key, _ in decoder.named_parameters()]:
        if not (config.tied and name == "head.weight"):
            value = fetch(name) if name in names else _tensor(name, config, fetch)
            _assign(decoder, name, folded(name, value, config))
    if config.tied:
        decoder.head.weight = nn.Parameter(
            decoder.get_parameter("embedding.weight"), requires_grad=False
        )
    decoder.compute_constants()
    return decoder.eval()


def _tensor(name: str, config: DecoderConfig, fetch: Callable[[str], Tensor]) -> Tensor:
    """One tensor of a layer that the checkpoint has in parts."""
    _, index, part = name.split(".", 2)
    layer = f"layers.{index}."
    if part in _FUSED:
        return _joined(name, [fetch(layer + piece) for piece in _FUSED[part]])
    query, key = fetch(layer + "q_norm.weight"), fetch(layer + "k_norm.weight")
    return _joined(name, [query[None]] * config.heads + [key[None]] * config.kv_heads)


def _joined(name: str, parts: list[Tensor]) -> Tensor:
    if len({part.shape[1:] for part in parts}) > 1:
        shapes = ", ".join(sorted({str(list(part.shape)) for part in parts}))
        raise ModelReadError(f"What is joined as {name!r} has shapes that do not fit: {shapes}.")
    return torch.cat(parts)


def _assign(decoder: Decoder, name: str, value: Tensor) -> None:
    path, _, leaf = name.rpartition(".")
    module = decoder.get_submodule(path)
    wanted = getattr(module, leaf).shape
    if value.shape != wanted:
        raise ModelReadError(
            f"Tensor {name!r} has shape {list(value.shape)}, but config.json asks for "
            f"{list(wanted)}."
        )
    setattr(module, leaf, nn.Parameter(value, requires_grad=False))
