"""What an exporter does for the steps; each is found by its runtime's name. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from slmdeploy.errors import UnknownNameError
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.lengths import Examples
from slmdeploy.model.sizes import Sizes
from slmdeploy.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor, nn

    from slmdeploy.compress.generic import CompressedModule
    from slmdeploy.compress.quantize import Compressed
    from slmdeploy.model.decoder import Decoder

__all__ = [
    "GROUP",
    "Exporter",
    "ForeignExporter",
    "Golden",
    "SizedExporter",
    "Unconverted",
    "find_exporter",
]

GROUP = "slmdeploy.exporters"

Golden = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""A prompt [P] and a continuation [T]."""


class Exporter(Protocol):
    """Makes the artifacts of one runtime.

    A model in float32 is converted first, into a folder that later exports of the same
    model with the same options find again; then a compressed one is exported. An exporter
    that needs no such step does nothing in it.
    """

    @property
    def file(self) -> str:
        """Name of the artifact in a bundle."""

    @property
    def consumes(self) -> bool:
        """Whether ``export`` leaves the compressed model unusable."""

    def capacity(self, context: int, options: Any) -> int:
        """Places that the cache has for a context: the positions of the rotary tables."""

    def converts(self, folder: Path) -> bool:
        """Whether a conversion must still be made in a folder."""

    def convert(self, decoder: Decoder, options: Any, folder: Path, progress: Progress) -> None:
        """Convert a decoder in float32.

        Raises:
            ExportError: A part of the model cannot be lowered.
        """

    def export(
        self,
        compressed: Compressed,
        options: Any,
        destination: Path,
        *,
        context: int,
        converted: Path,
        golden: Golden | None,
        progress: Progress,
    ) -> Artifact:
        """Write the artifact of a compressed decoder.

        Raises:
            ExportError: The model or its recipe has no place in the runtime.
        """

    def export_module(
        self,
        compressed: CompressedModule,
        source: nn.Module,
        inputs: Examples,
        options: Any,
        destination: Path,
        *,
        input_names: tuple[str, ...],
        output_names: tuple[str, ...],
        progress: Progress,
    ) -> Artifact:
        """Write the artifact of any other compressed module.

        Args:
            compressed: What to export.
            source: The same module, not compressed.
            inputs: Examples, which are the golden inputs too. By the names of methods there
                is a method for each, with the same weights.
            options: The exporter's own.
            destination: The file to write.
            input_names: A name for each input.
            output_names: A name for each output.
            progress: Is told of each step.

        Raises:
            ExportError: The module has no place in the runtime.
        """

    def module_inputs(
        self, inputs: tuple[Tensor, ...], names: tuple[str, ...]
    ) -> tuple[Tensor, ...]:
        """Inputs as the artifact of a module takes them."""


class Unconverted:
    """For exporters that convert nothing beforehand."""

    def converts(self, folder: Path) -> bool:  # noqa: ARG002
        """No."""
        return False

    def convert(self, decoder: Decoder, options: Any, folder: Path, progress: Progress) -> None:
        """Nothing."""


@runtime_checkable
class ForeignExporter(Protocol):
    """An exporter that also takes decoders whose code is of ``transformers``."""

    def capacity(self, context: int, options: Any) -> int:
        """As of ``Exporter``."""

    def export_foreign(
        self,
        compressed: CompressedModule,
        options: Any,
        destination: Path,
        *,
        golden: Golden | None,
        progress: Progress,
    ) -> Artifact:
        """Write the artifact of a compressed ``ForeignStep``.

        Raises:
            ExportError: The model or its recipe has no place in the runtime.
        """


@runtime_checkable
class SizedExporter(Protocol):
    """An exporter whose artifacts may take inputs of sizes that vary."""

    def settle_sizes(
        self, module: nn.Module, names: Sequence[str], inputs: tuple[Tensor, ...], sizes: Sizes
    ) -> Sizes:
        """Sizes whose axes are tied as the module's code does, where the user did not say.

        Raises:
            ExportError: The module does not take all sizes.
        """

    def export_sized(
        self,
        compressed: CompressedModule,
        calls: Sequence[tuple[Tensor, ...]],
        sizes: Sizes,
        options: Any,
        destination: Path,
        *,
        input_names: tuple[str, ...],
        output_names: tuple[str, ...],
        progress: Progress,
    ) -> Artifact:
        """Write the artifact of a compressed module; it has one method.

        Args:
            compressed: What to export.
            calls: The examples, and further golden inputs of other sizes.
            sizes: The axes of each input that may vary, all with bounds.
            options: The exporter's own.
            destination: The file to write.
            input_names: A name for each input.
            output_names: A name for each output.
            progress: Is told of each step.

        Raises:
            ExportError: The module has no place in the runtime, or does not take all sizes.
        """


def find_exporter(runtime: str) -> Exporter:
    """The exporter of a runtime.

    Raises:
        UnknownNameError: There is none.
        MissingExtraError: Its packages are not installed.
    """
    found = {point.name: point for point in entry_points(group=GROUP)}
    if runtime not in found:
        raise UnknownNameError("exporter", runtime, found)
    exporter: Exporter = found[runtime].load()
    return exporter
