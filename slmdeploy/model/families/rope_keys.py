"""The keys of ``config.json`` about positions: rotary embedding and windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from slmdeploy.errors import ModelReadError, UnsupportedModelError

__all__ = ["ROPE_SCALINGS", "Rope", "read_layer_types", "read_rope", "windows_of"]

ROPE_SCALINGS = ("default", "dynamic", "linear", "llama3", "longrope", "yarn")
"""Kinds that ``slmdeploy.model.rope`` has a rule for."""

_WITH_ORIGINAL = ("dynamic", "llama3", "longrope", "yarn")
_LAYER_TYPES = ("full_attention", "sliding_attention")


class Rope(NamedTuple):
    """What the keys say.

    Attributes:
        fraction: Of a head's dimensions that is rotated.
        context: Positions that the scaling reaches; ``None`` where that is
            ``max_position_embeddings``.
    """

    theta: float
    scaling: Mapping[str, Any] | None
    fraction: float
    context: int | None


def read_rope(
    hf_config: Mapping[str, Any],
    *,
    theta: float = 10000.0,
    fraction: float = 1.0,
    layer_type: str | None = None,
) -> Rope:
    """Read the rotary embedding from the old keys or the new one.

    Args:
        hf_config: The checkpoint's ``config.json``.
        theta: The family's base where none is given.
        fraction: The family's rotated part of a head where none is given.
        layer_type: Whose parameters, in families that give them for each type of layer.

    Raises:
        UnsupportedModelError: The scaling is not one we have.
        TypeError: The parameters are no table.
        ValueError: One of them is no number.
    """
    given = hf_config.get("rope_parameters") or hf_config.get("rope_scaling") or {}
    if isinstance(given, Mapping) and layer_type is not None:
        given = given.get(layer_type) or {}
    if not isinstance(given, Mapping):
        raise TypeError(f"the rope parameters are {given!r}, not a table")
    rope = dict(given)
    found = float(rope.pop("rope_theta", None) or hf_config.get("rope_theta") or theta)
    part = rope.pop("partial_rotary_factor", None) or hf_config.get("partial_rotary_factor")
    kind = str(rope.get("rope_type") or rope.get("type") or "default")
    if kind not in ROPE_SCALINGS:
        raise UnsupportedModelError(
            f"Rope scaling {kind!r} is not supported.",
            hint=f"Supported: {', '.join(ROPE_SCALINGS)}.",
        )
    rope["rope_type"] = kind
    if kind in _WITH_ORIGINAL:
        rope["original_max_position_embeddings"] = _original(hf_config, rope)
    scaling = None if kind == "default" else rope
    return Rope(found, scaling, float(part or fraction), _reach(rope))


def _original(hf_config: Mapping[str, Any], rope: Mapping[str, Any]) -> Any:
    """Positions before the scaling, by the precedence that transformers has."""
    key = "original_max_position_embeddings"
    trained = hf_config.get("max_position_embeddings", 2048)
    if rope["rope_type"] == "dynamic":
        return trained
    return hf_config.get(key) or rope.get(key) or trained


def _reach(rope: Mapping[str, Any]) -> int | None:
    """Positions after a scaling whose checkpoints say how many there were before it."""
    if rope["rope_type"] not in ("dynamic", "yarn") or rope.get("factor") is None:
        return None
    return int(float(rope["original_max_position_embeddings"]) * float(rope["factor"]))


def read_layer_types(
    hf_config: Mapping[str, Any], default: Sequence[str], *, layers: int
) -> tuple[str, ...]:
    """The type of each layer: ``full_attention`` or ``sliding_attention``.

    Args:
        hf_config: The checkpoint's ``config.json``.
        default: What the family has where the key is missing.
        layers: How many there are.

    Raises:
        UnsupportedModelError: A layer is of another type.
        ModelReadError: There are not as many types as layers.
    """
    types = tuple(hf_config.get("layer_types") or default)
    strange = sorted({str(one) for one in types} - set(_LAYER_TYPES))
    if strange:
        raise UnsupportedModelError(f"Layers of type {strange[0]!r} are not supported.")
    if len(types) != layers:
        raise ModelReadError(
            f"config.json has {layers} layers, and layer_types for {len(types)} of them."
        )
    return types


def windows_of(types: Sequence[str], window: Any) -> tuple[int | None, ...]:
    """What each layer sees; empty where all of them see everything.

    Raises:
        ModelReadError: A sliding layer has no window.
    """
    if "sliding_attention" not in types:
        return ()
    if window is None or int(window) < 1:
        raise ModelReadError(f"config.json has sliding layers and sliding_window = {window}.")
    return tuple(int(window) if one == "sliding_attention" else None for one in types)
