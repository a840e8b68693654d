"""A compressed decoder to a Core ML package with the functions ``decode`` and ``prefill``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from slmdeploy.compress.quantize import Compressed
from slmdeploy.errors import ExportError
from slmdeploy.export.artifact import Artifact, CacheInfo, MethodInfo
from slmdeploy.export.coreml import account
from slmdeploy.export.coreml.carry import carry
from slmdeploy.export.coreml.converting import convert, merge
from slmdeploy.export.coreml.plain import plain_decoder
from slmdeploy.export.coreml.sizes import cache_bytes
from slmdeploy.export.coreml.steps import KEYS, NEW, VALUES, DecoderStep, step_inputs
from slmdeploy.export.coreml.traced import run_golden
from slmdeploy.export.coreml.versions import installed_versions
from slmdeploy.export.options import CoremlOptions
from slmdeploy.export.plugin import Golden
from slmdeploy.model.decoder import Decoder
from slmdeploy.progress import Progress, Step, silent

__all__ = ["DECODE", "NOTES", "PREFILL", "cache_info", "export", "require_chunk"]

DECODE, PREFILL = "decode", "prefill"

NOTES = (
    "Compute, states and logits are float16; token ids, positions and row numbers are int32.",
    "A chunk is filled up with id 0; what that writes is seen by nothing, and written over.",
    "A chunk that would reach beyond the cache starts earlier, at capacity - chunk.",
    "The mask and the rotary rows are computed from the position.",
)
_STATELESS = (
    "iOS 17 has no states: k_cache and v_cache go in, k_cache_out and v_cache_out come out.",
    "iOS 17 loads one function of a package: prefill is a package of its own.",
)


def export(
    compressed: Compressed,
    options: CoremlOptions,
    destination: Path,
    *,
    context: int,
    golden: Golden | None = None,
    progress: Progress = silent,
) -> Artifact:
    """Write the package, or for iOS 17 a folder of two, of a compressed decoder.

    Args:
        compressed: What to export; its rotary tables have as many positions as the cache.
        options: Deployment target, chunk and the like.
        destination: The ``.mlpackage`` to write.
        context: Tokens that a run may hold.
        golden: A prompt [P] and a continuation [T] to run through the graphs in torch.
        progress: Is told of each stage.

    Raises:
        ExportError: The model does not go into float16, or a part of it cannot be lowered.
    """
    require_chunk(compressed.module, options.prefill_chunk)
    plain = plain_decoder(compressed)
    tied = plain.head.weight is plain.embedding.get_parameter("weight")
    steps = _steps(plain, options)
    chunk = options.prefill_chunk
    logits = run_golden(steps[PREFILL], steps[DECODE], chunk, golden, progress)
    carry(plain, compressed)
    packages = _write(steps, options, destination, progress)
    return Artifact(
        path=destination,
        runtime="coreml",
        kernels=None,
        methods=_methods(packages),
        bytes_by_component=account.bytes_by_component(list(packages.values()), tied=tied),
        bytes_in_delegates=0,
        memory=account.unknown_memory(),
        versions=installed_versions(),
        notes=NOTES if options.states else (*NOTES, *_STATELESS),
        cache=cache_info(plain),
        context=context,
        prefill_chunk=options.prefill_chunk,
        logits=options.logits,
        traced=logits,
    )


def require_chunk(decoder: Decoder, chunk: int) -> None:
    """Refuse a chunk that no cache has room for.

    Raises:
        ExportError: It is longer than the cache.
    """
    if chunk > decoder.positions:
        raise ExportError(
            f"A chunk of {chunk} tokens is longer than the cache of {decoder.positions}.",
            hint="Set the target's prefill_chunk, or choose a larger --context.",
        )


def _steps(plain: Decoder, options: CoremlOptions) -> dict[str, DecoderStep]:
    def step(*, last: bool) -> DecoderStep:
        return DecoderStep(plain, options.update, states=options.states, last=last).eval()

    return {DECODE: step(last=False), PREFILL: step(last=options.logits == "last")}


def _write(
    steps: dict[str, DecoderStep], options: CoremlOptions, destination: Path, progress: Progress
) -> dict[str, Path]:
    """Convert each function, and join them; gives the package of each, by its function.

    One after the other, so that one program is in memory at a time.
    """
    with tempfile.TemporaryDirectory(dir=destination.parent) as scratch:
        parts = {}
        for name, step in steps.items():
            progress(Step(f"convert {name} to Core ML"))
            parts[name] = Path(scratch) / f"{name}.mlpackage"
            _convert(step, 1 if name == DECODE else options.prefill_chunk, options, parts[name])
            progress(Step(f"convert {name} to Core ML", finished=True))
        if options.states:
            progress(Step("join the functions"))
            merge(parts, DECODE, Path(scratch) / "joined.mlpackage")
            shutil.move(Path(scratch) / "joined.mlpackage", destination)
            progress(Step("join the functions", finished=True))
            return {"": destination}
        destination.mkdir()
        return {
            name: Path(shutil.move(path, destination / path.name)) for name, path in parts.items()
        }


def _convert(step: DecoderStep, length: int, options: CoremlOptions, destination: Path) -> None:
    inputs = step_inputs(length, last=step.last)
    outputs, states = ["logits"], None
    if options.states:
        states = {KEYS: step.k_cache, VALUES: step.v_cache}
    else:
        inputs |= {name: step.empty_cache() for name in (KEYS, VALUES)}
        outputs += [NEW.format(name) for name in (KEYS, VALUES)]
    convert(step, inputs, outputs, destination, target=options.deployment_target, states=states)


def _methods(packages: dict[str, Path]) -> dict[str, MethodInfo]:
    methods = {}
    for name, package in packages.items():
        for function, info in account.describe_functions(package).items():
            methods[name or function] = info
    return methods


def cache_info(plain: Decoder) -> CacheInfo:
    """What the manifest says of the cache."""
    config = plain.config
    return CacheInfo(
        layout="[layers, 1, kv_heads, capacity, head_dim]",
        dtype="float16",
        layers=config.layers,
        capacity=plain.positions,
        bytes=cache_bytes(config, plain.positions),
    )
