"""LoRA adapters, merged into the weights of their base model as these are read.

The format is peft's: ``adapter_config.json`` and ``adapter_model.safetensors``. A module's
weight W of shape [out, in] becomes W + scale * (B @ A), with A of [r, in], B of [out, r] and
scale = alpha / r, or alpha / sqrt(r) with rank-stabilized scaling (Hu et al. 2021, arXiv
2106.09685; Kalajdzievski 2023, arXiv 2312.03732). An embedding's A is [r, rows] and its B
[dim, r]: its table becomes W + scale * (B @ A) transposed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from slmdeploy.errors import ModelReadError, UnsupportedModelError, UsageError
from slmdeploy.model.adapter_names import Part, part_of
from slmdeploy.model.model import Model
from slmdeploy.model.safetensors_header import read_header
from slmdeploy.model.safetensors_source import SafetensorsSource
from slmdeploy.model.weights import WeightSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["AdaptedWeights", "merged"]

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_REFUSED: Final = {
    "use_dora": "weight-decomposed (DoRA)",
    "use_qalora": "QALoRA",
    "megatron_config": "Megatron",
    "trainable_token_indices": "trained tokens",
    "lora_bias": "LoRA biases",
    "alora_invocation_tokens": "activated LoRA",
}
"""Keys of the configuration that ask for more than this module does."""

_OTHER_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""How adapters begin that change the base's weights as well; the files do not hold that."""

_HEADS = ("lm_head", "embed_out")
"""What ``transformers`` calls heads; a tied one has no tensor in a checkpoint."""

# peft 0.21.2 itself merges LoRA parts into the one table, of both modules one after the other.
_UNTIE = (
    "Save the base with a copy of the table as its head and tie_word_embeddings = false, and "
    "export that with the adapter (docs/kinds-of-models.md has the lines)."
)


@dataclass(frozen=True)
class _Delta:
    """What is added to one weight, by the names of its tensors in the adapter."""

    down: str
    up: str
    scale: float
    transposed: bool


class AdaptedWeights:
    """Base weights with an adapter merged; see ``model.weights.WeightSource``.

    Args:
        base: The weights of the base model.
        adapter: The tensors of the adapter.
        deltas: What is added, by the names of base weights.
        replaced: Names of adapter tensors that stand in place of base weights.
    """

    def __init__(
        self,
        base: WeightSource,
        adapter: WeightSource,
        deltas: Mapping[str, _Delta],
        replaced: Mapping[str, str],
    ) -> None:
        self._base, self._adapter = base, adapter
        self._deltas, self._replaced = deltas, replaced

    def names(self) -> tuple[str, ...]:
        """All names of the base, sorted."""
        return self._base.names()

    def shape(self, name: str) -> tuple[int, ...]:
        """Dimensions of a tensor; the adapter does not change them."""
        return self._base.shape(name)

    def dtype(self, name: str) -> str:
        """How a tensor of the base is stored."""
        return self._base.dtype(name)

    def nbytes(self, name: str) -> int:
        """Bytes that a tensor of the base takes."""
        return self._base.nbytes(name)

    def load(self, name: str) -> Tensor:
        """A tensor in float32, with what the adapter adds to it."""
        saved = self._replaced.get(name)  # peft saves an embedding's own weight beside its parts
        weight = self._base.load(name) if saved is None else self._adapter.load(saved)
        delta = self._deltas.get(name)
        if delta is None:
            return weight
        added = self._adapter.load(delta.up) @ self._adapter.load(delta.down)
        return weight + delta.scale * (added.T if delta.transposed else added)

    def pieces(self, name: str) -> Iterator[NDArray[np.float32]]:
        """Values of a tensor, merged, in one piece."""
        yield self.load(name).numpy().reshape(-1)

    def file_of(self, name: str) -> Path:
        """The file of the base that holds a tensor."""
        return self._base.file_of(name)

    def files(self) -> tuple[Path, ...]:
        """The files of both."""
        return (*self._base.files(), *self._adapter.files())


