"""Families by transformers' own code: the artifact's logits against those of the source."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slmdeploy.model.families.foreign import FOREIGN
from slmdeploy.model.foreign import foreign_config
from tests.model.families.artifacts import IDS, pte_logits
from tests.model.families.cases import LIMIT, PROMPT
from tests.model.families.foreign import compressed_step, export, random_model, source_rows


def largest(a, b) -> float:
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    return float(np.abs(a - b).max())


@pytest.mark.parametrize("family", FOREIGN)
def test_a_step_over_a_cache_of_fixed_size_gives_what_the_source_gives(family, measured):
    from slmdeploy.model.foreign_step import step_rows

    model = random_model(family)
    assert foreign_config(model.config.to_dict()).family == family
    wanted = source_rows(model)
    found = step_rows(compressed_step(model).module, IDS[:PROMPT], IDS[PROMPT:])
    assert measured(family, "step", largest(found, wanted)) <= LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("family", FOREIGN)
def test_its_traced_graphs_and_its_artifact_give_what_the_source_gives(family, measured, tmp_path):
    torch.set_num_threads(1)
    model, file = random_model(family), tmp_path / "model.pte"
    wanted = source_rows(model)
    artifact = export(compressed_step(model), file)
    assert measured(family, "traced", largest(artifact.traced, wanted)) <= LIMIT
    assert measured(family, "foreign", largest(pte_logits(file), wanted)) <= LIMIT
