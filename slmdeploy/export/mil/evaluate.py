"""Runs a saved package on this computer, states and compressed weights included.

In mode ``fp32`` values that the package holds as float16 are computed with in float32: what is
left of a difference is an error of the conversion. In mode ``fp16`` each result of the
program's float16 values is rounded to float16 (sums within an operator are float32), which
shows what precision costs. Neither models the kernels of a GPU or of the Neural Engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from slmdeploy.errors import EvaluationError
from slmdeploy.export.mil.constants import Constants
from slmdeploy.export.mil.ops.call import Array, Call, StateRef, Value
from slmdeploy.export.mil.ops.compute import compute
from slmdeploy.export.mil.ops.registry import MOVES
from slmdeploy.export.mil.package import Package
from slmdeploy.export.mil.program import Constant, Function, Operation
from slmdeploy.export.mil.rounding import Mode, stored
from slmdeploy.export.mil.types import TensorType

__all__ = ["Evaluator", "Watch"]

Watch = Callable[[Operation, str, Array], None]
"""Is told of each result before it is rounded: the operation, the result's name, its values."""

_KEPT_BYTES = 2 << 30


class Evaluator:
    """Runs functions of a package; its states outlive a call and are shared by the functions.

    Args:
        package: What ``open_package`` gave.
        mode: ``fp32`` or ``fp16``; see above.
        kept_bytes: Expanded weights that are kept between calls, at most.
        watch: Is told of each result.
    """

    def __init__(
        self,
        package: Package,
        mode: Mode = "fp32",
        *,
        kept_bytes: int = _KEPT_BYTES,
        watch: Watch | None = None,
    ) -> None:
        self.package = package
        self.mode: Mode = mode
        self._watch = watch
        self._constants = Constants(package, mode, kept_bytes)
        self._states = _States()

    def reset(self) -> None:
        """Fill all states with 0, as Core ML's ``make_state`` does."""
        self._states.clear()

    @property
    def states(self) -> Mapping[str, Array]:
        """What the states hold now."""
        return self._states.held

    def run(self, function: str, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        """Call a function.

        Args:
            function: Its name.
            inputs: A value for each of its inputs.

        Returns:
            Its results by name; float16 ones as float32.

        Raises:
            EvaluationError: An input is missing or has another shape, the program asks for an
                operator that is not there, or a result is not what the program declares.
            ModelReadError: No such function, or the weight file is damaged.
        """
        body = self.package.function(function)
        values = self._bind(body, inputs)
        left = _uses(body)
        with np.errstate(all="ignore"):  # an overflow shows in the result, as on the device
            for operation in body.operations:
                if not operation.is_constant:
                    self._step(body, operation, values, left)
            return {name: np.asarray(self._value(body, name, values)) for name in body.outputs}

    def _bind(self, body: Function, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Value]:
        if set(inputs) != set(body.inputs):
            raise EvaluationError(
                f"Function {body.name!r} takes {_list(body.inputs)}; it was given {_list(inputs)}."
            )
        values: dict[str, Value] = {}
        for name, of in body.inputs.items():
            given = np.asarray(inputs[name])
            if not of.fits(given.shape):
                raise EvaluationError(
                    f"Input {name!r} of {body.name!r} is {of}; it was given {list(given.shape)}."
                )
            values[name] = stored(given, of.data, self.mode)
        for name, of in body.states.items():
            self._states.declare(name, of)
            values[name] = StateRef(name)
        return values

    def _step(
        self,
        body: Function,
        operation: Operation,
        values: dict[str, Value],
        left: Counter[str],
    ) -> None:
        arguments = {
            name: tuple(self._argument(body, given, values) for given in bound)
            for name, bound in operation.inputs.items()
        }
        for name, constant in operation.attributes.items():
            if name != "name":
                arguments.setdefault(name, (self._constants.immediate(constant),))
        results = compute(Call(operation, arguments, self._states), body.name)
        for (name, of), result in zip(operation.outputs, results, strict=True):
            if self._watch is not None:
                self._watch(operation, name, result)
            # Whole caches are moved in each layer: rounding them again would take most of a run.
            mode: Mode = "fp32" if operation.kind in MOVES else self.mode
            values[name] = stored(result, of.data, mode)
        _forget(operation, values, left)

    def _argument(
        self, body: Function, given: str | Constant, values: Mapping[str, Value]
    ) -> Value:
        if isinstance(given, Constant):
            return self._constants.immediate(given)
        return self._value(body, given, values)

    def _value(self, body: Function, name: str, values: Mapping[str, Value]) -> Value:
        return values[name] if name in values else self._constants.value(body, name)


class _States:
    """Buffers by name; each is made when a function first declares it."""

    def __init__(self) -> None:
        self.held: dict[str, Array] = {}
        self._types: dict[str, TensorType] = {}

    def clear(self) -> None:
        self.held.clear()

    def declare(self, name: str, of: TensorType) -> None:
        if self._types.setdefault(name, of) != of:
            raise EvaluationError(f"State {name!r} is {of} here and {self._types[name]} elsewhere.")
        if name not in self.held:
            sizes = [size or 0 for size in of.shape]
            self.held[name] = stored(np.zeros(sizes, np.float32), of.data, "fp32")

    def read(self, name: str) -> Array:
        return self.held[name]

    def write(self, name: str, value: Array) -> None:
        of = self._types[name]
        if not of.fits(value.shape):
            raise EvaluationError(f"State {name!r} is {of}; {list(value.shape)} was written to it.")
        self.held[name] = stored(value, of.data, "fp32")  # it was rounded when it was computed


def _uses(body: Function) -> Counter[str]:
    """How often each value is still needed."""
    names = (
        given
        for operation in body.operations
        for bound in operation.inputs.values()
        for given in bound
        if isinstance(given, str)
    )
    return Counter([*names, *body.outputs])


def _forget(operation: Operation, values: dict[str, Value], left: Counter[str]) -> None:
    """Let go of values that nothing needs any more."""
    for bound in operation.inputs.values():
        for given in bound:
            if isinstance(given, str):
                left[given] -= 1
                if not left[given]:
                    values.pop(given, None)


def _list(names: Mapping[str, Any]) -> str:
    return ", ".join(sorted(names)) or "nothing"
