"""From lowered steps to a ``.pte``: one program, its methods sharing weights and cache."""

from __future__ import annotations

import errno
import operator
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from executorch.exir import (
    EdgeProgramManager,
    ExecutorchBackendConfig,
    ExecutorchProgramManager,
    to_edge,
)
from executorch.exir.delegate import executorch_call_delegate
from executorch.exir.passes import MemoryPlanningPass
from torch import Tensor, nn

from slmdeploy.errors import DiskSpaceError, HostError
from slmdeploy.export.artifact import MethodInfo, TensorInfo
from slmdeploy.export.executorch.lowering import EDGE_CONFIG, operator_name, quiet_lowering
from slmdeploy.model.sizes import Shapes, Sizes

__all__ = [
    "Method",
    "assemble",
    "describe_methods",
    "finish_program",
    "planned_bytes",
    "write_program",
]

_NOT_OPERATORS = ("alloc", "view")
"""Functions of the emitted graph that cost nothing at run time."""


@dataclass(frozen=True)
class Method:
    """A method to be: its module, example inputs and names of what goes in and out.

    Attributes:
        delegated_ops: Operators inside delegates that were lowered beforehand.
        sizes: The axes of each input that may vary.
        output_sizes: The same of each output.
        output_shapes: Of what comes out for the inputs; needed where sizes vary.
    """

    module: nn.Module
    inputs: tuple[Tensor, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    delegated_ops: int = 0
    sizes: Sizes = ()
    output_sizes: Sizes = ()
    output_shapes: Shapes = ()


def assemble(
    methods: Mapping[str, Method], constants: Mapping[str, int]
) -> ExecutorchProgramManager:
    """Trace the methods and plan their memory; buffers of one name are shared.

    Args:
        methods: By name; their delegates are lowered already.
        constants: Methods without inputs that give a number.
    """
    with quiet_lowering(), torch.no_grad():
        exported = {
            name: torch.export.export(method.module, method.inputs, strict=False)
            for name, method in methods.items()
        }
        edge = to_edge(exported, constant_methods=dict(constants), compile_config=EDGE_CONFIG)
        return finish_program(edge, share_buffers=len(methods) > 1)


def finish_program(edge: EdgeProgramManager, *, share_buffers: bool) -> ExecutorchProgramManager:
    """Plan the memory of lowered methods and emit the program.

    Args:
        edge: The methods, their delegates lowered.
        share_buffers: Keep buffers that methods change, of one name, in one place.
    """
    return edge.to_executorch(
        ExecutorchBackendConfig(
            memory_planning_pass=MemoryPlanningPass(share_mutable_buffers=share_buffers),
            # Cache writes happen in place; without it each writes a copy of the cache.
            run_reinplace_pass=True,
            do_quant_fusion_and_const_prop=False,
        )
    )


def write_program(program: ExecutorchProgramManager, path: Path) -> None:
    """Write the ``.pte``, whole or not at all.

    Raises:
        DiskSpaceError: There is no room for it.
        HostError: The folder cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            program.write_to_file(file)
        part.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskSpaceError(f"There is no room left for {path}.") from error
        raise HostError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)


def _method_plan(program: ExecutorchProgramManager, name: str) -> list[int]:
    plans = program.executorch_program.execution_plan
    plan = next(plan for plan in plans if plan.name == name)
    return [int(size) for size in plan.non_const_buffer_sizes]


def planned_bytes(program: ExecutorchProgramManager, names: Iterable[str]) -> int:
    """Memory plans of methods together; the arena of shared buffers (id 2) once."""
    plans = [_method_plan(program, name) for name in names]
    shared = max((plan[2] for plan in plans if len(plan) > 2), default=0)
    return shared + sum(sum(plan[:2]) + sum(plan[3:]) for plan in plans)


def _tensors(
    values: list[Any], names: tuple[str, ...], *, sizes: Sizes = (), shapes: Shapes = ()
) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(
            name=name,
            shape=tuple(int(size) for size in shape),
            dtype=str(value.dtype).removeprefix("torch."),
            varying=axes,
        )
        for name, value, axes, shape in zip(
            names,
            values,
            sizes or ((),) * len(names),
            shapes or [value.shape for value in values],
            strict=True,
        )
    )


def describe_methods(
    program: ExecutorchProgramManager, methods: Mapping[str, Method]
) -> dict[str, MethodInfo]:
    """What the manifest says of each method."""
    return {name: _describe(program, name, method) for name, method in methods.items()}


def _describe(program: ExecutorchProgramManager, name: str, method: Method) -> MethodInfo:
    graph = program.exported_program(name).graph
    outside: Counter[str] = Counter()
    delegates = 0
    for node in graph.nodes:
        if node.op != "call_function" or node.target is operator.getitem:
            continue
        if node.target is executorch_call_delegate:
            delegates += 1
        elif getattr(node.target, "__name__", "") not in _NOT_OPERATORS:
            outside[operator_name(node.target)] += 1
    outputs = [node.meta["val"] for node in graph.output_node().args[0]]
    # The last outputs are the caller's; mutated buffers stand before them.
    outputs = outputs[len(outputs) - len(method.output_names) :]
    inputs = tuple(method.inputs)
    return MethodInfo(
        inputs=_tensors(list(inputs), method.input_names, sizes=method.sizes),
        outputs=_tensors(
            outputs, method.output_names, sizes=method.output_sizes, shapes=method.output_shapes
        ),
        delegated_ops=method.delegated_ops,
        total_ops=method.delegated_ops + sum(outside.values()),
        delegates=delegates,
        outside=dict(sorted(outside.items())),
        planned_bytes=sum(_method_plan(program, name)),
    )
