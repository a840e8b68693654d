"""Forms of weights that not every runtime has. No torch here.

Palettes are Core ML's alone. Zeros are numbers to every runtime: where one has no form for
sparse weights they are kept as they are, which costs their bytes and gains no speed.
"""

from __future__ import annotations

from slmdeploy.compress.recipe import Recipe
from slmdeploy.errors import ExportError

__all__ = ["form_refusal", "require_form", "zeros_note"]

_NAMES = {
    "executorch": "ExecuTorch's XNNPACK",
    "litert": "LiteRT",
    "tflite-runtime": "tflite-runtime",
}
"""Runtimes that have integers and floats alone."""


def form_refusal(runtime: str, recipe: Recipe) -> str | None:
    """Why a runtime has no place for a form of weights; ``None`` where it has, or is not known.

    Args:
        runtime: Name of the runtime, as in ``"executorch"``.
        recipe: The recipe; its name is in the reason.
    """
    palettes = {
        "body": recipe.body.palette,
        "head": recipe.head_spec.palette,
        "embedding": recipe.embedding.palette,
    }
    found = [(part, palette) for part, palette in palettes.items() if palette is not None]
    if not found or runtime not in _NAMES:
        return None
    part, palette = found[0]
    nearest = "w8" if palette.bits > 4 else "w4"
    return (
        f"recipe {recipe.name!r}: {_NAMES[runtime]} has no palettes ({part}: {palette}), Core ML "
        f"has; use the recipe {nearest!r}"
    )


def require_form(runtime: str, recipe: Recipe) -> None:
    """Refuse a recipe before work starts.

    Raises:
        ExportError: The runtime has no place for a form in it.
    """
    reason = form_refusal(runtime, recipe)
    if reason is not None:
        raise ExportError(f"{reason[0].upper()}{reason[1:]}.")


def zeros_note(recipe: Recipe) -> tuple[str, ...]:
    """What the manifest says where zeros are kept as numbers; empty without sparsity."""
    specs = {"body": recipe.body, "head": recipe.head_spec}
    sparse = [f"{part}: {spec.sparsity}" for part, spec in specs.items() if spec.sparsity]
    if not sparse:
        return ()
    said = ", ".join(sparse)
    return (f"Sparse weights ({said}) are plain zeros here: they cost what other weights do.",)
