"""Apply a recipe to any module: the linear layers and embedding tables that it has.

As for the decoder, the result runs in eager torch and computes what the artifact shall
compute, so it is the reference of the later rungs of the parity ladder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from torch import nn

from slmdeploy.compress.embedding import compress_embedding
from slmdeploy.compress.quantize import compress_linears, round_floats
from slmdeploy.compress.recipe import EmbeddingSpec, Recipe
from slmdeploy.errors import RecipeError

__all__ = ["CompressedModule", "compress_module"]

_Layer = TypeVar("_Layer", bound=nn.Module)


@dataclass(frozen=True)
class CompressedModule:
    """A module after its recipe, ready for an exporter.

    Attributes:
        module: With compressed parts, in eager torch.
        recipe: What was applied; without a head, what it says of the head is left out.
        head: Name of the layer that gives logits; ``None`` where it is like the others.
    """

    module: nn.Module
    recipe: Recipe
    head: str | None = None


def compress_module(
    module: nn.Module, recipe: Recipe, *, head: str | None = None
) -> CompressedModule:
    """Apply a recipe, in place.

    Only a decoder has a head that could be set apart: of any other module all linear layers
    get what the recipe says of the body. Layers of classes derived from ``nn.Linear`` and
    ``nn.Embedding`` stay as they are: their own code may do more with their weights.

    Args:
        module: In float32; it must not be used as the source afterwards.
        recipe: What to do.
        head: Name of a decoder's head, if it is one.

    Raises:
        RecipeError: A group size does not divide a layer's inputs, or a table's rows.
        MissingExtraError: torchao is not installed.
    """
    if type(module) in (nn.Linear, nn.Embedding):
        module = nn.Sequential(module)  # a place to put another layer in
    module.eval().requires_grad_(requires_grad=False)
    half = recipe.floats == "fp16"
    for name, table in _layers(module, nn.Embedding).items():
        _replace(module, name, _compressed_table(name, table, recipe.embedding, half=half))
    linears = _layers(module, nn.Linear)
    heads = {name: linears.pop(name) for name in [head] if name in linears}
    compress_linears(module, linears, recipe.body, half=half)
    compress_linears(module, heads, recipe.head_spec, half=half)
    if half:
        round_floats(module)
    if heads:
        return CompressedModule(module, recipe, head)
    return CompressedModule(module, recipe.model_copy(update={"head": None}))


def _layers(module: nn.Module, kind: type[_Layer]) -> dict[str, _Layer]:
    """Layers of exactly this class, by name; of a shared one the first name."""
    # The exact class is asked for, so isinstance does not do.
    return {
        name: part
        for name, part in module.named_modules()
        if type(part) is kind and isinstance(part, kind)
    }


def _compressed_table(
    name: str, table: nn.Embedding, spec: EmbeddingSpec, *, half: bool
) -> nn.Module:
    if table.max_norm is not None and spec.bits != 32:
        raise RecipeError(
            f"Table {name!r} limits the norm of its rows as they are read, which "
            f"{spec.bits}-bit rows cannot do.",
            hint="Choose a recipe whose embedding stays in float32.",
        )
    try:
        return compress_embedding(table, spec, half=half)
    except RecipeError as error:
        raise RecipeError(f"Table {name!r}: {error.message}", hint=error.hint) from error


def _replace(module: nn.Module, name: str, part: nn.Module) -> None:
    """Put a part in the place of another, wherever that stands (shared parts too)."""
    old = module.get_submodule(name)
    places = list(module.named_modules(remove_duplicate=False))
    for place, found in places:
        if found is old:
            module.set_submodule(place, part)
