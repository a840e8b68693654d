"""Each family's package computes what torch does on the same float16 weights."""

from __future__ import annotations

import numpy as np
import pytest

from tests.export.coreml.tiny import CONTEXT, FAMILIES, STEPS, App, compressed, eager, export

POSITIONS = (1, 500, CONTEXT - STEPS)
"""Tokens before the 32 steps; the last prompt ends with a chunk that starts earlier."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=[] if name == "qwen3" else [pytest.mark.slow]) for name in FAMILIES
    ],
)
def made(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "model.mlpackage"
    model = compressed("fp16", request.param)
    export(model, path)
    return model, path


@pytest.mark.parametrize("prompt", POSITIONS)
def test_prefill_and_32_steps_give_the_eager_logits(made, prompt):
    model, path = made
    assert abs(App(path).score(prompt) - eager(model, prompt)).max() <= 1e-4


def test_in_float16_late_positions_are_as_good_as_early_ones(made):
    model, path = made
    app = App(path, "fp16")
    for prompt in POSITIONS:
        app.start()
        found, wanted = app.score(prompt), eager(model, prompt)
        assert abs(found - wanted).max() <= 0.01
        agreed = np.mean(found.argmax(-1) == wanted.argmax(-1))
        assert agreed >= 0.96
