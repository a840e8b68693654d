"""Peak memory, time and size of whole exports of random models, beside what was forecast.

    python benchmarks/forecast.py
    python benchmarks/forecast.py --size small --target local-litert --recipe none

Each export is ``slmdeploy export --no-verify`` in a process of its own with an empty cache:
reading, source, decoder, compression, artifact, bundle. The models are Llamas of random
weights, made here. ``slmdeploy/steps/export_cost.py`` has its coefficients from this
script's output, and the share in the table is what was measured of what it forecasts: it
should be between 0.8 and 1. Recipes that a target refuses are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rounds import table

from slmdeploy.compress.recipe import load_recipe
from slmdeploy.errors import ExportError, SlmdeployError
from slmdeploy.model.read import read_model
from slmdeploy.model.request import request_of
from slmdeploy.progress import silent
from slmdeploy.steps.export_cost import ExportCost, export_cost
from slmdeploy.target.load import load_target
from slmdeploy.target.recipes import refusal

SCHEMA = "slmdeploy/benchmark-forecast/1"
_PROGRAM = "import sys; from slmdeploy.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Shape:
    """A Llama's sizes.

    Attributes:
        hidden: Width of the hidden states.
        mlp: Width of the feed-forward part.
        layers: Layers.
        heads: Heads of queries, of 64 each; a third of them for keys and values.
        vocabulary: Tokens.
        tied: The head is the embedding table.
    """

    hidden: int
    mlp: int
    layers: int
    heads: int
    vocabulary: int
    tied: bool = True

    def config(self) -> dict[str, Any]:
        """The checkpoint's ``config.json``."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_act": "silu",
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.mlp,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.heads // 3,
            "head_dim": 64,
            "rms_norm_eps": 1e-5,
            "max_position_embeddings": 2048,
            "tie_word_embeddings": self.tied,
        }

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of its tensors."""
        query, key = self.heads * 64, self.heads // 3 * 64
        layer: dict[str, tuple[int, ...]] = {
            "input_layernorm.weight": (self.hidden,),
            "self_attn.q_proj.weight": (query, self.hidden),
            "self_attn.k_proj.weight": (key, self.hidden),
            "self_attn.v_proj.weight": (key, self.hidden),
            "self_attn.o_proj.weight": (self.hidden, query),
            "post_attention_layernorm.weight": (self.hidden,),
            "mlp.gate_proj.weight": (self.mlp, self.hidden),
            "mlp.up_proj.weight": (self.mlp, self.hidden),
            "mlp.down_proj.weight": (self.hidden, self.mlp),
        }
        found = {
            "model.embed_tokens.weight": (self.vocabulary, self.hidden),
            "model.norm.weight": (self.hidden,),
            **{f"model.layers.{i}.{k}": v for i in range(self.layers) for k, v in layer.items()},
        }
        return found if self.tied else {**found, "lm_head.weight": (self.vocabulary, self.hidden)}


SHAPES: Mapping[str, Shape] = {
    "small": Shape(192, 512, 6, 3, 8192),
    "medium": Shape(384, 1024, 12, 6, 16384),
    "untied": Shape(384, 1024, 12, 6, 32768, tied=False),
    "vocabulary": Shape(384, 1024, 6, 6, 131072),
    "large": Shape(576, 1536, 30, 9, 49152),
    "larger": Shape(960, 2560, 32, 15, 49152),
}
"""From 4 to 362 million parameters; ``large`` and ``larger`` have the shapes of SmolLM2-135M and
SmolLM2-360M."""

TARGETS = (
    "local-executorch",
    "local-litert",
    "iphone16pro-coreml",
    "iphone15-executorch-coreml",
)
RECIPES = ("none", "fp16", "8da8w", "8da4w", "w8", "w4-g32", "palette4")


def main() -> int:
    """Measure and print; an error of ours gives its exit code."""
    options = _options()
    try:
        document = run(options)
    except SlmdeployError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(document, indent=2) if options.json else as_text(document))
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Export each size for each target with each recipe.

    Raises:
        ExportError: One of them failed; the message has its last lines.
    """
    rows = []
    for size in options.size or SHAPES:
        with tempfile.TemporaryDirectory(prefix="slmdeploy-bench-") as scratch:
            folder = Path(scratch)
            write_checkpoint(SHAPES[size], folder / "model")
            for target, recipe in _pairs(options):
                row = _measured(folder, size, target, recipe, options.context)
                print(json.dumps(row), file=sys.stderr, flush=True)
                rows.append(row)
    return {"schema": SCHEMA, "exports": rows}


