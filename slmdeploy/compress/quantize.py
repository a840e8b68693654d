"""Apply a recipe to the decoder; torchao does the arithmetic of integers.

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

from slmdeploy.compress.embedding import (
    QuantizedEmbedding,
    compress_embedding,
    embedding_of,
)
from slmdeploy.compress.palette import check_channels, palettize
from slmdeploy.compress.parts import WeightParts, dense, keep_parts, parts_of
from slmdeploy.compress.recipe import LinearSpec, Recipe
from slmdeploy.compress.sparsity import check_pattern, pruned
from slmdeploy.errors import MissingExtraError, RecipeError
from slmdeploy.model.decoder import Decoder

__all__ = ["Compressed", "compress", "compress_linears", "quiet_torchao", "round_floats"]

_ANGLES = ("cos", "sin")
"""Buffers of a decoder that a package keeps in float16."""


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


def _check(name: str, layer: nn.Linear, spec: LinearSpec) -> None:
    check_pattern(name, layer.in_features, spec.sparsity)
    if spec.palette is not None:
        check_channels(name, layer.out_features, spec.palette)
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


def _config(spec: LinearSpec, *, half: bool) -> Any:
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
        return IntxWeightOnlyConfig(
            weight_dtype=dtype,
            granularity=granularity,
            scale_dtype=torch.float16 if half else None,
        )
    scale_dtype = torch.float16 if half else None
    return Int8DynamicActivationIntxWeightConfig(
        weight_dtype=dtype,
        weight_granularity=granularity,
        # XNNPACK keeps the scales of 4-bit weights in bfloat16 whatever it is given, so
        # round them here, where the eager reference sees it.
        weight_scale_dtype=torch.bfloat16 if spec.bits == 4 else scale_dtype,
    )


def compress_linears(
    module: nn.Module, chosen: Mapping[str, nn.Linear], spec: LinearSpec, *, half: bool = False
) -> None:
    """Compress some linear layers of a module, in place.

    Args:
        module: Holds the layers.
        chosen: The layers, by their names in ``module``.
        spec: What to do with them.
        half: Whether scales are rounded to float16.

    Raises:
        RecipeError: Groups, blocks or tables do not divide a layer's weight, or a weight is
            too large for float16.
        MissingExtraError: torchao is not installed.
    """
    for name, layer in chosen.items():
        _check(name, layer, spec)
    for layer in chosen.values() if spec.sparsity is not None else ():
        _prune(layer, spec)
    if spec.scheme == "none" or not chosen:
        return
    if spec.scheme in ("fp16", "palette"):
        for name, layer in chosen.items():
            rounded = _rounded(name, layer.weight)
            _set_weight(layer, _looked_up(layer, spec, half=half) if spec.palette else rounded)
        return
    with quiet_torchao():
        config = _config(spec, half=half)
        from torchao.quantization import quantize_

        quantize_(module, config, lambda _, name: name in chosen)


def _set_weight(layer: nn.Linear, weight: Tensor) -> None:
    layer.weight = nn.Parameter(weight, requires_grad=False)


def _prune(layer: nn.Linear, spec: LinearSpec) -> None:
    if spec.sparsity is not None:
        _set_weight(layer, pruned(layer.weight.detach(), spec.sparsity))
        keep_parts(layer, WeightParts(bits=16, sparse=True))


def _looked_up(layer: nn.Linear, spec: LinearSpec, *, half: bool) -> Tensor:
    """The weight as its palette has it; what was zeroed stays zero."""
    weight, sparse = layer.weight.detach(), spec.sparsity is not None
    if spec.palette is None:
        return weight
    parts = palettize(weight, spec.palette, sparse=sparse, half=half)
    keep_parts(layer, parts)
    found = dense(parts)
    found = weight if found is None else found
    return torch.where(weight == 0, 0.0, found) if sparse else found


def round_floats(module: nn.Module) -> None:
    """Round what is still float32 to float16 values, in place: norms, biases, tables of angles.

    Raises:
        RecipeError: A value is too large for float16.
    """
    for name, layer in module.named_modules():
        parts = parts_of(layer)
        for key, value in [*layer.named_parameters(recurse=False), *_tables(layer)]:
            # What has parts stands for products of theirs, which float16 has no room for.
            carried = key == "weight" and parts is not None and parts.values is not None
            plain = type(value) in (nn.Parameter, Tensor) and value.dtype == torch.float32
            if carried or not plain:
                continue
            rounded = _rounded(f"{name}.{key}".removeprefix("."), value)
            # Another tensor, not other values in it: it may be a mapped file.
            is_parameter = isinstance(value, nn.Parameter)
            new = nn.Parameter(rounded, requires_grad=False) if is_parameter else rounded
            setattr(layer, key, new)


def _tables(layer: nn.Module) -> list[tuple[str, Tensor]]:
    """Angles; other buffers are packed weights, or numbers of the code."""
    return [(key, value) for key, value in layer.named_buffers(recurse=False) if key in _ANGLES]


def _as_the_head(decoder: Decoder, recipe: Recipe) -> nn.Module:
    parts = parts_of(decoder.head)
    if parts is None or parts.values is None:
        raise TypeError(f"the head of recipe {recipe.name!r} has no integers to share")
    if parts.table is not None or parts.scales is None:
        return embedding_of(parts)
    return QuantizedEmbedding((parts.values, parts.scales), recipe.embedding)


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
        RecipeError: Groups, blocks or tables do not divide a layer's weight, or a weight is
            too large for float16.
        MissingExtraError: torchao is not installed.
    """
    tied, half = decoder.config.tied and recipe.shares_table, recipe.floats == "fp16"
    embedding = None if tied else compress_embedding(decoder.embedding, recipe.embedding, half=half)
    if decoder.config.tied:
        # From here on embedding and head are two things.
        weight = decoder.head.weight.detach()
        decoder.head.weight = nn.Parameter(weight, requires_grad=False)
    compress_linears(decoder, _linears(decoder, head=False), recipe.body, half=half)
    compress_linears(decoder, _linears(decoder, head=True), recipe.head_spec, half=half)
    decoder.embedding = _as_the_head(decoder, recipe) if embedding is None else embedding
    if half:
        round_floats(decoder)
    return Compressed(module=decoder, recipe=recipe)
