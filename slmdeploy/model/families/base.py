"""What a family says: which checkpoints it takes and how their parts are named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from slmdeploy.errors import ModelReadError, UnsupportedModelError
from slmdeploy.model.config import DecoderConfig

__all__ = ["LAYER_NAMES", "TOP_NAMES", "Family", "llama_like_config"]

TOP_NAMES: Mapping[str, str] = {
    "embedding.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "head.weight": "lm_head.weight",
}
"""The decoder's tensors outside the layers, and their names in a checkpoint."""

LAYER_NAMES: Mapping[str, str] = {
    "attention_norm.weight": "input_layernorm.weight",
    "q.weight": "self_attn.q_proj.weight",
    "k.weight": "self_attn.k_proj.weight",
    "v.weight": "self_attn.v_proj.weight",
    "o.weight": "self_attn.o_proj.weight",
    "mlp_norm.weight": "post_attention_layernorm.weight",
    "gate.weight": "mlp.gate_proj.weight",
    "up.weight": "mlp.up_proj.weight",
    "down.weight": "mlp.down_proj.weight",
}
"""A layer's tensors, and their names after ``model.layers.<i>.``."""

_SUPPORTED_SCALING = ("default", "linear", "llama3")


@dataclass(frozen=True)
class Family:
    """A family of decoders.

    Attributes:
        name: Its name, as in ``DecoderConfig.family``.
        model_types: Values of ``model_type`` in ``config.json`` that it takes.
        config: Makes our configuration of a ``config.json``; raises ``ModelReadError``
            where a key is missing, ``UnsupportedModelError`` where a switch is set
            that the decoder does not have.
        layer_names: A layer's tensors, ours to the checkpoint's.
    """

    name: str
    model_types: tuple[str, ...]
    config: Callable[[Mapping[str, Any]], DecoderConfig]
    layer_names: Mapping[str, str] = field(default_factory=lambda: dict(LAYER_NAMES))

    def tensor_names(self, config: DecoderConfig) -> dict[str, str]:
        """Every tensor of the decoder by our name, with its name in the checkpoint."""
        names = dict(TOP_NAMES)
        if config.tied:
            del names["head.weight"]
        for layer in range(config.layers):
            for ours, theirs in self.layer_names.items():
                names[f"layers.{layer}.{ours}"] = f"model.layers.{layer}.{theirs}"
        return names


def _scaling(hf_config: Mapping[str, Any]) -> tuple[float, Mapping[str, Any] | None]:
    """Base and scaling of the rotary embedding, from the old keys or the new one."""
    given = hf_config.get("rope_parameters") or hf_config.get("rope_scaling") or {}
    if not isinstance(given, Mapping):
        raise TypeError(f"the rope parameters are {given!r}, not a table")
    rope = dict(given)
    theta = float(rope.pop("rope_theta", hf_config.get("rope_theta", 10000.0)))
    kind = str(rope.get("rope_type", rope.get("type", "default")))
    if kind not in _SUPPORTED_SCALING:
        raise UnsupportedModelError(
            f"Rope scaling {kind!r} is not supported.",
            hint=f"Supported: {', '.join(_SUPPORTED_SCALING)}.",
        )
    return theta, None if kind == "default" else {**rope, "rope_type": kind}


def _ids(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    return tuple(int(item) for item in value) if isinstance(value, list) else (int(value),)


def llama_like_config(
    family: str,
    hf_config: Mapping[str, Any],
    *,
    qkv_bias: bool = False,
    qk_norm: bool = False,
    tied_by_default: bool = False,
) -> DecoderConfig:
    """Read the keys that all Llama-like families share.

    Raises:
        ModelReadError: A key is missing, or its value is unusable.
        UnsupportedModelError: The activation or the rope scaling is not one we have.
    """
    activation = hf_config.get("hidden_act", "silu")
    if activation != "silu":
        raise UnsupportedModelError(f"Activation {activation!r} is not supported, only 'silu'.")
    try:
        theta, scaling = _scaling(hf_config)
        bos = _ids(hf_config.get("bos_token_id"))
        heads = int(hf_config["num_attention_heads"])
        hidden = int(hf_config["hidden_size"])
        config = DecoderConfig(
            family=family,
            vocab_size=int(hf_config["vocab_size"]),
            hidden_size=hidden,
            intermediate_size=int(hf_config["intermediate_size"]),
            layers=int(hf_config["num_hidden_layers"]),
            heads=heads,
            kv_heads=int(hf_config.get("num_key_value_heads") or heads),
            head_dim=int(hf_config.get("head_dim") or hidden // max(heads, 1)),
            norm_eps=float(hf_config.get("rms_norm_eps", 1e-6)),
            rope_theta=theta,
            context=int(hf_config.get("max_position_embeddings", 2048)),
            tied=bool(hf_config.get("tie_word_embeddings", tied_by_default)),
            qkv_bias=qkv_bias,
            qk_norm=qk_norm,
            rope_scaling=scaling,
            bos_id=bos[0] if bos else None,
            eos_ids=_ids(hf_config.get("eos_token_id")),
        )
    except KeyError as error:
        raise ModelReadError(f"config.json has no key {error.args[0]!r}.") from error
    except (TypeError, ValueError) as error:
        raise ModelReadError(f"config.json has a value of the wrong kind: {error}.") from error
    _check_sizes(config)
    return config


def _check_sizes(config: DecoderConfig) -> None:
    """Refuse sizes that no decoder has.

    Raises:
        ModelReadError: One of them; the message has the checkpoint's key.
    """
    sizes = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.context,
    }
    for key, size in sizes.items():
        if size < 1:
            raise ModelReadError(f"config.json has {key} = {size}.")
    if config.head_dim % 2:
        raise ModelReadError(f"config.json has head_dim = {config.head_dim}, which is not even.")
    if config.heads % config.kv_heads:
        raise ModelReadError(
            f"config.json: {config.heads} heads cannot share {config.kv_heads} key-value heads."
        )
