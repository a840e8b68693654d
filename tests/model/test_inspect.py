from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from slmdeploy.model.inspect import ModelDescription, component_of, describe
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref


def described(path) -> ModelDescription:
    return describe(read_model(parse_ref(str(path))))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("model.embed_tokens.weight", "embedding"),
        ("model.layers.0.input_layernorm.weight", "norms"),
        ("model.layers.0.self_attn.q_norm.weight", "norms"),
        ("model.layers.0.self_attn.q_proj.bias", "attention"),
        ("model.layers.0.mlp.down_proj.weight", "mlp"),
        ("model.norm.weight", "norms"),
        ("lm_head.weight", "head"),
        ("bert.embeddings.word_embeddings.weight", "embedding"),
        ("bert.embeddings.LayerNorm.weight", "norms"),
        ("bert.encoder.layer.0.attention.self.query.weight", "attention"),
        ("bert.encoder.layer.0.attention.output.dense.weight", "attention"),
        ("bert.encoder.layer.0.intermediate.dense.weight", "mlp"),
        ("bert.encoder.layer.0.output.dense.weight", "mlp"),
        ("bert.pooler.dense.weight", "head"),
        ("classifier.weight", "head"),
        ("something.else", "other"),
    ],
)
def test_every_tensor_belongs_to_a_part(name, part):
    assert component_of(name) == part


def test_parts_sum_to_the_whole(checkpoint, tiny):
    model = tiny(family="qwen2")
    found = described(checkpoint(model, dtype=torch.bfloat16))
    assert found.parameters == sum(t.numel() for t in model.weights.values())
    assert found.stored_bytes == 2 * found.parameters
    assert found.float32_bytes == 4 * found.parameters
    assert sum(part.share for part in found.components) == pytest.approx(1.0)
    assert [(d.dtype, d.parameters) for d in found.dtypes] == [("bfloat16", found.parameters)]
    assert found.vocabulary_parameters == 2 * 320 * 64
    assert (found.family, found.context, found.tied, found.layers) == ("qwen2", 128, False, 2)


def test_a_tied_head_is_counted_once(checkpoint, tiny):
    model = tiny(tied=True)
    parameters = sum(t.numel() for t in model.weights.values())
    model.weights["lm_head.weight"] = model.weights["model.embed_tokens.weight"].clone()
    found = described(checkpoint(model))
    assert found.parameters == parameters
    head = next(part for part in found.components if part.name == "head")
    assert (head.tensors, head.parameters) == (0, 0)


def test_the_compression_of_a_gguf_file_is_shown(gguf_file):
    found = described(gguf_file(kind="Q8_0"))
    assert (found.compression, found.note) == ("Q8_0", "dequantized Q8_0")
    assert {d.dtype for d in found.dtypes} == {"Q8_0", "float32"}
    assert found.stored_bytes < found.float32_bytes / 3


def test_the_tokenizer_is_summed_up(checkpoint):
    found = described(checkpoint())
    assert found.tokenizer.model_dump() == {
        "kind": "BPE",
        "vocab_size": 307,
        "special_tokens": 3,
        "stop_ids": (0, 2),
        "bos_id": 0,
        "chat_template": True,
    }


def test_it_is_one_json_document(checkpoint):
    found = described(checkpoint())
    assert ModelDescription.model_validate_json(found.model_dump_json()) == found


def test_a_classifier_is_described(tmp_path):
    config = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "vocab_size": 10,
        "id2label": {"0": "off", "1": "on"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    tensors = {
        "bert.embeddings.word_embeddings.weight": torch.ones(10, 4),
        "bert.embeddings.position_ids": torch.arange(4),
        "classifier.weight": torch.ones(3, 4),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    found = described(tmp_path)
    assert (found.kind, found.family, found.parameters) == ("generic", None, 52)
    assert found.labels == ("off", "on", "LABEL_2")
    assert "no tokenizer.json" in (found.tokenizer_reason or "")
