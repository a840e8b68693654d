"""The exporter of ExecuTorch's Core ML delegate, as the steps drive it."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from slmdeploy.compress.generic import CompressedModule
from slmdeploy.compress.quantize import Compressed, quiet_torchao
from slmdeploy.errors import MissingExtraError
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.coreml.sizes import capacity
from slmdeploy.export.lengths import Examples
from slmdeploy.export.litert.quiet import quiet
from slmdeploy.export.options import ExecutorchOptions
from slmdeploy.export.plugin import Exporter, Golden, Unconverted
from slmdeploy.progress import Progress

try:
    with quiet_torchao(), quiet():
        from slmdeploy.export.coreml.generic import narrowed
        from slmdeploy.export.executorch.coreml_exporter import export
        from slmdeploy.export.executorch.coreml_generic import export_module
except ImportError as error:
    raise MissingExtraError("executorch,coreml", "Export to ExecuTorch's Core ML") from error

__all__ = ["EXPORTER", "CoremlDelegateExporter"]


class CoremlDelegateExporter(Unconverted):
    """See ``export.plugin.Exporter``."""

    file = "model.pte"
    consumes = False

    def capacity(self, context: int, options: ExecutorchOptions) -> int:
        """Whole multiples of what the Neural Engine takes, and no less than a chunk."""
        return capacity(context, options.prefill_chunk)

    def export(
        self,
        compressed: Compressed,
        options: ExecutorchOptions,
        destination: Path,
        *,
        context: int,
        converted: Path,  # noqa: ARG002
        golden: Golden | None,
        progress: Progress,
    ) -> Artifact:
        """Lower to the Core ML delegate and write the ``.pte``."""
        return export(
            compressed, options, destination, context=context, golden=golden, progress=progress
        )

    def export_module(
        self,
        compressed: CompressedModule,
        source: nn.Module,  # noqa: ARG002
        inputs: Examples,
        options: ExecutorchOptions,
        destination: Path,
        *,
        input_names: tuple[str, ...],
        output_names: tuple[str, ...],
        progress: Progress,
    ) -> Artifact:
        """Lower to the Core ML delegate and write the ``.pte``."""
        return export_module(
            compressed,
            inputs,
            options,
            destination,
            input_names=input_names,
            output_names=output_names,
            progress=progress,
        )

    def module_inputs(
        self, inputs: tuple[Tensor, ...], names: tuple[str, ...]
    ) -> tuple[Tensor, ...]:
        """With int32 for int64, as Core ML has it."""
        return narrowed(inputs, names)


EXPORTER: Exporter = CoremlDelegateExporter()
