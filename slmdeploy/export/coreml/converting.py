"""Turn torch modules into Core ML packages, quietly."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from slmdeploy.errors import ExportError
from slmdeploy.export.coreml.programs import exported_for_coreml, require_stateless
from slmdeploy.export.coreml.shim import coremltools, require_mended
from slmdeploy.export.litert.quiet import quiet
from slmdeploy.export.options import DeploymentTarget

__all__ = ["convert", "convert_exported", "merge", "translated"]

_UNKNOWN = re.compile(
    r"(?:convert function for op '(?P<traced>[^']+)' not implemented"
    r"|Unsupported fx node (?P<node>[\w.]+))"
)
_DEPENDS = ("data-dependent", "GuardOnDataDependent", "Could not guard")


def convert(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    destination: Path,
    *,
    target: DeploymentTarget,
    states: Mapping[str, Tensor] | None = None,
) -> None:
    """Convert a module with fixed shapes to a package with one function, ``main``.

    Args:
        module: What it computes; its buffers named in ``states`` become states.
        inputs: Examples by name, in the order of the module's arguments.
        outputs: Names of what it gives.
        destination: The ``.mlpackage`` to write.
        target: Oldest system that shall load it.
        states: Buffers of the module that outlive a call; float16 in the package.

    Raises:
        ExportError: The module cannot be traced, or has an operator that Core ML lacks.
    """
    types = [
        coremltools.TensorType(name, shape=tuple(value.shape), dtype=_dtype(value))
        for name, value in inputs.items()
    ]
    kept = [
        coremltools.StateType(
            wrapped_type=coremltools.TensorType(shape=tuple(value.shape), dtype=np.float16),
            name=name,
        )
        for name, value in (states or {}).items()
    ]
    require_mended()
    with torch.no_grad(), translated(), quiet():
        traced = _traced(module.eval(), tuple(inputs.values()))
        for name in states or {}:
            traced.get_buffer(name).zero_()  # tracing ran the module, which wrote to it
        converted = coremltools.convert(
            traced,
            inputs=types,
            outputs=[coremltools.TensorType(name=name, dtype=np.float16) for name in outputs],
            states=kept or None,
            **_common(target),
        )
        converted.save(str(destination))


def _traced(module: nn.Module, inputs: tuple[Tensor, ...]) -> torch.jit.ScriptModule:
    """Without torch's check, which runs a module again whose state is another by then."""
    trace: Any = torch.jit.trace  # which says nothing of its types
    made: torch.jit.ScriptModule = trace(module, inputs, check_trace=False)
    return made


def _dtype(value: Tensor) -> Any:
    return np.float16 if value.is_floating_point() else np.int32


def _common(target: DeploymentTarget) -> dict[str, Any]:
    return {
        "minimum_deployment_target": getattr(coremltools.target, target),
        "compute_precision": coremltools.precision.FLOAT16,
        "skip_model_load": True,
    }


def convert_exported(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    destination: Path,
    *,
    target: DeploymentTarget,
) -> tuple[Tensor, ...]:
    """Convert any module through ``torch.export``, to a package with one function, ``main``.

    Its operators are decomposed to the core ones first, which coremltools knows nearly all
    of; a traced module of transformers has many that it does not.

    Args:
        module: What it computes; gives a tuple of tensors.
        inputs: Examples by name, in the order of the module's arguments.
        outputs: Names of what it gives; floats are float32.
        destination: The ``.mlpackage`` to write.
        target: Oldest system that shall load it.

    Returns:
        What torch computes of the examples with the numbers of the package.

    Raises:
        ExportError: The module cannot be exported, changes a buffer, has an operator that Core ML
            lacks, or numbers beyond float16.
    """
    require_mended()
    with torch.no_grad(), translated(), quiet():
        core = exported_for_coreml(module, tuple(inputs.values()))
        _require_fixed(core)
        require_stateless(core)
        given: tuple[Tensor, ...] = core.module(check_guards=False)(*inputs.values())
        converted = coremltools.convert(
            core,
            inputs=[
                coremltools.TensorType(
                    name,
                    shape=tuple(value.shape),
                    dtype=np.float32 if value.is_floating_point() else np.int32,
                )
                for name, value in inputs.items()
            ],
            outputs=[coremltools.TensorType(name=name) for name in outputs],
            **_common(target),
        )
        converted.save(str(destination))
    return given


def _require_fixed(exported: torch.export.ExportedProgram) -> None:
    """Refuse shapes that are not numbers; an app would have to ask for each result's."""
    for node in exported.graph.nodes:
        value = node.meta.get("val")
        if isinstance(value, Tensor) and not all(isinstance(size, int) for size in value.shape):
            raise ExportError(
                f"The shape of something in the model depends on the values of its inputs "
                f"({node.name}); a function of Core ML has fixed shapes here.",
                hint="Give an output of one size, filled up, and a count beside it.",
            )


def merge(parts: Mapping[str, Path], default: str, destination: Path) -> None:
    """Make one package of several, a function each; weights that are the same are kept once.

    Args:
        parts: Packages with one function, by the name that it shall have.
        default: The function that is called where none is named.
        destination: The ``.mlpackage`` to write.
    """
    require_mended()
    described = coremltools.utils.MultiFunctionDescriptor()
    for name, path in parts.items():
        described.add_function(str(path), "main", name)
    described.default_function_name = default
    with translated(), quiet():
        coremltools.utils.save_multifunction(described, str(destination))


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn whatever the library raises into one error.

    Raises:
        ExportError: Something was raised inside.
    """
    try:
        yield
    except (ExportError, MemoryError):
        raise
    # The converter raises errors of many kinds, and whatever the model's own code raises.
    except Exception as error:
        raise _explained(error) from error


def _explained(error: Exception) -> ExportError:
    text = str(error)
    if any(sign in text for sign in _DEPENDS):
        return ExportError(
            "The model's way through its code depends on the values of its inputs; an "
            "exported graph has one way only.",
            hint="Use torch.where for values.",
        )
    unknown = _UNKNOWN.search(text)
    if unknown:
        return ExportError(
            f"Core ML has no operator for {(unknown['traced'] or unknown['node'])!r}.",
            hint="Replace it in the model by other operators, or export for a target of another "
            "runtime.",
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = lines[0].rstrip(".") if lines else "it gave no reason"
    return ExportError(f"Core ML cannot convert the model: {type(error).__name__}: {said}.")
