"""What a generic model gave, as the one array that rungs compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["joined", "stored_output"]

_Array = npt.NDArray[Any]


def joined(outputs: Sequence[_Array], *, lengths: bool = False) -> _Array:
    """The output of a model; several as one row, integers among floats left out.

    What is chosen by an ``argmax`` jumps where the scores, which are compared, hardly move.

    Args:
        outputs: Of one method; or with ``lengths`` one of each method.
        lengths: They are the same output of texts of several lengths: their rows follow
            each other.
    """
    if len(outputs) == 1:
        return outputs[0]
    if lengths:
        return np.concatenate([one.reshape(-1, one.shape[-1]) for one in outputs])
    floats = [one for one in outputs if np.issubdtype(one.dtype, np.floating)]
    return np.concatenate([one.reshape(-1) for one in floats or outputs])[None]


def stored_output(
    golden: Mapping[str, _Array], rung: str, *, lengths: bool = False
) -> _Array | None:
    """What a rung gave when the bundle was made; ``None`` where it was not kept."""
    start = f"output.{rung}."
    indices = sorted(int(name.removeprefix(start)) for name in golden if name.startswith(start))
    found = [golden[f"{start}{index}"] for index in indices]
    return joined(found, lengths=lengths) if found else None
