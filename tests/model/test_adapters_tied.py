"""Adapters that change the embedding or the head of a model with one table for both."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from slmdeploy.errors import UnsupportedModelError
from slmdeploy.model.adapters import merged
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from tests.model.families.foreign import random_model

RANK = 4
EMBEDDING, HEAD = "model.embed_tokens", "lm_head"
TRAINED_AS_ONE = {"ensure_weight_tying": True}


@pytest.fixture(scope="module")
def tied(tiny_kjv):
    decoder = read_model(parse_ref(str(tiny_kjv)))
    assert decoder.config.tied
    return decoder


def lora(rows, hidden):
    """Parts of a table's two uses as peft 0.21.2 saves them where it trained them as one."""
    torch.manual_seed(1)
    down, up = torch.randn(RANK, rows), torch.randn(hidden, RANK)
    return {
        EMBEDDING: {"lora_embedding_A": down, "lora_embedding_B": up},
        HEAD: {"lora_A.weight": up.T.contiguous(), "lora_B.weight": down.T.contiguous()},
    }


def whole(rows, hidden):
    """The same of tables that were trained whole (``modules_to_save``)."""
    return {name: {"weight": torch.ones(rows, hidden)} for name in (EMBEDDING, HEAD)}


@pytest.fixture
def adapter(tmp_path, tied):
    """Writes an adapter with parts for some uses of the table."""
    folder = tmp_path / "adapter"
    folder.mkdir()

    def write(parts, *modules, **config):
        made = parts(*tied.weights.shape(f"{EMBEDDING}.weight"))
        values = {
            f"base_model.model.{module}.{part}": value
            for module in modules
            for part, value in made[module].items()
        }
        save_file(values, folder / "adapter_model.safetensors")
        said = {"peft_type": "LORA", "r": RANK, "lora_alpha": RANK}
        (folder / "adapter_config.json").write_text(json.dumps(said | config))
        return folder

    return write


@pytest.mark.parametrize("parts", [lora, whole])
@pytest.mark.parametrize("module", [EMBEDDING, HEAD])
def test_one_use_alone_is_refused_with_adapter_module_and_way_out(tied, adapter, parts, module):
    said = f"^Adapter 'home' changes '{module}', but tiny-kjv has one table .* one of the two"
    with pytest.raises(UnsupportedModelError, match=said) as caught:
        merged(tied, "home", adapter(parts, module))
    assert "tie_word_embeddings = false" in caught.value.hint


@pytest.mark.parametrize("parts", [lora, whole])
def test_parts_for_each_use_are_refused_too_though_they_were_trained_as_one(tied, adapter, parts):
    folder = adapter(parts, EMBEDDING, HEAD, **TRAINED_AS_ONE)
    said = r"^Adapter 'home' changes 'lm_head' and 'model\.embed_tokens', .*ensure_weight_tying"
    with pytest.raises(UnsupportedModelError, match=said) as caught:
        merged(tied, "home", folder)
    assert "tie_word_embeddings = false" in caught.value.hint


def test_parts_of_the_embedding_alone_are_for_the_table_if_it_was_trained_as_one(tied, adapter):
    model = merged(tied, "home", adapter(whole, EMBEDDING, **TRAINED_AS_ONE))
    assert bool((model.weights.load(f"{EMBEDDING}.weight") == 1).all())


@pytest.mark.parametrize("parts", [lora, whole])
def test_the_way_out_gives_each_use_its_own_weight(tied, adapter, tiny_kjv, tmp_path, parts):
    untied = shutil.copytree(tiny_kjv, tmp_path / "untied")
    values = load_file(untied / "model.safetensors")
    values["lm_head.weight"] = values["model.embed_tokens.weight"].clone()
    save_file(values, untied / "model.safetensors", {"format": "pt"})
    config = json.loads((untied / "config.json").read_text())
    (untied / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    folder = adapter(parts, EMBEDDING, HEAD, **TRAINED_AS_ONE)
    model = merged(read_model(parse_ref(str(untied))), "home", folder)
    table, head = (model.weights.load(f"{name}.weight") for name in (EMBEDDING, HEAD))
    torch.testing.assert_close(table, head)
    assert not torch.equal(table, tied.weights.load(f"{EMBEDDING}.weight"))


def test_models_that_transformers_computes_are_refused_too(adapter, tied, tmp_path):
    rows, hidden = tied.weights.shape(f"{EMBEDDING}.weight")
    sizes = {"vocab_size": rows, "hidden_size": hidden, "tie_word_embeddings": True}
    random_model("starcoder2", **sizes).save_pretrained(tmp_path / "star")
    star = read_model(parse_ref(str(tmp_path / "star")))
    assert star.foreign is not None
    for module in (EMBEDDING, HEAD):
        with pytest.raises(UnsupportedModelError, match=f"changes '{module}', but star has one"):
            merged(star, "home", adapter(whole, module))
    random_model("starcoder2", **sizes | {"tie_word_embeddings": False}).save_pretrained(
        tmp_path / "apart"
    )
    apart = read_model(parse_ref(str(tmp_path / "apart")))
    assert merged(apart, "home", adapter(whole, HEAD)).adapter == "home"
