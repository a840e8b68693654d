"""What is in a ``.tflite``: its signatures, operators with their versions, and constants.

The layout is that of ``schema.fbs`` of LiteRT (github.com/google-ai-edge/LiteRT), read
through the classes that its wheel generates from it.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from slmdeploy.errors import ExportError
from slmdeploy.export.artifact import TensorInfo

__all__ = ["FileGraph", "FileOperator", "FileTensor", "TfliteFile", "read_file"]

_IDENTIFIER = b"TFL3"


@dataclass(frozen=True)
class FileTensor:
    """A tensor: its type by the schema's name (``FLOAT32``, ``INT4``).

    Attributes:
        constant: Number of the buffer that holds it; ``None`` where it is computed.
        bytes: Of that buffer.
        scales: How many scales its quantization has; 0 for none.
        block: Values that share a scale, where that is not a channel.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    constant: int | None
    bytes: int
    scales: int
    block: int = 0


@dataclass(frozen=True)
class FileOperator:
    """An operator: the schema's name, the version asked for, its tensors (``None``: left out)."""

    name: str
    version: int
    inputs: tuple[FileTensor | None, ...]
    outputs: tuple[FileTensor, ...]


@dataclass(frozen=True)
class FileGraph:
    """A signature and the operators of its graph, in order."""

    name: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    operators: tuple[FileOperator, ...] = field(repr=False)

    def counts(self) -> dict[str, int]:
        """Operators by name."""
        return dict(sorted(Counter(operator.name for operator in self.operators).items()))

    def versions(self) -> dict[str, int]:
        """The version of each operator."""
        return {op.name: op.version for op in sorted(self.operators, key=lambda op: op.name)}


@dataclass(frozen=True)
class TfliteFile:
    """A file's signatures, in the order of their graphs."""

    graphs: tuple[FileGraph, ...]

    def constants(self) -> dict[int, FileTensor]:
        """A tensor for each buffer that holds one, by the buffer's number."""
        found: dict[int, FileTensor] = {}
        for graph in self.graphs:
            for operator in graph.operators:
                for tensor in operator.inputs:
                    if tensor is not None and tensor.constant is not None:
                        found.setdefault(tensor.constant, tensor)
        return found


def read_file(path: Path) -> TfliteFile:
    """Read a file's structure; constants stay on the disk.

    Raises:
        ExportError: It is no ``.tflite``, or is damaged.
    """
    size = path.stat().st_size
    data = np.memmap(path, dtype=np.uint8, mode="r") if size else np.empty(0, np.uint8)
    if size < 8 or bytes(data[4:8]) != _IDENTIFIER:
        raise ExportError(f"{path} is not a LiteRT model.")
    try:
        model = schema.ModelT.InitFromPackedBuf(data, 0)
        return TfliteFile(tuple(_graphs(model)))
    except Exception as error:  # what the generated code raises on offsets that lead nowhere
        raise ExportError(f"{path} is damaged: {type(error).__name__}.") from error


def _graphs(model: Any) -> Iterator[FileGraph]:
    signatures = sorted(model.signatureDefs or (), key=lambda one: int(one.subgraphIndex))
    for signature in signatures:
        graph = model.subgraphs[signature.subgraphIndex]
        tensors = [_tensor(model, tensor) for tensor in graph.tensors]
        yield FileGraph(
            name=_text(signature.signatureKey),
            inputs=_named(signature.inputs, graph.inputs, tensors),
            outputs=_named(signature.outputs, graph.outputs, tensors),
            operators=tuple(_operator(model, one, tensors) for one in graph.operators),
        )


def _named(entries: Any, order: Any, tensors: list[FileTensor]) -> tuple[TensorInfo, ...]:
    """A signature's tensors, in the order in which its graph takes or gives them."""
    places = {int(tensor): place for place, tensor in enumerate(order)}
    found = []
    for entry in sorted(entries, key=lambda one: places[int(one.tensorIndex)]):
        tensor = tensors[entry.tensorIndex]
        found.append(
            TensorInfo(name=_text(entry.name), shape=tensor.shape, dtype=tensor.type.lower())
        )
    return tuple(found)


def _operator(model: Any, operator: Any, tensors: list[FileTensor]) -> FileOperator:
    code = model.operatorCodes[operator.opcodeIndex]
    number = max(int(code.builtinCode), int(code.deprecatedBuiltinCode))
    name = _names(schema.BuiltinOperator)[number]
    if name == "CUSTOM" and code.customCode is not None:
        name = _text(code.customCode)
    return FileOperator(
        name=name,
        version=int(code.version),
        inputs=tuple(tensors[i] if i >= 0 else None for i in map(int, operator.inputs)),
        outputs=tuple(tensors[int(i)] for i in operator.outputs),
    )


def _tensor(model: Any, tensor: Any) -> FileTensor:
    buffer = model.buffers[tensor.buffer]
    size = int(buffer.size or 0) if buffer.data is None else len(buffer.data)
    scales, block = _quantization(tensor)
    shape = () if tensor.shape is None else tuple(int(one) for one in tensor.shape)
    return FileTensor(
        name=_text(tensor.name),
        type=_names(schema.TensorType)[int(tensor.type)],
        shape=shape,
        constant=int(tensor.buffer) if size else None,
        bytes=size,
        scales=scales,
        block=block,
    )


def _quantization(tensor: Any) -> tuple[int, int]:
    """How many scales a tensor has, and how many values share one in blocks."""
    about = tensor.quantization
    if about is None:
        return 0, 0
    details = about.details
    if details is not None and hasattr(details, "blockSize"):
        return int(np.prod(tensor.shape)) // int(details.blockSize), int(details.blockSize)
    return 0 if about.scale is None else len(about.scale), 0


@functools.cache
def _names(enumeration: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
