"""SentencePiece models, held against the library that trained them."""

from __future__ import annotations

import contextlib
import io
import json
from functools import cache
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import example, given
from hypothesis import strategies as st

from slmdeploy.errors import TokenizerError
from slmdeploy.model.sentencepiece import parse_sentencepiece, sentencepiece_core
from slmdeploy.model.tokenizer import PROBE_TEXT, Tokenizer
from slmdeploy.model.tokenizer_files import read_tokenizer

CORPUS = [
    "In the beginning was the word, and the word was with us.",
    "the light in the kitchen is on and the fan in the hall is off",
    "turn on the light, turn off the fan: 12 3456 times",
    "Caf\u00e9 na\u00efve \u65e5\u672c\u8a9e <custom> x != y",
]
LLAMA = {
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
    "byte_fallback": True,
}
OPTIONS = {
    "like Llama's": LLAMA,
    "like Gemma's": {**LLAMA, "add_dummy_prefix": False, "user_defined_symbols": ["<custom>"]},
    "by default": {},
}


@cache
def trained(kind: str, options: str) -> bytes:
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 5),
        model_writer=out,
        vocab_size=120 if options == "by default" else 360,
        hard_vocab_limit=False,
        model_type=kind,
        minloglevel=2,
        **OPTIONS[options],
    )
    return out.getvalue()


def core_of(raw: bytes):
    return sentencepiece_core(parse_sentencepiece(raw, Path("x.model")), Path("x.model"))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_text_is_cut_as_the_library_cuts_it(kind, options):
    raw = trained(kind, options)
    theirs, ours = sentencepiece.SentencePieceProcessor(model_proto=raw), core_of(raw)

    @given(text=st.sampled_from(CORPUS) | st.text("then wordkic \u00e9\u65e5.1<>\t", max_size=30))
    @example(text=PROBE_TEXT)
    @example(text="")
    def same(text):
        ids = theirs.encode(text)
        assert ours.encode(text, add_special_tokens=False).ids == ids
        if theirs.unk_id() not in ids:
            assert Tokenizer(ours).decode(ids) == theirs.decode(ids)

    same()


def test_the_file_gives_pieces_and_special_ids():
    model = parse_sentencepiece(trained("bpe", "like Llama's"), Path("x.model"))
    assert [piece.text for piece in model.pieces[:4]] == ["<unk>", "<s>", "</s>", "<0x00>"]
    assert model.ids == {"unk": 0, "bos": 1, "eos": 2, "pad": -1}
    assert (model.byte_fallback, model.prefix, model.trims) == (True, True, False)


def folder_with(tmp_path, raw: bytes, config: dict | None = None) -> Path:
    (tmp_path / "tokenizer.model").write_bytes(raw)
    if config is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    return tmp_path


def test_a_folder_with_a_model_file_has_a_tokenizer(tmp_path):
    folder = folder_with(tmp_path, trained("bpe", "like Llama's"))
    tokenizer, reason, remarks = read_tokenizer(folder, {})
    assert (reason, remarks) == (None, ())
    assert (tokenizer.bos_id, tokenizer.eos_ids, tokenizer.stop_ids) == (1, (2,), (2,))
    assert tokenizer.encode("the light")[0] == 1
    assert tokenizer.decode(tokenizer.encode(PROBE_TEXT)) == PROBE_TEXT
    assert tokenizer.round_trip_fault() is None


def test_added_tokens_and_ends_come_from_the_configuration(tmp_path):
    raw = trained("bpe", "like Llama's")
    size = len(parse_sentencepiece(raw, Path("x")).pieces)
    added = {"1": {"content": "<s>", "special": True}}
    added[str(size)] = {"content": "<|end|>", "special": True}
    config = {"add_bos_token": False, "eos_token": "<|end|>", "added_tokens_decoder": added}
    tokenizer, _, _ = read_tokenizer(folder_with(tmp_path, raw, config), {})
    assert tokenizer.vocab_size == size + 1
    assert tokenizer.eos_ids == (size,)
    assert tokenizer.encode("a<|end|>")[-1] == size
    assert tokenizer.bos_id not in tokenizer.encode("a")


def test_an_added_token_that_would_get_another_id_is_refused(tmp_path):
    config = {"added_tokens_decoder": {"9999": {"content": "<|end|>"}}}
    folder = folder_with(tmp_path, trained("bpe", "like Llama's"), config)
    with pytest.raises(TokenizerError, match=r"'<\|end\|>' the id 9999, but .* ends at"):
        read_tokenizer(folder, {})


@pytest.mark.parametrize("kind", ["word", "char"])
def test_other_algorithms_are_refused_by_name(kind):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 5),
        model_writer=out,
        vocab_size=40,
        hard_vocab_limit=False,
        use_all_vocab=False,
        model_type=kind,
        minloglevel=2,
    )
    with pytest.raises(TokenizerError, match=f"its algorithm is {kind.capitalize()}"):
        core_of(out.getvalue())


@given(raw=st.binary(max_size=60))
def test_any_bytes_give_a_tokenizer_or_our_error(raw):
    with contextlib.suppress(TokenizerError):
        core_of(raw)


@given(at=st.integers(0, 3000), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_model_gives_a_tokenizer_or_our_error(at, byte, cut):
    raw = bytearray(trained("unigram", "like Llama's"))
    raw[at] = byte
    with contextlib.suppress(TokenizerError):
        core_of(bytes(raw[:at] if cut else raw))
