"""What a model is made of, without reading a weight."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from slmdeploy.model.model import Model, ModelKind, ModelSource
from slmdeploy.model.tokenizer import Tokenizer
from slmdeploy.model.weights import WeightSource

__all__ = [
    "Component",
    "ComponentName",
    "DtypeShare",
    "ModelDescription",
    "TokenizerSummary",
    "component_of",
    "describe",
]

ComponentName = Literal["embedding", "attention", "mlp", "norms", "head", "other"]

_ORDER: tuple[ComponentName, ...] = ("embedding", "attention", "mlp", "norms", "head", "other")
# The first pattern that is found in a tensor's name decides; norms stand inside the others.
_PATTERNS: tuple[tuple[ComponentName, re.Pattern[str]], ...] = (
    ("norms", re.compile(r"norm|\bln_|layer_?norm", re.IGNORECASE)),
    ("head", re.compile(r"^(lm_head|embed_out|(pre_)?classifier|score|pooler)\.|\.pooler\.")),
    ("attention", re.compile(r"\.(self_attn|attention|attn)\.")),
    ("mlp", re.compile(r"\.(mlp|intermediate|output|ffn|feed_forward)\.")),
    ("embedding", re.compile(r"embed|wte|wpe", re.IGNORECASE)),
)

# Tables with a row for each token: the input embedding and a head of its own.
_VOCABULARY = (
    "embed_tokens.weight",
    "word_embeddings.weight",
    "tok_embeddings.weight",
    "lm_head.weight",
    "wte.weight",
    "embed_in.weight",
    "embed_out.weight",
)
_NOT_PARAMETERS = ("position_ids", "token_type_ids", "inv_freq")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Component(_Part):
    """A part of a model.

    Attributes:
        tensors: How many; 0 for a head that is the embedding table.
        stored_bytes: Bytes in the checkpoint.
        share: Of all parameters, 0 to 1.
    """

    name: ComponentName
    tensors: int
    parameters: int
    stored_bytes: int
    share: float


class DtypeShare(_Part):
    """How much is stored in one dtype; ``dtype`` as in ``TensorMeta``."""

    dtype: str
    tensors: int
    parameters: int
    stored_bytes: int


class TokenizerSummary(_Part):
    """The tokenizer in short; ``kind`` is ``BPE``, ``WordPiece`` and so on."""

    kind: str
    vocab_size: int
    special_tokens: int
    stop_ids: tuple[int, ...]
    bos_id: int | None
    chat_template: bool


class ModelDescription(_Part):
    """What ``slmdeploy inspect`` shows of a model.

    Attributes:
        source: ``directory``, ``hub``, ``gguf`` or ``demo``.
        architecture: The class that the checkpoint names; ``None`` where it does not.
        family: Family of a decoder; ``None`` for ``generic``.
        code: Whose code is exported: of ``slmdeploy``, of ``transformers``, or a ``module`` of
            the user's.
        stored_bytes: Bytes of all tensors in the checkpoint.
        float32_bytes: Bytes that the parameters take in float32, as they are computed.
        vocabulary_parameters: Parameters of the embedding table and of a head of its own.
        vocabulary_share: Their share of all parameters, 0 to 1.
        tied: The head is the embedding table; ``None`` for ``generic``.
        context: Positions that it was trained for; ``None`` where it does not say.
        compression: The compression that is already in it.
        tokenizer_reason: Why there is no tokenizer.
    """

    name: str
    source: str
    path: str
    kind: ModelKind
    architecture: str | None
    family: str | None
    code: ModelSource
    parameters: int
    stored_bytes: int
    float32_bytes: int
    components: tuple[Component, ...]
    dtypes: tuple[DtypeShare, ...]
    vocab_size: int | None
    vocabulary_parameters: int
    vocabulary_share: float
    tied: bool | None
    layers: int | None
    hidden_size: int | None
    heads: int | None
    kv_heads: int | None
    head_dim: int | None
    context: int | None
    compression: str | None
    note: str | None
    license: str | None
    tokenizer: TokenizerSummary | None
    tokenizer_reason: str | None
    labels: tuple[str, ...]
    remarks: tuple[str, ...]


def describe(model: Model) -> ModelDescription:
    """Say what a model is made of, from its configuration and its files' headers."""
    weights, config = model.weights, model.hf_config
    counted = _counted(model)
    components = _components(weights, counted)
    parameters = sum(part.parameters for part in components)
    vocabulary = _parameters(weights, (name for name in counted if name.endswith(_VOCABULARY)))
    names = config.get("architectures") or [None]
    decoder = model.config or model.foreign
    return ModelDescription(
        name=model.name,
        source=model.ref.kind,
        path=str(model.path),
        kind=model.kind,
        architecture=names[0],
        family=None if decoder is None else decoder.family,
        code=model.source,
        parameters=parameters,
        stored_bytes=sum(part.stored_bytes for part in components),
        float32_bytes=4 * parameters,
        components=components,
        dtypes=_dtypes(weights, counted),
        vocab_size=_number(config, "vocab_size"),
        vocabulary_parameters=vocabulary,
        vocabulary_share=vocabulary / parameters if parameters else 0.0,
        tied=model.config.tied if model.config else None,
        layers=_number(config, "num_hidden_layers") or (decoder.layers if decoder else None),
        hidden_size=_number(config, "hidden_size"),
        heads=_number(config, "num_attention_heads"),
        kv_heads=model.config.kv_heads if model.config else None,
        head_dim=model.config.head_dim if model.config else None,
        context=_number(config, "max_position_embeddings")
        or (decoder.context if decoder else None),
        compression=model.compression,
        note=model.note,
        license=model.license,
        tokenizer=_tokenizer(model.tokenizer),
        tokenizer_reason=model.tokenizer_reason,
        labels=model.labels,
        remarks=model.remarks,
    )


