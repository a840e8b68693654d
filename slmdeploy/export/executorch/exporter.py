"""A compressed decoder to a ``.pte`` with the methods ``prefill`` and ``decode``."""

from __future__ import annotations

import math
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from slmdeploy.compress.quantize import Compressed, quiet_torchao
from slmdeploy.errors import MissingExtraError
from slmdeploy.export.artifact import Artifact, CacheInfo
from slmdeploy.export.forms import require_form, zeros_note
from slmdeploy.export.options import ExecutorchOptions
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.decoder import Decoder
from slmdeploy.progress import Progress, Step, silent

try:
    from slmdeploy.export.executorch import account
    from slmdeploy.export.executorch.arithmetic import steady_layers
    from slmdeploy.export.executorch.lowering import StageLowering
    from slmdeploy.export.executorch.program import (
        Method,
        assemble,
        describe_methods,
        planned_bytes,
        write_program,
    )
    from slmdeploy.export.executorch.steps import Cache, LlmStep, PortableStep, lower_step
    from slmdeploy.export.executorch.storage import store_as
    from slmdeploy.export.executorch.traced import traced_logits
except ImportError as error:
    raise MissingExtraError("executorch", "Export to ExecuTorch") from error

__all__ = ["capacity_for", "export"]

_CAPPED = (
    "Its scores are capped by a tanh, which the llm kernels' attention has not: it has the "
    "portable kernels' attention instead."
)


def capacity_for(context: int, chunk: int) -> int:
    """Size of the cache: whole chunks, so that a padded last chunk always fits."""
    return math.ceil(context / chunk) * chunk


def export(
    compressed: Compressed,
    options: ExecutorchOptions,
    destination: Path,
    *,
    context: int,
    golden: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None,
    progress: Progress = silent,
) -> Artifact:
    """Export a decoder; its rotary tables must have ``capacity_for(...)`` positions.

    Args:
        compressed: What to export.
        options: How.
        destination: The ``.pte`` to write.
        context: Tokens that a run may hold.
        golden: A prompt [P] and a continuation [T] to run through the exported graphs.
        progress: Is told of each stage.

    Raises:
        ExportError: A part of the model has no place in a delegate.
    """
    decoder, config = compressed.module, compressed.module.config
    recipe, asked = compressed.recipe, options
    if config.attention_cap is not None:
        # ``llama::custom_sdpa`` has no place for a cap between scores and softmax.
        options = options.model_copy(update={"kernels": "portable"})
    require_form("executorch", recipe)
    store_as(decoder, lambda name: recipe.head_spec if name == "head" else recipe.body)
    _unwrap(decoder)
    steady_layers(decoder, linear=recipe.precision == "fp32")
    capacity = capacity_for(context, options.prefill_chunk)
    cache = Cache(config, _cache_shape(config, options.kernels, capacity))
    steps = _lower(compressed, options, cache, progress)
    methods = {name: _method(step, options, name) for name, step in steps.items()}
    progress(Step("plan memory and write"))
    constants = {
        "get_context": context,
        "get_capacity": capacity,
        "get_vocab_size": config.vocab_size,
        "get_prefill_chunk": options.prefill_chunk,
    }
    program = assemble(methods, constants)
    write_program(program, destination)
    progress(Step("plan memory and write", finished=True))
    stages = [stage for step in steps.values() for stage in step.lowered()]
    size, planned = destination.stat().st_size, planned_bytes(program, methods)
    weights, graphs = account.bytes_in_delegates(stages)
    return Artifact(
        path=destination,
        runtime="executorch",
        kernels=options.kernels,
        methods=describe_methods(program, methods),
        bytes_by_component=account.bytes_by_component(decoder, recipe, stages, size),
        bytes_in_delegates=weights + graphs,
        memory=account.predict_memory(
            planned=planned,
            artifact=size,
            delegated=weights,
            packed=account.packed_bytes(decoder, weights),
        ),
        versions={name: version(name) for name in ("torch", "executorch", "torchao")},
        cache=_cache_info(cache, config, options.kernels, capacity),
        notes=zeros_note(recipe) + (() if options.kernels == asked.kernels else (_CAPPED,)),
        # The portable kernel set attends by XNNPACK's softmax, which adds in another order.
        same_bits=options.kernels == "llm" and recipe.precision == "fp32",
        context=context,
        prefill_chunk=options.prefill_chunk,
        logits=options.logits,
        traced=_traced(
            decoder,
            cache,
            steps,
            chunk=options.prefill_chunk,
            golden=golden,
            progress=progress,
        ),
    )


