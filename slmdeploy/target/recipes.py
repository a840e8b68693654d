"""Which recipes a runtime can run.

One predicate a runtime, each with the reason in words, so that a recipe that cannot
work is refused when it is read and not after an hour of lowering.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from slmdeploy.compress.recipe import LinearSpec, Recipe

__all__ = ["refusal"]

_XNNPACK_BLOCK = 32
"""XNNPACK's 4-bit blockwise kernels take groups in multiples of this."""

_LITERT_BLOCKS = (32, 64, 128, 256)
"""Groups that the file format of LiteRT's quantizer knows (ai-edge-quantizer 0.10)."""

_WITHOUT_GROUPS = {"w4": "8da4w", "w8": "8da8w"}
"""Weight-only schemes that it has per channel alone, and the recipe that comes nearest."""


def refusal(runtime: str, recipe: Recipe) -> str | None:
    """Why a runtime cannot run a recipe; ``None`` when it can, or is not known here.

    Args:
        runtime: Name of the runtime, as in ``"executorch"``.
        recipe: The recipe; its name is in the reason.
    """
    judge = _JUDGES.get(runtime)
    return None if judge is None else judge(recipe)


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


def _tflite_runtime(recipe: Recipe) -> str | None:
    """What the wheel of 2023 computes rightly; it loads more, and gives nonsense."""
    for part, spec in _parts(recipe):
        if spec.scheme not in ("none", "fp16", "w8") or spec.group_size is not None:
            return (
                f"recipe {recipe.name!r}: tflite-runtime 2.14 loads {spec} and computes "
                f"nonsense, or crashes ({part}); use the recipe 'w8', 'fp16' or 'none'"
            )
    return _table(recipe, "tflite-runtime 2.14", (8, 16, 32))


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
