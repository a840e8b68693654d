"""Families of decoders: a mapping of tensor names and a configuration, one file each.

A family is found by the ``model_type`` of the checkpoint's ``config.json`` among the
entry points of the group ``slmdeploy.families``; the built-in ones come in by the
same door as a user's.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from slmdeploy.errors import UnsupportedModelError
from slmdeploy.model.families.base import Family
from slmdeploy.model.families.foreign import FOREIGN
from slmdeploy.model.families.missing import what_is_missing

__all__ = ["Family", "families", "family_for", "has_family"]


def families() -> dict[str, Family]:
    """All families by name, in the order of their names."""
    found = sorted(entry_points(group="slmdeploy.families"), key=lambda point: point.name)
    return {point.name: point.load() for point in found}


def has_family(hf_config: Mapping[str, Any]) -> bool:
    """Whether a family of ours, or of the user's, takes a checkpoint's ``model_type``."""
    return hf_config.get("model_type") in _by_type()


def _by_type() -> dict[str, Family]:
    return {name: family for family in families().values() for name in family.model_types}


def family_for(hf_config: Mapping[str, Any]) -> Family:
    """Find the family of a checkpoint.

    Args:
        hf_config: The checkpoint's ``config.json``.

    Raises:
        UnsupportedModelError: No family of ours takes this ``model_type``; the message names
            the nearest ones, and of a known one what stands in the way.
    """
    model_type = str(hf_config.get("model_type") or "")
    by_type = _by_type()
    if model_type in by_type:
        return by_type[model_type]
    near = difflib.get_close_matches(model_type, by_type, n=2, cutoff=0.3)
    nearest = f"Nearest: {', '.join(near)}. " if near else ""
    reason = what_is_missing(hf_config)
    raise UnsupportedModelError(
        f"Model type {model_type or 'missing'!r} is not one that slmdeploy has"
        f"{'.' if reason is None else f': {reason}.'}",
        hint=f"{nearest}Known: {', '.join(sorted(by_type))}; by transformers' own code, for "
        f"ExecuTorch: {', '.join(FOREIGN)}. "
        "A family of your own: docs/add-a-family.md.",
    )
