"""coremltools, imported without its noise and mended where current numpy breaks it.

coremltools 9.0 turns a traced integer into a constant by ``int(array)``, where the array
may have one element and one dimension. numpy 2.4 refuses that (apple/coremltools#2633;
mended upstream by #2632, which no release has). The function is replaced by one that takes
the element first, for such constants alone.

torch 2.13 leaves ``alias`` in exported programs, which 9.0 does not know: it gives its input.

Constants count as the same, and are kept once, where ``numpy.allclose`` says so. For integers
it takes some 18 bytes a weight, and float16 values that differ by 6e-8 are the same to it. Here
constants are the same where they are equal.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from slmdeploy.export.litert.quiet import quiet

__all__ = ["coremltools", "require_mended"]

with quiet():
    import coremltools
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.frontend.torch import ops
    from coremltools.converters.mil.frontend.torch.torch_op_registry import register_torch_op
    from coremltools.converters.mil.mil.passes.defs.cleanup import const_deduplication

_theirs = ops._cast  # noqa: SLF001 - what is mended has no public name


def _cast(context: Any, node: Any, dtype: type, dtype_name: str) -> None:
    """As theirs; a constant of one element is taken out of its array first."""
    (x,) = ops._get_inputs(context, node, expected=1)  # noqa: SLF001
    if not x.can_be_folded_to_const() or isinstance(x.val, dtype):
        _theirs(context, node, dtype, dtype_name)
        return
    (element,) = np.asarray(x.val).reshape(-1)
    context.add(Builder.const(val=dtype(element), name=node.name), node.name)


def _alias(context: Any, node: Any) -> None:
    context.add(Builder.identity(x=context[node.inputs[0]], name=node.name))


class _ExactNumpy:
    """numpy, to whom numbers are close where they are equal."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def allclose(one: npt.NDArray[Any], other: npt.NDArray[Any], **_: float) -> bool:
        return np.array_equal(one, other)


def require_mended() -> None:
    """Put the replacements in place; it does nothing the second time."""
    # The package has a class where its module was.
    vars(sys.modules[const_deduplication.__module__])["np"] = _ExactNumpy()
    ops._cast = _cast  # noqa: SLF001
    register_torch_op(_alias, torch_alias=["alias"], override=True)
