"""What each exporter traces, run in torch: caches, masks and caps, without the conversion.

The artifacts themselves are ``test_artifacts.py``.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from slmdeploy.compress.quantize import Compressed
from slmdeploy.compress.recipe import BUILTIN_RECIPES
from tests.model.families.artifacts import CHUNK, IDS
from tests.model.families.cases import CASES, LIMIT, PROMPT, TOTAL, fixed, through_the_cache
from tests.model.reference import reference

GOLDEN = IDS[:PROMPT].numpy(), IDS[PROMPT:].numpy()


@pytest.mark.parametrize("family", CASES)
def test_litert_gives_the_logits_of_transformers(family):
    from slmdeploy.export.litert.traced import traced_logits

    model = fixed(family)
    found = torch.from_numpy(traced_logits(model.decoder(TOTAL), CHUNK, *GOLDEN))
    assert (found - model.logits(IDS)[PROMPT - 1 :]).abs().max() <= LIMIT


class InTuples(nn.Module):
    """A stage that has not been lowered, in the place of one that has."""

    def __init__(self, stage: nn.Module) -> None:
        super().__init__()
        self.stage = stage

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = self.stage(*inputs)
        return given if isinstance(given, tuple) else (given,)


def executorch_logits(decoder, kernels: str) -> Tensor:
    import executorch.extension.llm.custom_ops.custom_ops  # noqa: F401 - llama::custom_sdpa

    from slmdeploy.export.executorch import steps
    from slmdeploy.export.executorch.exporter import _cache_shape
    from slmdeploy.export.executorch.traced import _prefill

    config = decoder.config
    cache = steps.Cache(config, _cache_shape(config, kernels, decoder.positions))
    shapes = steps._Shapes(config, decoder.positions, CHUNK, 1)
    stages = list(decoder.stages())
    if kernels == "portable":
        stages = [shapes.portable(stage)[0] for stage in stages]
    kind = steps.LlmStep if kernels == "llm" else steps.PortableStep
    step = kind(decoder, cache, [InTuples(stage) for stage in stages], "one")
    with torch.no_grad():
        for start in range(0, PROMPT, CHUNK):
            row = _prefill(step, IDS[start : min(start + CHUNK, PROMPT)], start, CHUNK)
        rows = [step(IDS[None, n : n + 1], torch.tensor([n])) for n in range(PROMPT, TOTAL)]
    return torch.cat([row, *rows])


KERNELS = [(family, "portable") for family in CASES]
KERNELS += [(family, "llm") for family in CASES if family != "gemma2"]
"""Gemma 2 has soft caps, which the operators of ``llm`` have not."""


@pytest.mark.parametrize(("family", "kernels"), KERNELS)
def test_executorch_gives_the_logits_of_transformers(family, kernels, capfd):
    model = fixed(family)
    found = executorch_logits(model.decoder(56), kernels)
    assert (found - model.logits(IDS)[PROMPT - 1 :]).abs().max() <= LIMIT


@pytest.mark.parametrize("family", CASES)
def test_core_ml_gives_nearly_the_logits_of_transformers(family):
    """Its weights are float16, so that logits of about 1 are off by some thousandths."""
    from slmdeploy.export.coreml.exporter import DECODE, PREFILL, _steps
    from slmdeploy.export.coreml.plain import plain_decoder
    from slmdeploy.export.coreml.traced import traced_logits
    from slmdeploy.export.options import CoremlOptions

    model = fixed(family)
    plain = plain_decoder(Compressed(model.decoder(64), BUILTIN_RECIPES["none"]))
    steps = _steps(plain, CoremlOptions(prefill_chunk=CHUNK))
    found = torch.from_numpy(traced_logits(steps[PREFILL], steps[DECODE], CHUNK, *GOLDEN))
    assert (found - model.logits(IDS)[PROMPT - 1 :]).abs().max() <= 0.02


def test_a_window_wider_than_the_context_is_left_out():
    config = reference("mistral", sliding_window=TOTAL).config
    assert config.windows_within(TOTAL) == (None,)
    assert config.windows_within(TOTAL + 1) == (TOTAL,)


def test_a_window_changes_what_is_computed():
    """Or all of the above would hold without one."""
    wide, narrow = (fixed("mistral", sliding_window=size).decoder(TOTAL) for size in (None, 7))
    both = through_the_cache(wide, IDS, 0), through_the_cache(narrow, IDS, 0)
    assert (both[0] - both[1]).abs().max() > 0.1
