"""A compressed decoder to a ``.pte`` whose methods are Core ML's: ``prefill`` and ``decode``."""

from __future__ import annotations

from pathlib import Path

from slmdeploy.compress.quantize import Compressed
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.coreml.carry import carry
from slmdeploy.export.coreml.exporter import DECODE, NOTES, PREFILL, cache_info, require_chunk
from slmdeploy.export.coreml.plain import plain_decoder
from slmdeploy.export.coreml.traced import run_golden
from slmdeploy.export.executorch.coreml_account import describe, write
from slmdeploy.export.executorch.coreml_delegate import lower_to_coreml
from slmdeploy.export.executorch.coreml_methods import (
    OUTPUTS,
    decoder_methods,
    decoder_steps,
    input_names,
)
from slmdeploy.export.options import ExecutorchOptions
from slmdeploy.export.plugin import Golden
from slmdeploy.progress import Progress, Step, silent

__all__ = ["export"]

_NOTES = (
    *(note.replace("states and logits", "cache and logits") for note in NOTES),
    "The cache is no state: k_cache and v_cache go in, k_cache_out and v_cache_out come out.",
    "Methods could not share a state: each that is loaded makes its own (ETCoreMLModel.mm).",
    "ExecuTorch's published frameworks were built without states (pytorch/executorch#7432).",
)


def export(
    compressed: Compressed,
    options: ExecutorchOptions,
    destination: Path,
    *,
    context: int,
    golden: Golden | None = None,
    progress: Progress = silent,
) -> Artifact:
    """Write the ``.pte`` of a compressed decoder.

    Args:
        compressed: What to export; its rotary tables have as many positions as the cache.
        options: Of backend ``coreml``.
        destination: The ``.pte`` to write.
        context: Tokens that a run may hold.
        golden: A prompt [P] and a continuation [T] to run through the graphs in torch.
        progress: Is told of each stage.

    Raises:
        ExportError: The model does not go into float16, or a part of it cannot be lowered.
    """
    decoder, chunk = compressed.module, options.prefill_chunk
    require_chunk(decoder, chunk)
    plain = plain_decoder(compressed)
    tied = plain.head.weight is plain.embedding.get_parameter("weight")
    steps = decoder_steps(plain, last=options.logits == "last")
    logits = run_golden(steps[PREFILL], steps[DECODE], chunk, golden, progress)
    carry(plain, compressed)
    methods = decoder_methods(steps, chunk)
    progress(Step("lower to Core ML"))
    constants = {
        "get_context": context,
        "get_capacity": decoder.positions,
        "get_vocab_size": decoder.config.vocab_size,
        "get_prefill_chunk": chunk,
    }
    edge = lower_to_coreml(methods, units=options.units, constants=constants)
    progress(Step("lower to Core ML", finished=True))
    progress(Step("plan memory and write"))
    program = write(edge, destination)
    names = {name: (input_names(step), OUTPUTS) for name, step in steps.items()}
    artifact = describe(program, methods, names, destination, tied=tied)
    progress(Step("plan memory and write", finished=True))
    return artifact.model_copy(
        update={
            "cache": cache_info(plain),
            "notes": (*_NOTES, *artifact.notes),
            "context": context,
            "prefill_chunk": chunk,
            "logits": options.logits,
            "traced": logits,
        }
    )
