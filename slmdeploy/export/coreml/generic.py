"""Any module with example inputs to a Core ML package with one function, ``main``, or several."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from slmdeploy.compress.embedding import HalfEmbedding, QuantizedEmbedding
from slmdeploy.compress.generic import CompressedModule
from slmdeploy.errors import ExportError
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.coreml import account
from slmdeploy.export.coreml.carry import carry
from slmdeploy.export.coreml.converting import convert_exported, merge
from slmdeploy.export.coreml.plain import dense_weight, half, plain_table
from slmdeploy.export.coreml.versions import installed_versions
from slmdeploy.export.lengths import Examples, by_method
from slmdeploy.export.options import CoremlOptions, DeploymentTarget
from slmdeploy.model.programs import copied
from slmdeploy.progress import Progress, Step, silent

__all__ = ["METHOD", "NamedModule", "export_module", "narrowed", "plain_module", "run_module"]

METHOD = "main"

_DTYPES = (torch.float32, torch.int32)
_INT32 = torch.iinfo(torch.int32)


class NamedModule(nn.Module):
    """Takes int32 for int64, and gives a tuple of tensors."""

    def __init__(self, module: nn.Module, inputs: Sequence[torch.dtype], outputs: int) -> None:
        super().__init__()
        self.module = module
        self.wanted = tuple(inputs)
        self.outputs = outputs

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """The module's outputs."""
        values = [value.to(dtype) for value, dtype in zip(given, self.wanted, strict=True)]
        result = self.module(*values)
        if not isinstance(result, (Tensor, tuple, list)):
            raise ExportError(f"The model gives {type(result).__name__}, not tensors.")
        flat = (result,) if isinstance(result, Tensor) else tuple(result)
        if len(flat) != self.outputs:
            raise ExportError(
                f"The model gives {len(flat)} outputs, but there are {self.outputs} names."
            )
        return flat


def narrowed(inputs: Sequence[Tensor], names: Sequence[str]) -> tuple[Tensor, ...]:
    """Inputs as the artifact takes them: int32 for int64 and truth values.

    Raises:
        ExportError: A value does not fit, or a dtype has no place in Core ML.
    """
    found = []
    for name, value in zip(names, inputs, strict=True):
        if value.dtype is torch.int64:
            if value.numel() and not _INT32.min <= value.min() <= value.max() <= _INT32.max:
                raise ExportError(f"Input {name!r} has values beyond 32 bits.")
            found.append(value.to(torch.int32))
        elif value.dtype is torch.bool:
            found.append(value.to(torch.int32))
        elif value.dtype in _DTYPES:
            found.append(value)
        else:
            raise ExportError(
                f"Input {name!r} is of {value.dtype}; Core ML's functions take float32 and int32.",
                hint="Let the module take float32, and convert it there.",
            )
    return tuple(found)


def export_module(
    compressed: CompressedModule,
    inputs: Examples,
    options: CoremlOptions,
    destination: Path,
    *,
    input_names: Sequence[str],
    output_names: Sequence[str],
    progress: Progress = silent,
) -> Artifact:
    """Write the package of a compressed module.

    Args:
        compressed: What to export; it is left as it is.
        inputs: Examples; their shapes become the function's. What several functions have of
            weights is in the package once.
        options: Of the deployment target; several functions need ``iOS18``.
        destination: The ``.mlpackage`` to write.
        input_names: A name for each input.
        output_names: A name for each output.
        progress: Is told when it begins and ends.

    Raises:
        ExportError: The module fails on the examples, cannot be traced or lowered, or takes
            or gives what Core ML does not have.
    """
    methods = by_method(inputs, METHOD)
    given = next(iter(methods.values()))
    if len(given) != len(input_names):
        raise ExportError(f"There are {len(given)} example inputs, but {len(input_names)} names.")
    progress(Step("convert to Core ML"))
    examples = {name: narrowed(values, input_names) for name, values in methods.items()}
    plain = plain_module(compressed.module)
    named = NamedModule(plain, [value.dtype for value in given], len(output_names)).eval()
    given_back = [value for one in examples.values() for value in run_module(named, one)]
    for name, value in zip(list(output_names) * len(methods), given_back, strict=True):
        if not isinstance(value, Tensor):
            raise ExportError(f"Output {name!r} is {type(value).__name__}, not a tensor.")
    carry(plain, compressed)
    calls = {name: dict(zip(input_names, one, strict=True)) for name, one in examples.items()}
    target = options.deployment_target
    outputs = _convert(named, calls, output_names, destination, target=target)
    progress(Step("convert to Core ML", finished=True))
    wide = [value for value in given if value.dtype is torch.int64]
    notes: tuple[str, ...] = ("Inputs that are int64 in the model are int32 here.",) if wide else ()
    return Artifact(
        path=destination,
        runtime="coreml",
        kernels=None,
        methods=account.describe_functions(destination),
        bytes_by_component=account.bytes_by_component([destination], tied=False),
        bytes_in_delegates=0,
        memory=account.unknown_memory(),
        versions=installed_versions(),
        notes=(*notes, "Shapes are fixed to those of the example inputs; compute is float16."),
        traced=tuple(np.ascontiguousarray(value.numpy()) for value in outputs),
    )


def _convert(
    named: nn.Module,
    calls: Mapping[str, Mapping[str, Tensor]],
    output_names: Sequence[str],
    destination: Path,
    *,
    target: DeploymentTarget,
) -> list[Tensor]:
    """Write the package, with a function for each of the calls; and what torch gives of them."""
    outputs: list[Tensor] = []
    with tempfile.TemporaryDirectory(dir=destination.parent) as scratch:
        made = {}
        for name, inputs in calls.items():
            made[name] = Path(scratch) / f"{name}.mlpackage"  # coremltools takes no other ending
            outputs += convert_exported(named, inputs, output_names, made[name], target=target)
        package = made[next(iter(made))]
        if len(made) > 1:
            package = Path(scratch) / "all" / "module.mlpackage"
            package.parent.mkdir()
            merge(made, next(iter(made)), package)
        shutil.move(package, destination)
    return outputs


@torch.no_grad()
def plain_module(module: nn.Module) -> nn.Module:
    """The module with plain layers in the place of compressed ones, all in float16's values."""
    made = copied(module, module.parameters())
    for name, part in list(made.named_modules()):
        if isinstance(part, (QuantizedEmbedding, HalfEmbedding)):
            made.set_submodule(name, plain_table(name, part))
        elif type(part) is nn.Linear:
            part.weight = nn.Parameter(dense_weight(name, part), requires_grad=False)
    for name, part in made.named_modules():
        for own, value in list(part.named_parameters(recurse=False)):
            if own != "weight" or not isinstance(part, (nn.Linear, nn.Embedding)):
                rounded = nn.Parameter(half(f"{name}.{own}", value), requires_grad=False)
                setattr(part, own, rounded)
    return made.eval()


@torch.no_grad()
def run_module(module: nn.Module, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """What a module gives for its examples.

    Raises:
        ExportError: Its own code fails on them.
    """
    try:
        given: tuple[Tensor, ...] = module(*inputs)
    except ExportError:
        raise
    except Exception as error:  # whatever the model's own code raises
        said = str(error).strip().partition("\n")[0].rstrip(".")
        raise ExportError(
            f"The model fails on its example inputs: {type(error).__name__}: {said}."
        ) from error
    return given
