"""Programs that torch wrote to a file, as modules that recipes can be applied to.

Both kinds of file hold graphs in which a linear layer is a call with a weight. Recipes act on
layers, so such calls are made layers again.

This module imports torch.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from slmdeploy.errors import ModelReadError, UsageError

__all__ = ["copied", "load_program", "load_torchscript", "parse_input", "with_layers"]

_INPUT = re.compile(r"(?:\w+=)?(?P<shape>\d+(?:x\d+)*)(?::(?P<dtype>\w+))?")
_DTYPES = {
    name: getattr(torch, name)
    for name in ("float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool")
}
_ATEN = torch.ops.aten


def parse_input(text: str) -> Tensor:
    """An example input of ``[NAME=]SHAPE[:DTYPE]``, as in ``1x3x32x32`` or ``ids=1x16:int64``.

    Floats are drawn from a normal distribution with a fixed seed; integers are 0 and 1.

    Raises:
        UsageError: It has another form.
    """
    match = _INPUT.fullmatch(text)
    dtype = None if match is None else _DTYPES.get(match["dtype"] or "float32")
    if match is None or dtype is None:
        raise UsageError(
            f"{text!r} is not an input.",
            hint=f"Write SHAPE or SHAPE:DTYPE, as in 1x16:int64; dtypes: {', '.join(_DTYPES)}.",
        )
    shape = tuple(int(size) for size in match["shape"].split("x"))
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return drawn.to(dtype) if dtype.is_floating_point else (drawn > 0).to(dtype)


def load_program(
    path: Path, inputs: Sequence[str]
) -> tuple[nn.Module, tuple[Any, ...], ExportedProgram]:
    """Read a ``.pt2`` file; the examples that it was exported with stand in it.

    Returns:
        A module, the examples, and the program that the module was made of.

    Raises:
        ModelReadError: It cannot be read, or has no examples and none were said.
    """
    try:
        program = torch.export.load(path)
    except Exception as error:  # of many kinds: zip, JSON, pickle, missing operators
        raise ModelReadError(f"{path} cannot be read: {_first_line(error)}.") from error
    args, kwargs = program.example_inputs or ((), {})
    examples = tuple(parse_input(text) for text in inputs) or (*args, *kwargs.values())
    if not examples:
        raise ModelReadError(
            f"{path} has no example inputs.", hint="Say them: --input SHAPE[:DTYPE]"
        )
    return with_layers(program), examples, program


def load_torchscript(path: Path, inputs: Sequence[str]) -> tuple[nn.Module, tuple[Any, ...]]:
    """Read a TorchScript file; it has no examples, so they must be said.

    Raises:
        UsageError: No inputs are said.
        ModelReadError: It cannot be read or translated.
    """
    from torch._export.converter import TS2EPConverter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls all of TorchScript deprecated
        try:
            script: Any = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
            script = script.eval()
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelReadError(f"{path} cannot be read: {_first_line(error)}.") from error
        wanted = [one.name for one in script.forward.schema.arguments if one.name != "self"]
        if not inputs:
            raise UsageError(
                f"{path} takes {', '.join(wanted)}, and does not say of which shapes.",
                hint="Say them in this order: --input SHAPE[:DTYPE], as in --input 1x16:int64",
            )
        examples = tuple(parse_input(text) for text in inputs)
        try:
            program = TS2EPConverter(script, examples).convert()
        except Exception as error:  # whatever translation raises
            raise ModelReadError(
                f"{path} cannot be made an exported program: {_first_line(error)}.",
                hint="Export the module itself: torch.export.save, or package.module:function",
            ) from error
    return with_layers(program), examples


def copied(module: nn.Module, shared: Iterable[Tensor] = ()) -> nn.Module:
    """A copy of a module, which may be a program's.

    Copying one of those warns about a class of torch's own.

    Args:
        module: What to copy.
        shared: Weights that both shall have.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return copy.deepcopy(module, memo={id(value): value for value in shared})


def with_layers(program: ExportedProgram) -> nn.Module:
    """A program as a module, its calls of linear and embedding made layers again."""
    root = program.module(check_guards=False)
    graph = root.graph
    for node in list(graph.nodes):
        if node.op == "call_module" and node.target == "_guards_fn":
            graph.erase_node(node)
            continue
        layer = _layer(root, node)
        if layer is not None:
            name = f"layer_{node.name}"
            root.add_submodule(name, layer)
            with graph.inserting_after(node):
                called = graph.call_module(name, (_argument(node),))
            node.replace_all_uses_with(called)
            graph.erase_node(node)
    graph.eliminate_dead_code()
    # A module of its own: that of the program refuses to be put into evaluation mode.
    return fx.GraphModule(root, graph, "Program")


def _argument(node: fx.Node) -> Any:
    """What goes in: the first argument of a linear call, the second of an embedding."""
    return node.args[1 if node.target is _ATEN.embedding.default else 0]


def _layer(root: nn.Module, node: fx.Node) -> nn.Module | None:
    if node.op != "call_function":
        return None
    if node.target is _ATEN.linear.default:
        weight, bias = _value(root, node.args[1]), None
        if len(node.args) > 2 and node.args[2] is not None:
            bias = _value(root, node.args[2])
            if bias is None:
                return None
        return None if weight is None else _linear(weight, bias)
    if node.target is _ATEN.embedding.default:
        table = _value(root, node.args[0])
        return None if table is None else _embedding(table)
    return None


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    with torch.device("meta"):
        made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    made.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        made.bias = nn.Parameter(bias, requires_grad=False)
    return made


def _embedding(table: Tensor) -> nn.Embedding:
    with torch.device("meta"):
        made = nn.Embedding(table.shape[0], table.shape[1])
    made.weight = nn.Parameter(table, requires_grad=False)
    return made


def _value(root: nn.Module, node: Any) -> Tensor | None:
    """A weight that the graph takes from its module."""
    if not isinstance(node, fx.Node) or node.op != "get_attr":
        return None
    found: Any = root
    for part in str(node.target).split("."):
        found = getattr(found, part)
    return found.detach() if isinstance(found, Tensor) else None


def _first_line(error: Exception) -> str:
    return (str(error).strip().partition("\n")[0] or type(error).__name__).rstrip(".")
