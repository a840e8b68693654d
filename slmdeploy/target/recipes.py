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
    for part, spec in (("body", recipe.body), ("head", recipe.head_spec)):
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


_JUDGES: Mapping[str, Callable[[Recipe], str | None]] = {"executorch": _executorch}
