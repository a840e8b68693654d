"""The converter's own generative export of a model, for ``litert.py``.

    python benchmarks/litert_export_hf.py demo FOLDER --context 512 --chunk 128

Writes ``model.litertlm`` and ``model_quantized.tflite`` (int8 weights per channel, quantized
activations), and prints one JSON object with the time and the peak memory. The converter
imports TensorFlow for a module of its own runtime's wheel; it gets that one.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import json
import resource
import sys
import tempfile
import time
import types
from pathlib import Path

from slmdeploy.errors import SlmdeployError
from slmdeploy.model.model import Model
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref

RECIPE = "dynamic_wi8_afp32"


def main() -> int:
    """Export and print; an error of ours gives its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--chunk", type=int, default=128)
    options = parser.parse_args()
    try:
        model = read_model(parse_ref(options.model))
    except SlmdeployError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    with tempfile.TemporaryDirectory() as scratch:
        write_checkpoint(model, Path(scratch))
        began = time.monotonic()
        export(Path(scratch), options.folder, options.context, options.chunk)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": time.monotonic() - began, "peak_rss_bytes": peak}))
    return 0


def write_checkpoint(model: Model, folder: Path) -> None:
    """Write a model as Hugging Face has it: configuration, weights, tokenizer."""
    from safetensors.torch import save_file

    settings = {**model.hf_config, "dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    weights = {name: model.weights.load(name).contiguous() for name in model.weights.names()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    if model.tokenizer is not None:
        model.tokenizer.save(folder)


def export(source: Path, folder: Path, context: int, chunk: int) -> None:
    """Run the converter's export."""
    _stand_in_for_tensorflow()
    from litert_torch.generative.export_hf.export import export as export_hf

    export_hf(
        model=str(source),
        output_dir=str(folder),
        prefill_lengths=[chunk],
        cache_length=context,
        quantization_recipe=RECIPE,
        keep_temporary_files=True,  # the .tflite alone, beside what LiteRT-LM takes
    )


def _stand_in_for_tensorflow() -> None:
    """LiteRT's schema under the name by which two modules of litert-torch 0.10 import it."""
    from ai_edge_litert import schema_py_generated

    for name in ("tensorflow", "tensorflow.lite", "tensorflow.lite.python"):
        module = types.ModuleType(name)
        module.__path__ = []
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        sys.modules[name] = module
    place = "tensorflow.lite.python.schema_py_generated"
    sys.modules[place] = schema_py_generated
    sys.modules["tensorflow.lite.python"].__dict__["schema_py_generated"] = schema_py_generated


if __name__ == "__main__":
    sys.exit(main())
