"""Run the exported graphs in torch: the rung between the eager model and the artifact."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from slmdeploy.export.executorch.lowering import Traced
from slmdeploy.export.executorch.steps import Cache, LlmStep, PortableStep
from slmdeploy.model.decoder import Decoder

__all__ = ["traced_logits"]


@contextmanager
def _quiet_native() -> Iterator[None]:
    """ExecuTorch's operators, called in torch, write a line to stderr each time."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, for its descriptor
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class _TracedStage(nn.Module):
    def __init__(self, traced: Traced) -> None:
        super().__init__()
        self.traced = traced

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.traced(*inputs)


@torch.no_grad()
def traced_logits(
    decoder: Decoder,
    cache: Cache,
    steps: Mapping[str, LlmStep | PortableStep],
    chunk: int,
    *,
    prompt: npt.NDArray[np.int64],
    continuation: npt.NDArray[np.int64],
) -> npt.NDArray[np.float32]:
    """Feed given tokens to the exported graphs, by the calls that a runner makes.

    The cache is empty again afterwards.

    Args:
        decoder: What was exported.
        cache: The one that its steps share.
        steps: ``prefill`` and ``decode``, lowered.
        chunk: Tokens that one call of ``prefill`` takes.
        prompt: int64 [P].
        continuation: int64 [T].

    Returns:
        float32 [T + 1, vocabulary]: a row after the prompt, then one after each token.
    """
    prefill, decode = (
        type(step)(decoder, cache, [_TracedStage(s.traced) for s in step.lowered()], step.rows)
        for step in (steps["prefill"], steps["decode"])
    )
    with _quiet_native():
        for start in range(0, len(prompt), chunk):
            row = _prefill(prefill, torch.from_numpy(prompt[start : start + chunk]), start, chunk)
        rows = [row]
        for index, token in enumerate(continuation.tolist()):
            position = torch.tensor([len(prompt) + index])
            rows.append(decode(torch.tensor([[token]]), position))
    for buffer in cache.buffers():
        buffer.zero_()
    return np.ascontiguousarray(torch.cat(rows).numpy())


def _prefill(step: LlmStep | PortableStep, tokens: Tensor, start: int, chunk: int) -> Tensor:
    """The row after a chunk, padded where it is short."""
    padded = torch.zeros(1, chunk, dtype=torch.int64)
    padded[0, : len(tokens)] = tokens
    position, last = torch.tensor([start]), torch.tensor([len(tokens) - 1])
    if step.rows == "one":
        logits: Tensor = step(padded, position, last)
        return logits
    every: Tensor = step(padded, position)
    return every[len(tokens) - 1 : len(tokens)]
