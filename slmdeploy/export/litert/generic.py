"""Any module with example inputs to a ``.tflite`` with a signature ``forward``, or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from slmdeploy.compress.generic import CompressedModule
from slmdeploy.errors import ExportError, MissingExtraError
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.forms import require_form, zeros_note
from slmdeploy.export.lengths import Examples, by_method
from slmdeploy.model.programs import copied
from slmdeploy.progress import Progress, Step, silent

try:
    from slmdeploy.export.litert import account
    from slmdeploy.export.litert.converting import convert
    from slmdeploy.export.litert.exporter import (
        LitertRuntime,
        describe_graph,
        installed_versions,
    )
    from slmdeploy.export.litert.quantizing import quantize_file
    from slmdeploy.export.litert.reading import read_file
    from slmdeploy.export.litert.versions import require_versions
    from slmdeploy.export.litert.weights import Digests, carried_weights
except ImportError as error:
    raise MissingExtraError("litert", "Export to LiteRT") from error

__all__ = ["METHOD", "convert_module", "export_module", "narrowed"]

METHOD = "forward"

_DTYPES = (
    torch.float32,
    torch.float16,
    torch.int8,
    torch.uint8,
    torch.int16,
    torch.int32,
    torch.bool,
)
"""What LiteRT's graphs take and give."""

_INT32 = torch.iinfo(torch.int32)


class _SpelledNorm(nn.Module):
    """A layer norm in steps.

    The converter folds the scale of a whole one into the weights of the linear layers
    behind it, which then are not the recipe's any more.
    """

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalize the last dimension."""
        centred = x - x.mean(dim=-1, keepdim=True)
        variance = (centred * centred).mean(dim=-1, keepdim=True)
        scaled = centred * torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            scaled = scaled * self.weight
        return scaled if self.bias is None else scaled + self.bias


def _spelled(module: nn.Module) -> nn.Module:
    """The module with its layer norms in steps; weights are shared with the one given."""
    made = copied(module, (*module.parameters(), *module.buffers()))
    for name, part in list(made.named_modules()):
        if type(part) is nn.LayerNorm and len(part.normalized_shape) == 1 and name:
            made.set_submodule(name, _SpelledNorm(part))
    return made


class _NumbersForBooleans(TorchFunctionMode):
    """Looks booleans up as numbers: the runtime of 2023 has no lookup in booleans.

    Attention masks are made so (``mask[batch, position]``).
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:  # the base class has no types either
        if func is Tensor.__getitem__ and args[0].dtype is torch.bool and _by_tensors(args[1]):
            return func(args[0].to(torch.int32), args[1]).to(torch.bool)
        return func(*args, **(kwargs or {}))


def _by_tensors(places: Any) -> bool:
    """Whether an index has tensors of places, and so is no slice."""
    one_by_one = places if isinstance(places, tuple) else (places,)
    return any(isinstance(place, Tensor) for place in one_by_one)


class _Named(nn.Module):
    """Takes int32 for int64, and gives a dictionary with the names of the outputs."""

    def __init__(
        self, module: nn.Module, inputs: dict[str, torch.dtype], outputs: Sequence[str]
    ) -> None:
        super().__init__()
        self.module = module
        self.wanted = inputs
        self.outputs = tuple(outputs)

    def forward(self, **given: Tensor) -> dict[str, Tensor]:
        """The module's outputs by name."""
        values = [given[name].to(dtype) for name, dtype in self.wanted.items()]
        with _NumbersForBooleans():
            result = self.module(*values)
        if not isinstance(result, (Tensor, tuple, list)):
            raise ExportError(f"The model gives {type(result).__name__}, not tensors.")
        flat = [result] if isinstance(result, Tensor) else list(result)
        if len(flat) != len(self.outputs):
            raise ExportError(
                f"The model gives {len(flat)} outputs, but there are {len(self.outputs)} names."
            )
        for name, value in zip(self.outputs, flat, strict=True):
            if not isinstance(value, Tensor):
                raise ExportError(f"Output {name!r} is {type(value).__name__}, not a tensor.")
        return dict(zip(self.outputs, flat, strict=True))


def narrowed(inputs: Sequence[Tensor], names: Sequence[str]) -> tuple[Tensor, ...]:
    """Inputs as the artifact takes them: int32 for int64.

    Raises:
        ExportError: A value does not fit, or a dtype has no place in LiteRT.
    """
    found = []
    for name, value in zip(names, inputs, strict=True):
        if value.dtype is torch.int64:
            if value.numel() and not _INT32.min <= value.min() <= value.max() <= _INT32.max:
                raise ExportError(f"Input {name!r} has values beyond 32 bits.")
            found.append(value.to(torch.int32))
        elif value.dtype in _DTYPES:
            found.append(value)
        else:
            raise ExportError(f"Input {name!r} is of {value.dtype}, which LiteRT does not take.")
    return tuple(found)


