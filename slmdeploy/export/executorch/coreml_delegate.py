"""ExecuTorch's Core ML delegate: a decoder step lowered whole, and read back out of the file.

The delegate's bytes are a package, flattened by ExecuTorch's own ``executorchcoreml``; unpacked
it goes through the evaluator of saved packages, like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from executorch.exir import EdgeProgramManager, to_edge_transform_and_lower
from torch import Tensor, nn

from slmdeploy.errors import ExportError
from slmdeploy.export.coreml.carry import handed_over
from slmdeploy.export.coreml.converting import translated
from slmdeploy.export.coreml.shim import coremltools, require_mended
from slmdeploy.export.executorch.lowering import EDGE_CONFIG
from slmdeploy.export.litert.quiet import quiet
from slmdeploy.export.options import DeploymentTarget

with quiet():
    from executorch.backends.apple.coreml import executorchcoreml
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner
    from executorch.exir._serialize._program import deserialize_pte_binary

__all__ = ["BACKEND", "lower_to_coreml", "unpacked_delegate"]

BACKEND = "CoreMLBackend"
_PACKAGE = "*.mlpackage"


def lower_to_coreml(
    module: nn.Module, inputs: Mapping[str, Tensor], *, target: DeploymentTarget = "iOS18"
) -> EdgeProgramManager:
    """Lower a module whole into one Core ML delegate; buffers that it writes become states.

    Args:
        module: Writes its cache as a blend over all of it (``onehot``): a place that is known
            when it runs is no static slice. What was carried is in its buffers.
        inputs: Examples by name, in the order of the module's arguments.
        target: Oldest system that shall load it; states need iOS 18.

    Raises:
        ExportError: A part of the module stays outside the delegate.
    """
    require_mended()
    specs = CoreMLBackend.generate_compile_specs(
        minimum_deployment_target=getattr(coremltools.target, target),
        compute_precision=coremltools.precision.FLOAT16,
        compute_unit=coremltools.ComputeUnit.CPU_AND_NE,
        model_type=CoreMLBackend.MODEL_TYPE.MODEL,
    )
    module.eval().requires_grad_(requires_grad=False)
    with translated(), quiet(), torch.no_grad(), handed_over(module):
        exported = torch.export.export(module, tuple(inputs.values()), strict=False)
        edge = to_edge_transform_and_lower(
            exported,
            partitioner=[CoreMLPartitioner(compile_specs=specs, take_over_mutable_buffer=True)],
            compile_config=EDGE_CONFIG,
        )
    outside = _outside(edge)
    if outside:
        raise ExportError(f"Operators stayed outside the Core ML delegate: {', '.join(outside)}.")
    return edge


def _outside(edge: EdgeProgramManager) -> list[str]:
    graph = edge.exported_program().graph
    names = [str(node.target) for node in graph.nodes if node.op == "call_function"]
    own = ("executorch_call_delegate", "getitem")
    return sorted({name for name in names if not any(part in name for part in own)})


def unpacked_delegate(pte: Path, folder: Path) -> Path:
    """Unpack the one Core ML delegate of a ``.pte``.

    Args:
        pte: The file.
        folder: Where to; it exists.

    Returns:
        The ``.mlpackage`` in it.

    Raises:
        ExportError: There is no such delegate, or it is no package.
    """
    with quiet():
        file: Any = deserialize_pte_binary(pte.read_bytes())
        program = getattr(file, "program", file)
    found = {delegate.id for plan in program.execution_plan for delegate in plan.delegates}
    if found != {BACKEND} or len(program.backend_delegate_data) != 1:
        raise ExportError(f"{pte.name} has no single delegate {BACKEND}, but {sorted(found)}.")
    data = bytes(program.backend_delegate_data[0].data)
    executorchcoreml.unflatten_directory_contents(data, str(folder))
    packages = sorted(folder.rglob(_PACKAGE))
    if len(packages) != 1:
        raise ExportError(f"The Core ML delegate of {pte.name} holds no single package.")
    return packages[0]
