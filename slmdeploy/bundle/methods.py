"""Which method of a bundle takes what: its golden inputs, and texts of any length.

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from slmdeploy.bundle.manifest import Manifest

__all__ = ["FORWARD", "Call", "golden_calls", "lengths_of", "method_for"]

FORWARD = "forward"
"""The method of a generic model that has one."""

_INPUT = "input."
_Array = npt.NDArray[Any]

Call = tuple[str, tuple[_Array, ...]]
"""A method, and its inputs in order."""


def lengths_of(manifest: Manifest) -> dict[str, int]:
    """Tokens of a text by method, shortest first; empty where there is one method alone."""
    methods = manifest.artifact.methods.items()
    found = {name: one.length for name, one in methods if one.length is not None}
    return dict(sorted(found.items(), key=lambda pair: pair[1]))


def method_for(lengths: Mapping[str, int], tokens: int) -> str:
    """The shortest method that a text fits; the longest for one that must be cut.

    Args:
        lengths: As ``lengths_of`` gives them.
        tokens: Of the text.
    """
    return next((name for name, most in lengths.items() if tokens <= most), list(lengths)[-1])


def golden_calls(manifest: Manifest, golden: Mapping[str, _Array]) -> tuple[Call, ...]:
    """The golden inputs of a generic model, by the method that takes them.

    Args:
        manifest: Of the bundle.
        golden: Its golden vectors; ``input.<i>`` are one method's after the other's.
    """
    count = sum(name.startswith(_INPUT) for name in golden)
    inputs = [golden[f"{_INPUT}{index}"] for index in range(count)]
    names: Sequence[str] = list(lengths_of(manifest)) or (FORWARD,)
    each = len(inputs) // len(names)
    return tuple(
        (name, tuple(inputs[place * each : (place + 1) * each])) for place, name in enumerate(names)
    )
