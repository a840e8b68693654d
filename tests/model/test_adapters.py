"""LoRA adapters; what they do to the weights is computed here by the formula, apart."""

from __future__ import annotations

import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from slmdeploy.errors import ModelReadError, UnsupportedModelError, UsageError
from slmdeploy.model.adapters import merged
from slmdeploy.model.generic import encode_fixed, load_generic
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref

RANK, ALPHA = 4, 6
QUERY = "bert.encoder.layer.1.attention.self.query"
TABLE = "bert.embeddings.word_embeddings"


@pytest.fixture(scope="module")
def base(tiny_intents):
    return read_model(parse_ref(str(tiny_intents)))


def tensors(base):
    torch.manual_seed(0)
    rows, hidden = base.weights.shape(f"{TABLE}.weight")
    return {
        f"base_model.model.{QUERY}.lora_A.weight": torch.randn(RANK, hidden),
        f"base_model.model.{QUERY}.lora_B.weight": torch.randn(hidden, RANK),
        f"base_model.model.{TABLE}.lora_embedding_A": torch.randn(RANK, rows),
        f"base_model.model.{TABLE}.lora_embedding_B": torch.randn(hidden, RANK),
        "base_model.model.classifier.bias": torch.randn(base.weights.shape("classifier.bias")),
    }


@pytest.fixture
def adapter(tmp_path, base):
    """Writes an adapter for tiny-intents: its configuration and tensors with changes."""

    def write(change=None, **config):
        values = tensors(base)
        (change or (lambda _: None))(values)
        save_file(values, tmp_path / "adapter_model.safetensors")
        said = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA}
        said["base_model_name_or_path"] = "someone/tiny-intents"
        (tmp_path / "adapter_config.json").write_text(json.dumps(said | config))
        return tmp_path

    return write


def test_the_adapter_is_added_to_the_weights_as_they_are_read(base, adapter):
    values, model = tensors(base), merged(base, "home", adapter())
    a, b = (values[f"base_model.model.{QUERY}.lora_{side}.weight"] for side in "AB")
    wanted = base.weights.load(f"{QUERY}.weight") + ALPHA / RANK * b @ a
    torch.testing.assert_close(model.weights.load(f"{QUERY}.weight"), wanted)
    a, b = (values[f"base_model.model.{TABLE}.lora_embedding_{side}"] for side in "AB")
    wanted = base.weights.load(f"{TABLE}.weight") + ALPHA / RANK * (b @ a).T
    torch.testing.assert_close(model.weights.load(f"{TABLE}.weight"), wanted)
    whole = values["base_model.model.classifier.bias"]
    assert torch.equal(model.weights.load("classifier.bias"), whole)
    other = "bert.encoder.layer.0.attention.self.query.weight"
    assert torch.equal(model.weights.load(other), base.weights.load(other))


def test_the_module_that_is_exported_has_it_too(base, adapter):
    model = merged(base, "home", adapter())
    ids, mask = encode_fixed(base, "turn on the light", 16)
    state = {name: model.weights.load(name) for name in model.weights.names()}
    by_hand = load_generic(base)
    by_hand.model.load_state_dict(state)
    with torch.no_grad():
        found, wanted = load_generic(model)(ids, mask), by_hand(ids, mask)
        plain = load_generic(base)(ids, mask)
    torch.testing.assert_close(found, wanted)
    assert (found - plain).abs().max() > 0.1


def test_a_merged_model_says_so_and_is_another_one(base, adapter):
    model = merged(base, "home", adapter())
    assert (model.name, model.adapter) == ("tiny-intents-home", "home")
    assert "LoRA home merged" in model.note
    assert model.weights_sha256 != base.weights_sha256
    assert model.remarks == base.remarks


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"use_rslora": True}, ALPHA / math.sqrt(RANK)),
        ({"alpha_pattern": {"query": 12}}, 12 / RANK),
        ({"alpha_pattern": {"layer.0.*query": 12}}, ALPHA / RANK),
        ({"r": 8, "rank_pattern": {"query": RANK, "word_embeddings": RANK}}, ALPHA / RANK),
    ],
)
def test_the_scale_is_what_the_configuration_says(base, adapter, config, scale):
    values, model = tensors(base), merged(base, "home", adapter(**config))
    a, b = (values[f"base_model.model.{QUERY}.lora_{side}.weight"] for side in "AB")
    wanted = base.weights.load(f"{QUERY}.weight") + scale * b @ a
    torch.testing.assert_close(model.weights.load(f"{QUERY}.weight"), wanted)


