"""Lower the stages of a decoder to XNNPACK, each kind of stage once.

Nearly all the time of an ExecuTorch export goes into passes that re-interpret the graph
node by node. The layers of a decoder differ in their weights alone, so the passes run on
the first stage of each kind and shape; for its siblings the finished graph is serialized
with their weights. Where a pass has made constants of its own, that would be wrong, so
such a graph is not reused (``_names_kept``).
"""

from __future__ import annotations

import logging
import operator
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from executorch.backends.xnnpack import xnnpack_preprocess
from executorch.backends.xnnpack._passes import XNNPACKPassManager
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from executorch.exir.backend.partitioner import PartitionResult
from executorch.exir.backend.utils import tag_constant_data
from executorch.exir.delegate import executorch_call_delegate
from executorch.exir.lowered_backend_module import LoweredBackendModule
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node

from slmdeploy.errors import ExportError
from slmdeploy.export.executorch.arithmetic import steady_operators
from slmdeploy.export.executorch.storage import storing

__all__ = [
    "EDGE_CONFIG",
    "LoweredStage",
    "OwningPartitioner",
    "StageLowering",
    "Traced",
    "count_operators",
    "operator_name",
    "pass_manager",
    "quiet_lowering",
]

EDGE_CONFIG = EdgeCompileConfig(_check_ir_validity=False, _skip_dim_order=True)


@contextmanager
def quiet_lowering() -> Iterator[None]:
    """Keep the converters' notes out of the terminal."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


class OwningPartitioner(XnnpackPartitioner):  # type: ignore[misc]
    """XNNPACK's partitioner; constants that one delegate alone uses move into it."""

    def partition(self, exported_program: ExportedProgram) -> PartitionResult:
        """Tag the nodes that the delegate takes, and the constants that go with them."""
        result = super().partition(exported_program)
        tag_constant_data(result.tagged_exported_program)
        return result


class _Shapes(nn.Module):
    """Stands for a lowered graph where only the shapes of its outputs are asked for."""

    def __init__(self, shapes: list[tuple[int, ...]]) -> None:
        super().__init__()
        self.shapes = shapes

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(inputs[0].new_zeros(shape) for shape in self.shapes)


@dataclass(frozen=True)
class _Template:
    """A lowered stage: its graph after all passes, and how it is called.

    Attributes:
        traced: What torch.export made of the stage, to be run in torch.
        finished: What XNNPACK's serializer reads.
        stand_in: Gives the shapes of the outputs where a graph around it is traced.
        order: For each input of the delegate, which input of the stage it is.
        outputs: For each output of the stage, which output of the delegate it is.
        operators: Operators inside.
    """

    traced: nn.Module
    finished: ExportedProgram
    stand_in: ExportedProgram
    order: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: int


@dataclass(frozen=True)
class Traced:
    """A traced graph on the weights of one stage; no module, so that it is not exported."""

    graph: nn.Module
    state: Mapping[str, Tensor]

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run it in torch."""
        given = torch.func.functional_call(self.graph, dict(self.state), inputs, strict=False)
        return given if isinstance(given, tuple) else (given,)


class LoweredStage(nn.Module):
    """Calls a delegate with the stage's inputs, in the order that it wants.

    Attributes:
        traced: The graph before it was lowered, to compare with.
        operators: Operators inside the delegate.
    """

    def __init__(
        self, delegate: LoweredBackendModule, template: _Template, state: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        self.delegate = delegate
        self.traced = Traced(template.traced, state)
        self.order = template.order
        self.outputs = template.outputs
        self.operators = template.operators

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Inputs and outputs as the stage has them, outputs always in a tuple."""
        given = self.delegate(*(inputs[index] for index in self.order))
        return tuple(given[index] for index in self.outputs)


class StageLowering:
    """Lowers stages, and remembers the finished graph of each kind and shape."""

    def __init__(self) -> None:
        self._templates: dict[tuple[Any, ...], _Template] = {}
        self._constants: dict[str, Any] = {}

    def lower(self, stage: nn.Module, inputs: tuple[Tensor, ...]) -> LoweredStage:
        """Lower a stage whole into one delegate.

        Args:
            stage: Stages of one class and ``variant`` with weights of the same names and
                shapes must have the same graph.
            inputs: Example inputs; their shapes are the method's.

        Raises:
            ExportError: A part of the stage has no place in the delegate.
        """
        kind, state = (type(stage).__name__, getattr(stage, "variant", None)), _state(stage)
        weights = tuple((name, tuple(value.shape)) for name, value in state.items())
        key = (kind, tuple(tuple(value.shape) for value in inputs), weights)
        template = self._templates.get(key)
        with storing(stage):
            if template is not None:
                delegate = _serialize(template, state)
            else:
                with quiet_lowering():
                    template, delegate = _run_passes(stage, inputs)
                if _names_kept(template, state):
                    self._templates[key] = template
        self._share_constants(delegate)
        return LoweredStage(delegate, template, state)

    def _share_constants(self, delegate: LoweredBackendModule) -> None:
        """Keep one copy in memory of what several methods have: names are hashes."""
        output = delegate.named_data_store_output
        for name, entry in output.pte_data.items():
            index = entry.buffer_index
            output.buffers[index] = self._constants.setdefault(name, output.buffers[index])


def _state(stage: nn.Module) -> dict[str, Tensor]:
    """Parameters and all buffers by name, persistent or not."""
    return {**dict(stage.named_parameters()), **dict(stage.named_buffers())}


