"""Families of decoders that we have not: ``transformers``' own code for them is exported.

They are listed by name (``families/foreign.py``), since each was held against ``transformers`` with
a cache of fixed size; whatever is not in the list is refused. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slmdeploy.errors import ModelReadError, UnsupportedModelError
from slmdeploy.model.families.base import reading_config
from slmdeploy.model.families.foreign import FOREIGN

__all__ = ["NO_DECODER", "ForeignConfig", "foreign_config"]

NO_DECODER = "no decoder of ours has this family: transformers' own code is exported"
"""Why such a bundle has no rung ``decoder``."""

_CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx", "seq_length")
_USUAL_CONTEXT: Mapping[str, int] = {"bloom": 2048, "falcon": 2048}
"""Of types whose first checkpoints do not say; what both were trained with."""
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_BY_LENGTH = ("dynamic", "longrope")


@dataclass(frozen=True)
class ForeignConfig:
    """What must be known of such a model before its code is asked.

    Attributes:
        family: Its ``model_type``.
        context: Positions that it was trained for.
    """

    family: str
    vocab_size: int
    context: int
    layers: int


@reading_config()
def foreign_config(hf_config: Mapping[str, Any]) -> ForeignConfig | None:
    """Read the configuration of a checkpoint; ``None`` where its type is not taken.

    Args:
        hf_config: The checkpoint's ``config.json``, of no family of ours.

    Raises:
        ModelReadError: A key is missing, or its value is unusable.
        UnsupportedModelError: Its type is taken, and something that it switches on is not.
    """
    family = str(hf_config.get("model_type") or "")
    if family not in FOREIGN:
        return None
    _refuse(family, hf_config)
    return ForeignConfig(
        family=family,
        vocab_size=_size(hf_config, ("vocab_size",)),
        context=_context(family, hf_config),
        layers=_size(hf_config, _LAYERS),
    )


def _context(family: str, hf_config: Mapping[str, Any]) -> int:
    if family in _USUAL_CONTEXT and not any(key in hf_config for key in _CONTEXT):
        return _USUAL_CONTEXT[family]
    return _size(hf_config, _CONTEXT)


def _size(hf_config: Mapping[str, Any], keys: tuple[str, ...]) -> int:
    key = next((key for key in keys if key in hf_config), keys[0])
    size = int(hf_config[key])
    if size < 1:
        raise ModelReadError(f"config.json has {key} = {size}.")
    return size


def _refuse(family: str, hf_config: Mapping[str, Any]) -> None:
    """Refuse what no graph of fixed shapes can have."""
    for key in ("rope_scaling", "rope_parameters"):
        rope = hf_config.get(key)
        kind = rope.get("rope_type", rope.get("type")) if isinstance(rope, Mapping) else None
        if kind in _BY_LENGTH:
            raise UnsupportedModelError(
                f"Model type {family!r} has rope scaling {kind!r}: in transformers' code its "
                "table depends on the length of the text, and an exported graph has one table.",
                hint=f"Take {key} out of config.json for the original context.",
            )
    if family == "falcon" and hf_config.get("alibi"):
        raise UnsupportedModelError(
            "Model type 'falcon' with alibi (Falcon-RW) is not taken: it was not held against "
            "transformers."
        )
    if hf_config.get("add_cross_attention") or hf_config.get("is_encoder_decoder"):
        raise UnsupportedModelError(
            f"Model type {family!r} with cross attention needs an encoder, which is not exported."
        )
