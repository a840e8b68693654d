"""Tiny random decoders of each family, and their packages run by the evaluator."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from slmdeploy.compress.quantize import Compressed, compress
from slmdeploy.compress.recipe import BUILTIN_RECIPES, Recipe
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.coreml.plugin import CoremlExporter
from slmdeploy.export.mil.package import open_package
from slmdeploy.export.options import CoremlOptions
from slmdeploy.model.attention import EagerAttention
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.decoder import Decoder
from slmdeploy.progress import silent
from slmdeploy.runtime.coreml import EvaluatorEngine, find_packages
from slmdeploy.target.recipes import fitted

CONTEXT, CHUNK, VOCAB, STEPS = 608, 16, 96, 32
OPTIONS = CoremlOptions(prefill_chunk=CHUNK)

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

TOKENS = np.random.default_rng(5).integers(0, VOCAB, CONTEXT)

Array = npt.NDArray[Any]


def decoder(family: str = "qwen2", context: int = CONTEXT) -> Decoder:
    """A decoder with random weights, norms and biases included."""
    module = Decoder(FAMILIES[family], context)
    generator = torch.Generator().manual_seed(7)
    for parameter in module.parameters():
        parameter.requires_grad_(requires_grad=False)
        parameter.normal_(0.0, 0.15, generator=generator)
    if module.config.tied:
        module.head.weight = module.embedding.get_parameter("weight")
    return module.eval()


@cache
def compressed(recipe: str | Recipe = "fp16", family: str = "qwen2") -> Compressed:
    chosen = BUILTIN_RECIPES[recipe] if isinstance(recipe, str) else recipe
    return compress(decoder(family), fitted("coreml", chosen))


def export(
    model: Compressed, path: Path, options: CoremlOptions = OPTIONS, context: int = CONTEXT
) -> Artifact:
    return CoremlExporter().export(
        model,
        options,
        path,
        context=context,
        converted=path.parent,
        golden=None,
        progress=silent,
    )


class App:
    """Drives a package as an app does: chunks of prefill, then token by token."""

    def __init__(self, path: Path, mode: Any = "fp32") -> None:
        self.chunk = CHUNK
        self.engine = EvaluatorEngine(path, mode)
        self.inputs: dict[str, Any] = {}
        for name, package in find_packages(path).items():
            opened = open_package(package)
            for function, body in opened.functions.items():
                self.inputs[name or function] = body.inputs
        self.start()

    def start(self) -> None:
        self.engine.start()
        self.cache = {
            name: np.zeros(of.shape, np.float32)
            for name, of in self.inputs["decode"].items()
            if name in ("k_cache", "v_cache")
        }

    def call(self, function: str, tokens: Array, start: int) -> Array:
        rows = 1 if function == "decode" else self.chunk
        padded = np.zeros((1, rows), np.int32)
        padded[0, : len(tokens)] = tokens
        given = {"ids": padded, "position": np.array([start], np.int32), **self.cache}
        if "last" in self.inputs[function]:
            given["last"] = np.array([len(tokens) - 1], np.int32)
        found = self.engine.call(function, given)
        self.cache = {name: found[f"{name}_out"] for name in self.cache}
        logits = found["logits"]
        return logits if len(logits) == 1 else logits[: len(tokens)]

    def prefill(self, tokens: Array, start: int = 0) -> Array:
        """Logits of the last token of a prompt that begins at a position."""
        end, last = start + len(tokens), CONTEXT - self.chunk
        row = np.empty(0)
        for place in range(start, end, self.chunk):
            first = min(place, last)
            piece = tokens[first - start : place + self.chunk - start]
            row = self.call("prefill", piece, first)
        return row[-1:]

    def score(self, prompt: int, steps: int = STEPS) -> Array:
        """Logits [steps + 1, vocabulary] after a prompt of so many tokens, and after each next."""
        rows = [self.prefill(TOKENS[:prompt])]
        rows += [
            self.call("decode", TOKENS[place : place + 1], place)
            for place in range(prompt, prompt + steps)
        ]
        return np.concatenate(rows)


def eager(model: Compressed, prompt: int, steps: int = STEPS) -> Array:
    """The same of the compressed model in torch, fed in one chunk."""
    tokens = torch.from_numpy(TOKENS[: prompt + steps])
    attention = EagerAttention(model.module.config, len(tokens))
    with torch.no_grad():
        every = model.module(tokens[None], 0, attention, last_only=False)
    return np.asarray(every[prompt - 1 :])
