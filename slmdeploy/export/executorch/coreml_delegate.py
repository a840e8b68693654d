"""ExecuTorch's Core ML delegate: modules lowered whole, each a method, their weights once.

ExecuTorch converts each method to a package and joins them (``POSITIONAL`` in its
``coreml_preprocess.py``): one package in the file, a function a method. States would not be
shared: on the device each loaded method is a model of its own that makes its own state
(``ETCoreMLModel.mm``), and the frameworks that ExecuTorch publishes know no states at all
(pytorch/executorch#7432). So nothing here has any; what outlives a call goes in and comes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from executorch.exir import EdgeProgramManager, to_edge_transform_and_lower
from torch import Tensor, nn
from torch.export import ExportedProgram

from slmdeploy.errors import ExportError
from slmdeploy.export.coreml.carry import handed_over, require_exact
from slmdeploy.export.coreml.converting import translated
from slmdeploy.export.coreml.programs import exported_for_coreml, require_stateless
from slmdeploy.export.coreml.shim import coremltools, require_mended
from slmdeploy.export.executorch.lowering import EDGE_CONFIG
from slmdeploy.export.litert.quiet import quiet
from slmdeploy.export.options import ComputeUnits

with quiet():
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner

__all__ = ["DelegateMethod", "computed", "delegate_method", "lower_to_coreml"]

_UNITS: Mapping[ComputeUnits, str] = {
    "all": "ALL",
    "cpuOnly": "CPU_ONLY",
    "cpuAndGPU": "CPU_AND_GPU",
    "cpuAndNeuralEngine": "CPU_AND_NE",
}


@dataclass(frozen=True)
class DelegateMethod:
    """A method to be.

    Attributes:
        module: Changes no buffer; gives a tuple of tensors.
        inputs: Examples, in the order of the module's arguments.
        program: The module as it is lowered, with the numbers of its package.
    """

    module: nn.Module
    inputs: tuple[Tensor, ...]
    program: ExportedProgram


def delegate_method(module: nn.Module, inputs: Sequence[Tensor]) -> DelegateMethod:
    """Trace a module that shall be a method.

    Args:
        module: As above; from now on it is in evaluation mode.
        inputs: As above.

    Raises:
        ExportError: The module cannot be traced, or a convolution has weights beyond float16
            with those of its batch norm.
    """
    module.eval().requires_grad_(requires_grad=False)
    with translated(), quiet():
        program = exported_for_coreml(module, inputs, core=False)
    return DelegateMethod(module, tuple(inputs), program)


@torch.no_grad()
def computed(method: DelegateMethod) -> tuple[Tensor, ...]:
    """What torch computes of a method's examples with the numbers of the package.

    Args:
        method: Not lowered yet.
    """
    with translated(), quiet():
        given: tuple[Tensor, ...] = method.program.module(check_guards=False)(*method.inputs)
    return given


def lower_to_coreml(
    methods: Mapping[str, DelegateMethod],
    *,
    units: ComputeUnits = "cpuAndNeuralEngine",
    constants: Mapping[str, int] | None = None,
) -> EdgeProgramManager:
    """Lower each method whole into one delegate for iOS 18.

    Args:
        methods: By name. What was carried (``carry``) is in their modules' buffers.
        units: What the delegate shall let Core ML use; the file says it.
        constants: Methods without inputs that give a number.

    Raises:
        ExportError: A part of a module stays outside the delegate, or changes a buffer.
    """
    require_mended()
    require_exact()
    for name, method in methods.items():
        require_stateless(method.program, f"Method {name!r}")
    with translated(), quiet(), torch.no_grad(), ExitStack() as stack:
        for method in methods.values():
            stack.enter_context(handed_over(method.module))
        edge = to_edge_transform_and_lower(
            {name: method.program for name, method in methods.items()},
            partitioner=[
                CoreMLPartitioner(compile_specs=_specs(units), take_over_mutable_buffer=False)
            ],
            compile_config=EDGE_CONFIG,
            constant_methods=dict(constants or {}),
        )
    outside = sorted({one for name in methods for one in _outside(edge, name)})
    if outside:
        raise ExportError(
            f"Operators stayed outside the Core ML delegate: {', '.join(outside)}.",
            hint="Replace them in the model by others, or export for a target of runtime 'coreml'.",
        )
    return edge


def _specs(units: ComputeUnits) -> list[object]:
    """Weights are shared by default, as ``POSITIONAL``."""
    found: list[object] = CoreMLBackend.generate_compile_specs(
        minimum_deployment_target=coremltools.target.iOS18,
        compute_precision=coremltools.precision.FLOAT16,
        compute_unit=coremltools.ComputeUnit[_UNITS[units]],
        model_type=CoreMLBackend.MODEL_TYPE.MODEL,
    )
    return found


def _outside(edge: EdgeProgramManager, method: str) -> list[str]:
    graph = edge.exported_program(method).graph
    names = [str(node.target) for node in graph.nodes if node.op == "call_function"]
    own = ("executorch_call_delegate", "getitem")
    return [name for name in names if not any(part in name for part in own)]
