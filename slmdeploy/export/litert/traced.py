"""Run a decoder's signatures in torch: the rung between the eager model and the artifact."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from slmdeploy.export.litert.steps import DecoderStep, cache_inputs
from slmdeploy.model.decoder import Decoder

__all__ = ["traced_logits"]


@torch.no_grad()
def traced_logits(
    decoder: Decoder,
    chunk: int,
    prompt: npt.NDArray[np.int64],
    continuation: npt.NDArray[np.int64],
) -> npt.NDArray[np.float32]:
    """Feed given tokens to what is converted, by the calls that a runner makes.

    Args:
        decoder: Compressed; its rotary tables have as many positions as the cache.
        chunk: Tokens that one call of prefill takes.
        prompt: int64 [P].
        continuation: int64 [T].

    Returns:
        float32 [T + 1, vocabulary]: a row after the prompt, then one after each token.
    """
    step, cache = DecoderStep(decoder, "one"), cache_inputs(decoder.config, decoder.positions)

    def call(tokens: npt.NDArray[np.int64], start: int, rows: int) -> Tensor:
        padded = torch.zeros(1, rows, dtype=torch.int32)
        padded[0, : len(tokens)] = torch.from_numpy(tokens)
        last = None if rows == 1 else torch.tensor([len(tokens) - 1], dtype=torch.int32)
        wanted = cache_inputs(decoder.config, decoder.positions, rows)
        seen = {name: cache[name][:, : like.shape[1]] for name, like in wanted.items()}
        given = step(padded, torch.tensor([start], dtype=torch.int32), last, **seen)
        for name, kept in cache.items():
            kept[:, start : start + len(tokens)] = given[name][:, : len(tokens)]
        logits: Tensor = given["logits"]
        return logits

    row = torch.empty(0)
    for start in range(0, len(prompt), chunk):
        # As the runner does: a chunk that would reach beyond the cache starts earlier.
        first = min(start, decoder.positions - chunk)
        row = call(prompt[first : start + chunk], first, chunk)
    after = [
        call(continuation[index : index + 1], len(prompt) + index, 1)
        for index in range(len(continuation))
    ]
    return np.ascontiguousarray(torch.cat([row, *after]).numpy())
