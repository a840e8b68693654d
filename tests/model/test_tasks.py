from __future__ import annotations

import pytest

from slmdeploy.errors import UnsupportedModelError
from slmdeploy.model.tasks import refuse_out_of_scope, task_of


@pytest.mark.parametrize(
    ("architecture", "model_type", "task"),
    [
        ("BertForSequenceClassification", "bert", "classification"),
        ("LlamaForSequenceClassification", "llama", "classification"),
        ("ModernBertForTokenClassification", "modernbert", "token-classification"),
        ("BertModel", "bert", "embedding"),
        ("RobertaForMaskedLM", "roberta", "embedding"),
        ("LlamaForCausalLM", "llama", None),
        ("BertLMHeadModel", "llama", None),
    ],
)
def test_the_architecture_tells_what_a_checkpoint_is_for(tmp_path, architecture, model_type, task):
    config = {"architectures": [architecture], "model_type": model_type}
    assert task_of(config, tmp_path) == task


def test_a_folder_of_sentence_transformers_is_an_embedding_model(tmp_path):
    (tmp_path / "modules.json").write_text("[]")
    config = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}
    assert task_of(config, tmp_path) == "embedding"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper"}, "speech"),
        ({"architectures": ["Wav2Vec2ForCTC"], "model_type": "wav2vec2"}, "speech"),
        ({"architectures": ["GemmaX"], "audio_config": {}, "vision_config": {}}, "speech"),
        ({"architectures": ["Gemma3ForConditionalGeneration"], "vision_config": {}}, "vision-lang"),
        ({"architectures": ["BlipForVision2Seq"]}, "vision-language"),
        ({"architectures": ["ViTForImageClassification"], "model_type": "vit"}, "takes images"),
    ],
)
def test_models_that_see_or_hear_are_refused_by_name(config, said):
    with pytest.raises(UnsupportedModelError, match=rf"^{config['architectures'][0]} .*{said}"):
        refuse_out_of_scope(config)


def test_models_of_text_are_not_refused():
    refuse_out_of_scope({"architectures": ["LlamaForCausalLM"], "model_type": "llama"})
    refuse_out_of_scope({})
