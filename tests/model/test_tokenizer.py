from __future__ import annotations

import json

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers, processors

from slmdeploy.errors import TokenizerError
from slmdeploy.model.tokenizer import PROBE_TEXT, Tokenizer

CHAT = [{"role": "user", "content": "hi"}]


@pytest.fixture
def core(bpe_json) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_str(bpe_json)


def with_bos(core: tokenizers.Tokenizer) -> str:
    core.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    return core.to_str()


@given(text=st.text(max_size=60))
def test_text_comes_back_from_its_tokens(bpe_json, text):
    tokenizer = Tokenizer.from_json(bpe_json)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_it_is_read_from_a_folder(checkpoint):
    tokenizer = Tokenizer.from_directory(checkpoint())
    assert tokenizer.bos_id == 0
    assert tokenizer.eos_ids == (0,)
    assert tokenizer.kind == "BPE"
    assert tokenizer.render_chat(CHAT).endswith("<|im_start|>assistant\n")
    assert not tokenizer.render_chat(CHAT, add_generation_prompt=False).endswith("assistant\n")


def test_a_saved_tokenizer_is_the_same(checkpoint, tmp_path):
    before = Tokenizer.from_directory(checkpoint(), hf_config={"eos_token_id": [2, 1]})
    (tmp_path / "out").mkdir()
    paths = before.save(tmp_path / "out")
    assert [path.name for path in paths] == ["tokenizer.json", "tokenizer_config.json"]
    after = Tokenizer.from_directory(tmp_path / "out")
    assert after.encode(PROBE_TEXT) == before.encode(PROBE_TEXT)
    assert (after.bos_id, after.eos_ids, after.stop_ids) == (
        before.bos_id,
        before.eos_ids,
        before.stop_ids,
    )
    assert after.chat_template == before.chat_template


def test_ends_come_from_every_configuration(bpe_json):
    tokenizer = Tokenizer.from_json(
        bpe_json,
        config={"eos_token": {"content": "<|im_end|>", "lstrip": False}},
        generation={"eos_token_id": [2, 1]},
        hf_config={"eos_token_id": 0, "bos_token_id": 1},
    )
    assert tokenizer.eos_ids == (2, 1, 0)
    assert tokenizer.bos_id == 1


def test_ends_of_a_turn_stop_only_where_they_are_special(bpe_json, core):
    assert Tokenizer.from_json(bpe_json).stop_ids == (0, 2)
    core.add_tokens(["<|end|>"])
    assert Tokenizer(core).stop_ids == (0, 2)


def test_a_bos_that_the_text_brings_is_not_doubled(core):
    tokenizer = Tokenizer.from_json(with_bos(core), config={"bos_token": "<|endoftext|>"})
    assert tokenizer.encode("a")[0] == 0
    assert tokenizer.encode("<|endoftext|>a") == tokenizer.encode("a")


def test_truncation_and_padding_of_a_training_run_are_ignored(core):
    core.enable_truncation(2)
    core.enable_padding(length=500)
    tokenizer = Tokenizer.from_json(core.to_str())
    assert 2 < len(tokenizer.encode("abcdefgh")) <= 8


def test_a_template_of_its_own_file_goes_first(checkpoint):
    folder = checkpoint()
    (folder / "chat_template.jinja").write_text("mine")
    assert Tokenizer.from_directory(folder).render_chat(CHAT) == "mine"


def test_of_several_templates_the_default_one_is_taken(bpe_json):
    several = [{"name": "tool", "template": "t"}, {"name": "default", "template": "d"}]
    tokenizer = Tokenizer.from_json(bpe_json, config={"chat_template": several})
    assert tokenizer.chat_template == "d"


def test_a_template_whose_name_is_no_text_is_no_fault(bpe_json):
    odd = [{"name": [3], "template": "t"}, {"name": "default", "template": "d"}]
    assert Tokenizer.from_json(bpe_json, config={"chat_template": odd}).chat_template == "d"


def test_without_a_template_chat_is_refused(bpe_json):
    with pytest.raises(TokenizerError, match="no chat template"):
        Tokenizer.from_json(bpe_json).render_chat(CHAT)


def test_the_vocabulary_counts_added_tokens(core):
    size = core.get_vocab_size()
    core.add_special_tokens(["<new>"])
    assert Tokenizer(core).vocab_size == size + 1


def test_a_tokenizer_that_loses_text_says_where():
    core = tokenizers.Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    assert "'c'" in (Tokenizer(core).round_trip_fault("abc") or "")


def test_a_tokenizer_that_lowers_case_on_purpose_is_not_at_fault():
    core = tokenizers.Tokenizer(models.WordPiece({"[UNK]": 0, "hi": 1}))
    core.normalizer = normalizers.Lowercase()
    core.decoder = tokenizers.decoders.WordPiece()
    assert Tokenizer(core).round_trip_fault() is None


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TokenizerError, match=r"There is no .*tokenizer\.json"):
        Tokenizer.from_directory(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"model": {"type": "BPE"}}'])
def test_a_damaged_tokenizer_is_our_error(tmp_path, text):
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(TokenizerError, match=r"tokenizer\.json cannot be used"):
        Tokenizer.from_directory(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_damaged_configuration_is_named(checkpoint, text):
    folder = checkpoint()
    (folder / "tokenizer_config.json").write_text(text, encoding="latin-1")
    with pytest.raises(TokenizerError, match=r"tokenizer_config\.json"):
        Tokenizer.from_directory(folder)


def test_text_that_is_not_unicode_is_our_error(bpe_json):
    with pytest.raises(TokenizerError, match="not valid Unicode"):
        Tokenizer.from_json(bpe_json).encode("\udcff")


def test_a_truncated_tokenizer_is_our_error(checkpoint):
    folder = checkpoint()
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text[: len(text) // 2])
    with pytest.raises(TokenizerError):
        Tokenizer.from_directory(folder)
    assert json.loads(text)


@pytest.mark.parametrize("token_id", [-1, 10**6, 2**32, 2**70])
def test_ids_that_are_no_tokens_have_no_text(bpe_json, token_id):
    config = {"eos_token_id": token_id, "bos_token_id": token_id}
    tokenizer = Tokenizer.from_json(
        bpe_json, hf_config=config, chat_template="{{ bos_token }}x{{ eos_token }}"
    )
    assert tokenizer.render_chat(CHAT) == "x"
    assert tokenizer.decode([token_id, *tokenizer.encode("ab")]) == "ab"


@given(text=st.text(max_size=30))
def test_a_stream_gives_whole_characters_that_never_change(bpe_json, text):
    tokenizer = Tokenizer.from_json(bpe_json)
    stream, given_out = tokenizer.stream(), ""
    for token_id in tokenizer.encode(text):
        part = stream.push(token_id)
        part.encode("utf-8")
        assert "\ufffd" not in part or "\ufffd" in text
        given_out += part
        assert text.startswith(given_out)
    assert given_out + stream.finish() == text
