"""Which recipes a runtime can run.

One predicate a runtime, each with the reason in words, so that a recipe that cannot
work is refused when it is read and not after an hour of lowering.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from slmdeploy.compress.recipe import EmbeddingSpec, LinearSpec, PaletteSpec, Recipe
from slmdeploy.export.forms import form_refusal
from slmdeploy.export.options import CoremlOptions, ExecutorchOptions, ExportOptions

__all__ = ["fitted", "refusal"]

_XNNPACK_BLOCK = 32
"""XNNPACK's 4-bit blockwise kernels take groups in multiples of this."""

_LITERT_BLOCKS = (32, 64, 128, 256)
"""Groups that the file format of LiteRT's quantizer knows (ai-edge-quantizer 0.10)."""

_WITHOUT_GROUPS = {"w4": "8da4w", "w8": "8da8w"}
"""Weight-only schemes that it has per channel alone, and the recipe that comes nearest."""

_WEIGHTS_ONLY = {"8da4w": "w4-g32", "8da8w": "w8"}
"""Schemes with quantized activations, and the recipe with the same weights."""

_OLD_INTEGERS, _NO_WIDTH, _FLOAT = 8, 3, 16
"""Of iOS 17's operators: the only width of integers, and of palettes the one it lacks."""


def refusal(runtime: str, recipe: Recipe, options: ExportOptions | None = None) -> str | None:
    """Why a runtime cannot run a recipe; ``None`` when it can, or is not known here.

    Args:
        runtime: Name of the runtime, as in ``"executorch"``.
        recipe: The recipe; its name is in the reason.
        options: Of the runtime's exporter, where they decide: how old a system a Core ML
            package shall load on, and whether ExecuTorch hands all to Core ML.
    """
    if _in_core_ml(runtime, options):
        target = options.deployment_target if isinstance(options, CoremlOptions) else "iOS18"
        return _coreml(recipe, target)
    judge = _JUDGES.get(runtime)
    if judge is None:
        return None
    lost = None if runtime == "executorch" else _lost_zeros(recipe)
    return form_refusal(runtime, recipe) or lost or judge(recipe)


def fitted(runtime: str, recipe: Recipe, options: ExportOptions | None = None) -> Recipe:
    """A recipe with what a runtime adds to it: Core ML holds all floats in float16."""
    if not _in_core_ml(runtime, options):
        return recipe
    return recipe.model_copy(update={"floats": "fp16"})


def _in_core_ml(runtime: str, options: ExportOptions | None) -> bool:
    """Whether the weights lie in a Core ML package, be it in a file of ExecuTorch's."""
    return runtime == "coreml" or (isinstance(options, ExecutorchOptions) and options.core_ml)


def _executorch(recipe: Recipe) -> str | None:
    for part, spec in _parts(recipe):
        if spec.group_size is not None and spec.scheme in _WITHOUT_GROUPS:
            return (
                f"recipe {recipe.name!r}: XNNPACK has no {spec.scheme} kernel for groups "
                f"({part}); leave group_size out for one scale per channel, or use the recipe "
                f"{_WITHOUT_GROUPS[spec.scheme]!r}"
            )
        if _odd_block(spec):
            return (
                f"recipe {recipe.name!r}: XNNPACK has no 8da4w kernel for groups of "
                f"{spec.group_size} ({part}); use a multiple of {_XNNPACK_BLOCK}, or leave "
                "group_size out for one scale per channel"
            )
    return None


def _odd_block(spec: LinearSpec) -> bool:
    return (
        spec.scheme == "8da4w"
        and spec.group_size is not None
        and spec.group_size % _XNNPACK_BLOCK != 0
    )


def _litert(recipe: Recipe) -> str | None:
    for part, spec in _parts(recipe):
        if spec.group_size is None:
            continue
        if spec.scheme in _WITHOUT_GROUPS:
            return (
                f"recipe {recipe.name!r}: LiteRT has {spec.scheme} for whole channels alone "
                f"({part}); leave group_size out, or use the recipe "
                f"{_WITHOUT_GROUPS[spec.scheme]!r}"
            )
        if spec.group_size not in _LITERT_BLOCKS:
            sizes = ", ".join(map(str, _LITERT_BLOCKS))
            return (
                f"recipe {recipe.name!r}: LiteRT has no groups of {spec.group_size} ({part}); "
                f"it has {sizes}"
            )
    return _table(recipe, "LiteRT", (4, 8, 16, 32))


