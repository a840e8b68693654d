from __future__ import annotations

import pytest

from slmdeploy.errors import ModelReadError, UnsupportedModelError
from slmdeploy.model.families.base import Family, llama_like_config

CONFIG = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
LINEAR = {"rope_type": "linear", "factor": 2.0}


def read(**changes):
    return llama_like_config("llama", {**CONFIG, **changes})


def test_keys_that_are_not_there_have_the_familys_defaults():
    config = read()
    assert (config.kv_heads, config.head_dim, config.norm_eps) == (4, 16, 1e-6)
    assert (config.rope_theta, config.rope_scaling, config.context) == (10000.0, None, 2048)
    assert (config.tied, config.bos_id, config.eos_ids) == (False, None, ())


@pytest.mark.parametrize("key", CONFIG)
def test_a_key_that_must_be_there_is_named(key):
    config = {name: value for name, value in CONFIG.items() if name != key}
    with pytest.raises(ModelReadError, match=f"no key '{key}'"):
        llama_like_config("llama", config)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": "wide"},
        {"num_hidden_layers": None},
        {"max_position_embeddings": []},
        {"rms_norm_eps": "small"},
        {"eos_token_id": "end"},
        {"rope_theta": "fast"},
        {"rope_scaling": "linear"},
        {"rope_parameters": ["linear"]},
    ],
    ids=str,
)
def test_a_value_of_the_wrong_kind_is_refused(changes):
    with pytest.raises(ModelReadError, match=r"config\.json"):
        read(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_attention_heads": 0},
        {"hidden_size": -64},
        {"num_hidden_layers": 0},
        {"vocab_size": 0},
        {"head_dim": 7},
        {"head_dim": 8, "partial_rotary_factor": 0.4},
        {"head_dim": -2},
        {"num_key_value_heads": -1},
        {"max_position_embeddings": 0},
    ],
    ids=str,
)
def test_a_size_that_no_model_has_is_refused_by_its_name(changes):
    key, *_ = changes
    with pytest.raises(ModelReadError, match=key):
        read(**changes)


def test_heads_that_cannot_share_keys_are_refused():
    with pytest.raises(ModelReadError, match="4 heads cannot share 3 key-value heads"):
        read(num_key_value_heads=3)


@pytest.mark.parametrize("kind", ["ntk", "proportional"])
@pytest.mark.parametrize("key", ["rope_type", "type"])
def test_a_rope_scaling_that_we_do_not_have_is_refused_by_its_name(kind, key):
    with pytest.raises(UnsupportedModelError, match=f"'{kind}'") as caught:
        read(rope_scaling={key: kind, "factor": 2.0})
    assert "llama3" in caught.value.hint


def test_another_activation_is_refused_by_its_name():
    with pytest.raises(UnsupportedModelError, match="'gelu'"):
        read(hidden_act="gelu")


@pytest.mark.parametrize(
    "keys",
    [
        {"rope_theta": 500.0, "rope_scaling": LINEAR},
        {"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 2.0}},
        {"rope_parameters": {**LINEAR, "rope_theta": 500.0}},
    ],
    ids=["old keys", "oldest keys", "new key"],
)
def test_rope_is_read_from_old_keys_as_from_the_new_one(keys):
    config = read(**keys)
    assert config.rope_theta == 500.0
    assert config.rope_scaling["rope_type"] == "linear"
    assert config.rope_scaling["factor"] == 2.0


@pytest.mark.parametrize(
    "keys",
    [
        {"rope_scaling": None},
        {"rope_scaling": {"rope_type": "default"}},
        {"rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}},
    ],
)
def test_no_scaling_is_none(keys):
    assert read(**keys).rope_scaling is None


@pytest.mark.parametrize(("value", "ids"), [(2, (2,)), ([2, 7], (2, 7)), (None, ()), ([], ())])
def test_end_tokens_may_be_one_many_or_none(value, ids):
    assert read(eos_token_id=value).eos_ids == ids


def test_a_family_names_every_tensor_once_and_leaves_a_tied_head_out():
    family = Family(name="llama", model_types=("llama",), config=lambda config: read(**config))
    untied = family.tensor_names(read())
    tied = family.tensor_names(read(tie_word_embeddings=True))
    assert len(set(untied.values())) == len(untied) == 3 + 2 * 9
    assert set(untied) - set(tied) == {"head.weight"}
    assert untied["layers.1.down.weight"] == "model.layers.1.mlp.down_proj.weight"
