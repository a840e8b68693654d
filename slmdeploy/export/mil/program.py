"""An ML Program as it stands in ``model.mlmodel``: functions, operations, constants.

Weights are not read here: a constant in the weight file is a ``BlobRef``.
Source of the numbers of fields: ``MIL.proto`` and ``Model.proto`` of coremltools 9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slmdeploy.errors import ModelReadError
from slmdeploy.export.mil.blob import decode
from slmdeploy.export.mil.types import DataType, ListType, StateType, TensorType, data_type
from slmdeploy.export.mil.wire import Message, packed_integers, packed_numbers

__all__ = [
    "BlobRef",
    "Constant",
    "Function",
    "Immediate",
    "Operation",
    "ValueType",
    "parse_function",
    "parse_type",
]

ValueType = TensorType | StateType | ListType
Immediate = npt.NDArray[Any] | str | list[Any]

_FLOATS, _INTS, _BOOLS, _STRINGS, _LONG_INTS, _DOUBLES, _BYTES = 1, 2, 3, 4, 5, 6, 7


@dataclass(frozen=True)
class BlobRef:
    """A constant that lies in a weight file: the file's name in the program, and where."""

    file: str
    offset: int


@dataclass(frozen=True)
class Constant:
    """A value that stands in the program: its type, and itself or where it lies."""

    type: ValueType
    value: Immediate | BlobRef


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        kind: The operator's name, as in ``linear``.
        inputs: For each parameter its arguments: names of values, or constants.
        outputs: Names and types of results.
        attributes: Constants that are part of it.
        nested: Blocks that it has (branches, bodies of loops).
    """

    kind: str
    inputs: Mapping[str, tuple[str | Constant, ...]]
    outputs: tuple[tuple[str, TensorType], ...]
    attributes: Mapping[str, Constant]
    nested: int = 0

    @property
    def name(self) -> str:
        """What its first result is called; its kind where it has none."""
        return self.outputs[0][0] if self.outputs else self.kind

    @property
    def is_constant(self) -> bool:
        """Whether its result is known without running anything."""
        return self.kind == "const" or self.kind.startswith("constexpr_")


@dataclass(frozen=True)
class Function:
    """A function of the program.

    Attributes:
        name: Its name.
        opset: The set of operators, as in ``CoreML8``.
        inputs: Names and types, without states.
        states: Names and types of the states that it takes.
        outputs: Names of results.
        operations: In the order in which they run.
    """

    name: str
    opset: str
    inputs: Mapping[str, TensorType]
    states: Mapping[str, TensorType]
    outputs: tuple[str, ...]
    operations: tuple[Operation, ...]

    def output_types(self) -> dict[str, TensorType]:
        """Results by name with their types."""
        types: dict[str, TensorType] = {**self.inputs}
        types.update(pair for operation in self.operations for pair in operation.outputs)
        return {name: types[name] for name in self.outputs if name in types}


def parse_function(name: str, message: Message) -> Function:
    """Read a function; of its specializations the one that its opset names.

    Raises:
        ModelReadError: It is damaged, or of a kind that we do not read.
    """
    opset = message.text(2)
    blocks = dict(message.entries(3))
    if opset not in blocks:
        raise ModelReadError(f"Function {name!r} of the program has no body for {opset!r}.")
    block = blocks[opset]
    inputs, states = _inputs(name, message)
    return Function(
        name,
        opset,
        inputs,
        states,
        tuple(block.texts(2)),
        tuple(_operation(operation) for operation in block.messages(3)),
    )


def _inputs(name: str, message: Message) -> tuple[dict[str, TensorType], dict[str, TensorType]]:
    inputs: dict[str, TensorType] = {}
    states: dict[str, TensorType] = {}
    for entry in message.messages(1):
        of = parse_type(entry.message(2))
        if isinstance(of, StateType):
            states[entry.text(1)] = of.tensor
        elif isinstance(of, TensorType):
            inputs[entry.text(1)] = of
        else:
            raise ModelReadError(
                f"Input {entry.text(1)!r} of function {name!r} is a {of.kind}, not a tensor."
            )
    return inputs, states


def parse_type(message: Message) -> ValueType:
    """Read a type.

    Raises:
        ModelReadError: It is none.
    """
    kind = message.which(1, 2, 3, 4, 5)
    if kind == 1:
        return _tensor_type(message.message(1))
    if kind == 5:
        wrapped = parse_type(message.message(5).message(1))
        if not isinstance(wrapped, TensorType):
            raise ModelReadError("A state of the program is no tensor.")
        return StateType(wrapped)
    if kind is None:
        raise ModelReadError("A value of the program has no type.")
    return ListType({2: "list", 3: "tuple", 4: "dictionary"}[kind])


def _tensor_type(message: Message) -> TensorType:
    shape = tuple(
        dimension.message(1).integer(1) if dimension.which(1, 2) == 1 else None
        for dimension in message.messages(3)
    )
    return TensorType(data_type(message.integer(1)), shape)


def _operation(message: Message) -> Operation:
    return Operation(
        kind=message.text(1),
        inputs={name: _arguments(argument) for name, argument in message.entries(2)},
        outputs=tuple((output.text(1), _result_type(output)) for output in message.messages(3)),
        attributes={name: _constant(value) for name, value in message.entries(5)},
        nested=sum(1 for _ in message.messages(4)),
    )


def _result_type(output: Message) -> TensorType:
    of = parse_type(output.message(2))
    if isinstance(of, TensorType):
        return of
    if isinstance(of, ListType):  # of constants that hold lists; nothing is computed with them
        return TensorType(data_type(2), ())
    raise ModelReadError(f"The result {output.text(1)!r} of an operation is a state.")


def _arguments(message: Message) -> tuple[str | Constant, ...]:
    return tuple(
        binding.text(1) if binding.which(1, 2) == 1 else _constant(binding.message(2))
        for binding in message.messages(1)
    )


def _constant(message: Message) -> Constant:
    of = parse_type(message.message(2))
    if message.which(3, 5) == 5:
        blob = message.message(5)
        return Constant(of, BlobRef(blob.text(1), blob.integer(2)))
    immediate = message.message(3)
    if isinstance(of, TensorType):
        return Constant(of, _immediate(immediate.message(1), of))
    if isinstance(of, ListType) and of.kind in {"list", "tuple"}:
        values = immediate.message(3 if of.kind == "list" else 2)
        return Constant(of, [_constant(value) for value in values.messages(1)])
    return Constant(of, [])  # dictionaries are notes in attributes, never computed with


def _immediate(message: Message, of: TensorType) -> Immediate:
    kind = message.which(*range(_FLOATS, _BYTES + 1))
    if kind is None:
        return np.zeros([size or 0 for size in of.shape], of.data.dtype or np.uint8)
    inner = message.message(kind)
    if kind == _STRINGS:
        texts = inner.texts(1)
        return texts[0] if not of.shape and texts else list(texts)
    if kind == _BYTES:
        return decode(np.frombuffer(inner.data(1), np.uint8), of)
    return _shaped(_numbers(kind, inner), of)


def _numbers(kind: int, inner: Message) -> npt.NDArray[Any]:
    if kind in {_FLOATS, _DOUBLES}:
        return packed_numbers(inner.raw(1), "<f4" if kind == _FLOATS else "<f8")
    return np.asarray(packed_integers(inner.raw(1)), np.int64)


def _shaped(numbers: npt.NDArray[Any], of: TensorType) -> npt.NDArray[Any]:
    if numbers.size != of.count:
        raise ModelReadError(f"A constant of type {of} has {numbers.size} values.")
    data: DataType = of.data
    if data.dtype is None:
        raise ModelReadError(f"Constants of type {data.name} cannot be read.")
    return numbers.astype(data.dtype).reshape([size or 0 for size in of.shape])
