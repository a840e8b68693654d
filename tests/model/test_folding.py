from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from slmdeploy.model.folding import folded
from tests.model.reference import reference

PLAIN = reference("llama").config
ONES = torch.ones(96, 4)


@pytest.mark.parametrize("name", ["embedding.weight", "norm.weight", "layers.0.qkv.weight"])
def test_without_factors_a_weight_is_left_as_it_is(name):
    assert folded(name, ONES, PLAIN) is ONES


def test_an_offset_goes_into_every_norm_and_nothing_else():
    config = replace(PLAIN, norm_offset=1.0)
    for name in ("norm.weight", "layers.1.attention_norm.weight", "layers.0.qk_norm.weight"):
        assert (folded(name, ONES, config) == 2).all()
    assert folded("layers.0.o.weight", ONES, config) is ONES


def test_a_tied_head_gets_rid_of_the_embeddings_factor_in_the_last_norm():
    config = replace(PLAIN, embedding_factor=8.0, logits_factor=0.5)
    assert (folded("embedding.weight", ONES, config) == 8).all()
    assert (folded("norm.weight", ONES, config) == 0.5).all()
    assert (folded("norm.weight", ONES, replace(config, tied=True)) == 0.5 / 8).all()
    assert folded("head.weight", ONES, config) is ONES


def test_a_scale_of_attention_goes_into_the_queries_alone():
    config = replace(PLAIN, attention_scale=0.5)  # heads of 16: 0.25 is what attention has
    found = folded("layers.0.qkv.weight", ONES, config)
    queries = config.heads * config.head_dim
    assert (found[:queries] == 2).all()
    assert (found[queries:] == 1).all()
    assert (ONES == 1).all()


def test_where_queries_are_normalized_it_goes_into_their_norm():
    config = replace(PLAIN, attention_scale=0.5, qk_norm=True)
    assert folded("layers.0.qkv.weight", ONES, config) is ONES
    found = folded("layers.0.qk_norm.weight", torch.ones(6, 16), config)
    assert (found[:4] == 2).all()
    assert (found[4:] == 1).all()


def test_a_residual_factor_goes_into_what_is_added():
    config = replace(PLAIN, residual_factor=0.25)
    for name in ("layers.0.o.weight", "layers.0.down.weight"):
        assert (folded(name, ONES, config) == 0.25).all()
    after = replace(config, post_norm=True)
    assert folded("layers.0.o.weight", ONES, after) is ONES
    assert (folded("layers.0.post_mlp_norm.weight", ONES, after) == 0.25).all()


def test_what_a_cap_divides_logits_by_goes_into_the_last_norm():
    config = replace(PLAIN, logits_cap=4.0)
    assert (folded("norm.weight", ONES, config) == 0.25).all()
