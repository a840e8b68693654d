"""Which method of a bundle takes what: its golden inputs, inputs of any size, and texts.

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from slmdeploy.bundle.manifest import Manifest, MethodInfo, TensorInfo
from slmdeploy.model.sizes import check_sizes

__all__ = ["FORWARD", "Call", "golden_calls", "inputs_fault", "lengths_of", "method_for"]

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
        golden: Its golden vectors; ``input.<i>`` are one method's after the other's. Where
            sizes vary, one method takes several: the examples first.
    """
    count = sum(name.startswith(_INPUT) for name in golden)
    inputs = [golden[f"{_INPUT}{index}"] for index in range(count)]
    names: Sequence[str] = list(lengths_of(manifest)) or (FORWARD,)
    method = manifest.artifact.methods.get(FORWARD)
    if method is not None and method.sizes:
        names = (FORWARD,) * (count // len(method.inputs))
    each = len(inputs) // len(names) if names else 0
    return tuple(
        (name, tuple(inputs[place * each : (place + 1) * each])) for place, name in enumerate(names)
    )


def inputs_fault(
    name: str, method: MethodInfo, given: Sequence[tuple[str, tuple[int, ...]]]
) -> str | None:
    """What is wrong with inputs of a method, as a sentence; ``None`` if nothing is.

    Args:
        name: Of the method.
        method: As in the manifest.
        given: Dtype and shape of each input, in order.
    """
    wanted = method.inputs
    if len(wanted) != len(given) or not all(map(_takes, wanted, given)):
        takes = _listed([(info.dtype, info.shape_text) for info in wanted])
        brought = _listed([(dtype, str(list(shape))) for dtype, shape in given])
        return f"Method {name!r} takes {takes}, not {brought}."
    sizes = tuple(info.varying for info in wanted)
    return check_sizes([info.name for info in wanted], [shape for _, shape in given], sizes)


def _takes(info: TensorInfo, given: tuple[str, tuple[int, ...]]) -> bool:
    """Whether a tensor is right in all that never varies."""
    dtype, shape = given
    free = {one.axis for one in info.varying}
    fixed = [
        size == wanted
        for axis, (size, wanted) in enumerate(zip(shape, info.shape, strict=False))
        if axis not in free
    ]
    return dtype == info.dtype and len(shape) == len(info.shape) and all(fixed)


def _listed(tensors: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{dtype} {shape}" for dtype, shape in tensors) or "nothing"
