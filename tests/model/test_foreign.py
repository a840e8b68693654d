from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from slmdeploy.errors import ModelReadError, UnsupportedModelError
from slmdeploy.model.foreign import ForeignConfig, foreign_config
from slmdeploy.model.inspect import describe
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from tests.model.families.foreign import random_model

GPT2 = {"model_type": "gpt2", "vocab_size": 100, "n_positions": 64, "n_layer": 2, "n_embd": 32}


@pytest.fixture
def gpt2(tmp_path):
    random_model("gpt2").save_pretrained(tmp_path)
    return tmp_path


def read(folder):
    return read_model(parse_ref(str(folder)))


def test_sizes_are_read_by_the_names_that_the_family_gives_them():
    assert foreign_config(GPT2) == ForeignConfig("gpt2", vocab_size=100, context=64, layers=2)


@pytest.mark.parametrize("kind", ["llama", "mamba", "gpt_neo", "", None])
def test_types_that_are_not_in_the_list_are_left_to_others(kind):
    assert foreign_config({**GPT2, "model_type": kind}) is None


@pytest.mark.parametrize("key", ["vocab_size", "n_positions", "n_layer"])
def test_a_size_that_is_missing_is_named(key):
    config = {name: value for name, value in GPT2.items() if name != key}
    with pytest.raises(ModelReadError, match=r"vocab_size|max_position|num_hidden"):
        foreign_config(config)


def test_a_size_that_no_model_has_is_named():
    with pytest.raises(ModelReadError, match="n_positions = 0"):
        foreign_config({**GPT2, "n_positions": 0})


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_a_rotary_table_that_depends_on_the_length_is_refused(kind):
    config = {
        "model_type": "phi",
        "vocab_size": 100,
        "num_hidden_layers": 2,
        "max_position_embeddings": 64,
        "rope_scaling": {"rope_type": kind, "factor": 2.0},
    }
    with pytest.raises(UnsupportedModelError, match=f"'phi' has rope scaling '{kind}'"):
        foreign_config(config)


def test_checkpoints_that_do_not_say_have_the_context_of_their_type():
    falcon = {"model_type": "falcon", "vocab_size": 100, "num_hidden_layers": 2}
    assert foreign_config(falcon).context == 2048
    assert foreign_config({**falcon, "max_position_embeddings": 64}).context == 64


def test_alibi_of_falcon_is_refused():
    with pytest.raises(UnsupportedModelError, match="alibi"):
        foreign_config({"model_type": "falcon", "alibi": True})


def test_cross_attention_is_refused():
    with pytest.raises(UnsupportedModelError, match="cross attention"):
        foreign_config({**GPT2, "add_cross_attention": True})


def test_a_checkpoint_of_such_a_family_is_a_decoder_by_transformers_code(gpt2):
    model = read(gpt2)
    assert (model.kind, model.config, model.source) == ("decoder", None, "transformers")
    described = describe(model)
    assert (described.family, described.code, described.context) == ("gpt2", "transformers", 54)
    assert described.components[0].name == "embedding"


def test_its_table_is_held_against_its_configuration(gpt2):
    config = json.loads((gpt2 / "config.json").read_text())
    (gpt2 / "config.json").write_text(json.dumps({**config, "vocab_size": 77}))
    with pytest.raises(ModelReadError, match="vocab_size = 77"):
        read(gpt2)


def test_a_tensor_that_is_missing_is_named_when_it_is_loaded(gpt2):
    from slmdeploy.model.generic import load_pretrained

    save_file({"transformer.wte.weight": torch.zeros(120, 64)}, gpt2 / "model.safetensors")
    with pytest.raises(ModelReadError, match=r"lacks \d+ tensors of GPT2LMHeadModel"):
        load_pretrained(read(gpt2))


def test_code_of_the_checkpoint_s_own_is_refused_by_name(gpt2):
    config = json.loads((gpt2 / "config.json").read_text())
    config |= {"model_type": "acme", "auto_map": {"AutoModelForCausalLM": "modeling_acme.Acme"}}
    (gpt2 / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError, match=r"'acme' .*auto_map.*never run"):
        read(gpt2)
