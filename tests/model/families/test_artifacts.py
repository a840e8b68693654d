"""Each family's own configuration through all exporters: the artifact's logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.model.families.artifacts import IDS, coreml_logits, executorch_logits, litert_logits
from tests.model.families.cases import CASES, LIMIT, PROMPT, fixed

pytestmark = pytest.mark.slow


@pytest.fixture(params=CASES)
def family(request):
    return request.param


@pytest.fixture
def wanted(family):
    """What transformers says in float32."""
    torch.set_num_threads(1)
    return fixed(family).logits(IDS)[PROMPT - 1 :].numpy()


def largest(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a - b).max())


def test_executorch_gives_the_logits_of_transformers(family, wanted, measured, tmp_path):
    found = executorch_logits(fixed(family), tmp_path)
    assert measured(family, "executorch", largest(found, wanted)) <= LIMIT


def test_litert_gives_the_logits_of_transformers(family, wanted, measured, tmp_path):
    found = litert_logits(fixed(family), tmp_path)
    assert measured(family, "litert", largest(found, wanted)) <= LIMIT


def test_core_ml_gives_what_torch_gives_on_its_float16_weights(family, wanted, measured, tmp_path):
    found, traced = coreml_logits(fixed(family), tmp_path)
    error = largest(found, traced)
    assert measured(family, "coreml", error, float16=largest(found, wanted)) <= LIMIT