def convert_module(
    module: nn.Module,
    inputs: Examples,
    destination: Path,
    *,
    input_names: Sequence[str],
    output_names: Sequence[str],
    progress: Progress = silent,
) -> None:
    """Convert a module in float32; the same file does for every recipe.

    Args:
        module: Not compressed.
        inputs: Examples; their shapes become the signature's. What several signatures have
            of weights is in the file once.
        destination: The ``.tflite`` to write.
        input_names: A name for each input.
        output_names: A name for each output; where there are several, each gets its number.
        progress: Is told when it begins and ends.

    Raises:
        ExportError: The module fails on the examples, cannot be traced or lowered, or
            takes or gives what LiteRT does not have.
    """
    methods = by_method(inputs, METHOD)
    given = next(iter(methods.values()))
    if len(given) != len(input_names):
        raise ExportError(f"There are {len(given)} example inputs, but {len(input_names)} names.")
    progress(Step("convert to LiteRT"))
    examples = {
        name: dict(zip(input_names, narrowed(values, input_names), strict=True))
        for name, values in methods.items()
    }
    wanted = {name: value.dtype for name, value in zip(input_names, given, strict=True)}
    outputs = tuple(output_names)
    if len(outputs) > 1:  # the file knows outputs by name alone
        outputs = tuple(f"{name}_{index}" for index, name in enumerate(outputs))
    named = _Named(_spelled(module.eval()), wanted, outputs)
    for one in examples.values():
        _check_runs(named, one)
    convert({name: (named, one) for name, one in examples.items()}, destination)
    progress(Step("convert to LiteRT", finished=True))


def _check_runs(named: _Named, examples: Mapping[str, Tensor]) -> None:
    try:
        with torch.no_grad():
            named(**examples)
    except ExportError:
        raise
    except Exception as error:  # whatever the model's own code raises
        said = str(error).strip().partition("\n")[0].rstrip(".")
        raise ExportError(
            f"The model fails on its example inputs: {type(error).__name__}: {said}."
        ) from error


def export_module(
    compressed: CompressedModule,
    destination: Path,
    *,
    runtime: LitertRuntime,
    converted: Path,
    digests: Digests,
    inputs: Examples,
    progress: Progress = silent,
) -> Artifact:
    """Write the ``.tflite`` of a compressed module.

    Args:
        compressed: What to export; it is left as it is.
        destination: The ``.tflite`` to write.
        runtime: What shall run it.
        converted: What ``convert_module`` made of the module before it was compressed.
        digests: Of the weights of that module.
        inputs: Golden inputs; what the compressed module gives for them is the artifact's
            ``traced``, a tuple of arrays, one signature's after the other's.
        progress: Is told of each step.

    Raises:
        ExportError: The runtime lacks an operator in the version that is needed.
    """
    require_form(runtime, compressed.recipe)
    progress(Step("quantize and write"))
    schemes = {
        name: compressed.recipe.body for name, (kind, _) in digests.items() if kind == "linear"
    }
    carried = carried_weights(compressed.module, digests, schemes)
    old = runtime == "tflite-runtime"
    folded = quantize_file(converted, destination, carried, explicit_tables=old)
    file = read_file(destination)
    if old:
        require_versions(file)
    progress(Step("quantize and write", finished=True))
    packed, size = account.packed_bytes(file), destination.stat().st_size
    given = by_method(inputs, METHOD)
    wide = [value for values in given.values() for value in values if value.dtype is torch.int64]
    notes: tuple[str, ...] = ("Inputs that are int64 in the model are int32 here.",) if wide else ()
    if folded:
        notes = (*notes, f"{folded} tables whose rows are always the same are float32 constants.")
    return Artifact(
        path=destination,
        runtime=runtime,
        kernels=None,
        methods={graph.name: describe_graph(graph) for graph in file.graphs},
        bytes_by_component=account.bytes_by_component(file, size),
        bytes_in_delegates=packed,
        memory=account.predict_memory(
            packed=packed,
            widened=account.widened_bytes(file, signatures=1, old=old),
            signatures=1,
            cache=0,
            artifact=size,
        ),
        versions=installed_versions(),
        notes=(
            *notes,
            "Shapes are fixed to those of the example inputs.",
            *zeros_note(compressed.recipe),
        ),
        traced=tuple(one for values in given.values() for one in _run(compressed.module, values)),
    )


@torch.no_grad()
def _run(module: nn.Module, inputs: Sequence[Tensor]) -> tuple[Any, ...]:
    given = module(*inputs)
    flat = [given] if isinstance(given, Tensor) else list(given)
    return tuple(np.ascontiguousarray(value.numpy()) for value in flat)
