"""What is in a package: its functions, where its bytes are, and what is known of its memory."""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coremltools.proto import Model_pb2

from slmdeploy.export.artifact import ByteRow, MemoryInfo, MethodInfo, TensorInfo
from slmdeploy.export.coreml.sizes import PEAK_NOT_KNOWN

__all__ = ["bytes_by_component", "describe_functions", "folder_bytes", "unknown_memory"]

_DTYPES = {65552: "float16", 65568: "float32", 131104: "int32", 65600: "float64"}
"""``ArrayFeatureType.ArrayDataType`` of Core ML's Model.proto."""

_COMPONENTS = (
    ("embedding", re.compile(r"(^|_)embedding_weight")),
    ("head", re.compile(r"(^|_)head_weight")),
    ("linear layers", re.compile(r"_(qkv|o|gate_up|down)_weight")),
    ("rotary tables", re.compile(r"(^|_)(cos|sin)(_|$)")),
    ("norms", re.compile(r"norm_weight")),
)
_BLOB = struct.Struct("<IIQQ")
"""Of a blob in weight.bin: sentinel, type, bytes, offset of the data."""


def folder_bytes(package: Path) -> int:
    """Size of all files of a package."""
    return sum(path.stat().st_size for path in package.rglob("*") if path.is_file())


def describe_functions(package: Path) -> dict[str, MethodInfo]:
    """What the manifest says of each function; one without a name of its own is ``main``.

    Which operators go to which processor is decided on the device.
    """
    spec = _spec(package)
    described = {one.name: one for one in spec.description.functions} or {"main": spec.description}
    return {
        name: MethodInfo(
            inputs=tuple(_tensor(feature) for feature in one.input),
            outputs=tuple(_tensor(feature) for feature in one.output),
            states=tuple(_tensor(feature) for feature in one.state),
            delegated_ops=None,
            total_ops=sum(operation.type != "const" for operation in _operations(spec, name)),
            delegates=None,
            planned_bytes=None,
        )
        for name, one in described.items()
    }


def bytes_by_component(packages: list[Path], *, tied: bool) -> tuple[ByteRow, ...]:
    """Rows that add up to the size of all packages; what functions share is counted once."""
    rows: Counter[str] = Counter()
    for package in packages:
        rows.update(_blobs(package))
    if tied:
        rows["embedding and head"] = rows.pop("embedding", 0) + rows.pop("head", 0)
    rest = sum(folder_bytes(package) for package in packages) - sum(rows.values())
    named = [*((name, size) for name, size in rows.items() if size), ("graphs and padding", rest)]
    return tuple(ByteRow(component=name, bytes=size) for name, size in named)


def unknown_memory(planned: int | None = None) -> MemoryInfo:
    """What is known of memory on the device, as ``inspect`` forecasts it: no peak."""
    return MemoryInfo(planned=planned, predicted_peak=None, reason=PEAK_NOT_KNOWN)


def _spec(package: Path) -> Any:
    spec = Model_pb2.Model()
    spec.ParseFromString((package / "Data/com.apple.CoreML/model.mlmodel").read_bytes())
    return spec


def _operations(spec: Any, function: str) -> Any:
    found = spec.mlProgram.functions[function]
    return found.block_specializations[found.opset].operations


def _blobs(package: Path) -> Counter[str]:
    """Bytes of what lies in weight.bin, by component."""
    spec, seen = _spec(package), set()
    rows: Counter[str] = Counter()
    weights = package / "Data/com.apple.CoreML/weights/weight.bin"
    if not weights.is_file():  # nothing was large enough to lie in it
        return rows
    with weights.open("rb") as file:
        for function in spec.mlProgram.functions:
            for operation in _operations(spec, function):
                for value in _values(operation):
                    offset = value.blobFileValue.offset
                    if offset not in seen:
                        seen.add(offset)
                        file.seek(offset)
                        size = _BLOB.unpack(file.read(_BLOB.size))[2]
                        rows[_component(operation.outputs[0].name)] += size
    return rows


def _values(operation: Any) -> Iterator[Any]:
    bound = [
        argument.value
        for given in operation.inputs.values()
        for argument in given.arguments
        if argument.WhichOneof("binding") == "value"
    ]
    for value in (*operation.attributes.values(), *bound):
        if value.WhichOneof("value") == "blobFileValue":
            yield value


def _component(name: str) -> str:
    found = (component for component, pattern in _COMPONENTS if pattern.search(name))
    return next(found, "other constants")


def _tensor(feature: Any) -> TensorInfo:
    kind = feature.type
    array = kind.stateType.arrayType if kind.HasField("stateType") else kind.multiArrayType
    return TensorInfo(name=feature.name, shape=tuple(array.shape), dtype=_DTYPES[array.dataType])
