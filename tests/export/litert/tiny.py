"""Tiny random decoders of each family, and their artifacts run by the board's own runner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from slmdeploy.compress.quantize import Compressed, compress
from slmdeploy.compress.recipe import Recipe
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.litert.plugin import LitertExporter
from slmdeploy.export.options import LitertOptions
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.decoder import Decoder
from slmdeploy.progress import silent
from slmdeploy.runtime.litert import runner_files

CONTEXT, CHUNKS, VOCAB = 48, (4, 8), 96
OPTIONS = LitertOptions(prefill_chunks=CHUNKS)

LLAMA = DecoderConfig(
    family="llama",
    vocab_size=VOCAB,
    hidden_size=64,
    intermediate_size=96,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=16,
    norm_eps=1e-5,
    rope_theta=10000.0,
    context=CONTEXT,
    tied=False,
)
FAMILIES = {
    "llama": LLAMA,
    "smollm2": replace(LLAMA, heads=3, kv_heads=1, head_dim=16, rope_theta=100000.0, tied=True),
    "qwen2": replace(LLAMA, family="qwen2", tied=True, qkv_bias=True),
    "qwen3": replace(LLAMA, family="qwen3", tied=True, qk_norm=True, head_dim=32),
}

_generator = np.random.default_rng(5)
PROMPT = _generator.integers(0, VOCAB, 13)
CONTINUATION = _generator.integers(0, VOCAB, 32)


def decoder(family: str = "qwen2") -> Decoder:
    """A decoder with random weights, norms and biases included."""
    module = Decoder(FAMILIES[family], CONTEXT)
    generator = torch.Generator().manual_seed(7)
    for parameter in module.parameters():
        parameter.requires_grad_(requires_grad=False)
        parameter.normal_(0.0, 0.15, generator=generator)
    if module.config.tied:
        module.head.weight = module.embedding.get_parameter("weight")
    return module.eval()


def compressed(recipe: Recipe, family: str = "qwen2") -> Compressed:
    return compress(decoder(family), recipe)


def export(
    model: Compressed, converted: Path, path: Path, runtime: str = "litert", **changes: Any
) -> Artifact:
    exporter = LitertExporter(runtime)  # type: ignore[arg-type]
    options = OPTIONS.model_copy(update=changes)
    return exporter.export(
        model,
        options,
        path,
        context=CONTEXT,
        converted=converted,
        golden=None,
        progress=silent,
    )


@dataclass(frozen=True)
class Ran:
    """What a run of the runner said."""

    code: int
    events: list[dict[str, Any]]
    stderr: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    @property
    def error(self) -> dict[str, Any]:
        assert self.events[-1]["event"] == "error", self.events[-1]
        return self.events[-1]


def lay_out(folder: Path) -> Path:
    """The runner's files as on a device; gives the program."""
    files = runner_files("litert", sys.executable, {})
    for name, source in files.files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(source.read_bytes())
    return folder / files.executable


def start(
    program: Path,
    model: Path,
    mode: str,
    *flags: str,
    tokens: Sequence[int] | str | None = None,
    path: Sequence[str] = (),
) -> Ran:
    """Start the runner with two threads; ``path`` goes into ``PYTHONPATH``."""
    argv = [sys.executable, str(program), "--model", str(model), "--mode", mode, "--threads", "2"]
    stdin = tokens if isinstance(tokens, str) else None
    if tokens is not None:
        argv += ["--tokens", "-"]
        stdin = stdin if stdin is not None else " ".join(map(str, tokens))
    done = subprocess.run(
        [*argv, *flags],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return Ran(done.returncode, lines, done.stderr)


def score(
    program: Path,
    model: Path,
    folder: Path,
    *flags: str,
    path: Sequence[str] = (),
    prompt: Sequence[int] = tuple(PROMPT.tolist()),
    continuation: Sequence[int] = tuple(CONTINUATION.tolist()),
) -> npt.NDArray[np.float32]:
    """Logits [T + 1, vocabulary] as the runner writes them."""
    file = folder / "logits.bin"
    argv = ["--prompt-length", str(len(prompt)), "--logits", str(file), *flags]
    tokens = [*prompt, *continuation]
    ran = start(program, model, "score", *argv, tokens=tokens, path=path)
    assert ran.code == 0, (ran.events[-1:], ran.stderr)
    return np.fromfile(file, "<f4").reshape(ran.of("output")[0]["shape"])


def snr_db(reference: npt.NDArray[Any], found: npt.NDArray[Any]) -> float:
    noise = float(((reference - found) ** 2).sum())
    return np.inf if noise == 0 else 10 * np.log10(float((reference**2).sum()) / noise)
