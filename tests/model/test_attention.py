from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slmdeploy.model.attention import EagerAttention, step_logits
from slmdeploy.model.config import DecoderConfig
from tests.model.reference import reference, tokens


def config(heads: int, kv_heads: int, head_dim: int = 4) -> DecoderConfig:
    return DecoderConfig(
        family="llama",
        vocab_size=8,
        hidden_size=heads * head_dim,
        intermediate_size=8,
        layers=2,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        norm_eps=1e-5,
        rope_theta=10000.0,
        context=32,
        tied=True,
    )


def projections(config: DecoderConfig, length: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(length)
    return tuple(
        torch.randn(length, heads, config.head_dim, generator=generator)
        for heads in (config.heads, config.kv_heads, config.kv_heads)
    )


def plainly(config: DecoderConfig, query, key, value) -> np.ndarray:
    """Causal attention, one head and one position after the other."""
    query, key, value = (part.double().numpy() for part in (query, key, value))
    length, group = len(query), config.heads // config.kv_heads
    rows = np.zeros((length, config.heads, config.head_dim))
    for position in range(length):
        for head in range(config.heads):
            keys = key[: position + 1, head // group]
            scores = keys @ query[position, head] / np.sqrt(config.head_dim)
            weights = np.exp(scores - scores.max())
            rows[position, head] = weights @ value[: position + 1, head // group] / weights.sum()
    return rows.reshape(length, -1)


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_any_split_into_chunks_gives_plain_causal_attention(kv_heads, group, chunks):
    shape = config(kv_heads * group, kv_heads)
    query, key, value = projections(shape, sum(chunks))
    attention = EagerAttention(shape, sum(chunks))
    found = []
    for chunk in chunks:
        rows = slice(attention.position, attention.position + chunk)
        found.append(attention(1, query[rows], key[rows], value[rows]))
        attention.position += chunk
    np.testing.assert_allclose(
        torch.cat(found).numpy(), plainly(shape, query, key, value), atol=1e-5
    )


def test_layers_keep_apart_what_they_have_seen():
    shape = config(2, 2)
    query, key, value = projections(shape, 3)
    attention = EagerAttention(shape, 3)
    first = attention(0, query, key, value)
    attention(1, query, -key, value * 7)
    attention.position = 2
    again = attention(0, query[2:], key[2:], value[2:])
    assert torch.allclose(again[0], first[2], atol=1e-6)


def test_what_lies_beyond_the_position_is_not_seen():
    shape = config(2, 1)
    query, key, value = projections(shape, 2)
    clean, dirty = EagerAttention(shape, 8), EagerAttention(shape, 8)
    dirty.keys.fill_(5.0)
    dirty.values.fill_(99.0)
    assert torch.equal(clean(0, query, key, value), dirty(0, query, key, value))


def test_step_logits_gives_a_row_after_the_prompt_and_after_each_token():
    decoder, ids = reference("llama").decoder(), tokens(9)
    rows = step_logits(decoder, ids[:5], ids[5:])
    assert rows.shape == (5, decoder.config.vocab_size)
    assert not rows.requires_grad
    longer = step_logits(decoder, ids[:7], ids[7:])
    assert torch.allclose(rows[2:], longer, atol=1e-5)


def test_without_a_continuation_there_is_the_prompts_row_alone():
    decoder, ids = reference("llama").decoder(), tokens(3)
    assert step_logits(decoder, ids, ids[:0]).shape == (1, decoder.config.vocab_size)