def renamed(values):
    for key in list(values):
        values[key.replace("layer.1", "layer.7")] = values.pop(key)


def narrower(values):
    key = next(key for key in values if key.endswith("lora_A.weight"))
    values[key] = values[key][:, :-1].contiguous()


def halved(values):
    del values[next(key for key in values if key.endswith("lora_B.weight"))]


def other_classes(values):
    values["base_model.model.classifier.bias"] = torch.zeros(3)


@pytest.mark.parametrize(
    ("change", "config", "said"),
    [
        (renamed, {}, r"no module 'bert\.encoder\.layer\.7\.attention\.self\.query'"),
        (narrower, {}, r"\[4, 63\].* do not fit 'bert\..*query\.weight' of \[64, 64\]"),
        (halved, {}, r"query\.lora_A\.weight' has no counterpart"),
        (other_classes, {}, r"classifier\.bias' is \[3\], the base model's \[42\]"),
        (None, {"r": 8}, "r = 8 .* its tensors have 4"),
        (None, {"lora_alpha": "much"}, "lora_alpha = 'much'"),
    ],
)
def test_an_adapter_of_another_model_is_refused_and_its_own_base_named(
    base, adapter, change, config, said
):
    with pytest.raises(ModelReadError, match=said) as caught:
        merged(base, "home", adapter(change, **config))
    assert caught.value.hint == "It was trained on 'someone/tiny-intents'."


def test_a_base_of_another_name_is_remarked(base, adapter):
    model = merged(base, "home", adapter(base_model_name_or_path="someone/large"))
    assert any("trained on 'someone/large'" in remark for remark in model.remarks)


@pytest.mark.parametrize(
    ("config", "said"),
    [({"peft_type": "IA3"}, "kind 'IA3'"), ({"use_dora": True}, "DoRA")],
)
def test_other_kinds_of_adapter_are_refused_by_name(base, adapter, config, said):
    with pytest.raises(UnsupportedModelError, match=said):
        merged(base, "home", adapter(**config))


@pytest.mark.parametrize("begun", ["pissa", "pissa_niter_16", "olora", "corda", "loftq"])
def test_an_adapter_that_changed_its_base_is_refused(base, adapter, begun):
    with pytest.raises(UnsupportedModelError, match=f"began as '{begun}'"):
        merged(base, "home", adapter(init_lora_weights=begun))


@pytest.mark.parametrize("begun", [True, "gaussian", "eva", "orthogonal"])
def test_other_beginnings_leave_the_base_alone(base, adapter, begun):
    assert merged(base, "home", adapter(init_lora_weights=begun)).adapter == "home"


def test_what_is_saved_of_an_embedding_is_changed_by_its_parts(base, adapter):
    def with_table(values):
        key = f"base_model.model.{TABLE}.base_layer.weight"
        values[key] = torch.ones(base.weights.shape(f"{TABLE}.weight"))

    values, model = tensors(base), merged(base, "home", adapter(with_table))
    a, b = (values[f"base_model.model.{TABLE}.lora_embedding_{side}"] for side in "AB")
    wanted = torch.ones(1) + ALPHA / RANK * (b @ a).T
    torch.testing.assert_close(model.weights.load(f"{TABLE}.weight"), wanted)


def test_a_folder_that_is_no_adapter_is_told(base, adapter, tmp_path):
    with pytest.raises(UsageError, match="is not a LoRA adapter"):
        merged(base, "home", tmp_path)
    folder = adapter()
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(ModelReadError, match=r"no adapter_model\.safetensors") as caught:
        merged(base, "home", folder)
    assert "pickle" in caught.value.hint


def test_values_that_are_not_finite_are_found(base, adapter):
    def spoil(values):
        values[f"base_model.model.{QUERY}.lora_B.weight"][0, 0] = float("nan")

    model = merged(base, "home", adapter(spoil))
    with pytest.raises(ModelReadError, match="NaN"):
        model.weights.load(f"{QUERY}.weight")
    assert load_file(adapter() / "adapter_model.safetensors")