def _pairs(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Targets with the recipes that they take."""
    for target in options.target or TARGETS:
        profile = load_target(target, ())
        for recipe in options.recipe or RECIPES:
            if refusal(profile.runtime, load_recipe(recipe), profile.export) is None:
                yield target, recipe


def _forecast(model: Path, target: str, recipe: str, context: int) -> ExportCost | None:
    config = read_model(request_of(str(model)).ref(), fetch=False, progress=silent).config
    if config is None:
        return None
    return export_cost(config, load_recipe(recipe), load_target(target, ()).exporter, context)


def write_checkpoint(shape: Shape, folder: Path) -> None:
    """Write a model of random weights as float32 safetensors."""
    from safetensors.numpy import save_file

    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(shape.config()), encoding="utf-8")
    dice = np.random.default_rng(0)
    tensors = {
        name: (dice.standard_normal(size, np.float32) * np.float32(size[-1] ** -0.5))
        if len(size) > 1
        else np.ones(size, np.float32)
        for name, size in shape.tensors().items()
    }
    save_file(tensors, folder / "model.safetensors")


def _measured(folder: Path, size: str, target: str, recipe: str, context: int) -> dict[str, Any]:
    expected = _forecast(folder / "model", target, recipe, context)
    with tempfile.TemporaryDirectory(prefix="cache-", dir=folder) as cache:
        argv = [sys.executable, "-c", _PROGRAM, "export", str(folder / "model"), "--json"]
        argv += ["--target", target, "--recipe", recipe, "--no-verify"]
        argv += ["--context", str(context), "--output", str(Path(cache) / "bundles")]
        log = folder / "log.txt"
        begun = time.monotonic()
        with log.open("wb") as file:
            environment = {**os.environ, "SLMDEPLOY_CACHE_DIR": cache}
            process = subprocess.Popen(argv, stdout=file, stderr=file, env=environment)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # so that Popen does not wait
        if process.returncode != 0:
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
            raise ExportError(f"{size}, {target}, {recipe}: {' / '.join(said)}")
        manifest = next(Path(cache).glob("bundles/*/manifest.json")).read_text(encoding="utf-8")
    parameters = sum(int(np.prod(shape)) for shape in SHAPES[size].tensors().values())
    return {
        "size": size,
        "parameters": parameters,
        "target": target,
        "recipe": recipe,
        "wall_s": round(time.monotonic() - begun, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_rss_bytes": usage.ru_maxrss * 1024,
        "forecast_bytes": None if expected is None else expected.peak_bytes,
        "artifact_bytes": json.loads(manifest)["artifact"]["bytes"],
        "context": context,
        "shape": asdict(SHAPES[size]),
    }


def as_text(document: Mapping[str, Any]) -> str:
    """A table."""
    head = ["size", "parameters", "target", "recipe", "wall s", "cpu s", "peak MB", "share"]
    head.append("artifact MB")
    rows = [
        [
            row["size"],
            f"{row['parameters']:,}",
            row["target"],
            row["recipe"],
            f"{row['wall_s']:.1f}",
            f"{row['cpu_s']:.1f}",
            f"{row['peak_rss_bytes'] / 1e6:.0f}",
            _share(row),
            f"{row['artifact_bytes'] / 1e6:.1f}",
        ]
        for row in document["exports"]
    ]
    return table(head, rows)


def _share(row: Mapping[str, Any]) -> str:
    expected = row["forecast_bytes"]
    return "" if expected is None else f"{row['peak_rss_bytes'] / expected:.2f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--size", action="append", choices=list(SHAPES), help="by default all")
    add("--target", action="append", help=f"by default {', '.join(TARGETS)}")
    add("--recipe", action="append", help=f"by default {', '.join(RECIPES)}")
    add("--context", type=int, default=512, help="tokens that the cache holds")
    add("--json", action="store_true", help="one JSON document")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
