"""coremltools, imported without its noise and mended where current numpy breaks it.

coremltools 9.0 turns a traced integer into a constant by ``int(array)``, where the array
may have one element and one dimension. numpy 2.4 refuses that (apple/coremltools#2633;
mended upstream by #2632, which no release has). The function is replaced by one that takes
the element first, for such constants alone.

torch 2.13 leaves ``alias`` in exported programs, which 9.0 does not know: it gives its input.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slmdeploy.export.litert.quiet import quiet

__all__ = ["coremltools", "require_mended"]

with quiet():
    import coremltools
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.frontend.torch import ops
    from coremltools.converters.mil.frontend.torch.torch_op_registry import register_torch_op

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


def require_mended() -> None:
    """Put the replacements in place; it does nothing the second time."""
    ops._cast = _cast  # noqa: SLF001
    register_torch_op(_alias, torch_alias=["alias"], override=True)
