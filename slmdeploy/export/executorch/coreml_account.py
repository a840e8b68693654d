"""What the manifest says of a ``.pte`` of the Core ML delegate, read from the file itself."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from executorch.exir import EdgeProgramManager, ExecutorchProgramManager

from slmdeploy.export.artifact import Artifact, ByteRow, MethodInfo
from slmdeploy.export.coreml import account
from slmdeploy.export.executorch.coreml_delegate import DelegateMethod
from slmdeploy.export.executorch.delegated import Delegated, read_delegated
from slmdeploy.export.executorch.program import (
    Method,
    describe_methods,
    finish_program,
    write_program,
)
from slmdeploy.export.litert.quiet import quiet

__all__ = ["describe", "write"]

_NOTES = (
    "Each method is one call of a function of the one Core ML package in the file.",
    "The delegate unpacks that package on the device's disk and has it compiled there.",
    "Nothing of this ran on a device: placement, speed and memory are to be measured there.",
)

Names = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
"""Of a method's inputs and outputs."""


def write(edge: EdgeProgramManager, destination: Path) -> ExecutorchProgramManager:
    """Emit the program and write it.

    Raises:
        DiskSpaceError: There is no room for it.
        HostError: The folder cannot be written.
    """
    with quiet():
        program = finish_program(edge, share_buffers=False)
    write_program(program, destination)
    return program


def describe(
    program: ExecutorchProgramManager,
    methods: Mapping[str, DelegateMethod],
    names: Names,
    path: Path,
    *,
    tied: bool,
) -> Artifact:
    """The artifact, as far as it follows from the file.

    Args:
        program: What was written.
        methods: Of it.
        names: Of the methods' inputs and outputs.
        path: The file.
        tied: Whether embedding and head are one tensor.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        inner = read_delegated(path, Path(scratch))
        size, planned = path.stat().st_size, sum(c.planned_bytes for c in inner.calls.values())
        return Artifact(
            path=path,
            runtime="executorch",
            backend="coreml",
            kernels=None,
            methods=_methods(program, methods, names, inner),
            bytes_by_component=_bytes(inner.package, size, tied=tied),
            bytes_in_delegates=inner.flattened_bytes,
            memory=account.unknown_memory(planned),
            versions={name: version(name) for name in ("torch", "executorch", "coremltools")},
            notes=_NOTES,
        )


def _methods(
    program: ExecutorchProgramManager,
    methods: Mapping[str, DelegateMethod],
    names: Names,
    inner: Delegated,
) -> dict[str, MethodInfo]:
    functions = account.describe_functions(inner.package)
    return describe_methods(
        program,
        {
            name: Method(
                module=method.module,
                inputs=method.inputs,
                input_names=names[name][0],
                output_names=names[name][1],
                delegated_ops=functions[inner.calls[name].function].total_ops,
            )
            for name, method in methods.items()
        },
    )


def _bytes(package: Path, size: int, *, tied: bool) -> tuple[ByteRow, ...]:
    """Rows that add up to the size of the file."""
    rows = account.bytes_by_component([package], tied=tied)
    rest = size - account.folder_bytes(package)
    return (*rows, ByteRow(component="program around the package", bytes=rest))
