"""Two tiny models that show whether a runtime works on a board, and their right answer.

Each is one layer, ``y = W x + b`` in float32 with whole numbers, whose sums every
processor computes without rounding. ``fixtures/make_smoke_models.py`` makes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["BIAS", "INPUT", "OUTPUT", "PTE", "PYTHON_TEST", "TFLITE", "WEIGHT"]

_MODELS = Path(__file__).parent / "smoke_models"

TFLITE: Final = _MODELS / "smoke.tflite"
"""For LiteRT and TensorFlow Lite: one ``FULLY_CONNECTED``, version 1."""
PTE: Final = _MODELS / "smoke.pte"
"""For ExecuTorch: one ``linear``, lowered to XNNPACK."""
PYTHON_TEST: Final = Path(__file__).parent / "smoke_python.py"
"""What runs ``TFLITE`` in the board's own Python."""

WEIGHT: Final = (
    (1.0, 0.0, 2.0, 0.0),
    (0.0, 3.0, 0.0, -1.0),
    (4.0, 0.0, -2.0, 0.0),
    (1.0, 1.0, 1.0, 1.0),
)
BIAS: Final = (1.0, -2.0, 3.0, -4.0)
INPUT: Final = (1.0, 2.0, 3.0, 4.0)
OUTPUT: Final = tuple(
    sum(weight * x for weight, x in zip(row, INPUT, strict=True)) + bias
    for row, bias in zip(WEIGHT, BIAS, strict=True)
)
"""The right answer to ``INPUT``."""