def _lost_zeros(recipe: Recipe) -> str | None:
    """Zeros are those of the conversion, made before anything was compressed."""
    for part, spec in _parts(recipe):
        if spec.sparsity is not None and spec.scheme in ("none", "fp16"):
            return (
                f"recipe {recipe.name!r}: zeros among floats are not carried to LiteRT "
                f"({part}: {spec}); use the recipe 'sparse50-w8'"
            )
    return None


def _tflite_runtime(recipe: Recipe) -> str | None:
    """What the wheel of 2023 computes rightly; it loads more, and gives nonsense."""
    for part, spec in _parts(recipe):
        if spec.scheme not in ("none", "fp16", "w8") or spec.group_size is not None:
            return (
                f"recipe {recipe.name!r}: tflite-runtime 2.14 loads {spec} and computes "
                f"nonsense, or crashes ({part}); use the recipe 'w8', 'fp16' or 'none'"
            )
    return _table(recipe, "tflite-runtime 2.14", (8, 16, 32))


def _coreml(recipe: Recipe, target: str) -> str | None:
    """What a package holds as weights; activations are float16 there."""
    for part, spec in _parts(recipe):
        if spec.scheme in _WEIGHTS_ONLY:
            return (
                f"recipe {recipe.name!r}: Core ML quantizes no activations while it runs "
                f"({part}: {spec.scheme}); use the recipe {_WEIGHTS_ONLY[spec.scheme]!r}"
            )
    return _older_coreml(recipe) if target == "iOS17" else None


def _older_coreml(recipe: Recipe) -> str | None:
    """What came with iOS 18 (operators ``constexpr_*`` of that version) and iOS 17 lacks."""
    specs: tuple[tuple[str, LinearSpec | EmbeddingSpec], ...]
    specs = (*_parts(recipe), ("embedding", recipe.embedding))
    for part, spec in specs:
        lack = _lacking_palette(spec.palette) if spec.palette is not None else _lacking(spec)
        if isinstance(spec, LinearSpec) and spec.sparsity is not None and spec.bits < _FLOAT:
            lack = "sparse weights in float16 alone", "sparse50"
        if lack is not None:
            return (
                f"recipe {recipe.name!r}: iOS 17 has {lack[0]} ({part}: {spec}); set "
                f"deployment_target = 'iOS18', or use the recipe {lack[1]!r}"
            )
    return None


def _lacking(spec: LinearSpec | EmbeddingSpec) -> tuple[str, str] | None:
    """What iOS 17 has of integers, and the nearest recipe, where a spec asks for more."""
    if spec.bits < _OLD_INTEGERS:
        return "integers of 8 bits alone", "w8"
    if spec.group_size is not None:
        return "one scale for a whole channel alone", "w8"
    return None


def _lacking_palette(palette: PaletteSpec) -> tuple[str, str] | None:
    if palette.channels is not None:
        return "one palette for a whole tensor alone", "palette6"
    if palette.bits == _NO_WIDTH:
        return "palettes of 2, 4, 6 and 8 bits alone", "palette6"
    if palette.table == "int8":
        return "palettes of float16 alone", "palette6"
    return None


def _parts(recipe: Recipe) -> tuple[tuple[str, LinearSpec], ...]:
    return ("body", recipe.body), ("head", recipe.head_spec)


def _table(recipe: Recipe, runtime: str, widths: tuple[int, ...]) -> str | None:
    spec = recipe.embedding
    if spec.bits not in widths:
        allowed = ", ".join(map(str, widths))
        return (
            f"recipe {recipe.name!r}: {runtime} has no embedding of {spec.bits} bits; it has "
            f"{allowed}"
        )
    if spec.group_size is not None:
        return (
            f"recipe {recipe.name!r}: {runtime} has one scale for a row of the embedding; "
            "leave its group_size out"
        )
    return None


_JUDGES: Mapping[str, Callable[[Recipe], str | None]] = {
    "executorch": _executorch,
    "litert": _litert,
    "tflite-runtime": _tflite_runtime,
}
