"""Apply a recipe to the decoder; torchao does the arithmetic.

The result still runs in eager torch and computes what the artifact shall compute, so
it is the reference that every later rung of the parity ladder is held against.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from slmdeploy.compress.embedding import QuantizedEmbedding, compress_embedding
from slmdeploy.compress.recipe import LinearSpec, Recipe
from slmdeploy.errors import MissingExtraError, RecipeError
from slmdeploy.model.decoder import Decoder

__all__ = ["Compressed", "compress", "compress_linears", "quiet_torchao"]


@dataclass(frozen=True)
class Compressed:
    """A model after its recipe, ready for an exporter.

    Attributes:
        module: The decoder with compressed parts, in eager torch.
        recipe: What was applied.
    """

    module: Decoder
    recipe: Recipe


@contextmanager
def quiet_torchao() -> Iterator[None]:
    """Import and use torchao without its notes on CUDA kernels and deprecations."""
    import logging

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def _check_groups(name: str, layer: nn.Linear, spec: LinearSpec) -> None:
    group = spec.group_size
    if group is not None and layer.in_features % group:
        raise RecipeError(
            f"Layer {name!r} has {layer.in_features} inputs, which do not divide into groups "
            f"of {group}.",
            hint=f"Choose a group_size that divides {layer.in_features}, or leave it out.",
        )


def _rounded(name: str, weight: Tensor) -> Tensor:
    """The nearest float16 values, in float32."""
    rounded = weight.detach().half().float()
    if not bool(rounded.isfinite().all()):
        raise RecipeError(
            f"Layer {name!r} has a weight of {weight.abs().max():.4g}, beyond float16's 65504.",
            hint="Choose a recipe without fp16 for this model.",
        )
    return rounded


def _config(spec: LinearSpec) -> Any:
    """The torchao configuration of a scheme with quantized weights."""
    try:
        from torchao.quantization import PerAxis, PerGroup
        from torchao.quantization.quant_api import (
            Int8DynamicActivationIntxWeightConfig,
            IntxWeightOnlyConfig,
        )
    except ImportError as error:
        raise MissingExtraError("executorch", f"Recipe scheme {spec.scheme!r}") from error
    granularity = PerAxis(0) if spec.group_size is None else PerGroup(spec.group_size)
    dtype = getattr(torch, f"int{spec.bits}")
    if spec.scheme in ("w4", "w8"):
        return IntxWeightOnlyConfig(weight_dtype=dtype, granularity=granularity)
    return Int8DynamicActivationIntxWeightConfig(
        weight_dtype=dtype,
        weight_granularity=granularity,
        # XNNPACK keeps the scales of 4-bit weights in bfloat16 whatever it is given, so
        # round them here, where the eager reference sees it.
        weight_scale_dtype=torch.bfloat16 if spec.bits == 4 else None,
    )


def compress_linears(module: nn.Module, chosen: Mapping[str, nn.Linear], spec: LinearSpec) -> None:
    """Quantize some linear layers of a module, in place.

    Args:
        module: Holds the layers.
        chosen: The layers, by their names in ``module``.
        spec: What to do with them.

    Raises:
        RecipeError: The group size does not divide a layer's inputs, or a weight is too
            large for float16.
        MissingExtraError: torchao is not installed.
    """
    for name, layer in chosen.items():
        _check_groups(name, layer, spec)
    if spec.scheme == "none" or not chosen:
        return
    if spec.scheme == "fp16":
        for name, layer in chosen.items():
            layer.weight = nn.Parameter(_rounded(name, layer.weight), requires_grad=False)
        return
    with quiet_torchao():
        config = _config(spec)
        from torchao.quantization import quantize_

        quantize_(module, config, lambda _, name: name in chosen)


def _as_the_head(decoder: Decoder, recipe: Recipe) -> QuantizedEmbedding:
    weight: Any = decoder.head.weight
    values = weight.qdata.to(torch.int8)
    return QuantizedEmbedding(
        (values, weight.scale.float().reshape(len(values), -1)), recipe.embedding
    )


def _linears(decoder: Decoder, *, head: bool) -> dict[str, nn.Linear]:
    return {
        name: module
        for name, module in decoder.named_modules()
        if isinstance(module, nn.Linear) and (name == "head") == head
    }


def compress(decoder: Decoder, recipe: Recipe) -> Compressed:
    """Apply a recipe, in place: the decoder given is the one that comes back.

    Args:
        decoder: In float32; it must not be used as the source afterwards.
        recipe: What to do.

    Raises:
        RecipeError: A group size does not divide a layer's inputs, or a weight is too
            large for float16.
        MissingExtraError: torchao is not installed.
    """
    tied = decoder.config.tied and recipe.shares_table
    embedding = None if tied else compress_embedding(decoder.embedding, recipe.embedding)
    if decoder.config.tied:
        # From here on embedding and head are two things.
        weight = decoder.head.weight.detach()
        decoder.head.weight = nn.Parameter(weight, requires_grad=False)
    compress_linears(decoder, _linears(decoder, head=False), recipe.body)
    compress_linears(decoder, _linears(decoder, head=True), recipe.head_spec)
    decoder.embedding = _as_the_head(decoder, recipe) if embedding is None else embedding
    return Compressed(module=decoder, recipe=recipe)
