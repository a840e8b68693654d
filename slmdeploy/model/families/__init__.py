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
from slmdeploy.model.families.missing import what_is_missing

__all__ = ["Family", "families", "family_for"]


def families() -> dict[str, Family]:
    """All families by name, in the order of their names."""
    found = sorted(entry_points(group="slmdeploy.families"), key=lambda point: point.name)
    return {point.name: point.load() for point in found}


def family_for(hf_config: Mapping[str, Any]) -> Family:
    """Find the family of a checkpoint.

    Args:
        hf_config: The checkpoint's ``config.json``.

    Raises:
        UnsupportedModelError: No family takes this ``model_type``; the message names
            the nearest ones, and of a known one what stands in the way.
    """
    model_type = str(hf_config.get("model_type") or "")
    by_type = {name: family for family in families().values() for name in family.model_types}
    if model_type in by_type:
        return by_type[model_type]
    near = difflib.get_close_matches(model_type, by_type, n=2, cutoff=0.3)
    nearest = f"Nearest: {', '.join(near)}. " if near else ""
    reason = what_is_missing(model_type)
    raise UnsupportedModelError(
        f"Model type {model_type or 'missing'!r} is not one that slmdeploy has"
        f"{'.' if reason is None else f': {reason}.'}",
        hint=f"{nearest}Known: {', '.join(sorted(by_type))}. "
        "A family of your own: docs/add-a-family.md.",
    )
