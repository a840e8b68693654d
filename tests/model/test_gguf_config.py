from __future__ import annotations

import numpy as np
import pytest

from slmdeploy.errors import ModelReadError, UnsupportedModelError
from slmdeploy.model.gguf_config import hf_config
from slmdeploy.model.gguf_file import open_gguf
from slmdeploy.model.gguf_source import open_gguf_source

# Rotary factors that transformers computes for Llama 3.2 (factor 32, head of 16, theta 5e5).
LLAMA32 = [1.0, 1.0, 1.0, 1.0, 3.292263, 32.0, 32.0, 32.0]


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("tied", [True, False])
def test_the_checkpoint_config_comes_back(gguf_file, tiny, family, tied):
    model = tiny(family=family, tied=tied)
    found = hf_config(open_gguf(gguf_file(model)))
    wanted = {k: v for k, v in model.config.items() if k != "eos_token_id"}
    assert {key: found[key] for key in wanted} == wanted
    assert found["eos_token_id"] == 2


def test_head_size_follows_from_the_width_where_it_is_not_said(gguf_file):
    path = gguf_file(metadata={"llama.attention.key_length": None})
    assert hf_config(open_gguf(path))["head_dim"] == 16


def test_a_missing_count_of_key_value_heads_means_all_heads(gguf_file):
    path = gguf_file(metadata={"llama.attention.head_count_kv": None})
    assert hf_config(open_gguf(path))["num_key_value_heads"] == 4


def test_linear_scaling_is_kept(gguf_file):
    keys = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    found = hf_config(open_gguf(gguf_file(metadata=keys)))
    assert found["rope_scaling"] == {"rope_type": "linear", "factor": 4.0}


def test_llama_3_scaling_is_recognized_by_its_factors(gguf_file):
    path = gguf_file(
        metadata={"llama.rope.freq_base": 500000.0},
        extra_tensors={"rope_freqs.weight": np.array(LLAMA32, np.float32)},
    )
    assert open_gguf_source(path).hf_config["rope_scaling"] == {
        "rope_type": "llama3",
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }


def test_other_factors_are_not_taken_for_llama_3(gguf_file):
    odd = np.array([1, 2, 3, 4, 5, 6, 7, 8], np.float32)
    with pytest.raises(UnsupportedModelError, match="not Llama 3's"):
        open_gguf_source(gguf_file(extra_tensors={"rope_freqs.weight": odd}))


def test_an_unknown_architecture_names_the_nearest(gguf_file, tiny):
    path = gguf_file(tiny(), metadata={"general.architecture": "qwen2moe"})
    with pytest.raises(UnsupportedModelError, match="'qwen2moe'") as caught:
        hf_config(open_gguf(path))
    assert "Nearest: qwen2" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("metadata", "error", "why"),
    [
        ({"llama.block_count": None}, ModelReadError, "no key 'llama.block_count'"),
        ({"llama.block_count": 0}, ModelReadError, "unusable value 0"),
        ({"llama.block_count": "many"}, ModelReadError, "unusable value 'many'"),
        ({"llama.rope.freq_base": float("nan")}, ModelReadError, "unusable value nan"),
        ({"llama.attention.head_count": [4, 2]}, ModelReadError, "unusable value"),
        ({"llama.rope.dimension_count": 8}, UnsupportedModelError, "rotates 8 of 16"),
        ({"llama.expert_count": 8}, UnsupportedModelError, "mixture of experts"),
        ({"split.count": 3, "split.no": 0}, ModelReadError, "part 1 of 3"),
    ],
)
def test_what_cannot_be_used_is_refused(gguf_file, metadata, error, why):
    with pytest.raises(error, match=why):
        hf_config(open_gguf(gguf_file(metadata=metadata)))


def test_the_same_count_in_every_layer_is_one_count(gguf_file):
    path = gguf_file(metadata={"llama.attention.head_count": [4, 4]})
    assert hf_config(open_gguf(path))["num_attention_heads"] == 4
