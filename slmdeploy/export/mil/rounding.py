"""How values are held: float16 as float32, rounded or not; everything else as it is."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from slmdeploy.errors import EvaluationError
from slmdeploy.export.mil.types import DataType

__all__ = ["Mode", "stored"]

Mode = Literal["fp32", "fp16"]
_Array = npt.NDArray[Any]


def stored(values: _Array, of: DataType, mode: Mode) -> _Array:
    """Values as an evaluator holds them.

    Args:
        values: Of any type.
        of: What the program declares them to be.
        mode: In ``fp16``, float16 values are rounded; beyond 65504 they become infinite.

    Raises:
        EvaluationError: numpy has no such type.
    """
    if of.dtype is None:
        raise EvaluationError(f"The evaluator does not compute with values of type {of.name}.")
    if of.name != "FLOAT16":
        return values if values.dtype == of.dtype else values.astype(of.dtype)
    if mode == "fp16":
        return values.astype(np.float16).astype(np.float32)
    return values if values.dtype == np.float32 else values.astype(np.float32)
