"""Modules whose inputs may have several sizes: what is checked, compared and said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slmdeploy.errors import ExportError
from slmdeploy.model.model import Model
from slmdeploy.model.ref import ModelRef
from slmdeploy.model.sizes import Shapes, Sizes, Varying, extremes

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["bounded_sizes", "other_sizes", "sizes_note"]


def bounded_sizes(model: Model) -> Sizes:
    """Sizes that vary, for a runtime that plans memory for the largest.

    Raises:
        ExportError: One has no bound.
    """
    given = model.given
    if given is None:
        return ()
    for name, axes in zip(given.input_names, given.sizes, strict=False):
        for one in axes:
            if one.most is None:
                raise ExportError(
                    f"Axis {one.axis} of input {name!r} has no largest size, and memory is "
                    "planned for the largest.",
                    hint=_way_out(model.ref, one),
                )
    return given.sizes


def _way_out(ref: ModelRef, one: Varying) -> str:
    named = one.dimension if str(one.dimension).isidentifier() else "size"
    ways = f"max=, as in Dim({named!r}, max=1024) or Dim.DYNAMIC(max=1024)"
    if ref.kind == "program":
        return f"Export the program with {ways}; or fix its shapes here: --input SHAPE[:DTYPE]"
    return f"Give {ways}."


def other_sizes(
    name: str, module: nn.Module, given: tuple[Tensor, ...], sizes: Sizes
) -> list[tuple[Tensor, ...]]:
    """The examples at the smallest and at the largest sizes.

    Args:
        name: Of the model.
        module: Is run at these sizes, before time is spent on it.
        given: The examples.
        sizes: The axes that vary; without any there are no others.

    Raises:
        ExportError: The module fails at them.
    """
    from slmdeploy.model.dynamic import resized

    if not sizes:
        return []
    found = []
    for shapes in extremes([tuple(value.shape) for value in given], sizes):
        inputs = resized(given, shapes)
        try:
            module(*inputs)
        except Exception as error:  # whatever the model's own code raises
            said = str(error).strip().partition("\n")[0].rstrip(".")
            raise ExportError(
                f"{name} fails on inputs of {_listed(shapes)}, which its dynamic shapes allow: "
                f"{type(error).__name__}: {said}.",
                hint="Give the Dim another min or max.",
            ) from error
        found.append(inputs)
    return found


def sizes_note(model: Model, sizes: Sizes, runtime: str) -> tuple[str, ...]:
    """What became of a module's dynamic shapes.

    Args:
        model: Any generic model.
        sizes: What the artifact takes of them.
        runtime: For which it is, by name.
    """
    given = model.given
    if given is None:
        return ()
    if sizes:
        return ("Sizes vary within the bounds of each input; memory is planned for the largest.",)
    if not given.sizes:
        return given.remarks
    fixed = f"artifacts for {runtime} have the fixed shapes of the example inputs"
    return (f"Dynamic shapes were given; {fixed}.",)


def _listed(shapes: Shapes) -> str:
    return ", ".join(str(list(shape)) for shape in shapes)
