"""Modules that the user gives: by a function, a ``.pt2`` file or a TorchScript file.

A function ``package.module:function`` is imported and called, as its name asks for. It gives
a module and its example inputs (a tuple, or a table by parameter name), and may give dynamic
shapes as ``torch.export`` takes them; a program may have them, too. The files hold pickles, so
they are read only where the user allows it.

This module imports torch.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils import _pytree

from slmdeploy.errors import ModelReadError, UsageError
from slmdeploy.model.dynamic import program_sizes, read_dynamic
from slmdeploy.model.hashing import file_sha256
from slmdeploy.model.model import Model
from slmdeploy.model.module_weights import ModuleWeights
from slmdeploy.model.programs import load_program, load_torchscript
from slmdeploy.model.ref import ModelRef
from slmdeploy.model.sizes import Sizes

__all__ = ["Flat", "GivenModule", "given_module", "read_module"]


class Flat(nn.Module):
    """A module whose outputs are a plain tuple of tensors, whatever holds them.

    Args:
        module: Gives a tensor, or any nesting of tuples, lists, tables and dataclasses that
            torch knows.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Give the tensors in their order."""
        found = _pytree.tree_leaves(self.module(*inputs))
        return tuple(value for value in found if value is not None)


@dataclass(frozen=True)
class GivenModule:
    """A module of the user's, ready to be exported.

    Attributes:
        module: Gives a tuple of tensors.
        inputs: Examples.
        input_names: Of the parameters of ``forward``.
        output_names: Keys of a table, else ``output`` or ``output_0`` and so on.
        sha256: Of the file, or of a factory's weights.
        reusable: The hash decides the result; code that a function brings does not stand
            in it.
        sizes: The axes of inputs that may vary; empty where none may.
        remarks: What is worth knowing, a sentence each.
    """

    module: nn.Module
    inputs: tuple[Tensor, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    sha256: str
    reusable: bool
    sizes: Sizes = ()
    remarks: tuple[str, ...] = ()


def read_module(ref: ModelRef) -> Model:
    """Read what a reference of kind ``factory``, ``program`` or ``torchscript`` names.

    Raises:
        UsageError: There is no such function, or pickles were not allowed.
        ModelReadError: It gives anything but a module with example inputs, or the file is
            damaged.
    """
    if ref.kind == "factory":
        given = _from_factory(ref)
    elif ref.path is None:
        raise UsageError(f"The model {ref.text!r} has no path.")
    else:
        _require_pickle(ref)
        digest = file_sha256(ref.path)
        if ref.kind == "program":
            given = _from_program(ref.path, ref.inputs, digest)
        else:
            given = given_module(*load_torchscript(ref.path, ref.inputs), digest=digest)
    inner = given.module.module if isinstance(given.module, Flat) else given.module
    return Model(
        ref=ref,
        path=ref.path or Path(ref.text),
        kind="generic",
        hf_config={"architectures": [_class_name(inner)]},
        config=None,
        weights=ModuleWeights(given.module, () if ref.path is None else (ref.path,)),
        tokenizer=None,
        tokenizer_reason="A module brings no tokenizer.",
        remarks=given.remarks,
        task="module",
        given=given,
    )


def given_module(
    module: nn.Module,
    inputs: Sequence[Any] | Mapping[str, Any],
    *,
    digest: str | None = None,
    dynamic: object = None,
) -> GivenModule:
    """Run a module on its examples, and name what goes in and comes out.

    Args:
        module: Anything that ``torch.export`` can trace.
        inputs: A tuple, or a table by the names of the parameters.
        digest: Of the file that it came from; ``None`` for a function.
        dynamic: Shapes that vary, as ``torch.export`` takes them; or a program that has some.

    Raises:
        ModelReadError: The inputs are no tensors, or not those of the module, or do not have
            the dynamic shapes, or it fails.
    """
    module = module.eval().requires_grad_(requires_grad=False)
    names, values = _named(module, inputs)
    if isinstance(dynamic, ExportedProgram):
        sizes = program_sizes(dynamic, names, values)
    else:
        sizes = read_dynamic(dynamic, names, values)
    flat = Flat(module)
    try:
        with torch.no_grad():
            given = module(*values)
    except Exception as error:  # whatever the model's own code raises
        said = str(error).strip().partition("\n")[0]
        raise ModelReadError(
            f"{_class_name(module)} fails on its example inputs: {type(error).__name__}: {said}."
        ) from error
    return GivenModule(
        module=flat.eval(),
        inputs=values,
        input_names=names,
        output_names=_output_names(given),
        sha256=digest or _state_sha256(module),
        reusable=digest is not None,
        sizes=sizes,
        remarks=_remark(names, sizes),
    )


def _remark(names: Sequence[str], sizes: Sizes) -> tuple[str, ...]:
    said = [
        f"axis {one.axis} of {name}, {one.expression}, {one.bounds}"
        for name, axes in zip(names, sizes, strict=False)
        for one in axes
    ]
    return (f"Sizes may vary: {'; '.join(said)}.",) if said else ()


def _from_program(path: Path, inputs: Sequence[str], digest: str) -> GivenModule:
    module, examples, program = load_program(path, inputs)
    given = given_module(module, examples, digest=digest, dynamic=program)
    if not inputs or all(one.most is not None for axes in given.sizes for one in axes):
        return given
    fixed = "Axes of the program have no largest size: shapes are fixed to those of --input."
    return replace(given, sizes=(), remarks=(*given.remarks, fixed))


def _from_factory(ref: ModelRef) -> GivenModule:
    place, _, name = ref.text.partition(":")
    with _here_importable():
        try:
            found = importlib.import_module(place)
        except ModuleNotFoundError as error:
            raise UsageError(
                f"There is no module {error.name!r}.",
                hint=f"{ref.text!r} is looked for in this folder and among installed packages.",
            ) from error
        except Exception as error:  # whatever the user's own code raises
            raise ModelReadError(
                f"{place} cannot be imported: {type(error).__name__}: {error}."
            ) from error
        function = getattr(found, name, None)
        if not callable(function):
            raise UsageError(f"{place} has no function {name!r}.")
        try:
            made = function()
        except Exception as error:  # as above
            raise ModelReadError(f"{ref.text} fails: {type(error).__name__}: {error}.") from error
    wanted = f"{ref.text} must give (module, example inputs) or (module, inputs, dynamic shapes)"
    if not isinstance(made, tuple) or len(made) not in (2, 3) or not isinstance(made[0], nn.Module):
        raise ModelReadError(f"{wanted}, not {_shape_of(made)}.")
    module, inputs, *dynamic = made
    if isinstance(inputs, Tensor):
        inputs = (inputs,)
    if not isinstance(inputs, (tuple, list, Mapping)):
        raise ModelReadError(f"{wanted}; the inputs are {type(inputs).__name__}.")
    return given_module(module, inputs, dynamic=dynamic[0] if dynamic else None)


@contextmanager
def _here_importable() -> Iterator[None]:
    """Let modules of the current folder be imported, as ``python -m`` does."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _require_pickle(ref: ModelRef) -> None:
    if not ref.allow_pickle:
        what = "A .pt2 file" if ref.kind == "program" else "A TorchScript file"
        raise UsageError(
            f"{ref.path} was not read: {what} holds pickles, which can run code.",
            hint="Add --allow-pickle if you trust where it comes from.",
        )


