from __future__ import annotations

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders, models

from slmdeploy.model.stream import token_bytes
from slmdeploy.model.tokenizer import Tokenizer

SPM = [f"<0x{byte:02X}>" for byte in range(256)]
PIECES = [*SPM, "\u2581the", "\u2581", "fan", "\u2581\u2581", "日", "!"]


def sentencepiece_like(decoder) -> Tokenizer:
    core = tokenizers.Tokenizer(models.BPE({t: i for i, t in enumerate(PIECES)}, []))
    core.decoder = decoder
    return Tokenizer(core)


LLAMA2 = decoders.Sequence(
    [
        decoders.Replace("\u2581", " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
        decoders.Strip(" ", 1, 0),
    ]
)
GEMMA = decoders.Sequence(
    [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
)


@pytest.fixture(scope="module")
def byte_level(bpe_json) -> Tokenizer:
    return Tokenizer.from_json(bpe_json)


def streamed(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    stream = tokenizer.stream()
    return [*(stream.push(i) for i in ids), stream.finish()]


@given(ids=st.lists(st.integers(0, 400), max_size=60))
def test_pieces_joined_are_what_the_tokenizers_package_decodes(bpe_json, ids):
    tokenizer = Tokenizer.from_json(bpe_json)
    wanted = tokenizers.Tokenizer.from_str(bpe_json).decode(ids, skip_special_tokens=True)
    assert "".join(streamed(tokenizer, ids)) == tokenizer.decode(ids) == wanted


@given(text=st.text(max_size=40))
def test_text_comes_back_in_whole_characters(bpe_json, text):
    tokenizer = Tokenizer.from_json(bpe_json)
    pieces = streamed(tokenizer, tokenizer.encode(text))
    assert "".join(pieces) == text
    assert pieces[-1] == ""  # nothing was held back that was whole
    assert all("\ufffd" not in piece for piece in pieces) or "\ufffd" in text


def test_an_emoji_of_four_tokens_comes_with_the_last(byte_level):
    ids = byte_level.encode("😀")
    assert len(ids) == 4
    assert streamed(byte_level, ids) == ["", "", "", "😀", ""]


def test_a_character_that_never_ends_is_marked(byte_level):
    assert streamed(byte_level, byte_level.encode("😀")[:3]) == ["", "", "", "\ufffd"]


def test_special_and_unknown_ids_give_nothing(byte_level):
    assert streamed(byte_level, [0, 9999, *byte_level.encode("a")]) == ["", "", "a", ""]


@pytest.mark.parametrize("decoder", [LLAMA2, GEMMA, decoders.Metaspace()])
@given(ids=st.lists(st.integers(256, len(PIECES) - 1), max_size=30))
def test_sentencepiece_decoders_give_what_the_package_decodes(decoder, ids):
    tokenizer = sentencepiece_like(decoder)
    wanted = tokenizer._core.decode(ids)
    assert "".join(streamed(tokenizer, ids)) == wanted


@given(text=st.text(alphabet="aé日😀 ", max_size=20))
def test_bytes_to_fall_back_on_become_characters(text):
    tokenizer = sentencepiece_like(GEMMA)
    assert tokenizer.decode([PIECES.index(f"<0x{b:02X}>") for b in text.encode()]) == text


def test_one_leading_space_is_dropped_once():
    tokenizer = sentencepiece_like(LLAMA2)
    the = PIECES.index("\u2581the")
    assert streamed(tokenizer, [the, the]) == ["the", " the", ""]


def test_a_decoder_that_looks_at_neighbours_gives_all_at_the_end():
    core = tokenizers.Tokenizer(models.WordPiece({"[UNK]": 0, "kit": 1, "##chen": 2, "is": 3}))
    core.decoder = decoders.WordPiece()
    assert token_bytes(core) is None
    tokenizer = Tokenizer(core)
    assert streamed(tokenizer, [1, 2, 3]) == ["", "", "", "kitchen is"]
    assert tokenizer.decode([1, 2, 3]) == "kitchen is"
