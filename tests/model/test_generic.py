from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from slmdeploy.errors import ModelReadError, UnsupportedModelError
from slmdeploy.model.generic import encode_fixed, example_inputs, load_generic
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref

CONFIG = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "vocab_size": 320,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "id2label": {"0": "off", "1": "on", "2": "other"},
}


@pytest.fixture(scope="module")
def original():
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(**CONFIG)).eval()


@pytest.fixture
def folder(tmp_path, original, bpe_json) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    save_file({k: v.contiguous() for k, v in original.state_dict().items()}, weights_of(tmp_path))
    (tmp_path / "tokenizer.json").write_text(bpe_json)
    return tmp_path


def weights_of(folder: Path) -> Path:
    return folder / "model.safetensors"


def read(folder):
    return read_model(parse_ref(str(folder)))


def test_the_classifier_computes_what_transformers_does(folder, original):
    model = read(folder)
    assert (model.kind, model.labels) == ("generic", ("off", "on", "other"))
    ids, mask = encode_fixed(model, "the light in the kitchen", 16)
    with torch.no_grad():
        wanted = original(input_ids=ids, attention_mask=mask).logits
        found = load_generic(model)(ids, mask)
    assert found.shape == (1, 3)
    assert torch.allclose(found, wanted, atol=1e-6)


def test_nothing_is_left_to_be_trained(folder):
    classifier = load_generic(read(folder))
    assert not classifier.training
    assert not any(parameter.requires_grad for parameter in classifier.parameters())


def test_only_we_write_to_the_terminal(folder, capfd):
    load_generic(read(folder))
    assert capfd.readouterr() == ("", "")


def test_short_texts_are_filled_and_masked(folder):
    ids, mask = encode_fixed(read(folder), "a", 5)
    assert ids.dtype == mask.dtype == torch.int64
    assert ids.tolist()[0][1:] == [0, 0, 0, 0]
    assert mask.tolist() == [[1, 0, 0, 0, 0]]


def test_long_texts_keep_their_last_token(folder):
    model = read(folder)
    whole = model.tokenizer.encode("the light in the kitchen is off")
    ids, mask = encode_fixed(model, "the light in the kitchen is off", 4)
    assert ids.tolist() == [[*whole[:3], whole[-1]]]
    assert mask.sum() == 4


def test_example_inputs_need_no_tokenizer(folder):
    (folder / "tokenizer.json").unlink()
    model = read(folder)
    ids, mask = example_inputs(model, 8)
    assert ids.shape == mask.shape == (1, 8)
    with pytest.raises(ModelReadError, match=r"needs a tokenizer\. .*no tokenizer\.json"):
        encode_fixed(model, "a", 8)


@pytest.mark.parametrize("tokenizer", [True, False])
def test_an_example_is_too_long_for_the_next_shorter_length(folder, tokenizer):
    if not tokenizer:
        (folder / "tokenizer.json").unlink()
    ids, mask = example_inputs(read(folder), 16, shorter=8)
    assert ids.shape == mask.shape == (1, 16)
    assert ids.dtype == mask.dtype == torch.int64
    assert mask[0].tolist() == [1] * 14 + [0] * 2


def test_a_missing_tensor_is_named_instead_of_made_up(folder):
    tensors = load_file(weights_of(folder))
    del tensors["classifier.weight"]
    save_file(tensors, weights_of(folder))
    with pytest.raises(ModelReadError, match=r"lacks 1 tensors of Bert.*'classifier\.weight'"):
        load_generic(read(folder))


def test_weights_that_are_not_finite_are_refused(folder):
    tensors = load_file(weights_of(folder))
    tensors["classifier.bias"][1] = float("nan")
    save_file(tensors, weights_of(folder))
    with pytest.raises(ModelReadError, match=r"classifier\.bias.* 1 of 3 values"):
        load_generic(read(folder))


def test_a_shape_that_contradicts_the_configuration_is_our_error(folder):
    tensors = load_file(weights_of(folder))
    tensors["bert.pooler.dense.weight"] = torch.ones(3, 3)
    save_file(tensors, weights_of(folder))
    with pytest.raises(ModelReadError, match="transformers cannot load"):
        load_generic(read(folder))


def test_an_architecture_that_transformers_does_not_have_is_named(folder):
    config = CONFIG | {"model_type": "nonsense", "architectures": ["XForSequenceClassification"]}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises((UnsupportedModelError, ModelReadError), match="nonsense"):
        load_generic(read(folder))


def test_code_that_a_checkpoint_brings_is_never_run(folder):
    code = {"AutoModelForSequenceClassification": "evil.Evil", "AutoConfig": "evil.Config"}
    config = CONFIG | {"model_type": "evil", "auto_map": code}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
    with pytest.raises((UnsupportedModelError, ModelReadError)):
        load_generic(read(folder))
    assert not (folder / "ran").exists()
