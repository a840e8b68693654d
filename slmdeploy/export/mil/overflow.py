"""Whether float16 is enough, found by a run: values that become infinite where they are rounded."""

from __future__ import annotations

import numpy as np

from slmdeploy.export.mil.lint import RULES, Finding
from slmdeploy.export.mil.ops.call import Array
from slmdeploy.export.mil.ops.registry import MOVES
from slmdeploy.export.mil.program import Operation

__all__ = ["LARGEST", "OverflowWatch"]

LARGEST = 65504.0
"""The largest finite float16."""
_ROUNDS_TO_INFINITY = 65520.0
_SHOWN = 3


class OverflowWatch:
    """A watch for an ``Evaluator`` in mode ``fp16``.

    Attributes:
        largest: The largest finite magnitude of the float16 results of each operator that
            computes something.
    """

    def __init__(self) -> None:
        self.largest: dict[str, float] = {}
        self._over: dict[str, str] = {}

    def __call__(self, operation: Operation, name: str, result: Array) -> None:
        """Look at a result before it is rounded."""
        of = dict(operation.outputs)[name]
        if of.data.name != "FLOAT16" or operation.kind in MOVES or not result.size:
            return
        finite = np.abs(result[np.isfinite(result)])
        top = float(finite.max()) if finite.size else 0.0
        self.largest[operation.kind] = max(top, self.largest.get(operation.kind, 0.0))
        if top >= _ROUNDS_TO_INFINITY:
            self._over[name] = f"{operation.kind} {name} ({top:.3g})"

    def findings(self, function: str) -> tuple[Finding, ...]:
        """What overflowed: none or one finding."""
        names = tuple(self._over.values())
        if not names:
            return ()
        return (Finding(RULES["float16-overflow"], function, names[:_SHOWN], len(names)),)
