"""Tiny random decoders, and the artifacts made of them run in this process."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from slmdeploy.compress.quantize import Compressed, compress
from slmdeploy.compress.recipe import Recipe
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.executorch import exporter
from slmdeploy.export.executorch.lowering import StageLowering
from slmdeploy.export.options import ExecutorchOptions
from slmdeploy.model.attention import step_logits
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.decoder import Decoder

CONTEXT, CHUNK, VOCAB = 32, 8, 96

CONFIG = DecoderConfig(
    family="qwen2",
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
    tied=True,
    qkv_bias=True,
    qk_norm=False,
)
"""With biases, since XNNPACK treats them otherwise beside integer weights."""

_generator = torch.Generator().manual_seed(11)
PROMPT = torch.randint(0, VOCAB, (CHUNK - 3,), generator=_generator)
CONTINUATION = torch.randint(0, VOCAB, (6,), generator=_generator)


def decoder(seed: int = 0, *, positions: int = CONTEXT, **changes) -> Decoder:
    """A decoder with random weights, norms and biases included."""
    module = Decoder(replace(CONFIG, **changes), positions)
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.requires_grad_(requires_grad=False)
        parameter.normal_(0.0, 0.2, generator=generator)
    if module.config.tied:
        module.head.weight = module.embedding.get_parameter("weight")
    return module.eval()


def eager_logits(module: Decoder) -> torch.Tensor:
    return step_logits(module, PROMPT, CONTINUATION)


def export(
    compressed: Compressed,
    path: Path,
    *,
    kernels: str = "llm",
    lowering: StageLowering | None = None,
) -> Artifact:
    """Export; with ``lowering`` given, graphs finished for other models are used again."""
    usual = exporter.StageLowering
    if lowering is not None:
        exporter.StageLowering = lambda: lowering
    try:
        options = ExecutorchOptions(kernels=kernels, prefill_chunk=CHUNK)
        return exporter.export(compressed, options, path, context=CONTEXT)
    finally:
        exporter.StageLowering = usual


def compressed(recipe: Recipe, **changes) -> Compressed:
    return compress(decoder(**changes), recipe)


def artifact_logits(path: Path) -> torch.Tensor:
    """Logits of ``PROMPT`` and ``CONTINUATION`` from the file, as ``step_logits`` gives them."""
    import executorch.extension.llm.custom_ops.custom_ops
    import executorch.kernels.quantized  # noqa: F401 - embedding operators
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(path)
    prefill, decode = (program.load_method(name) for name in ("prefill", "decode"))
    tokens = torch.zeros(1, CHUNK, dtype=torch.int64)
    tokens[0, : len(PROMPT)] = PROMPT
    last = torch.tensor([len(PROMPT) - 1])
    rows = [prefill.execute((tokens, torch.tensor([0]), last))[0].clone()]
    for index, token in enumerate(CONTINUATION):
        position = torch.tensor([len(PROMPT) + index])
        rows.append(decode.execute((token.view(1, 1), position))[0].clone())
    return torch.cat(rows)


def snr_db(reference: torch.Tensor, found: torch.Tensor) -> float:
    noise = float((reference - found).pow(2).sum())
    return math.inf if noise == 0 else 10 * np.log10(float(reference.pow(2).sum()) / noise)
