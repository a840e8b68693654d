"""Does a checkpoint hold what its configuration says? By headers, and by values. No torch.

What cannot work is an error that names the tensor and the file it is in; what works but is
odd is a remark, for ``inspect`` and the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from slmdeploy.errors import ModelReadError
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.families.base import Family
from slmdeploy.model.weights import WeightSource

__all__ = ["ValueReport", "audit_headers", "audit_values", "expected_shapes"]

_TABLE, _HEAD = "embedding.weight", "head.weight"
_NOT_WEIGHTS = re.compile(
    r"(rotary_emb\.|inv_freq$|position_ids$|token_type_ids$|masked_bias$|attn\.bias$)"
)
_LAYER = re.compile(r"^model\.layers\.(\d+)\.")
_SHOWN = 3
_INTEGERS = re.compile(r"u?int\d+|bool|float8\w*")


def expected_shapes(config: DecoderConfig) -> dict[str, tuple[int, ...]]:
    """Shapes that the configuration asks for, by our names; ``layers.`` names without index.

    Parts that only some families have and whose shape is not to be told from the sizes
    alone are left out.
    """
    hidden, size = config.hidden_size, config.head_dim
    query, key = config.heads * size, config.kv_heads * size
    return {
        _TABLE: (config.vocab_size, hidden),
        _HEAD: (config.vocab_size, hidden),
        "norm.weight": (hidden,),
        "attention_norm.weight": (hidden,),
        "mlp_norm.weight": (hidden,),
        "q.weight": (query, hidden),
        "k.weight": (key, hidden),
        "v.weight": (key, hidden),
        "q.bias": (query,),
        "k.bias": (key,),
        "v.bias": (key,),
        "o.weight": (hidden, query),
        "gate.weight": (config.intermediate_size, hidden),
        "up.weight": (config.intermediate_size, hidden),
        "down.weight": (hidden, config.intermediate_size),
    }


def audit_headers(config: DecoderConfig, family: Family, weights: WeightSource) -> tuple[str, ...]:
    """Compare the tensors' names, shapes and types with the configuration.

    Returns:
        Remarks: tensors that are not used.

    Raises:
        ModelReadError: Tensors are missing, have a shape that contradicts the
            configuration, or are of integers; or there are tensors in the layers that
            the configuration leaves no place for.
    """
    names = family.tensor_names(config)
    _require_all(names, config, weights)
    _require_shapes(names, config, weights)
    known = {*names.values(), _head_name(config, family)}
    unused = sorted(n for n in set(weights.names()) - known if _NOT_WEIGHTS.search(n) is None)
    _refuse_unused_in_layers(unused, config, weights)
    _require_tied(config, family, weights)
    if not unused:
        return ()
    return (f"{len(unused)} tensors of the checkpoint are not used: {_named(unused, weights)}.",)


def _require_all(names: Mapping[str, str], config: DecoderConfig, weights: WeightSource) -> None:
    missing = sorted(set(names.values()) - set(weights.names()))
    if not missing:
        return
    hint = None
    if missing == [names.get(_HEAD)]:
        hint = "If the model's head is its embedding, config.json lacks tie_word_embeddings = true."
    elif all(_LAYER.match(name) for name in missing):
        layers = sorted({int(found[1]) for n in missing if (found := _LAYER.match(n))})
        hint = (
            f"config.json says num_hidden_layers = {config.layers}; incomplete: layers "
            f"{', '.join(map(str, layers[:_SHOWN]))}{' ...' if len(layers) > _SHOWN else ''}."
        )
    raise ModelReadError(
        f"The checkpoint lacks {len(missing)} of {len(names)} tensors, such as {missing[0]!r}.",
        hint=hint,
    )


def _require_shapes(names: Mapping[str, str], config: DecoderConfig, weights: WeightSource) -> None:
    shapes = expected_shapes(config)
    for ours, theirs in names.items():
        dtype, found = weights.dtype(theirs), weights.shape(theirs)
        if _INTEGERS.fullmatch(dtype):
            raise ModelReadError(
                f"Tensor {theirs!r} in {weights.file_of(theirs)} is stored as {dtype}, which is "
                "not read as weights."
            )
        wanted = shapes.get(re.sub(r"^layers\.\d+\.", "", ours))
        if wanted is not None and found != wanted:
            raise ModelReadError(
                f"Tensor {theirs!r} in {weights.file_of(theirs)} has shape {list(found)}, but "
                f"config.json asks for {list(wanted)} ({_sizes(config)}).",
                hint="The configuration and the weights are not of the same checkpoint.",
            )


def _sizes(config: DecoderConfig) -> str:
    return (
        f"vocab_size {config.vocab_size}, hidden_size {config.hidden_size}, intermediate_size "
        f"{config.intermediate_size}, heads {config.heads}, key-value heads {config.kv_heads}, "
        f"head_dim {config.head_dim}"
    )


def _refuse_unused_in_layers(
    unused: Sequence[str], config: DecoderConfig, weights: WeightSource
) -> None:
    """A tensor in a layer belongs to the computation; leaving it out changes the model."""
    for name in unused:
        found = _LAYER.match(name)
        if found is None:
            continue
        where = f"Tensor {name!r} in {weights.file_of(name)}"
        if int(found[1]) >= config.layers:
            raise ModelReadError(
                f"{where} is of a layer that config.json does not have: num_hidden_layers = "
                f"{config.layers}.",
                hint="The configuration and the weights are not of the same checkpoint.",
            )
        raise ModelReadError(
            f"{where} has no place in a {config.family} decoder with this config.json.",
            hint="Without it the model would compute something else.",
        )


def _head_name(config: DecoderConfig, family: Family) -> str | None:
    """The name that a head of its own would have in the checkpoint."""
    return family.tensor_names(replace(config, tied=False)).get(_HEAD)


def _require_tied(config: DecoderConfig, family: Family, weights: WeightSource) -> None:
    """Refuse a head beside a tied flag that is not the embedding table.

    Raises:
        ModelReadError: They differ, in shape or in a value.
    """
    head = _head_name(config, family)
    if not config.tied or head is None or head not in weights.names():
        return
    table = family.tensor_names(config)[_TABLE]
    if weights.shape(head) == weights.shape(table) and _same(weights, head, table):
        return
    raise ModelReadError(
        f"config.json says that the head is the embedding (tie_word_embeddings = true), but "
        f"{head!r} in {weights.file_of(head)} is not {table!r} in {weights.file_of(table)}.",
        hint="Set tie_word_embeddings to false in config.json if the head was trained apart.",
    )


def _same(weights: WeightSource, one: str, other: str) -> bool:
    if weights.dtype(one) != weights.dtype(other):
        return False
    pairs = zip(weights.pieces(one), weights.pieces(other), strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


@dataclass(frozen=True)
class ValueReport:
    """What the values of a checkpoint show.

    Attributes:
        tensors: How many were read.
        zero: Names of those that are all zeros.
    """

    tensors: int
    zero: tuple[str, ...]

    def remarks(self, weights: WeightSource) -> tuple[str, ...]:
        """A sentence for what is odd."""
        if not self.zero:
            return ()
        return (f"{len(self.zero)} tensors are all zeros: {_named(self.zero, weights)}.",)


def audit_values(
    weights: WeightSource, names: Sequence[str] | None = None, *, whole: bool
) -> ValueReport:
    """Look at the values of tensors of floating point, a few megabytes at a time.

    Args:
        weights: The checkpoint.
        names: Which tensors; all by default.
        whole: Read each to its end, for NaN and infinities; otherwise only until a value
            is not zero.

    Raises:
        ModelReadError: A tensor holds NaN or infinities (only what was read is looked
            at), or cannot be read.
    """
    chosen = [
        name
        for name in names or weights.names()
        if not _INTEGERS.fullmatch(weights.dtype(name)) and _NOT_WEIGHTS.search(name) is None
    ]
    zero = [name for name in chosen if _is_zero(weights, name, whole=whole)]
    return ValueReport(len(chosen), tuple(zero))


def _is_zero(weights: WeightSource, name: str, *, whole: bool) -> bool:
    zero, bad, count = True, 0, 0
    for piece in weights.pieces(name):
        bad += piece.size - int(np.isfinite(piece).sum())
        zero = zero and not piece.any()
        count += piece.size
        if not zero and not whole:
            break
    if bad:
        raise ModelReadError(
            f"Tensor {name!r} in {weights.file_of(name)} has {bad} of {count} values that are NaN "
            "or infinite.",
            hint="The checkpoint is damaged, or its training diverged.",
        )
    return zero and count > 0


def _named(names: Sequence[str], weights: WeightSource) -> str:
    shown = ", ".join(f"{name} in {weights.file_of(name).name}" for name in names[:_SHOWN])
    more = len(names) - _SHOWN
    return shown + (f" and {more} more" if more > 0 else "")
