"""What a family says: which checkpoints it takes and how their parts are named."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from slmdeploy.errors import ModelReadError, UnsupportedModelError
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.families.rope_keys import Rope, read_rope

__all__ = [
    "LAYER_NAMES",
    "TOP_NAMES",
    "Family",
    "llama_like_config",
    "reading_config",
    "refuse_switches",
]

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

_ACTIVATIONS: Mapping[str, Literal["silu", "gelu_tanh"]] = {
    "silu": "silu",
    "gelu_pytorch_tanh": "gelu_tanh",
}
_EPS_KEYS = ("rms_norm_eps", "layer_norm_eps")


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
        top_names: The tensors outside the layers, as above.
    """

    name: str
    model_types: tuple[str, ...]
    config: Callable[[Mapping[str, Any]], DecoderConfig]
    layer_names: Mapping[str, str] = field(default_factory=lambda: dict(LAYER_NAMES))
    top_names: Mapping[str, str] = field(default_factory=lambda: dict(TOP_NAMES))

    def tensor_names(self, config: DecoderConfig) -> dict[str, str]:
        """Every tensor of the decoder by our name, with its name in the checkpoint."""
        names = dict(self.top_names)
        if config.tied:
            del names["head.weight"]
        for layer in range(config.layers):
            for ours, theirs in self.layer_names.items():
                names[f"layers.{layer}.{ours}"] = f"model.layers.{layer}.{theirs}"
        return names


@contextlib.contextmanager
def reading_config() -> Iterator[None]:
    """Name what is wrong with a ``config.json``; also a decorator of what reads one.

    Raises:
        ModelReadError: A key was missing inside, or its value unusable.
    """
    try:
        yield
    except KeyError as error:
        raise ModelReadError(f"config.json has no key {error.args[0]!r}.") from error
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ModelReadError(f"config.json has a value of the wrong kind: {error}.") from error


def refuse_switches(hf_config: Mapping[str, Any], name: str, *keys: str) -> None:
    """Refuse what a family may have and the decoder has not.

    Args:
        hf_config: The checkpoint's ``config.json``.
        name: What the family is called.
        *keys: Switches that must be off.

    Raises:
        UnsupportedModelError: One is on; the message names it.
    """
    for key in keys:
        if hf_config.get(key):
            raise UnsupportedModelError(f"A {name} with {key} = true is not supported.")


def _ids(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    return tuple(int(item) for item in value) if isinstance(value, list) else (int(value),)


def _activation(hf_config: Mapping[str, Any]) -> Literal["silu", "gelu_tanh"]:
    # Gemma has both keys, and the first is the one that counts.
    name = hf_config.get("hidden_activation") or hf_config.get("hidden_act") or "silu"
    if name not in _ACTIVATIONS:
        raise UnsupportedModelError(
            f"Activation {name!r} is not supported.",
            hint=f"Supported: {', '.join(_ACTIVATIONS)}.",
        )
    return _ACTIVATIONS[name]


@reading_config()
def llama_like_config(
    family: str,
    hf_config: Mapping[str, Any],
    *,
    rope: Rope | None = None,
    tied_by_default: bool = False,
    eps: float = 1e-6,
    **switches: Any,
) -> DecoderConfig:
    """Read the keys that all Llama-like families share.

    Args:
        family: Name of the family.
        hf_config: The checkpoint's ``config.json``.
        rope: What it says of the rotary embedding, where the family has its own way.
        tied_by_default: Whether the head is tied where the key is missing.
        eps: Of the norms, where the key is missing.
        **switches: Further fields of ``DecoderConfig``.

    Raises:
        ModelReadError: A key is missing, or its value is unusable.
        UnsupportedModelError: The activation or the rope scaling is not one we have.
    """
    rope = rope or read_rope(hf_config)
    bos = _ids(hf_config.get("bos_token_id"))
    heads, hidden = int(hf_config["num_attention_heads"]), int(hf_config["hidden_size"])
    head_dim = int(hf_config.get("head_dim") or hidden // max(heads, 1))
    rotated = int(head_dim * rope.fraction)
    given_eps = next((hf_config[key] for key in _EPS_KEYS if key in hf_config), eps)
    config = DecoderConfig(
        family=family,
        vocab_size=int(hf_config["vocab_size"]),
        hidden_size=hidden,
        intermediate_size=int(hf_config["intermediate_size"]),
        layers=int(hf_config["num_hidden_layers"]),
        heads=heads,
        kv_heads=int(hf_config.get("num_key_value_heads") or heads),
        head_dim=head_dim,
        norm_eps=float(given_eps),
        rope_theta=rope.theta,
        context=max(int(hf_config.get("max_position_embeddings", 2048)), rope.context or 0),
        tied=bool(hf_config.get("tie_word_embeddings", tied_by_default)),
        rope_scaling=rope.scaling,
        bos_id=bos[0] if bos else None,
        eos_ids=_ids(hf_config.get("eos_token_id")),
        activation=_activation(hf_config),
        rotary_dim=None if rotated == head_dim else rotated,
        **switches,
    )
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
    if config.rotated % 2 or not 0 < config.rotated <= config.head_dim:
        raise ModelReadError(
            f"config.json has head_dim = {config.head_dim} and rotates {config.rotated} of these "
            "dimensions, which must be an even number of them."
        )
    if config.heads % config.kv_heads:
        raise ModelReadError(
            f"config.json: {config.heads} heads cannot share {config.kv_heads} key-value heads."
        )