def _traced(
    decoder: Decoder,
    cache: Cache,
    steps: dict[str, LlmStep | PortableStep],
    *,
    chunk: int,
    golden: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None,
    progress: Progress,
) -> npt.NDArray[np.float32] | None:
    if golden is None:
        return None
    progress(Step("run the exported graphs"))
    prompt, continuation = golden
    logits = traced_logits(decoder, cache, steps, chunk, prompt=prompt, continuation=continuation)
    progress(Step("run the exported graphs", finished=True))
    return logits


def _unwrap(decoder: Decoder) -> None:
    """Turn torchao's tensors into plain ones with names, which the lowering exchanges."""
    from torchao.utils import unwrap_tensor_subclass

    with quiet_torchao():
        unwrap_tensor_subclass(decoder)


def _cache_shape(
    config: DecoderConfig, kernels: Literal["portable", "llm"], capacity: int
) -> tuple[int, ...]:
    if kernels == "llm":
        return (1, capacity, config.kv_heads, config.head_dim)
    return (config.kv_heads, capacity, config.head_dim)


def _cache_info(
    cache: Cache, config: DecoderConfig, kernels: Literal["portable", "llm"], capacity: int
) -> CacheInfo:
    named = {
        "llm": "[1, capacity, kv_heads, head_dim]",
        "portable": "[kv_heads, capacity, head_dim]",
    }
    size = sum(buffer.numel() * buffer.element_size() for buffer in cache.buffers())
    return CacheInfo(
        layout=named[kernels],
        dtype="float32",
        layers=config.layers,
        capacity=capacity,
        bytes=size,
    )


def _lower(
    compressed: Compressed, options: ExecutorchOptions, cache: Cache, progress: Progress
) -> dict[str, LlmStep | PortableStep]:
    """Lower the stages of both methods; they share graphs where the shapes agree."""
    if options.kernels == "llm":
        # Registers the operators' schemas in torch; only the host needs that library.
        import executorch.extension.llm.custom_ops.custom_ops  # noqa: F401
    lowering = StageLowering()
    total, done = 2 * (compressed.module.config.layers + 1), 0
    progress(Step("lower to XNNPACK", done, total))

    def advance() -> None:
        nonlocal done
        done += 1
        progress(Step("lower to XNNPACK", done, total, finished=done == total))

    return {
        name: lower_step(
            compressed.module,
            cache,
            lowering,
            kernels=options.kernels,
            length=length,
            rows="one" if options.logits == "last" or length == 1 else "all",
            advance=advance,
        )
        for name, length in (("decode", 1), ("prefill", options.prefill_chunk))
    }


def _method(step: LlmStep | PortableStep, options: ExecutorchOptions, name: str) -> Method:
    """Example inputs and names of a step; ``decode`` has one row anyway."""
    length = 1 if name == "decode" else options.prefill_chunk
    number = torch.zeros(1, dtype=torch.int64)
    inputs: tuple[Tensor, ...] = (torch.zeros(1, length, dtype=torch.int64), number)
    if name == "prefill" and options.logits == "last":
        inputs = (*inputs, number.clone())
    return Method(
        module=step,
        inputs=inputs,
        input_names=("tokens", "position", "last")[: len(inputs)],
        output_names=("logits",),
        delegated_ops=sum(stage.operators for stage in step.lowered()),
    )
