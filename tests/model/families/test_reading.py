"""A checkpoint of each family, as transformers saves it, is read whole."""

from __future__ import annotations

import pytest

from slmdeploy.model.families import family_for
from slmdeploy.model.load import load_decoder
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from tests.model.families.cases import CASES, LIMIT, PROMPT, TOTAL, fixed, through_the_cache
from tests.model.reference import tokens


@pytest.mark.parametrize("family", CASES)
def test_a_saved_checkpoint_gives_the_logits_of_the_model_that_was_saved(family, tmp_path):
    model = fixed(family)
    model.model.save_pretrained(tmp_path)
    read = read_model(parse_ref(str(tmp_path)))
    assert read.config is not None
    assert read.config.family == family
    found = family_for(read.hf_config)
    decoder = load_decoder(read.config, found, read.weights, positions=TOTAL)
    ids = tokens(TOTAL)
    logits = through_the_cache(decoder, ids, 0)
    assert (logits - model.logits(ids)[PROMPT - 1 :]).abs().max() <= LIMIT
