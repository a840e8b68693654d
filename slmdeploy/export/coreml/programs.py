"""A module as the exported program that coremltools is given, with the numbers of its package."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node

from slmdeploy.errors import ExportError
from slmdeploy.export.coreml.constants import round_constants
from slmdeploy.export.coreml.masks import keep_masks_finite
from slmdeploy.export.coreml.norms import fold_batch_norms

__all__ = ["exported_for_coreml", "require_stateless"]


@torch.no_grad()
def exported_for_coreml(
    module: nn.Module, inputs: Sequence[Tensor], *, core: bool = True
) -> ExportedProgram:
    """Trace a module and give its graph the numbers that float16 has.

    Args:
        module: In evaluation mode; it is left as it is.
        inputs: Examples, whose shapes the program has from now on.
        core: Whether its operators are decomposed to the core ones, which coremltools knows
            nearly all of.

    Raises:
        ExportError: Weights or shifts of a convolution are beyond float16 with those of its norm.
    """
    program: ExportedProgram = torch.export.export(module, tuple(inputs), strict=False)
    # Without a table operators stay, but none changes what it is given any more.
    program = program.run_decompositions(None if core else {})
    _drop_restrides(program)
    keep_masks_finite(program)
    fold_batch_norms(program)
    round_constants(program)
    return program


def require_stateless(program: ExportedProgram, whose: str = "The model") -> None:
    """Refuse buffers that change: the next call, in torch and in the package, would see another.

    Args:
        program: To look at.
        whose: Begins the message.

    Raises:
        ExportError: A buffer changes.
    """
    changed = sorted(set(program.graph_signature.buffers_to_mutate.values()))
    if changed:
        raise ExportError(
            f"{whose} changes {', '.join(changed)}, which a function of Core ML would not keep.",
            hint="Give it in and out of the module.",
        )


def _drop_restrides(program: ExportedProgram) -> None:
    """Leave out ``as_strided`` where nothing is elsewhere for it.

    Pooling to one value is decomposed to a mean and that, if channels come last in memory.
    """
    for node in list(program.graph.nodes):
        if node.target is torch.ops.aten.as_strided.default and _is_in_place(*node.args):
            before = node.args[0]
            program.graph_signature.replace_all_uses(node.name, before.name)
            node.replace_all_uses_with(before)
            program.graph.erase_node(node)
    program.graph_module.recompile()


def _is_in_place(before: Node, size: Sequence[int], stride: Sequence[int], *rest: object) -> bool:
    value = before.meta["val"]
    own = zip(size, stride, value.stride(), strict=False)
    same = all(one == other for length, one, other in own if length > 1)
    # An offset that is said begins at the storage, of which the value may be a part.
    return tuple(size) == tuple(value.shape) and same and not rest
