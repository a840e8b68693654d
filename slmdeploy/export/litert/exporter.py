"""A compressed decoder to a ``.tflite`` with the signatures ``decode`` and ``prefill_N``."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from slmdeploy.compress.quantize import Compressed
from slmdeploy.errors import ExportError, MissingExtraError
from slmdeploy.export.artifact import Artifact, CacheInfo, MethodInfo
from slmdeploy.export.forms import require_form, zeros_note
from slmdeploy.export.options import LitertOptions
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.decoder import Decoder
from slmdeploy.progress import Progress, Step, silent

try:
    from slmdeploy.export.litert import account
    from slmdeploy.export.litert.converting import convert
    from slmdeploy.export.litert.quantizing import quantize_file
    from slmdeploy.export.litert.reading import FileGraph, read_file
    from slmdeploy.export.litert.steps import DecoderStep, step_inputs
    from slmdeploy.export.litert.traced import traced_logits
    from slmdeploy.export.litert.versions import require_versions
    from slmdeploy.export.litert.weights import Digests, carried_weights
except ImportError as error:
    raise MissingExtraError("litert", "Export to LiteRT") from error

__all__ = [
    "DECODE",
    "PREFILL",
    "LitertRuntime",
    "convert_decoder",
    "describe_graph",
    "export",
    "installed_versions",
]

DECODE, PREFILL = "decode", "prefill_{}"

LitertRuntime = Literal["litert", "tflite-runtime"]

_VERSIONS = ("torch", "litert-torch", "ai-edge-litert", "ai-edge-quantizer")
_SIGNATURES = 2
"""That a run loads: ``decode`` and a size of prefill."""
_NOTES = (
    "Token ids, positions and row numbers are int32: LiteRT's lookups take no int64.",
    "Shapes are fixed: a chunk is filled up with id 0, which is not written to the cache.",
    "The cache is an input of every signature; a call gives the new keys and values alone.",
)


def convert_decoder(
    decoder: Decoder, options: LitertOptions, destination: Path, progress: Progress = silent
) -> None:
    """Convert a decoder in float32; the same file does for every recipe.

    Args:
        decoder: Not compressed; its rotary tables have as many positions as the cache.
        options: Chunks and rows of logits.
        destination: The ``.tflite`` to write.
        progress: Is told when it begins and ends.

    Raises:
        ExportError: A part of the model cannot be lowered, or a chunk is longer than the
            cache.
    """
    capacity = decoder.positions
    if options.longest_chunk > capacity:
        raise ExportError(
            f"A chunk of {options.longest_chunk} tokens is longer than the context of {capacity}.",
            hint="Set the target's prefill_chunks, or choose a larger --context.",
        )
    progress(Step("convert to LiteRT"))
    one_row = options.logits == "last"
    config = decoder.config
    decode = DecoderStep(decoder, "one"), step_inputs(config, capacity, 1, last=False)
    signatures = {DECODE: decode}
    for chunk in options.prefill_chunks:
        inputs = step_inputs(config, capacity, chunk, last=one_row)
        step = DecoderStep(decoder, "one" if one_row else "all")
        signatures[PREFILL.format(chunk)] = step, inputs
    convert(signatures, destination)
    progress(Step("convert to LiteRT", finished=True))


def export(
    compressed: Compressed,
    options: LitertOptions,
    destination: Path,
    *,
    runtime: LitertRuntime,
    converted: Path,
    digests: Digests,
    golden: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None,
    progress: Progress = silent,
) -> Artifact:
    """Write the ``.tflite`` of a compressed decoder.

    Args:
        compressed: What to export; it is left as it is.
        options: As for ``convert_decoder``.
        destination: The ``.tflite`` to write.
        runtime: What shall run it.
        converted: What ``convert_decoder`` made of the decoder before it was compressed.
        digests: Of the weights of that decoder.
        golden: A prompt [P] and a continuation [T] to run through the signatures in torch.
        progress: Is told of each stage.

    Raises:
        ExportError: The runtime lacks an operator in the version that is needed.
    """
    decoder, recipe = compressed.module, compressed.recipe
    require_form(runtime, recipe)
    progress(Step("quantize and write"))
    schemes = {
        name: recipe.head_spec if name == "head" else recipe.body
        for name, (kind, _) in digests.items()
        if kind == "linear"
    }
    carried = carried_weights(decoder, digests, schemes)
    old = runtime == "tflite-runtime"
    quantize_file(converted, destination, carried, explicit_tables=old)
    file = read_file(destination)
    if old:
        require_versions(file)
    progress(Step("quantize and write", finished=True))
    cache = _cache_info(decoder.config, decoder.positions)
    packed = account.packed_bytes(file)
    size = destination.stat().st_size
    return Artifact(
        path=destination,
        runtime=runtime,
        kernels=None,
        methods={graph.name: describe_graph(graph) for graph in file.graphs},
        bytes_by_component=account.bytes_by_component(file, size),
        bytes_in_delegates=packed,
        memory=account.predict_memory(
            packed=packed,
            widened=account.widened_bytes(file, signatures=_SIGNATURES, old=old),
            signatures=_SIGNATURES,
            cache=cache.bytes,
            artifact=size,
        ),
        versions=installed_versions(),
        notes=(*_NOTES, *zeros_note(recipe)),
        cache=cache,
        context=decoder.positions,
        prefill_chunk=options.longest_chunk,
        logits=options.logits,
        traced=_traced(compressed, options, golden, progress),
    )


def installed_versions() -> dict[str, str]:
    """What makes a ``.tflite``."""
    return {name: version(name) for name in _VERSIONS}


def describe_graph(graph: FileGraph) -> MethodInfo:
    """What the manifest says of a signature.

    What a delegate takes is decided by the runtime on the device, which says it at each run.
    """
    return MethodInfo(
        inputs=graph.inputs,
        outputs=graph.outputs,
        delegated_ops=None,
        total_ops=len(graph.operators),
        delegates=None,
        outside={},
        planned_bytes=None,
        operators=graph.versions(),
    )


def _cache_info(config: DecoderConfig, capacity: int) -> CacheInfo:
    size = 2 * 4 * config.layers * capacity * config.kv_heads * config.head_dim
    return CacheInfo(
        layout="[kv_heads, capacity, head_dim]",
        dtype="float32",
        layers=config.layers,
        capacity=capacity,
        bytes=size,
    )


def _traced(
    compressed: Compressed,
    options: LitertOptions,
    golden: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None,
    progress: Progress,
) -> npt.NDArray[np.float32] | None:
    if golden is None:
        return None
    progress(Step("run the exported graphs"))
    logits = traced_logits(compressed.module, options.longest_chunk, *golden)
    progress(Step("run the exported graphs", finished=True))
    return logits
