"""Constants of a program, expanded when they are needed.

Functions that share weights share what is kept of them: a constant is known by where it lies
in the weight file, and a compressed one by what it is made of. What is kept is bounded;
beyond that, weights are expanded anew at each use.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from slmdeploy.errors import EvaluationError
from slmdeploy.export.mil.ops.call import Array, Call, Value
from slmdeploy.export.mil.ops.compute import compute
from slmdeploy.export.mil.package import Package
from slmdeploy.export.mil.program import BlobRef, Constant, Function, Operation
from slmdeploy.export.mil.rounding import Mode, stored
from slmdeploy.export.mil.types import TensorType

__all__ = ["Constants"]

_Place = tuple[Operation, int]


class Constants:
    """What ``const`` and ``constexpr_*`` operations stand for.

    Args:
        package: Has the functions and the weight file.
        mode: How float16 values are held.
        kept_bytes: Of expanded values, at most.
    """

    def __init__(self, package: Package, mode: Mode, kept_bytes: int) -> None:
        self._package = package
        self._mode: Mode = mode
        self._room = kept_bytes
        self._kept: dict[Hashable, tuple[Value, ...]] = {}
        self._places: dict[str, dict[str, _Place]] = {}
        self._keys: dict[int, Hashable] = {}

    def value(self, function: Function, name: str) -> Value:
        """The constant of a name.

        Raises:
            EvaluationError: There is none, so the program uses what it never computed.
            ModelReadError: The weight file is damaged.
        """
        operation, index = self._place(function, name)
        key = self._key(function, operation)
        if key not in self._kept:
            values = self._expand(function, operation)
            size = sum(value.nbytes for value in values if isinstance(value, np.ndarray))
            if size > self._room:
                return values[index]
            self._room -= size
            self._kept[key] = values
        return self._kept[key][index]

    def immediate(self, constant: Constant) -> Value:
        """A constant that stands at its place of use, or is the value of a ``const``."""
        value = constant.value
        if isinstance(value, BlobRef):
            if not isinstance(constant.type, TensorType):
                raise EvaluationError("A constant in the weight file is no tensor.")
            value = self._package.read(value, constant.type)
        if isinstance(value, np.ndarray) and isinstance(constant.type, TensorType):
            return stored(value, constant.type.data, self._mode)
        return value

    def _place(self, function: Function, name: str) -> _Place:
        if function.name not in self._places:
            self._places[function.name] = _places(function)
        try:
            return self._places[function.name][name]
        except KeyError:
            raise EvaluationError(
                f"Function {function.name!r} uses {name!r}, which it does not compute before."
            ) from None

    def _expand(self, function: Function, operation: Operation) -> tuple[Value, ...]:
        """Compute a constant; what it is made of is not kept."""
        if operation.kind == "const":
            if "val" not in operation.attributes:
                raise EvaluationError(f"The constant {operation.name!r} has no value.")
            return (self.immediate(operation.attributes["val"]),)
        arguments = {
            name: tuple(self._part(function, given) for given in bound)
            for name, bound in operation.inputs.items()
        }
        for name, constant in operation.attributes.items():
            arguments.setdefault(name, (self.immediate(constant),))
        results = compute(Call(operation, arguments, _NoStates()), function.name)
        return tuple(
            stored(result, of.data, self._mode)
            for (_, of), result in zip(operation.outputs, results, strict=True)
        )

    def _part(self, function: Function, given: str | Constant) -> Value:
        if isinstance(given, Constant):
            return self.immediate(given)
        operation, index = self._place(function, given)
        return self._expand(function, operation)[index]

    def _key(self, function: Function, operation: Operation) -> Hashable:
        """What a constant is known by, across functions."""
        found = self._keys.get(id(operation))
        if found is None:
            parts: Mapping[str, Any] = {**operation.inputs, **operation.attributes}
            found = (
                operation.kind,
                tuple(
                    (name, self._part_key(function, parts[name]))
                    for name in sorted(parts)
                    if name != "name"
                ),
            )
            self._keys[id(operation)] = found
        return found

    def _part_key(self, function: Function, part: Any) -> Hashable:
        if isinstance(part, tuple):
            return tuple(self._part_key(function, one) for one in part)
        if isinstance(part, str):
            operation, index = self._place(function, part)
            return (self._key(function, operation), index)
        if isinstance(part.value, BlobRef):
            return (part.value, part.type)
        return id(part)


class _NoStates:
    """What compressed weights are made of is never a state."""

    def read(self, name: str) -> Array:
        raise EvaluationError(f"A weight cannot depend on the state {name!r}.")

    def write(self, name: str, value: Array) -> None:
        raise EvaluationError(f"A weight of shape {value.shape} cannot go into the state {name!r}.")


def _places(function: Function) -> dict[str, _Place]:
    return {
        name: (operation, index)
        for operation in function.operations
        if operation.is_constant
        for index, (name, _) in enumerate(operation.outputs)
    }