def _named(
    module: nn.Module, inputs: Sequence[Any] | Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[Tensor, ...]]:
    """Names and values in the order of the parameters of ``forward``."""
    known = _parameters(module)
    if isinstance(inputs, Mapping):
        strange = [name for name in inputs if name not in known]
        order = [name for name in known if name in inputs]
        if strange or order != known[: len(order)]:
            raise ModelReadError(
                f"The example inputs are {', '.join(map(str, inputs))}, but forward takes "
                f"{', '.join(known)}."
            )
        names, values = order, [inputs[name] for name in order]
    else:
        values = list(inputs)
        more = [f"input_{index}" for index in range(len(known), len(values))]
        names = [*known, *more][: len(values)]
    for name, value in zip(names, values, strict=True):
        if not isinstance(value, Tensor):
            raise ModelReadError(f"Example input {name!r} is {type(value).__name__}, not a tensor.")
    if not values:
        raise ModelReadError("There are no example inputs.")
    return tuple(names), tuple(values)


def _parameters(module: nn.Module) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        found = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return []
    return [one.name for one in found if one.kind in kinds]


def _output_names(given: Any) -> tuple[str, ...]:
    if isinstance(given, Mapping):
        named = [(str(key), _pytree.tree_leaves(value)) for key, value in given.items()]
        if all(len(leaves) == 1 for _, leaves in named):
            return tuple(key for key, leaves in named if leaves[0] is not None)
    count = sum(value is not None for value in _pytree.tree_leaves(given))
    return ("output",) if count == 1 else tuple(f"output_{index}" for index in range(count))


def _class_name(module: nn.Module) -> str:
    return type(module).__name__.removesuffix("Impl")


def _shape_of(made: Any) -> str:
    if isinstance(made, tuple):
        return f"({', '.join(type(one).__name__ for one in made)})"
    return type(made).__name__


def _state_sha256(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
