"""Any module with example inputs to a ``.pte`` with one method, ``forward``, or one a length.

Axes of the one method may vary within bounds.

The whole graph goes through ExecuTorch's own passes at once. What XNNPACK takes runs
in delegates, the rest in the operators of the wheel's own libraries, and a program
that needs any other operator is refused here rather than on the board.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind

from slmdeploy.compress.generic import CompressedModule
from slmdeploy.compress.quantize import quiet_torchao
from slmdeploy.errors import ExportError, MissingExtraError
from slmdeploy.export.artifact import Artifact, ByteRow
from slmdeploy.export.forms import require_form, zeros_note
from slmdeploy.export.lengths import Examples, by_method
from slmdeploy.export.options import ExecutorchOptions
from slmdeploy.model.sizes import Shapes, Sizes
from slmdeploy.progress import Progress, Step, silent

try:
    from executorch.exir import ExecutorchProgramManager, to_edge_transform_and_lower
    from executorch.exir.lowered_backend_module import LoweredBackendModule

    from slmdeploy.export.executorch import account
    from slmdeploy.export.executorch.lowering import (
        EDGE_CONFIG,
        OwningPartitioner,
        count_operators,
    )
    from slmdeploy.export.executorch.problems import first_line, translated
    from slmdeploy.export.executorch.program import (
        Method,
        describe_methods,
        finish_program,
        planned_bytes,
        write_program,
    )
    from slmdeploy.export.executorch.sized import (
        SizedPartitioner,
        depends_on_values,
        dynamic_shapes,
        to_trace,
        varying_outputs,
    )
    from slmdeploy.export.executorch.storage import store_as, storing
except ImportError as error:
    raise MissingExtraError("executorch", "Export to ExecuTorch") from error

__all__ = ["METHOD", "bytes_by_place", "export_module", "require_kernels"]

METHOD = "forward"

_DTYPES = frozenset(
    (
        torch.float32,
        torch.float64,
        torch.float16,
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.bool,
    )
)
"""What both the runner and numpy have."""


def export_module(
    compressed: CompressedModule,
    inputs: Examples,
    options: ExecutorchOptions,
    destination: Path,
    *,
    input_names: Sequence[str],
    output_names: Sequence[str],
    golden: Examples | None = None,
    sizes: Sizes = (),
    other_golden: Sequence[tuple[Tensor, ...]] = (),
    progress: Progress = silent,
) -> Artifact:
    """Export a module whose inputs and outputs are tensors.

    Shapes are those of the examples, but for axes that may vary: then the one method takes
    any size within their bounds, and its memory is planned for the largest.

    Args:
        compressed: What to export; its module is put into evaluation mode, and its
            quantized weights into a form that can be traced. It still runs afterwards.
        inputs: Examples; their shapes and dtypes become the method's. What several methods
            have of weights is in the file once.
        options: Only ``kernels`` matters here.
        destination: The ``.pte`` to write; it is left alone if anything fails.
        input_names: A name for each input.
        output_names: A name for each output.
        golden: Inputs to run through the exported graphs in torch; the outputs are the
            artifact's ``traced``, a tuple of arrays, one method's after the other's.
        sizes: The axes of each input that may vary, all with bounds; of one method alone.
        other_golden: Further golden inputs of that method, of other sizes.
        progress: Is told of each step.

    Raises:
        ExportError: The module fails on the examples, cannot be traced or not for all sizes,
            takes or gives anything but tensors, or shapes that depend on values, or needs an
            operator that the runtime does not have.
        DiskSpaceError: There is no room for the file.
        HostError: The file cannot be written.
    """
    require_form("executorch", compressed.recipe)
    module = compressed.module.eval()
    examples = by_method(inputs, METHOD)
    for given in examples.values():
        _check_inputs(given, input_names)
    progress(Step("trace the graph"))
    given_back = {name: _check_runs(module, given) for name, given in examples.items()}
    _make_traceable(compressed)
    exported = {name: _trace(module, given, sizes) for name, given in examples.items()}
    values = {name: _check_outputs(one, output_names) for name, one in exported.items()}
    output_sizes = {
        name: varying_outputs(one, values[name]) if sizes else () for name, one in exported.items()
    }
    calls = [*by_method(golden or (), METHOD).items(), *((METHOD, one) for one in other_golden)]
    traced = None if golden is None else _run_all(exported, calls)
    progress(Step("trace the graph", finished=True))
    progress(Step("lower to XNNPACK"))
    program = _lower(module, exported, SizedPartitioner() if sizes else OwningPartitioner())
    require_kernels(program, options.kernels)
    progress(Step("lower to XNNPACK", finished=True))
    progress(Step("plan memory and write"))
    write_program(program, destination)
    progress(Step("plan memory and write", finished=True))
    methods = {
        name: Method(
            module=module,
            inputs=given,
            input_names=tuple(input_names),
            output_names=tuple(output_names),
            delegated_ops=sum(count_operators(one.original_module) for one in _of(program, name)),
            sizes=sizes,
            output_sizes=output_sizes[name],
            output_shapes=given_back[name] if sizes else (),
        )
        for name, given in examples.items()
    }
    artifact = _artifact(program, methods, options, destination, traced)
    return artifact.model_copy(update={"notes": zeros_note(compressed.recipe)})


def _artifact(
    program: ExecutorchProgramManager,
    methods: Mapping[str, Method],
    options: ExecutorchOptions,
    path: Path,
    traced: tuple[npt.NDArray[Any], ...] | None,
) -> Artifact:
    size = path.stat().st_size
    planned = max(planned_bytes(program, [name]) for name in methods)  # a run loads one
    weights, graphs = account.delegate_bytes(one for name in methods for one in _of(program, name))
    module = next(iter(methods.values())).module
    return Artifact(
        path=path,
        runtime="executorch",
        kernels=options.kernels,
        methods=describe_methods(program, methods),
        bytes_by_component=bytes_by_place(program, weights, graphs, size),
        bytes_in_delegates=weights + graphs,
        memory=account.predict_memory(
            planned=planned,
            artifact=size,
            delegated=weights,
            packed=account.packed_bytes(module, weights),
        ),
        versions={name: version(name) for name in ("torch", "executorch", "torchao")},
        traced=traced,
    )


def _check_inputs(inputs: Sequence[Tensor], names: Sequence[str]) -> None:
    if len(inputs) != len(names):
        raise ExportError(f"There are {len(inputs)} example inputs, but {len(names)} names.")
    for name, value in zip(names, inputs, strict=True):
        if not isinstance(value, Tensor) or value.dtype not in _DTYPES:
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise ExportError(f"Input {name!r} is of {kind}, which no runner can be given.")


def _check_runs(module: nn.Module, inputs: tuple[Tensor, ...]) -> Shapes:
    """Let the module's own faults be told apart from what cannot be exported."""
    try:
        with torch.no_grad():
            given = module(*inputs)
    except Exception as error:  # whatever the model's own code raises
        raise ExportError(f"The model fails on its example inputs: {first_line(error)}") from error
    flat = torch.utils._pytree.tree_leaves(given)  # noqa: SLF001 - torch's only way to do it
    return tuple(tuple(getattr(value, "shape", ())) for value in flat)


