"""Any module with example inputs to a ``.pte`` of the Core ML delegate; its method: ``forward``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from slmdeploy.compress.generic import CompressedModule
from slmdeploy.errors import ExportError
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.coreml.carry import carry
from slmdeploy.export.coreml.generic import NamedModule, narrowed, plain_module, run_module
from slmdeploy.export.executorch.coreml_account import describe, write
from slmdeploy.export.executorch.coreml_delegate import computed, delegate_method, lower_to_coreml
from slmdeploy.export.lengths import Examples, by_method
from slmdeploy.export.options import ExecutorchOptions
from slmdeploy.progress import Progress, Step, silent

__all__ = ["METHOD", "export_module"]

METHOD = "forward"


def export_module(
    compressed: CompressedModule,
    inputs: Examples,
    options: ExecutorchOptions,
    destination: Path,
    *,
    input_names: Sequence[str],
    output_names: Sequence[str],
    progress: Progress = silent,
) -> Artifact:
    """Write the ``.pte`` of a compressed module.

    Args:
        compressed: What to export; it is left as it is.
        inputs: Examples; their shapes become the method's. By names of methods there is one for
            each, with the same weights.
        options: Of backend ``coreml``.
        destination: The ``.pte`` to write.
        input_names: A name for each input.
        output_names: A name for each output.
        progress: Is told when it begins and ends.

    Raises:
        ExportError: The module fails on the examples, cannot be traced or lowered whole, or
            takes or gives what Core ML does not have.
    """
    given = by_method(inputs, METHOD)
    first = next(iter(given.values()))
    if len(first) != len(input_names):
        raise ExportError(f"There are {len(first)} example inputs, but {len(input_names)} names.")
    progress(Step("lower to Core ML"))
    examples = {name: narrowed(values, input_names) for name, values in given.items()}
    plain = plain_module(compressed.module)
    named = NamedModule(plain, [value.dtype for value in first], len(output_names)).eval()
    given_back = [value for values in examples.values() for value in run_module(named, values)]
    if not all(isinstance(value, Tensor) for value in given_back):
        raise ExportError(f"An output of {', '.join(output_names)} is no tensor.")
    carry(plain, compressed)
    methods = {name: delegate_method(named, values) for name, values in examples.items()}
    outputs = [value for method in methods.values() for value in computed(method)]
    edge = lower_to_coreml(methods, units=options.units)
    progress(Step("lower to Core ML", finished=True))
    names = {name: (tuple(input_names), tuple(output_names)) for name in methods}
    artifact = describe(write(edge, destination), methods, names, destination, tied=False)
    wide = any(value.dtype is torch.int64 for value in first)
    notes: tuple[str, ...] = ("Inputs that are int64 in the model are int32 here.",) if wide else ()
    fixed = "Shapes are fixed to those of the example inputs; compute is float16."
    return artifact.model_copy(
        update={
            "notes": (*notes, fixed, *artifact.notes),
            "traced": tuple(np.ascontiguousarray(value.numpy()) for value in outputs),
        }
    )
