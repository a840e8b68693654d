"""LiteRT's exporter, as the steps drive it: for LiteRT itself and for tflite-runtime."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from torch import Tensor, nn

from slmdeploy.compress.generic import CompressedModule
from slmdeploy.compress.quantize import Compressed, quiet_torchao
from slmdeploy.errors import MissingExtraError
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.lengths import Examples
from slmdeploy.export.litert.quiet import quiet
from slmdeploy.export.options import LitertOptions
from slmdeploy.export.plugin import Exporter, Golden
from slmdeploy.model.decoder import Decoder
from slmdeploy.progress import Progress

try:
    with quiet_torchao(), quiet():
        from slmdeploy.export.litert.exporter import LitertRuntime, convert_decoder, export
        from slmdeploy.export.litert.generic import convert_module, export_module, narrowed
        from slmdeploy.export.litert.weights import weight_digests
except ImportError as error:
    raise MissingExtraError("litert", "Export to LiteRT") from error

__all__ = ["LITERT", "TFLITE_RUNTIME", "LitertExporter"]

_FLOAT, _DIGESTS = "float.tflite", "digests.json"


class LitertExporter:
    """See ``export.plugin.Exporter``.

    Args:
        runtime: What shall run the artifacts.
    """

    file = "model.tflite"
    consumes = False

    def __init__(self, runtime: LitertRuntime) -> None:
        self._runtime = runtime

    def capacity(self, context: int, options: LitertOptions) -> int:  # noqa: ARG002
        """As many as the context: what fills up a chunk is not written."""
        return context

    def converts(self, folder: Path) -> bool:
        """Whether the float32 file is not there yet."""
        return not all((folder / name).is_file() for name in (_FLOAT, _DIGESTS))

    def convert(
        self, decoder: Decoder, options: LitertOptions, folder: Path, progress: Progress
    ) -> None:
        """Convert to a ``.tflite`` in float32, which quantization starts from."""
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{_FLOAT}.part"
        try:
            convert_decoder(decoder, options, part, progress)
            (folder / _DIGESTS).write_text(json.dumps(weight_digests(decoder)), encoding="utf-8")
            part.replace(folder / _FLOAT)
        finally:
            part.unlink(missing_ok=True)

    def export(
        self,
        compressed: Compressed,
        options: LitertOptions,
        destination: Path,
        *,
        context: int,  # noqa: ARG002
        converted: Path,
        golden: Golden | None,
        progress: Progress,
    ) -> Artifact:
        """Quantize what was converted, and write it."""
        said = json.loads((converted / _DIGESTS).read_text(encoding="utf-8"))
        return export(
            compressed,
            options,
            destination,
            runtime=self._runtime,
            converted=converted / _FLOAT,
            digests={name: (kind, digest) for name, (kind, digest) in said.items()},
            golden=golden,
            progress=progress,
        )

    def export_module(
        self,
        compressed: CompressedModule,
        source: nn.Module,
        inputs: Examples,
        options: LitertOptions,  # noqa: ARG002
        destination: Path,
        *,
        input_names: tuple[str, ...],
        output_names: tuple[str, ...],
        progress: Progress,
    ) -> Artifact:
        """Convert the source, quantize it as the compressed module is, and write it."""
        with tempfile.TemporaryDirectory(dir=destination.parent) as folder:
            converted = Path(folder) / _FLOAT
            convert_module(
                source,
                inputs,
                converted,
                input_names=input_names,
                output_names=output_names,
                progress=progress,
            )
            return export_module(
                compressed,
                destination,
                runtime=self._runtime,
                converted=converted,
                digests=weight_digests(source),
                inputs=inputs,
                progress=progress,
            )

    def module_inputs(
        self, inputs: tuple[Tensor, ...], names: tuple[str, ...]
    ) -> tuple[Tensor, ...]:
        """With int32 in the place of int64."""
        return narrowed(inputs, names)


LITERT: Exporter = LitertExporter("litert")
TFLITE_RUNTIME: Exporter = LitertExporter("tflite-runtime")