def _make_traceable(compressed: CompressedModule) -> None:
    from torchao.utils import unwrap_tensor_subclass

    module, recipe = compressed.module, compressed.recipe
    store_as(module, lambda _: recipe.body)
    with quiet_torchao():
        unwrap_tensor_subclass(module)


def _trace(module: nn.Module, inputs: tuple[Tensor, ...], sizes: Sizes) -> ExportedProgram:
    given = to_trace(inputs, sizes) if sizes else inputs
    with torch.no_grad(), translated("trace the model"):
        shapes = dynamic_shapes(module, sizes)
        return torch.export.export(module, given, dynamic_shapes=shapes, strict=False)


def _check_outputs(exported: ExportedProgram, names: Sequence[str]) -> list[Tensor]:
    """What stands in the graph for the outputs."""
    specs = exported.graph_signature.output_specs
    nodes = exported.graph.output_node().args[0]
    given = [
        node for spec, node in zip(specs, nodes, strict=True) if spec.kind is OutputKind.USER_OUTPUT
    ]
    if len(given) != len(names):
        raise ExportError(
            f"The model gives {len(given)} outputs, but there are {len(names)} names."
        )
    values = []
    for name, node in zip(names, given, strict=True):
        value = getattr(node, "meta", {}).get("val")
        if not isinstance(value, Tensor):
            raise ExportError(f"Output {name!r} is {node!r}, not a tensor.")
        if depends_on_values(value):
            raise ExportError(
                f"The shape of output {name!r} depends on the values of the inputs.",
                hint="Give an output of one size, filled up, and a count beside it.",
            )
        if value.dtype not in _DTYPES:
            raise ExportError(f"Output {name!r} is of {value.dtype}, which no runner can give.")
        values.append(value)
    return values


