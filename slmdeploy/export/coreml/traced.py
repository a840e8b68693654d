"""What the exported graphs say in torch: the step module driven as an app drives the package."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from slmdeploy.export.coreml.steps import DecoderStep
from slmdeploy.export.plugin import Golden
from slmdeploy.progress import Progress, Step

__all__ = ["run_golden", "traced_logits"]


def run_golden(
    step: DecoderStep, one: DecoderStep, chunk: int, golden: Golden | None, progress: Progress
) -> npt.NDArray[np.float32] | None:
    """What ``traced_logits`` gives for golden tokens; ``None`` where there are none."""
    if golden is None:
        return None
    progress(Step("run the exported graphs"))
    logits = traced_logits(step, one, chunk, *golden)
    progress(Step("run the exported graphs", finished=True))
    return logits


@torch.no_grad()
def traced_logits(
    step: DecoderStep,
    one: DecoderStep,
    chunk: int,
    prompt: npt.NDArray[np.int64],
    continuation: npt.NDArray[np.int64],
) -> npt.NDArray[np.float32]:
    """Feed given tokens, chunk by chunk and then one by one.

    Args:
        step: Of ``prefill``; its weights are those of ``one``.
        one: Of ``decode``.
        chunk: Tokens that one call of prefill takes.
        prompt: int64 [P].
        continuation: int64 [T].

    Returns:
        float32 [T + 1, vocabulary]: a row after the prompt, then one after each token.
    """
    cache = _empty(step)

    def call(module: DecoderStep, tokens: npt.NDArray[np.int64], start: int, rows: int) -> Tensor:
        nonlocal cache
        padded = torch.zeros(1, rows, dtype=torch.int32)
        padded[0, : len(tokens)] = torch.from_numpy(tokens)
        given = [padded, torch.tensor([start], dtype=torch.int32)]
        if module.last:
            given.append(torch.tensor([len(tokens) - 1], dtype=torch.int32))
        if module.states:
            module.k_cache, module.v_cache = cache
            logits = module(*given)
        else:
            logits, *cache = module(*given, *cache)
        row: Tensor = logits if module.last else logits[len(tokens) - 1 :][:1]
        return row

    row = torch.empty(0)
    for start in range(0, len(prompt), chunk):
        # As an app must: a chunk that would reach beyond the cache starts earlier.
        first = min(start, step.decoder.positions - chunk)
        row = call(step, prompt[first : start + chunk], first, chunk)
    after = [
        call(one, continuation[index : index + 1], len(prompt) + index, 1)
        for index in range(len(continuation))
    ]
    for module in (step, one):
        if module.states:
            module.k_cache, module.v_cache = _empty(step)
    return np.ascontiguousarray(torch.cat([row, *after]).numpy())


def _empty(step: DecoderStep) -> list[Tensor]:
    return [step.empty_cache() for _ in range(2)]
