"""ExecuTorch's exporter, as the steps drive it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from slmdeploy.compress.generic import CompressedModule
from slmdeploy.compress.quantize import Compressed, quiet_torchao
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.lengths import Examples
from slmdeploy.export.options import ExecutorchOptions
from slmdeploy.export.plugin import Exporter, Golden, Unconverted
from slmdeploy.model.sizes import Sizes
from slmdeploy.progress import Progress

with quiet_torchao():
    from slmdeploy.export.executorch.exporter import capacity_for, export
    from slmdeploy.export.executorch.generic import export_module
    from slmdeploy.export.executorch.sized import settled

__all__ = ["EXPORTER", "ExecutorchExporter"]


class ExecutorchExporter(Unconverted):
    """See ``export.plugin.Exporter``."""

    file = "model.pte"
    consumes = True

    def capacity(self, context: int, options: ExecutorchOptions) -> int:
        """Whole chunks, so that a padded last chunk always fits."""
        return capacity_for(context, options.prefill_chunk)

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
        """Lower to XNNPACK and write the ``.pte``."""
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
        """Lower to XNNPACK and write the ``.pte``."""
        return export_module(
            compressed,
            inputs,
            options,
            destination,
            input_names=input_names,
            output_names=output_names,
            golden=inputs,
            progress=progress,
        )

    def settle_sizes(
        self, module: nn.Module, names: Sequence[str], inputs: tuple[Tensor, ...], sizes: Sizes
    ) -> Sizes:
        """As torch finds them in tracing."""
        return settled(module, names, inputs, sizes)

    def export_sized(
        self,
        compressed: CompressedModule,
        calls: Sequence[tuple[Tensor, ...]],
        sizes: Sizes,
        options: ExecutorchOptions,
        destination: Path,
        *,
        input_names: tuple[str, ...],
        output_names: tuple[str, ...],
        progress: Progress,
    ) -> Artifact:
        """Lower to XNNPACK and write the ``.pte``."""
        return export_module(
            compressed,
            calls[0],
            options,
            destination,
            input_names=input_names,
            output_names=output_names,
            golden=calls[0],
            sizes=sizes,
            other_golden=calls[1:],
            progress=progress,
        )

    def export_foreign(
        self,
        compressed: CompressedModule,
        options: ExecutorchOptions,
        destination: Path,
        *,
        golden: Golden | None,
        progress: Progress,
    ) -> Artifact:
        """Lower to XNNPACK and write the ``.pte``."""
        from slmdeploy.export.executorch.foreign import export_foreign

        return export_foreign(compressed, options, destination, golden=golden, progress=progress)

    def module_inputs(
        self,
        inputs: tuple[Tensor, ...],
        names: tuple[str, ...],  # noqa: ARG002
    ) -> tuple[Tensor, ...]:
        """As they are."""
        return inputs


EXPORTER: Exporter = ExecutorchExporter()