def _run_all(
    exported: Mapping[str, ExportedProgram], calls: Sequence[tuple[str, tuple[Tensor, ...]]]
) -> tuple[npt.NDArray[Any], ...]:
    return tuple(value for name, given in calls for value in _run(exported[name], given))


def _run(exported: ExportedProgram, inputs: tuple[Tensor, ...]) -> tuple[npt.NDArray[Any], ...]:
    """Outputs of the traced graph in torch; before it is lowered, which takes it apart."""
    with torch.no_grad(), translated("run the traced graph"):
        given = exported.module()(*inputs)
    flat = torch.utils._pytree.tree_leaves(given)  # noqa: SLF001 - torch's only way to do it
    return tuple(np.ascontiguousarray(value.numpy()) for value in flat)


def _lower(
    module: nn.Module, exported: Mapping[str, ExportedProgram], partitioner: OwningPartitioner
) -> ExecutorchProgramManager:
    with torch.no_grad(), translated("lower the model"), storing(module):
        edge = to_edge_transform_and_lower(
            dict(exported), partitioner=[partitioner], compile_config=EDGE_CONFIG
        )
        return finish_program(edge, share_buffers=False)


def require_kernels(program: ExecutorchProgramManager, kernels: str) -> None:
    """Refuse operators outside of the delegates that no library of the runner has.

    Raises:
        ExportError: There are some.
    """
    with translated("list its own operators"):
        import executorch.kernels.quantized  # noqa: F401 - registers what it has
        from executorch.runtime import Runtime

        known = Runtime.get().operator_registry.operator_names
    plans = program.executorch_program.execution_plan
    needed = {
        f"{operator.name}.{operator.overload}" if operator.overload else operator.name
        for plan in plans
        for operator in plan.operators
    }
    missing = sorted(
        name for name in needed - known if not (kernels == "llm" and name.startswith("llama::"))
    )
    if missing:
        raise ExportError(
            f"The runtime has no kernel for {', '.join(missing)}.",
            hint="Replace what needs it in the model by other operators.",
        )


def _of(program: ExecutorchProgramManager, method: str) -> list[LoweredBackendModule]:
    """The delegates of a method."""
    graph = program.exported_program(method).graph_module
    return [part for part in graph.modules() if isinstance(part, LoweredBackendModule)]


def bytes_by_place(
    program: ExecutorchProgramManager, weights: int, graphs: int, total: int
) -> tuple[ByteRow, ...]:
    """Rows that add up to the size of the file."""
    outside = sum(len(buffer.storage) for buffer in program.executorch_program.constant_buffer)
    rows = {
        "weights in delegates": weights,
        "weights outside of delegates": outside,
        "delegate graphs": graphs,
    }
    named = [*rows.items(), ("program and padding", total - sum(rows.values()))]
    return tuple(ByteRow(component=name, bytes=size) for name, size in named)
