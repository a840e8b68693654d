from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.errors import ModelReadError, UnsupportedModelError
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.rope import inverse_frequencies, rope_tables
from tests.model.reference import LLAMA3


def config(head_dim: int = 8, theta: float = 10000.0, scaling=None) -> DecoderConfig:
    return DecoderConfig(
        family="llama",
        vocab_size=8,
        hidden_size=8,
        intermediate_size=8,
        layers=1,
        heads=1,
        kv_heads=1,
        head_dim=head_dim,
        norm_eps=1e-5,
        rope_theta=theta,
        context=32,
        tied=True,
        rope_scaling=scaling,
    )


@given(st.sampled_from([2, 4, 64, 128]), st.sampled_from([100.0, 10000.0, 1e6]))
def test_frequencies_fall_from_one_by_a_constant_ratio(head_dim, theta):
    found = inverse_frequencies(config(head_dim, theta))[0].double()
    ratio = theta ** (-2 / head_dim)
    expected = ratio ** torch.arange(head_dim // 2, dtype=torch.float64)
    assert torch.allclose(found, expected, rtol=1e-5)


def test_linear_scaling_stretches_every_wave():
    plain, _ = inverse_frequencies(config())
    scaled, _ = inverse_frequencies(config(scaling={"rope_type": "linear", "factor": 4}))
    assert torch.allclose(scaled * 4, plain)


def test_llama3_keeps_short_waves_stretches_long_ones_and_blends_between():
    plain, _ = inverse_frequencies(config(32, 500.0))
    scaled, _ = inverse_frequencies(config(32, 500.0, LLAMA3))
    waves, ratio = 2 * math.pi / plain, plain / scaled
    short, long = 32 / 4, 32 / 1
    assert torch.allclose(ratio[waves < short], torch.tensor(1.0))
    assert torch.allclose(ratio[waves > long], torch.tensor(8.0))
    between = ratio[(waves > short) & (waves < long)]
    assert len(between) > 0
    assert ((between > 1) & (between < 8)).all()
    assert (ratio.diff() >= -1e-6).all()


LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0 + n / 8 for n in range(16)],
    "long_factor": [2.0 + n for n in range(16)],
    "original_max_position_embeddings": 16,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
SCALINGS = {
    "dynamic": {
        "rope_type": "dynamic",
        "factor": 2.0,
        "original_max_position_embeddings": 32,
    },
    "linear": {"rope_type": "linear", "factor": 3.0},
    "llama3": LLAMA3,
    "longrope": LONG,
    "longrope with a factor": {**LONG, "factor": 8.0},
    "yarn": YARN,
    "yarn, its attention factor given": {**YARN, "attention_factor": 1.5},
    "yarn with two mscales": {**YARN, "mscale": 1.0, "mscale_all_dim": 0.5},
    "yarn, not truncated": {**YARN, "truncate": False, "beta_fast": 8, "beta_slow": 2},
}


@pytest.mark.parametrize("positions", [12, 40])
@pytest.mark.parametrize("name", SCALINGS)
def test_a_scaling_is_bit_by_bit_what_transformers_computes(name, positions):
    """At position 100,000 the last bit of a frequency is 0.01 of an angle."""
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaling = dict(SCALINGS[name])
    theirs = LlamaConfig(
        hidden_size=32,
        num_attention_heads=1,
        max_position_embeddings=32,
        rope_parameters={**scaling, "rope_theta": 500.0},
    )
    length = torch.tensor(positions)
    wanted, factor = ROPE_INIT_FUNCTIONS[scaling["rope_type"]](theirs, "cpu", seq_len=length)
    found, our_factor = inverse_frequencies(config(32, 500.0, scaling), positions)
    assert torch.equal(found, wanted)
    assert our_factor == pytest.approx(factor)


@pytest.mark.parametrize("name", ["dynamic", "longrope"])
def test_some_scalings_follow_the_exported_context(name):
    short, _ = inverse_frequencies(config(32, 500.0, SCALINGS[name]), 12)
    long, _ = inverse_frequencies(config(32, 500.0, SCALINGS[name]), 40)
    assert (long[1:] < short[1:]).all()


def test_what_is_not_rotated_has_cosine_1_and_sine_0():
    cos, sin = rope_tables(replace(config(8), rotary_dim=4), positions=3)
    assert (cos[..., 4:] == 1).all()
    assert (sin[..., 4:] == 0).all()
    assert torch.equal(cos[..., :4], rope_tables(config(4), positions=3)[0])


def test_a_local_table_stands_beside_the_other():
    both, _ = rope_tables(replace(config(8), local_rope=(100.0, None)), positions=3)
    assert torch.equal(both[:, :1], rope_tables(config(8), 3)[0])
    assert torch.equal(both[:, 1:], rope_tables(config(8, 100.0), 3)[0])


def test_longrope_wants_a_factor_for_each_wave():
    with pytest.raises(ModelReadError, match="has 16 numbers, and there are 4 waves"):
        inverse_frequencies(config(8, scaling=LONG))


def test_tables_hold_the_angle_of_each_position_in_both_halves():
    cos, sin = rope_tables(config(4, 100.0), positions=3)
    assert cos.shape == sin.shape == (3, 1, 4)
    assert cos.dtype == torch.float32
    assert torch.equal(cos[..., :2], cos[..., 2:])
    assert cos[2, 0, :2].tolist() == pytest.approx([math.cos(2.0), math.cos(0.2)], abs=1e-6)
    assert sin[2, 0, 2:].tolist() == pytest.approx([math.sin(2.0), math.sin(0.2)], abs=1e-6)


@pytest.mark.parametrize("missing", ["factor", "low_freq_factor", "high_freq_factor"])
def test_a_missing_parameter_is_named(missing):
    scaling = {key: value for key, value in LLAMA3.items() if key != missing}
    with pytest.raises(ModelReadError, match=f"'llama3' has no '{missing}'"):
        inverse_frequencies(config(scaling=scaling))


@pytest.mark.parametrize("factor", ["four", None, 0, -2.0])
def test_a_parameter_that_is_no_number_is_refused(factor):
    with pytest.raises(ModelReadError, match="'linear'"):
        inverse_frequencies(config(scaling={"rope_type": "linear", "factor": factor}))


def test_an_unknown_scaling_is_refused_by_its_name():
    with pytest.raises(UnsupportedModelError, match="'ntk'"):
        inverse_frequencies(config(scaling={"rope_type": "ntk", "factor": 2.0}))