def merged(base: Model, name: str, folder: Path) -> Model:
    """A model with a LoRA adapter merged into its weights, which are read as needed.

    Args:
        base: The model that the adapter was trained on.
        name: How the adapter is called; it becomes part of the model's name.
        folder: Holds the adapter.

    Raises:
        UsageError: There is no such folder, or the model is a module of the user's.
        ModelReadError: The adapter is damaged or is not one for this model; the message
            names the tensor.
        UnsupportedModelError: It is of a kind that is not LoRA, or goes beyond it.
    """
    if base.given is not None:
        raise UsageError("Adapters go with checkpoints; a module of your own can merge its own.")
    config = _read_config(folder)
    path = folder / _WEIGHTS
    weights = SafetensorsSource({key: (path, meta) for key, meta in read_header(path).items()})
    parts = [part_of(key, folder) for key in weights.names()]
    said = config.get("base_model_name_or_path")
    try:
        _require_apart(base, parts, config, name)
        deltas = _deltas(base.weights, weights, parts, config)
        replaced = _replaced(base.weights, weights, parts)
    except ModelReadError as error:
        hint = f"It was trained on {said!r}." if said else error.hint
        raise ModelReadError(f"{folder}: {error.message}", hint=hint) from error
    return replace(
        base,
        ref=replace(base.ref, name=f"{base.ref.name}-{name}"),
        weights=AdaptedWeights(base.weights, weights, deltas, replaced),
        note="; ".join(note for note in (base.note, f"LoRA {name} merged") if note),
        remarks=(*base.remarks, *_base_remark(base, said)),
        adapter=name,
    )


