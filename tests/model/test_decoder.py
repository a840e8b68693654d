"""The decoder against transformers' eager logits, over prefill and decode through the cache."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slmdeploy.model.attention import EagerAttention, step_logits
from slmdeploy.model.decoder import FirstStage, LastStage, MiddleStage, RMSNorm, rotate
from tests.model.reference import LLAMA3, PROMPT, Reference, reference, tokens

LIMIT = 1e-4
NINE_HEADS = {"num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 72}

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama, tied": ("llama", {"tie_word_embeddings": True}),
    "llama, a key for each query": ("llama", {"num_key_value_heads": 4}),
    "llama, one key for all queries": ("llama", {"num_key_value_heads": 1}),
    "llama, head_dim apart": ("llama", {"head_dim": 24}),
    "llama 3": ("llama", {"rope_parameters": LLAMA3}),
    "llama, linear scaling": (
        "llama",
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 900.0}},
    ),
    "smollm2, 9 heads on 3": ("llama", {**NINE_HEADS, "tie_word_embeddings": True}),
    "smollm2, 15 heads on 5": (
        "llama",
        {"num_attention_heads": 15, "num_key_value_heads": 5, "hidden_size": 120},
    ),
    "qwen2": ("qwen2", {}),
    "qwen2, tied, 14 heads on 2": (
        "qwen2",
        {
            "tie_word_embeddings": True,
            "num_attention_heads": 14,
            "hidden_size": 112,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
        },
    ),
    "qwen3": ("qwen3", {"head_dim": 24}),
    "qwen3, tied, 9 heads on 3": (
        "qwen3",
        {**NINE_HEADS, "head_dim": 16, "tie_word_embeddings": True},
    ),
    "one layer": ("llama", {"num_hidden_layers": 1}),
}


def error_through_the_cache(model: Reference) -> float:
    """Largest difference of logits over a prompt and 16 steps of decode."""
    ids = tokens()
    found = step_logits(model.decoder(), ids[:PROMPT], ids[PROMPT:])
    expected = model.logits(ids)[PROMPT - 1 :]
    assert found.shape == expected.shape
    # Logits that say nothing would agree with anything.
    assert expected.std() > 0.5
    return float((found - expected).abs().max())


@pytest.mark.parametrize("name", MODELS)
def test_prefill_and_16_steps_give_the_logits_of_transformers(name):
    family, changes = MODELS[name]
    assert error_through_the_cache(reference(family, **changes)) <= LIMIT


@settings(deadline=None, max_examples=60)
@given(
    family=st.sampled_from(["llama", "qwen2", "qwen3"]),
    kv_heads=st.integers(1, 5),
    group=st.integers(1, 5),
    head_dim=st.sampled_from([4, 6, 16, 22]),
    hidden=st.integers(5, 20),
    mlp=st.integers(3, 90),
    layers=st.integers(1, 4),
    tied=st.booleans(),
    theta=st.sampled_from([100.0, 10000.0, 1e6]),
    seed=st.integers(0, 1000),
)
def test_so_does_any_shape(  # noqa: PLR0917 - hypothesis gives them by name
    family, kv_heads, group, head_dim, hidden, mlp, layers, tied, theta, seed
):
    model = reference(
        family,
        seed,
        num_key_value_heads=kv_heads,
        num_attention_heads=kv_heads * group,
        head_dim=head_dim,
        hidden_size=hidden * kv_heads * group,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        tie_word_embeddings=tied,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
    )
    ids = tokens(24, seed)
    expected = model.logits(ids)[11:]
    found = step_logits(model.decoder(), ids[:12], ids[12:])
    assert (found - expected).abs().max() <= LIMIT


def test_all_rows_of_a_chunk_are_those_of_transformers():
    model, ids = reference("qwen3", head_dim=24), tokens()
    decoder = model.decoder()
    with torch.no_grad():
        found = decoder(ids[None], 0, EagerAttention(decoder.config, len(ids)), last_only=False)
    assert (found - model.logits(ids)).abs().max() <= LIMIT


def test_the_last_row_alone_is_the_last_of_all_rows():
    decoder, ids = reference("llama").decoder(), tokens(9)
    with torch.no_grad():
        every = decoder(ids[None], 0, EagerAttention(decoder.config, 9), last_only=False)
        last = decoder(ids[None], 0, EagerAttention(decoder.config, 9))
    assert last.shape == (1, every.shape[1])
    assert torch.allclose(last[0], every[-1], atol=1e-5)


def test_the_stages_are_one_more_than_the_layers_and_share_their_weights():
    decoder = reference("llama").decoder()
    first, *middle, last = decoder.stages()
    assert isinstance(first, FirstStage)
    assert [type(stage) for stage in middle] == [MiddleStage, MiddleStage]
    assert isinstance(last, LastStage)
    assert middle[0].following is middle[1].layer
    assert last.head is decoder.head


def test_a_norm_divides_by_the_root_of_the_mean_of_squares():
    norm = RMSNorm(4, eps=0.0)
    norm.weight.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    found = norm(torch.tensor([[1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 0.0, 0.0]]))
    assert torch.allclose(found, torch.tensor([[1.0, 2.0, 3.0, 4.0], [2.0, 0.0, 0.0, 0.0]]))


def test_a_norm_of_zeros_is_zeros():
    assert RMSNorm(4, eps=1e-6)(torch.zeros(1, 4)).tolist() == [[0.0] * 4]


@given(st.floats(-3, 3), st.integers(1, 4))
def test_rotation_turns_each_pair_and_keeps_its_length(angle, heads):
    x = torch.randn(1, heads, 2, generator=torch.Generator().manual_seed(heads))
    cos, sin = torch.tensor(angle).cos(), torch.tensor(angle).sin()
    turned = rotate(x, cos.expand(1, 1, 2), sin.expand(1, 1, 2))
    expected = torch.view_as_complex(x) * torch.complex(cos, sin)
    assert torch.allclose(torch.view_as_complex(turned.contiguous()), expected, atol=1e-5)
