"""Each family's configurations: one that shows what is its own, and draws of any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from hypothesis import strategies as st

from slmdeploy.model.attention import EagerAttention
from slmdeploy.model.decoder import Decoder
from tests.model.reference import LLAMA3, Reference, reference, tokens

LIMIT = 1e-4
PROMPT, STEPS = 20, 32
TOTAL = PROMPT + STEPS

Changes = dict[str, Any]
Draw = Callable[[st.DrawFn, Changes], Changes]


def _nothing(draw: st.DrawFn, drawn: Changes) -> Changes:
    return {}


@dataclass(frozen=True)
class Case:
    """A family's configurations.

    Attributes:
        models: Checkpoints that the family is for.
        own: What the fixed configuration changes of the common sizes.
        draw: What a draw changes beyond those that all families share.
        scalings: Kinds of rope scaling that its checkpoints may have.
    """

    models: str
    own: Changes = field(default_factory=dict)
    draw: Draw = _nothing
    scalings: tuple[str, ...] = ("linear", "dynamic", "llama3", "yarn")


def _types(draw: st.DrawFn, drawn: Changes) -> Changes:
    kinds = st.sampled_from(["full_attention", "sliding_attention"])
    count = drawn["num_hidden_layers"]
    return {"layer_types": draw(st.lists(kinds, min_size=count, max_size=count))}


def _window(draw: st.DrawFn, drawn: Changes) -> Changes:
    return {"sliding_window": draw(st.integers(1, 70))}


def _mistral(draw: st.DrawFn, drawn: Changes) -> Changes:
    return _window(draw, drawn) if draw(st.booleans()) else {"sliding_window": None}


def _layered(draw: st.DrawFn, drawn: Changes) -> Changes:
    return _window(draw, drawn) | _types(draw, drawn)


def _qwen(draw: st.DrawFn, drawn: Changes) -> Changes:
    first = {"max_window_layers": draw(st.integers(0, 4)), "use_sliding_window": True}
    return _window(draw, drawn) | first if draw(st.booleans()) else {}


def _smollm3(draw: st.DrawFn, drawn: Changes) -> Changes:
    count, every = drawn["num_hidden_layers"], draw(st.integers(1, 4))
    flags = st.lists(st.integers(0, 1), min_size=count, max_size=count)
    listed = {"no_rope_layers": draw(flags)} if draw(st.booleans()) else {}
    sliding = _window(draw, drawn) | {"use_sliding_window": True} if draw(st.booleans()) else {}
    return {"no_rope_layer_interval": every, "pad_token_id": 0, **listed, **sliding}


_CAPS = st.one_of(st.none(), st.floats(0.5, 60))


def _gemma2(draw: st.DrawFn, drawn: Changes) -> Changes:
    caps = ("attn_logit_softcapping", "final_logit_softcapping")
    scale = {"query_pre_attn_scalar": draw(st.integers(1, 300))}
    return _layered(draw, drawn) | scale | {key: draw(_CAPS) for key in caps}


def _gemma3(draw: st.DrawFn, drawn: Changes) -> Changes:
    scale = {"query_pre_attn_scalar": draw(st.integers(1, 300))}
    ropes = {
        "full_attention": drawn["rope_parameters"],
        "sliding_attention": {"rope_type": "default", "rope_theta": draw(st.floats(100, 1e5))},
    }
    cap = {"final_logit_softcapping": draw(_CAPS), "rope_parameters": ropes}
    return _layered(draw, drawn) | scale | cap


def _granite(draw: st.DrawFn, drawn: Changes) -> Changes:
    keys = ("embedding_multiplier", "residual_multiplier", "attention_multiplier")
    factors = {key: draw(st.floats(0.1, 3)) for key in keys}
    return factors | {"logits_scaling": draw(st.floats(0.5, 8))}


def _stablelm(draw: st.DrawFn, drawn: Changes) -> Changes:
    heads = drawn["num_attention_heads"]
    return {
        "use_qkv_bias": draw(st.booleans()),
        "head_dim": None,
        "hidden_size": heads * draw(st.sampled_from([16, 32, 48])),
        "partial_rotary_factor": draw(st.sampled_from([0.25, 0.5, 1.0])),
    }


def longrope(pairs: int, original: int, theta: float = 10000.0) -> Changes:
    """Parameters of LongRoPE for so many rotated pairs."""
    return {
        "rope_type": "longrope",
        "rope_theta": theta,
        "short_factor": [1.0 + 0.05 * n for n in range(pairs)],
        "long_factor": [2.0 + 0.5 * n for n in range(pairs)],
        "original_max_position_embeddings": original,
    }


def _phi3(draw: st.DrawFn, drawn: Changes) -> Changes:
    size, part = draw(st.sampled_from([8, 16, 32])), draw(st.sampled_from([0.5, 0.75, 1.0]))
    theta = drawn["rope_parameters"]["rope_theta"]
    rope: Changes = {"rope_type": "default", "rope_theta": theta}
    original = draw(st.sampled_from([16, 40, 64, 4096]))
    if draw(st.booleans()):
        rope = longrope(int(size * part) // 2, original, theta)
    return {
        "head_dim": None,
        "hidden_size": drawn["num_attention_heads"] * size,
        "original_max_position_embeddings": original,
        "rope_parameters": {**rope, "partial_rotary_factor": part},
        "pad_token_id": 0,
    } | _mistral(draw, drawn)


YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 24,
}

CASES: dict[str, Case] = {
    "gemma2": Case(
        "Gemma 2 2B, 9B",
        {
            "head_dim": 24,
            "num_hidden_layers": 4,
            "sliding_window": 7,
            "query_pre_attn_scalar": 20,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
            "tie_word_embeddings": True,
        },
        _gemma2,
    ),
    "gemma3": Case(
        "Gemma 3 270M, 1B (text)",
        {
            "head_dim": 24,
            "num_hidden_layers": 4,
            "sliding_window": 7,
            "layer_types": ["sliding_attention"] * 2 + ["full_attention", "sliding_attention"],
            "query_pre_attn_scalar": 20,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        },
        _gemma3,
        ("linear",),
    ),
    "granite": Case(
        "Granite 3.x 2B, 8B",
        {
            "embedding_multiplier": 12.0,
            "residual_multiplier": 0.22,
            "attention_multiplier": 0.0156,
            "logits_scaling": 2.0,
            "tie_word_embeddings": True,
        },
        _granite,
    ),
    "llama": Case("Llama 2, 3.x; TinyLlama; SmolLM, SmolLM2", {"rope_parameters": LLAMA3}),
    "ministral": Case(
        "Ministral",
        {
            "sliding_window": 7,
            "layer_types": ["full_attention"] + ["sliding_attention"] * 2,
            "head_dim": 16,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
        },
        _layered,
    ),
    "mistral": Case("Mistral 7B; Ministral 8B (2410)", {"sliding_window": 7}, _mistral),
    "olmo2": Case("OLMo 2 1B, 7B", {}, _nothing),
    "phi3": Case(
        "Phi-3-mini, Phi-3.5-mini, Phi-4-mini",
        {
            "rope_parameters": {**longrope(6, 40), "partial_rotary_factor": 0.75},
            "original_max_position_embeddings": 40,
            "pad_token_id": 0,
        },
        _phi3,
        ("longrope",),
    ),
    "qwen2": Case("Qwen2, Qwen2.5", {"rope_parameters": YARN}, _qwen),
    "qwen3": Case("Qwen3", {"head_dim": 24, "tie_word_embeddings": True}, _qwen),
    "smollm3": Case(
        "SmolLM3",
        {"num_hidden_layers": 5, "tie_word_embeddings": True, "pad_token_id": 0},
        _smollm3,
    ),
    "stablelm": Case(
        "StableLM 2 1.6B, StableLM 3B",
        {"use_qkv_bias": True, "hidden_size": 128},
        _stablelm,
    ),
}
"""By the family's name; every family has its case (``test_families.py``)."""


