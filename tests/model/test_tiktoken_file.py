"""Vocabularies of tiktoken's kind, held against the library."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path

import pytest
import tiktoken
import tokenizers
from hypothesis import example, given
from hypothesis import strategies as st

from slmdeploy.errors import TokenizerError
from slmdeploy.model.pretokenizers import PRE_TOKENIZERS
from slmdeploy.model.stream import byte_level_text, token_bytes
from slmdeploy.model.tiktoken_file import is_tiktoken, parse_tiktoken, tekken_core, tiktoken_core
from slmdeploy.model.tokenizer import PROBE_TEXT, Tokenizer
from slmdeploy.model.tokenizer_files import read_tokenizer

HERE = Path("x.tiktoken")
LLAMA3 = PRE_TOKENIZERS["llama3"]


@pytest.fixture(scope="module")
def ranks(bpe_json) -> dict[bytes, int]:
    """Every byte, then what a small training merged."""
    core = tokenizers.Tokenizer.from_str(bpe_json)
    rule = token_bytes(core)
    merged = [rule.later("".join(pair)) for pair in json.loads(bpe_json)["model"]["merges"]]
    every = [*(bytes([byte]) for byte in range(256)), *merged]
    return {token: rank for rank, token in enumerate(dict.fromkeys(every))}


def as_file(ranks: dict[bytes, int]) -> bytes:
    rows = (b"%s %d" % (base64.b64encode(token), rank) for token, rank in ranks.items())
    return b"\n".join(rows) + b"\n"


def test_text_is_cut_as_the_library_cuts_it(ranks):
    theirs = tiktoken.Encoding(
        "x", pat_str=LLAMA3.patterns[0], mergeable_ranks=ranks, special_tokens={}
    )
    ours = tiktoken_core(parse_tiktoken(as_file(ranks), HERE), LLAMA3, HERE)

    @given(text=st.text(max_size=40) | st.text("the light in 12", max_size=40))
    @example(text=PROBE_TEXT)
    def same(text):
        assert ours.encode(text).ids == theirs.encode(text)
        assert Tokenizer(ours).decode(theirs.encode(text)) == text

    same()


def test_llama_3_calls_such_a_file_as_sentencepiece_does(tmp_path, ranks):
    (tmp_path / "tokenizer.model").write_bytes(as_file(ranks))
    config = {"added_tokens_decoder": {str(len(ranks)): {"content": "<|eot_id|>", "special": True}}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer, reason, remarks = read_tokenizer(tmp_path, {"model_type": "llama"})
    assert reason is None
    assert tokenizer.stop_ids == (len(ranks),)
    assert tokenizer.round_trip_fault() is None
    assert "the rule 'llama3' was taken" in remarks[0]


def test_qwen_cuts_numbers_digit_by_digit(tmp_path, ranks):
    (tmp_path / "qwen.tiktoken").write_bytes(as_file(ranks))
    _, _, remarks = read_tokenizer(tmp_path, {"model_type": "qwen2"})
    assert "the rule 'qwen2' was taken" in remarks[0]


def tekken(ranks: dict[bytes, int]) -> dict:
    vocabulary = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for token, rank in ranks.items()
    ]
    config = {
        "pattern": LLAMA3.patterns[0],
        "default_vocab_size": len(ranks) + 4,
        "default_num_special_tokens": 4,
    }
    special = [{"rank": 1, "token_str": "<s>"}, {"rank": 2, "token_str": "</s>"}]
    return {"config": config, "vocab": vocabulary, "special_tokens": special}


def test_tekken_has_its_special_tokens_first(tmp_path, ranks):
    (tmp_path / "tekken.json").write_text(json.dumps(tekken(ranks)))
    tokenizer, _, _ = read_tokenizer(tmp_path, {"bos_token_id": 1, "eos_token_id": 2})
    assert tokenizer.vocab_size == len(ranks) + 4
    assert tokenizer.encode("a") == [1, 4 + ranks[b"a"]]
    assert tokenizer.decode(tokenizer.encode(PROBE_TEXT)) == PROBE_TEXT


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "has no tokens"),
        (b"YQ== 0\nYg==\n", "line 2 is not a token"),
        (b"YQ== 0\n!!!! 1\n", "line 2 is not a token"),
        (b"YQ== 0\nYg== 0\n", "the same rank"),
        (b"YQ== 0\nYg== 999999999\n", "has the rank 999999999"),
        (b"YQ== 0\nYg== 99999999999999999999\n", "line 2 is not a token"),
    ],
)
def test_a_damaged_file_is_named(raw, why):
    with pytest.raises(TokenizerError, match=why):
        parse_tiktoken(raw, HERE)


@given(raw=st.binary(max_size=60))
@example(raw=b"[]")
@example(raw=b'{"config": 3}')
@example(raw=b'{"config": {"default_num_special_tokens": 1e999}}')
def test_any_bytes_give_ranks_or_our_error(raw):
    is_tiktoken(raw)
    with contextlib.suppress(TokenizerError):
        parse_tiktoken(raw, HERE)
    with pytest.raises(TokenizerError):
        tekken_core(raw, HERE)


@given(data=st.binary(max_size=40))
def test_bytes_are_written_with_one_character_each(data):
    assert len(byte_level_text(data)) == len(data)