def component_of(name: str) -> ComponentName:
    """The part of a model that a tensor belongs to, by its Hugging Face name."""
    return next((part for part, pattern in _PATTERNS if pattern.search(name)), "other")


def _counted(model: Model) -> tuple[str, ...]:
    """The tensors that are parameters: no tables of indices, no copy of a tied embedding."""
    tied = model.config is not None and model.config.tied
    return tuple(
        name
        for name in model.weights.names()
        if not name.endswith(_NOT_PARAMETERS) and not (tied and name == "lm_head.weight")
    )


def _components(weights: WeightSource, counted: Sequence[str]) -> tuple[Component, ...]:
    groups: dict[ComponentName, list[str]] = {part: [] for part in _ORDER}
    for name in counted:
        groups[component_of(name)].append(name)
    total = _parameters(weights, counted) or 1
    return tuple(
        Component(
            name=part,
            tensors=len(names),
            parameters=(count := _parameters(weights, names)),
            stored_bytes=sum(map(weights.nbytes, names)),
            share=count / total,
        )
        for part, names in groups.items()
        if names or part == "head"
    )


def _dtypes(weights: WeightSource, counted: Sequence[str]) -> tuple[DtypeShare, ...]:
    groups: dict[str, list[str]] = {}
    for name in counted:
        groups.setdefault(weights.dtype(name), []).append(name)
    shares = [
        DtypeShare(
            dtype=dtype,
            tensors=len(names),
            parameters=_parameters(weights, names),
            stored_bytes=sum(map(weights.nbytes, names)),
        )
        for dtype, names in groups.items()
    ]
    return tuple(sorted(shares, key=lambda share: -share.parameters))


def _parameters(weights: WeightSource, names: Iterable[str]) -> int:
    return sum(math.prod(weights.shape(name)) for name in names)


def _number(config: Mapping[str, object], key: str) -> int | None:
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _tokenizer(tokenizer: Tokenizer | None) -> TokenizerSummary | None:
    if tokenizer is None:
        return None
    return TokenizerSummary(
        kind=tokenizer.kind,
        vocab_size=tokenizer.vocab_size,
        special_tokens=len(tokenizer.special_ids),
        stop_ids=tokenizer.stop_ids,
        bos_id=tokenizer.bos_id,
        chat_template=tokenizer.chat_template is not None,
    )