def _read_config(folder: Path) -> Mapping[str, Any]:
    path = folder / _CONFIG
    if not path.is_file():
        raise UsageError(f"{folder} is not a LoRA adapter: it has no {_CONFIG}.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelReadError(f"{path} is not JSON: {error}.") from error
    if not isinstance(config, dict):
        raise ModelReadError(f"{path} is not a JSON object.")
    kind = str(config.get("peft_type", "")).upper()
    if kind != "LORA":
        raise UnsupportedModelError(f"{folder} is an adapter of kind {kind or 'unknown'!r}.")
    beyond = [what for key, what in _REFUSED.items() if config.get(key)]
    if beyond:
        raise UnsupportedModelError(
            f"{folder} uses {beyond[0]}, which slmdeploy does not merge.",
            hint="Merge it with peft (merge_and_unload) and export the result.",
        )
    _require_same_base(config, folder)
    if not (folder / _WEIGHTS).is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        raise ModelReadError(
            f"{folder} has no {_WEIGHTS}.",
            hint="adapter_model.bin is a pickle; save it as safetensors." if pickled else None,
        )
    return config


def _require_same_base(config: Mapping[str, Any], folder: Path) -> None:
    """Refuse adapters that only fit the base as their training began with it."""
    begun = str(config.get("init_lora_weights", "")).lower()
    if begun.startswith(_OTHER_BASE):
        raise UnsupportedModelError(
            f"{folder} began as {begun!r}, which takes the adapter's beginning out of the base; "
            "added to the base as it was, it would count twice.",
            hint="Save it with peft's path_initial_model_for_weight_conversion, or merge it there.",
        )


def _require_apart(base: Model, parts: list[Part], config: Mapping[str, Any], name: str) -> None:
    """Refuse to change the two uses of a tied table: peft trains them apart.

    With ``ensure_weight_tying`` it trains them as one, and saves parts for each; where only
    those of the embedding are there, they are for the table and so for both.

    Raises:
        UnsupportedModelError: The adapter changes the embedding or the head, and the model has
            one table for both.
    """
    table, heads = _shared_table(base)
    changed = {part.module.removesuffix(".weight") for part in parts} & {*table, *heads}
    tying = bool(config.get("ensure_weight_tying"))
    if not changed or (tying and changed.isdisjoint(heads)):
        return
    means = "each of the two (ensure_weight_tying)" if tying else "one of the two"
    raise UnsupportedModelError(
        f"Adapter {name!r} changes {' and '.join(map(repr, sorted(changed)))}, but {base.name} has "
        f"one table for embedding and head, and the adapter is for {means}.",
        hint=_UNTIE,
    )


def _shared_table(base: Model) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Modules of the one table as embedding and as head; none where each has its own."""
    if base.config is not None and base.config.tied:
        from slmdeploy.model.families import family_for

        names = family_for(base.hf_config).tensor_names(replace(base.config, tied=False))
        embedding, head = (names[f"{use}.weight"] for use in ("embedding", "head"))
        return (embedding.removesuffix(".weight"),), (head.removesuffix(".weight"),)
    shapes = {name: base.weights.shape(name) for name in base.weights.names()}
    if base.foreign is None or any(name.startswith(_HEADS) for name in shapes):
        return (), ()
    rows = base.foreign.vocab_size
    tables = (name for name, shape in shapes.items() if len(shape) == 2 and shape[0] == rows)
    return tuple(name.removesuffix(".weight") for name in tables), _HEADS


def _deltas(
    base: WeightSource, adapter: WeightSource, parts: list[Part], config: Mapping[str, Any]
) -> dict[str, _Delta]:
    """What is added to each weight.

    Raises:
        ModelReadError: A part has no counterpart, or shapes do not fit.
    """
    found: dict[str, _Delta] = {}
    sides = {(part.module, part.side): part for part in parts}
    for part in parts:
        if part.side == "whole":
            continue
        other = "up" if part.side == "down" else "down"
        if (part.module, other) not in sides:
            raise ModelReadError(f"{part.key!r} has no counterpart.")
        if part.side == "up":
            continue
        up = sides[part.module, "up"]
        weight = _base_name(base, part.module)
        rank = adapter.shape(part.key)[0]
        transposed = part.embedding or bool(config.get("fan_in_fan_out"))
        _check_shapes(base, adapter, weight, part.key, up.key, transposed=transposed)
        scale = _scale(config, part.module, rank)
        found[weight] = _Delta(part.key, up.key, scale, transposed)
    return found


def _base_name(base: WeightSource, module: str) -> str:
    name = f"{module}.weight"
    if name not in base.names():
        raise ModelReadError(f"The base model has no module {module!r}, which the adapter changes.")
    return name


def _check_shapes(
    base: WeightSource, adapter: WeightSource, weight: str, down: str, up: str, *, transposed: bool
) -> None:
    a, b = adapter.shape(down), adapter.shape(up)
    wanted = base.shape(weight)
    made = (b[0], a[1]) if len(a) == len(b) == 2 and a[0] == b[1] else None
    if made is not None and transposed:
        made = made[1], made[0]
    if made != wanted:
        raise ModelReadError(
            f"{down!r} of {list(a)} and {up!r} of {list(b)} do not fit {weight!r} of "
            f"{list(wanted)}."
        )


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    """Alpha by rank, where patterns may say another alpha for a module.

    Raises:
        ModelReadError: The configuration's rank is not that of the tensors.
    """
    said = _by_pattern(config.get("rank_pattern"), module, config.get("r"))
    alpha = _by_pattern(config.get("alpha_pattern"), module, config.get("lora_alpha"))
    if said != rank:
        raise ModelReadError(f"{_CONFIG} says r = {said} for {module!r}, its tensors have {rank}.")
    if not isinstance(alpha, (int, float)) or isinstance(alpha, bool):
        raise ModelReadError(f"{_CONFIG} has lora_alpha = {alpha!r}.")
    return float(alpha) / (rank**0.5 if config.get("use_rslora") else rank)


def _by_pattern(patterns: Any, module: str, default: Any) -> Any:
    """As peft: the first key that is the end of the module's name, or matches it."""
    for key, value in (patterns or {}).items():
        if re.fullmatch(rf"(?:.*\.)?(?:{key})", module):
            return value
    return default


def _replaced(base: WeightSource, adapter: WeightSource, parts: list[Part]) -> dict[str, str]:
    """Weights that were trained whole (``modules_to_save``, biases)."""
    found = {}
    for part in parts:
        if part.side != "whole":
            continue
        if part.module not in base.names():
            raise ModelReadError(f"The base model has no tensor {part.module!r}.")
        if adapter.shape(part.key) != base.shape(part.module):
            raise ModelReadError(
                f"{part.key!r} is {list(adapter.shape(part.key))}, the base model's "
                f"{list(base.shape(part.module))}."
            )
        found[part.module] = part.key
    return found


def _base_remark(base: Model, said: Any) -> tuple[str, ...]:
    """Whether the base is the one that the adapter names, as far as names tell."""
    if not isinstance(said, str) or not said:
        return ("The adapter does not say which model it was trained on.",)
    known = {
        base.ref.text,
        base.ref.hub_id,
        str(base.hf_config.get("_name_or_path")),
        str(base.path),
    }
    last = said.rstrip("/").rpartition("/")[2].lower()
    if said in known or last in {base.ref.name.lower(), base.path.name.lower()}:
        return ()
    return (f"The adapter was trained on {said!r}; its tensors fit, the name is another.",)
