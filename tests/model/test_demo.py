"""The real demo model. Skipped until ``slmdeploy fetch demo`` was run."""

from __future__ import annotations

import pytest
import torch

from slmdeploy.errors import OfflineError
from slmdeploy.model.fetch import demo_path
from slmdeploy.model.inspect import describe
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from slmdeploy.model.tokenizer import PROBE_TEXT

pytestmark = pytest.mark.demo

CHAT = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture
def demo():
    try:
        demo_path()
    except OfflineError as error:
        pytest.skip(str(error))
    return read_model(parse_ref("demo"))


def test_it_says_what_it_is(demo):
    assert demo.note == "dequantized Q4_1"
    assert demo.license == "apache-2.0"
    assert "Apache License" in (demo.license_text or "")
    assert demo.remarks == ()
    assert demo.weights_sha256.startswith("b179c9523d0e6a0f")


def test_its_parts_are_known_without_loading(demo):
    found = describe(demo)
    assert (found.parameters, found.stored_bytes) == (134_515_008, 96_576_768)
    assert found.vocabulary_share == pytest.approx(0.2105, abs=1e-4)
    assert (found.tied, found.context, found.family) == (True, 8192, "llama")


def test_its_chat_template_and_ends_are_kept(demo):
    text = demo.tokenizer.render_chat(CHAT)
    assert text.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    assert text.endswith("<|im_start|>assistant\n")
    assert demo.tokenizer.stop_ids == (0, 2)
    assert demo.tokenizer.encode(text)[:3] == [1, 9690, 198]


@pytest.mark.parametrize(
    "text", [PROBE_TEXT, "7  8\n\n 9", "def f():\n    return 42\n", "🏳️‍🌈👩‍👩‍👧 e\u0301"]
)
def test_text_comes_back_from_its_tokens(demo, text):
    ids = demo.tokenizer.encode(text)
    assert demo.tokenizer.decode(ids) == text
    digits = [i for i in ids if demo.tokenizer.decode([i]).strip().isdigit()]
    assert len(digits) == sum(character.isdigit() for character in text)


@pytest.mark.slow
def test_its_weights_are_those_that_transformers_dequantizes(demo):
    pytest.importorskip("accelerate")
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(
        demo.path.parent, gguf_file=demo.path.name, dtype=torch.float32
    ).state_dict()
    for name in demo.weights.names():
        assert torch.equal(demo.weights.load(name), theirs[name]), name
    assert set(theirs) - set(demo.weights.names()) == {"lm_head.weight"}
