"""A causal model of ``transformers`` to a ``.pte`` with ``prefill`` and ``decode``.

The graphs go through ExecuTorch's own passes whole. Both methods have one cache and one copy of
the weights, and a runner calls them as it calls those of our own decoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from executorch.backends.xnnpack._passes import XNNPACKPassManager
from executorch.backends.xnnpack._passes.convert_to_sdpa import ConvertToSDPAPass
from executorch.backends.xnnpack._passes.convert_to_upsample_bilinear2d import (
    ConvertToUpsampleBilinear2d,
)
from executorch.exir import ExecutorchProgramManager, to_edge_transform_and_lower
from executorch.exir.lowered_backend_module import LoweredBackendModule
from torch import Tensor
from torch._export import utils as torch_export
from torch.export import ExportedProgram

from slmdeploy.compress.generic import CompressedModule
from slmdeploy.compress.quantize import quiet_torchao
from slmdeploy.export.artifact import Artifact, CacheInfo
from slmdeploy.export.executorch import account
from slmdeploy.export.executorch.exporter import capacity_for
from slmdeploy.export.executorch.generic import bytes_by_place, require_kernels
from slmdeploy.export.executorch.lowering import (
    EDGE_CONFIG,
    OwningPartitioner,
    count_operators,
    pass_manager,
)
from slmdeploy.export.executorch.problems import translated
from slmdeploy.export.executorch.program import (
    Method,
    describe_methods,
    finish_program,
    planned_bytes,
    write_program,
)
from slmdeploy.export.executorch.storage import store_as, storing
from slmdeploy.export.forms import require_form, zeros_note
from slmdeploy.export.options import ExecutorchOptions
from slmdeploy.export.plugin import Golden
from slmdeploy.model.decoder import gelu_tanh
from slmdeploy.model.foreign_step import ForeignStep
from slmdeploy.progress import Progress, Step, silent

__all__ = ["export_foreign"]

_PORTABLE = (
    "It is transformers' own code, which attends with operators of the runtime: it has the "
    "portable kernels whatever the target says."
)


def export_foreign(
    compressed: CompressedModule,
    options: ExecutorchOptions,
    destination: Path,
    *,
    golden: Golden | None = None,
    progress: Progress = silent,
) -> Artifact:
    """Export a step whose module is a class of ``transformers``.

    Args:
        compressed: Its module is a ``ForeignStep``, whose cache has ``capacity_for(...)`` places.
        options: How.
        destination: The ``.pte`` to write; it is left alone if anything fails.
        golden: A prompt [P] and a continuation [T] to run through the exported graphs.
        progress: Is told of each step.

    Raises:
        ExportError: The model cannot be traced, or needs an operator that the runtime lacks.
        DiskSpaceError: There is no room for the file.
        HostError: The file cannot be written.
    """
    step, recipe = cast("ForeignStep", compressed.module), compressed.recipe
    if step.capacity != capacity_for(step.context, options.prefill_chunk):
        raise ValueError(f"a cache of {step.capacity} places for a context of {step.context}")
    require_form("executorch", recipe)
    progress(Step("trace the graphs"))
    methods = _methods(step, options)
    _make_traceable(compressed)
    exported = {name: _trace(method) for name, method in methods.items()}
    progress(Step("trace the graphs", finished=True))
    traced = None
    if golden is not None:
        progress(Step("run the exported graphs"))
        traced = _run(step, exported, options.prefill_chunk, golden)
        progress(Step("run the exported graphs", finished=True))
    progress(Step("lower to XNNPACK"))
    program = _lower(step, exported, _constants(step, options, methods))
    require_kernels(program, "portable")
    progress(Step("lower to XNNPACK", finished=True))
    progress(Step("plan memory and write"))
    write_program(program, destination)
    progress(Step("plan memory and write", finished=True))
    artifact = _artifact(compressed, program, methods, options, destination)
    notes = (*zeros_note(recipe), _PORTABLE)
    return artifact.model_copy(update={"traced": traced, "notes": notes})


def _methods(step: ForeignStep, options: ExecutorchOptions) -> dict[str, Method]:
    """Both methods, before they are lowered; ``decode`` has one row anyway."""
    number = torch.zeros(1, dtype=torch.int64)
    decode = (torch.zeros(1, 1, dtype=torch.int64), number)
    prefill: tuple[Tensor, ...] = (
        torch.zeros(1, options.prefill_chunk, dtype=torch.int64),
        number.clone(),
    )
    if options.logits == "last":
        prefill = (*prefill, number.clone())
    names = ("tokens", "position", "last")
    return {
        name: Method(step, inputs, names[: len(inputs)], ("logits",))
        for name, inputs in (("decode", decode), ("prefill", prefill))
    }


def _constants(
    step: ForeignStep, options: ExecutorchOptions, methods: Mapping[str, Method]
) -> dict[str, int]:
    """What a runner asks of a program before it runs it."""
    decode = methods["decode"]
    with torch.no_grad():
        vocabulary = step(*decode.inputs).shape[-1]
    return {
        "get_context": step.context,
        "get_capacity": step.capacity,
        "get_vocab_size": int(vocabulary),
        "get_prefill_chunk": options.prefill_chunk,
    }


def _gelu(x: Tensor, *, approximate: str = "none") -> Any:
    """XNNPACK has one GELU, the exact one, and takes the approximate one for it unseen."""
    return gelu_tanh(x) if approximate == "tanh" else NotImplemented


def _pow(x: Tensor, exponent: float) -> Any:
    """XNNPACK has squares alone."""
    if exponent not in (2, 3):
        return NotImplemented
    return x * x if exponent == 2 else x * x * x


_FORMS: dict[Any, Any] = {
    torch.ops.aten.gelu.default: _gelu,
    torch.ops.aten.pow.Tensor_Scalar: _pow,
}


def _make_traceable(compressed: CompressedModule) -> None:
    """Turn quantized weights into plain tensors, or into layers that the file stores otherwise."""
    from torchao.utils import unwrap_tensor_subclass

    recipe, head = compressed.recipe, compressed.head
    store_as(compressed.module, lambda name: recipe.head_spec if name == head else recipe.body)
    with quiet_torchao():
        unwrap_tensor_subclass(compressed.module)


def _trace(method: Method) -> ExportedProgram:
    with torch.no_grad(), translated("trace the model"):
        program = torch.export.export(method.module, method.inputs, strict=False)
        written: ExportedProgram = program.run_decompositions(_FORMS)
        return written


def _run(
    step: ForeignStep, exported: Mapping[str, ExportedProgram], chunk: int, golden: Golden
) -> npt.NDArray[np.float32]:
    """Golden tokens through the traced graphs, by the calls that a runner makes.

    Returns:
        float32 [T + 1, vocabulary].
    """
    prompt, continuation = (torch.from_numpy(part) for part in golden)
    graphs, cache = {name: one.module() for name, one in exported.items()}, step.cache()

    def call(method: str, tokens: Tensor, position: int, last: int) -> Tensor:
        inputs = [tokens[None], torch.tensor([position]), torch.tensor([last])]
        given = inputs[: len(exported[method].graph_signature.user_inputs)]
        rows: Tensor = torch.func.functional_call(graphs[method], cache, tuple(given), strict=False)
        return rows if len(given) == 3 else rows[last : last + 1]

    rows = []
    with torch.no_grad(), translated("run the traced graphs"):
        for start in range(0, len(prompt), chunk):
            tokens = prompt[start : start + chunk]
            padded = torch.nn.functional.pad(tokens, (0, chunk - len(tokens)))
            rows = [call("prefill", padded, start, len(tokens) - 1)]
        for index, token in enumerate(continuation):
            rows.append(call("decode", token.view(1), len(prompt) + index, 0))
    for buffer in cache.values():
        buffer.zero_()
    return np.ascontiguousarray(torch.cat(rows).numpy())


@contextmanager
def _operators_known() -> Iterator[None]:
    """Have torch look up once which operators its libraries brought.

    Each decomposition asks anew for each library, a fifth of the time of an export.
    """
    usual = torch_export._materialize_cpp_cia_ops  # noqa: SLF001 - there is no argument for it
    usual()
    torch_export._materialize_cpp_cia_ops = lambda: None  # noqa: SLF001
    try:
        yield
    finally:
        torch_export._materialize_cpp_cia_ops = usual  # noqa: SLF001


class _FewerPasses(XNNPACKPassManager):  # type: ignore[misc]
    """Without the searches for resized images and for attention as one operator.

    There is neither, and the graphs that are searched for take half a minute to trace.
    """

    def __init__(self, program: ExportedProgram, passes: Any = None) -> None:
        super().__init__(program, passes)
        searches = (ConvertToSDPAPass, ConvertToUpsampleBilinear2d)
        self.passes: list[Any] = [one for one in self.passes if one not in searches]


def _lower(
    step: ForeignStep, exported: Mapping[str, ExportedProgram], constants: Mapping[str, int]
) -> ExecutorchProgramManager:
    with ExitStack() as stack:
        for context in (torch.no_grad(), translated("lower the model"), storing(step)):
            stack.enter_context(context)
        stack.enter_context(pass_manager(_FewerPasses))
        stack.enter_context(_operators_known())
        edge = to_edge_transform_and_lower(
            dict(exported),
            partitioner={name: [OwningPartitioner()] for name in exported},
            compile_config=EDGE_CONFIG,
            constant_methods=dict(constants),
        )
        return finish_program(edge, share_buffers=True)


def _artifact(
    compressed: CompressedModule,
    program: ExecutorchProgramManager,
    methods: Mapping[str, Method],
    options: ExecutorchOptions,
    path: Path,
) -> Artifact:
    step = cast("ForeignStep", compressed.module)
    delegates = {name: _delegates(program, name) for name in methods}
    counted = {
        name: Method(
            method.module,
            method.inputs,
            method.input_names,
            method.output_names,
            sum(count_operators(delegate.original_module) for delegate in delegates[name]),
        )
        for name, method in methods.items()
    }
    size, planned = path.stat().st_size, planned_bytes(program, methods)
    weights, graphs = account.delegate_bytes(one for every in delegates.values() for one in every)
    return Artifact(
        path=path,
        runtime="executorch",
        kernels="portable",
        methods=describe_methods(program, counted),
        bytes_by_component=bytes_by_place(program, weights, graphs, size),
        bytes_in_delegates=weights + graphs,
        memory=account.predict_memory(
            planned=planned,
            artifact=size,
            delegated=weights,
            packed=account.packed_bytes(step, weights),
        ),
        versions={
            name: version(name) for name in ("torch", "executorch", "torchao", "transformers")
        },
        cache=_cache_info(step),
        context=step.context,
        prefill_chunk=options.prefill_chunk,
        logits=options.logits,
    )


def _cache_info(step: ForeignStep) -> CacheInfo:
    return CacheInfo(
        layout="[1, kv_heads, capacity, head_dim]",
        dtype="float32",
        layers=step.layers,
        capacity=step.capacity,
        bytes=sum(buffer.numel() * buffer.element_size() for buffer in step.cache().values()),
    )


def _delegates(program: ExecutorchProgramManager, method: str) -> list[LoweredBackendModule]:
    graph = program.exported_program(method).graph_module
    return [part for part in graph.modules() if isinstance(part, LoweredBackendModule)]
