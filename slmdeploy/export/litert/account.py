"""Where the bytes of a ``.tflite`` are, and what memory its runner will need."""

from __future__ import annotations

import math
from collections.abc import Mapping

from slmdeploy.export.artifact import ByteRow, MemoryInfo
from slmdeploy.export.litert.reading import FileTensor, TfliteFile
from slmdeploy.export.litert.sizes import RUNNER_BYTES

__all__ = ["bytes_by_component", "packed_bytes", "predict_memory", "widened_bytes"]

_FLOAT32 = 4
_EMBEDDING, _LINEAR = "EMBEDDING_LOOKUP", "FULLY_CONNECTED"


def bytes_by_component(file: TfliteFile, total: int) -> tuple[ByteRow, ...]:
    """Rows that add up to the size of the file; a constant of two uses is in the first."""
    left = dict(file.constants())
    head = _head(file)
    rows = {
        "embedding and head" if head & _used_by(file, _EMBEDDING) else "head": _taken(left, head),
        "embedding and tables": _taken(left, _used_by(file, _EMBEDDING)),
        "linear layers": _taken(left, _used_by(file, _LINEAR)),
        "other constants": _taken(left, set(left)),
    }
    rest = total - sum(rows.values())
    named = [*rows.items(), ("graphs and padding", rest)]
    return tuple(ByteRow(component=name, bytes=size) for name, size in named)


def packed_bytes(file: TfliteFile) -> int:
    """Bytes of linear weights as XNNPACK packs them, for one signature."""
    used, widened = _used_by(file, _LINEAR), _widened(file)
    constants = file.constants().items()
    return sum(widened.get(key, one.bytes) for key, one in constants if key in used)


def widened_bytes(file: TfliteFile, *, signatures: int, old: bool) -> int:
    """Bytes of what an explicit DEQUANTIZE makes of constants, which stay beside the packed.

    Measured with the 135M demo model: tflite-runtime 2.14 keeps it once for all signatures,
    LiteRT 2.3 once for each, but float16 made float32 at most once.

    Args:
        file: The artifact.
        signatures: That a run loads.
        old: The runtime is tflite-runtime.
    """
    constants = file.constants()
    return sum(
        size * (1 if old or constants[key].type == "FLOAT16" else signatures)
        for key, size in _widened(file).items()
    )


def _widened(file: TfliteFile) -> dict[int, int]:
    """Constants that a DEQUANTIZE makes float32, by buffer, with their bytes then."""
    return {
        tensor.constant: math.prod(tensor.shape) * _FLOAT32
        for graph in file.graphs
        for operator in graph.operators
        for tensor in operator.inputs
        if operator.name == "DEQUANTIZE" and tensor is not None and tensor.constant is not None
    }


def predict_memory(
    *, packed: int, widened: int, signatures: int, cache: int, artifact: int
) -> MemoryInfo:
    """Estimate the runner's peak resident set, at the full context.

    It is reached while weights are packed; afterwards the runner lets the file's pages go.
    For the 135M demo model in int8 with a context of 512 this gives 488 MiB where 462 to
    488 were measured, in float32 1640 MiB where 1605 were; on tflite-runtime in float16
    1893 where 1915 were, in int8 with a context of 2048 1906 where 1916 were.

    Args:
        packed: What XNNPACK packs for a signature.
        widened: What is kept beside that in float32; see ``widened_bytes``.
        signatures: Signatures that a run loads: each packs its own, and has its own cache.
        cache: Bytes of a full cache.
        artifact: Size of the file.
    """
    return MemoryInfo(
        planned=None,
        predicted_peak=RUNNER_BYTES + artifact + widened + signatures * (packed + cache),
        method="runner + file + weights made float32, if any + for each signature of a run "
        "weights as packed and cache",
    )


def _used_by(file: TfliteFile, name: str) -> set[int]:
    """Buffers that operators of this name read, through an explicit DEQUANTIZE too."""
    found: set[int] = set()
    for graph in file.graphs:
        behind: Mapping[str, int] = {
            one.outputs[0].name: one.inputs[0].constant
            for one in graph.operators
            if one.name == "DEQUANTIZE"
            and one.inputs[0] is not None
            and one.inputs[0].constant is not None
        }
        for operator in graph.operators:
            if operator.name != name:
                continue
            for tensor in operator.inputs:
                if tensor is None:
                    continue
                buffer = behind.get(tensor.name, tensor.constant)
                if buffer is not None:
                    found.add(buffer)
    return found


def _head(file: TfliteFile) -> set[int]:
    """The buffer of the last linear layer of the first graph."""
    last = [op for op in file.graphs[0].operators if op.name == _LINEAR][-1:]
    one = TfliteFile(
        (
            file.graphs[0].__class__(
                name="",
                inputs=(),
                outputs=(),
                operators=tuple(
                    [op for op in file.graphs[0].operators if op.name == "DEQUANTIZE"] + last
                ),
            ),
        )
    )
    return _used_by(one, _LINEAR)


def _taken(left: dict[int, FileTensor], buffers: set[int]) -> int:
    """Bytes of these buffers, which are then no longer left."""
    return sum(left.pop(buffer).bytes for buffer in buffers if buffer in left)