def scaling(kind: str, theta: float, context: int) -> Changes:
    """Parameters of a kind of rope scaling for a trained context."""
    common = {"rope_type": kind, "rope_theta": theta}
    if kind == "llama3":
        return {**LLAMA3, "rope_theta": theta}
    if kind == "yarn":
        return {**YARN, "rope_theta": theta}
    return common if kind == "default" else {**common, "factor": 4.0}


@st.composite
def configurations(draw: st.DrawFn, family: str) -> Changes:
    """Any configuration of a family."""
    case, theta = CASES[family], draw(st.sampled_from([100.0, 10000.0, 1e6]))
    kv_heads, group = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    context = draw(st.sampled_from([40, 64, 1024]))
    kinds = [kind for kind in case.scalings if kind != "longrope"]
    drawn: Changes = {
        "num_hidden_layers": draw(st.integers(1, 4)),
        "num_key_value_heads": kv_heads,
        "num_attention_heads": kv_heads * group,
        "head_dim": draw(st.sampled_from([4, 6, 16, 22])),
        "hidden_size": draw(st.integers(3, 12)) * kv_heads * group,
        "intermediate_size": draw(st.integers(3, 90)),
        "max_position_embeddings": context,
        "tie_word_embeddings": draw(st.booleans()),
        "rope_parameters": scaling(draw(st.sampled_from(["default", *kinds])), theta, context),
    }
    found = drawn | case.draw(draw, drawn)
    if found["head_dim"] is None:
        del found["head_dim"]
    return found


@torch.no_grad()
def through_the_cache(decoder: Decoder, ids: torch.Tensor, start: int) -> torch.Tensor:
    """Logits after a prompt and after each of 32 tokens, the first at position ``start``."""
    attention = EagerAttention(decoder.config, len(ids))
    rows = [decoder(ids[None, :PROMPT], start, attention)]
    for place in range(PROMPT, len(ids)):
        attention.position = place
        rows.append(decoder(ids[None, place : place + 1], start + place, attention))
    return torch.cat(rows)


def error(model: Reference, *, start: int = 0, seed: int = 7) -> float:
    """Largest difference from transformers' logits, over prefill and 32 steps.

    Args:
        model: Of a random model.
        start: Position of the first token.
        seed: Of the tokens.
    """
    ids = tokens(TOTAL, seed)
    expected = model.logits(ids, start)[PROMPT - 1 :]
    found = through_the_cache(model.decoder(start + TOTAL), ids, start)
    assert found.shape == expected.shape
    # Logits that say nothing would agree with anything.
    assert expected.std() > 0.05
    return float((found - expected).abs().max())


def fixed(family: str, **changes: Any) -> Reference:
    """The family's fixed configuration, with random weights."""
    return reference(family, **{**CASES[family].own, **changes})
