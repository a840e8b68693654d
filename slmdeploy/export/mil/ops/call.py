"""What an operator is given, and how it asks for its arguments by name and type.

Floating-point arrays come as float32 whatever the program stores; the evaluator rounds
results. So an operator never thinks of precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from slmdeploy.errors import EvaluationError
from slmdeploy.export.mil.program import Operation

__all__ = ["Array", "Call", "Operator", "Result", "StateRef", "States", "Value"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class StateRef:
    """Stands for a state where a program names it as an argument."""

    name: str


Value = Array | str | list[Any] | StateRef
Result = Array | tuple[Array, ...]


class States(Protocol):
    """The states of an evaluator."""

    def read(self, name: str) -> Array:
        """What a state holds; never written to in place."""

    def write(self, name: str, value: Array) -> None:
        """Put a new value in."""


class Call:
    """One operation with its arguments.

    Args:
        operation: What is to be computed.
        arguments: By the name of the parameter; several for parameters that take a list.
        states: Where states are kept.
    """

    def __init__(
        self, operation: Operation, arguments: Mapping[str, tuple[Value, ...]], states: States
    ) -> None:
        self.operation = operation
        self.states = states
        self._arguments = arguments

    def has(self, name: str) -> bool:
        """Tell whether a parameter was given."""
        return bool(self._arguments.get(name))

    def array(self, name: str) -> Array:
        """An array.

        Raises:
            EvaluationError: It is missing, or something else.
        """
        value = self._only(name)
        if not isinstance(value, np.ndarray):
            raise EvaluationError(f"Parameter {name!r} of {self._who} is not a tensor.")
        return value

    def arrays(self, name: str) -> list[Array]:
        """The arrays of a parameter that takes several."""
        return [np.asarray(value) for value in self._arguments.get(name, ())]

    def ints(self, name: str, default: list[int] | None = None) -> list[int]:
        """Whole numbers, as of a shape or axes."""
        if default is not None and not self.has(name):
            return default
        return [int(value) for value in self.array(name).reshape(-1)]

    def int(self, name: str, default: int | None = None) -> int:
        """A whole number."""
        return self.ints(name, None if default is None else [default])[0]

    def bool(self, name: str, *, default: bool = False) -> bool:
        """A truth value."""
        return bool(self.int(name, int(default)))

    def float(self, name: str, default: float | None = None) -> float:
        """A number."""
        if default is not None and not self.has(name):
            return default
        return float(self.array(name).reshape(-1)[0])

    def text(self, name: str, default: str | None = None) -> str:
        """A word, as of a mode."""
        value = default if default is not None and not self.has(name) else self._only(name)
        if not isinstance(value, str):
            raise EvaluationError(f"Parameter {name!r} of {self._who} is not text.")
        return value

    def state(self, name: str) -> str:
        """The name of a state."""
        value = self._only(name)
        if not isinstance(value, StateRef):
            raise EvaluationError(f"Parameter {name!r} of {self._who} is not a state.")
        return value.name

    def unsupported(self, what: str) -> EvaluationError:
        """The error for a form of the operator that is not computed here."""
        return EvaluationError(f"{self._who} with {what} is not among what the evaluator computes.")

    @property
    def _who(self) -> str:
        return f"{self.operation.kind} ({self.operation.name})"

    def _only(self, name: str) -> Value:
        values = self._arguments.get(name, ())
        if len(values) != 1:
            raise EvaluationError(f"Parameter {name!r} of {self._who} has {len(values)} values.")
        return values[0]


Operator = Callable[[Call], Result]