def _names_kept(template: _Template, state: dict[str, Tensor]) -> bool:
    """Whether every constant of the finished graph is a weight, or a number of the code.

    A pass that folds weights into a new constant would break the reuse unseen.
    """
    signature = template.finished.graph_signature
    targets = {*signature.parameters, *signature.buffers, *signature.lifted_tensor_constants}
    return all(name in state or "lifted_tensor" in name for name in targets)


def _run_passes(
    stage: nn.Module, inputs: tuple[Tensor, ...]
) -> tuple[_Template, LoweredBackendModule]:
    """Lower a stage the long way; give the template beside the delegate."""
    exported = steady_operators(torch.export.export(stage, inputs, strict=False))
    traced = exported.module()  # now: the lowering takes the program apart
    recorder = _Recorder()
    with pass_manager(recorder):
        edge = to_edge_transform_and_lower(
            exported, partitioner=[OwningPartitioner()], compile_config=EDGE_CONFIG
        ).exported_program()
    call = _only_call(edge, type(stage).__name__)
    delegate = edge.graph_module.get_submodule(str(call.all_input_nodes[0].target))
    order = _input_order(edge, call)
    shapes = [tuple(value.shape) for value in call.meta["val"]]
    chosen = tuple(inputs[index] for index in order)
    template = _Template(
        traced=traced,
        finished=recorder.finished[0],
        stand_in=_stand_in(shapes, chosen),
        order=order,
        outputs=_output_order(edge),
        operators=count_operators(delegate.original_module),
    )
    return template, delegate


def _stand_in(shapes: list[tuple[int, ...]], inputs: tuple[Tensor, ...]) -> ExportedProgram:
    """A program that gives outputs of these shapes, quick to ask again and again.

    Each pass over a graph asks each of its delegates for the shapes of what it gives, and
    each time a module is made of the program; here it is made once.
    """
    program = torch.export.export(_Shapes(shapes), inputs, strict=False)
    module = program.module()
    vars(program)["module"] = lambda: module
    return program


def _only_call(edge: ExportedProgram, name: str) -> Node:
    calls = [node for node in edge.graph.nodes if node.op == "call_function"]
    delegated = [node for node in calls if node.target is executorch_call_delegate]
    outside = [
        operator_name(node.target)
        for node in calls
        if node.target is not executorch_call_delegate and node.target is not operator.getitem
    ]
    if len(delegated) != 1 or outside:
        raise ExportError(
            f"{name} does not fit into one XNNPACK delegate: {len(delegated)} delegates, and "
            f"outside them {', '.join(sorted(set(outside))) or 'nothing'}.",
            hint="Choose another recipe for this model, or report the operators above.",
        )
    node: Node = delegated[0]
    return node


def operator_name(target: Any) -> str:
    """An operator as its schema names it, as in ``aten::sort``."""
    schema = getattr(target, "_schema", None)
    return str(schema.name) if schema is not None else str(target)


def _input_order(edge: ExportedProgram, call: Node) -> tuple[int, ...]:
    given = list(edge.graph_signature.user_inputs)
    names = [node.name for node in call.args[1:] if isinstance(node, Node)]
    strangers = [name for name in names if name not in given]
    if strangers:
        raise ExportError(f"Constants stayed outside the delegate: {', '.join(strangers)}.")
    return tuple(given.index(name) for name in names)


def _output_order(edge: ExportedProgram) -> tuple[int, ...]:
    return tuple(node.args[1] for node in edge.graph.output_node().args[0])


def count_operators(program: ExportedProgram) -> int:
    """Operators of a graph, calls that only take tuples apart left out."""
    return sum(
        node.op == "call_function" and node.target is not operator.getitem
        for node in program.graph.nodes
    )


def _with_weights(program: ExportedProgram, state: Mapping[str, Tensor]) -> ExportedProgram:
    """The same program, its graph shared, on the weights of another stage."""
    return ExportedProgram(
        root=program.graph_module,
        graph=program.graph,
        graph_signature=program.graph_signature,
        state_dict={name: state.get(name, value) for name, value in program.state_dict.items()},
        range_constraints=program.range_constraints,
        module_call_graph=program.module_call_graph,
        example_inputs=program.example_inputs,
        constants={name: state.get(name, value) for name, value in program.constants.items()},
        verifiers=[program.verifier],
    )


class _NoPasses:
    """In the place of the pass manager, for a graph that has been through it."""

    def __init__(self, program: ExportedProgram, passes: None) -> None:
        del passes
        self.program = program

    def transform(self) -> ExportedProgram:
        return self.program


class _Recorder:
    """In the place of the pass manager; keeps what the passes made."""

    def __init__(self) -> None:
        self.finished: list[ExportedProgram] = []

    def __call__(self, program: ExportedProgram, passes: Any) -> _Recorder:
        self.finished.append(XNNPACKPassManager(program, passes=passes).transform())
        return self

    def transform(self) -> ExportedProgram:
        return self.finished[-1]


@contextmanager
def pass_manager(replacement: Any) -> Iterator[None]:
    """Put another pass manager into the backend, which has no argument for it."""
    xnnpack_preprocess.XNNPACKPassManager = replacement
    try:
        yield
    finally:
        xnnpack_preprocess.XNNPACKPassManager = XNNPACKPassManager


def _serialize(template: _Template, state: Mapping[str, Tensor]) -> LoweredBackendModule:
    """Serialize a finished graph with the weights of a stage."""
    with pass_manager(_NoPasses):
        result = xnnpack_preprocess.XnnpackBackend.preprocess(
            _with_weights(template.finished, state), []
        )
    return LoweredBackendModule(
        edge_program=template.stand_in,
        backend_id="XnnpackBackend",
        processed_bytes=result.processed_bytes,
        compile_specs=[],
        named_data_store_output=result.data_store_output,
    )
