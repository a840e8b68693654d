"""Read a ``.pte`` whose methods are calls of Core ML's delegate: the package within, and the calls.

ExecuTorch flattens the package into the file. A single method has it as its delegate's bytes;
several methods share one package, a function each, and their delegates' bytes are a reference to
it (``CMJR`` and JSON, see ``coreml_preprocess.py`` of ExecuTorch 1.5). On a device a method's
arguments reach the package by position: the call names values of the method, the package's
``metadata.json`` the inputs and outputs in the order of the call. Here it is read the same way, so
that a wrong order is found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slmdeploy.errors import MissingExtraError, ModelReadError
from slmdeploy.export.litert.quiet import quiet

__all__ = ["BACKEND", "Call", "Delegated", "read_delegated"]

BACKEND = "CoreMLBackend"
"""The delegate's name in a file."""

_REFERENCE = b"CMJR"
_ONE_FUNCTION = "main"


@dataclass(frozen=True)
class Call:
    """How a method calls the package.

    Attributes:
        function: Of the package.
        inputs: The function's names, in the order of the method's inputs.
        outputs: The same of its outputs.
        planned_bytes: The method's memory plan.
    """

    function: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    planned_bytes: int


@dataclass(frozen=True)
class Delegated:
    """What is in the file.

    Attributes:
        package: The ``.mlpackage``, unpacked.
        flattened_bytes: Of it in the file.
        calls: By method.
    """

    package: Path
    flattened_bytes: int
    calls: Mapping[str, Call]


def read_delegated(pte: Path, folder: Path) -> Delegated:
    """Unpack the one package of a file, and read how its methods call it.

    Args:
        pte: The file.
        folder: Where to; it is made where it is not there, and is empty.

    Raises:
        ModelReadError: A method is anything but one call of this delegate, there is more than
            one package, or the file is damaged.
        MissingExtraError: ExecuTorch, whose reader it takes, is not installed.
    """
    file = _deserialized(pte)
    plans = [plan for plan in file.program.execution_plan if plan.delegates]
    try:
        raw = {plan.name: _delegate_bytes(file.program, plan) for plan in plans}
        references = {name: _reference(data) for name, data in raw.items()}
        data = _one({_package_bytes(file, raw[name], at) for name, at in references.items()})
        package, metadata = _unpacked(data, folder)
        calls = {
            plan.name: _call(plan, references[plan.name], metadata, single=len(plans) == 1)
            for plan in plans
        }
    except ModelReadError as error:
        raise ModelReadError(f"{pte.name} is no program for Core ML: {error.message}.") from None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ModelReadError(f"{pte.name} is damaged: {error}") from error
    return Delegated(package, len(data), calls)


def _deserialized(pte: Path) -> Any:
    """The file, by ExecuTorch's own reader."""
    try:
        with quiet():
            from executorch.exir._serialize._program import deserialize_pte_binary
    except ImportError as error:
        raise MissingExtraError("executorch", "Reading a .pte") from error
    try:
        return deserialize_pte_binary(pte.read_bytes())
    except OSError as error:
        raise ModelReadError(f"{pte} cannot be read: {error.strerror or error}") from error
    # The reader raises errors of many kinds on what is no such file.
    except Exception as error:
        raise ModelReadError(f"{pte.name} is damaged, or no ExecuTorch program.") from error


def _delegate_bytes(program: Any, plan: Any) -> bytes:
    """What the one delegate of a method has as its bytes."""
    ids = [delegate.id for delegate in plan.delegates]
    kinds = [type(one.instr_args).__name__ for chain in plan.chains for one in chain.instructions]
    if ids != [BACKEND] or kinds != ["DelegateCall"]:
        raise ModelReadError(
            f"method {plan.name!r} is not one call of the delegate {BACKEND}, but of "
            f"{', '.join(ids)} with {len(kinds)} instructions"
        )
    place = plan.delegates[0].processed
    return bytes(program.backend_delegate_data[place.index].data)


def _reference(data: bytes) -> dict[str, Any] | None:
    if not data.startswith(_REFERENCE):
        return None
    found: dict[str, Any] = json.loads(data[len(_REFERENCE) :])
    return found


def _package_bytes(file: Any, data: bytes, reference: Mapping[str, Any] | None) -> bytes:
    if reference is None:
        return data
    entry = file.named_data.pte_data[reference["key"]]
    return bytes(file.named_data.buffers[entry.buffer_index])


def _one(packages: set[bytes]) -> bytes:
    if len(packages) != 1:
        raise ModelReadError(f"it holds {len(packages)} Core ML packages")
    return packages.pop()


def _unpacked(data: bytes, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The package, and what stands beside it of its calls."""
    with quiet():
        from executorch.backends.apple.coreml import executorchcoreml
    folder.mkdir(parents=True, exist_ok=True)
    if not executorchcoreml.unflatten_directory_contents(data, str(folder)):
        raise ModelReadError("its package cannot be unpacked")
    packages, beside = sorted(folder.rglob("*.mlpackage")), sorted(folder.rglob("metadata.json"))
    if len(packages) != 1 or len(beside) != 1:
        raise ModelReadError("the delegate holds no single package with its metadata")
    return packages[0], json.loads(beside[0].read_text(encoding="utf-8"))


def _call(
    plan: Any, reference: Mapping[str, Any] | None, metadata: dict[str, Any], *, single: bool
) -> Call:
    """Names by the position of a method's values in its call."""
    if reference is None and not single:
        raise ModelReadError("its methods do not share their package")
    said = metadata if reference is None else metadata["methods"][plan.name]
    function = _ONE_FUNCTION if reference is None else str(reference["functionName"])
    (instruction,) = (one for chain in plan.chains for one in chain.instructions)
    names = [*said["inputNames"], *said["outputNames"]]
    named = dict(zip(instruction.instr_args.args, names, strict=True))
    return Call(
        function,
        tuple(named[value] for value in plan.inputs),
        tuple(named[value] for value in plan.outputs),
        sum(int(size) for size in plan.non_const_buffer_sizes),
    )
