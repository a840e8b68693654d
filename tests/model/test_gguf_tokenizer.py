from __future__ import annotations

from pathlib import Path

import pytest
import tokenizers

from slmdeploy.errors import TokenizerError
from slmdeploy.model.gguf_file import open_gguf
from slmdeploy.model.gguf_tokenizer import gguf_tokenizer

TEXT = "In 1066 and  2024:\tfoo(x) != 'bar';\n\n  naïve café 日本語 😀!"
HERE = Path("x.gguf")


@pytest.fixture
def rebuilt(gguf_file):
    def make(**metadata):
        found, reason = gguf_tokenizer(open_gguf(gguf_file(metadata=metadata)).metadata, HERE)
        assert reason is None
        return found

    return make


def test_the_original_tokenizer_comes_back(rebuilt, bpe_json):
    core = tokenizers.Tokenizer.from_str(bpe_json)
    assert rebuilt().encode(TEXT) == core.encode(TEXT).ids


def test_the_rule_of_cutting_decides_about_digits(rebuilt):
    text = "in 1234"
    pieces = {
        pre: len(rebuilt(**{"tokenizer.ggml.pre": pre}).encode(text)) for pre in ("gpt-2", "smollm")
    }
    assert pieces["smollm"] > pieces["gpt-2"]


@pytest.mark.parametrize("pre", ["gpt-2", "smollm", "qwen2", "llama-bpe", "default", None])
def test_text_comes_back_under_every_rule(rebuilt, pre):
    tokenizer = rebuilt(**{"tokenizer.ggml.pre": pre})
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
    assert tokenizer.round_trip_fault() is None


def test_special_tokens_ends_and_template_are_kept(rebuilt):
    tokenizer = rebuilt(**{"tokenizer.ggml.eot_token_id": 1})
    assert tokenizer.bos_id == 0
    assert tokenizer.eos_ids == (2, 1)
    assert tokenizer.stop_ids == (0, 1, 2)
    chat = tokenizer.render_chat([{"role": "user", "content": "hi"}])
    assert chat == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.encode("<|im_end|>") == [2]
    assert tokenizer.decode([2]) == ""


def test_user_defined_tokens_are_text(rebuilt, gguf_file):
    metadata = dict(open_gguf(gguf_file()).metadata)
    tokens = (*metadata["tokenizer.ggml.tokens"], "<think>")
    kinds = [*metadata["tokenizer.ggml.token_type"], 4]
    tokenizer = rebuilt(
        **{"tokenizer.ggml.tokens": list(tokens), "tokenizer.ggml.token_type": kinds}
    )
    assert tokenizer.encode("<think>") == [len(tokens) - 1]
    assert tokenizer.decode([len(tokens) - 1]) == "<think>"


def test_llama_3_files_begin_with_bos_and_others_do_not(rebuilt):
    assert rebuilt(**{"tokenizer.ggml.pre": "llama-bpe"}).encode("the")[0] == 0
    assert rebuilt(**{"tokenizer.ggml.pre": "qwen2"}).encode("the")[0] != 0
    named = {"tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.add_bos_token": False}
    assert rebuilt(**named).encode("the")[0] != 0


def test_a_bos_that_the_text_brings_is_not_doubled(rebuilt):
    tokenizer = rebuilt(**{"tokenizer.ggml.add_bos_token": True})
    assert tokenizer.encode("<|endoftext|>the") == tokenizer.encode("the")


def test_an_unknown_rule_is_named_as_the_reason(gguf_file):
    metadata = open_gguf(gguf_file(metadata={"tokenizer.ggml.pre": "klingon"})).metadata
    assert gguf_tokenizer(metadata, HERE) == (
        None,
        "x.gguf cuts text by the rule 'klingon', which slmdeploy does not know.",
    )


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [({"tokenizer.ggml.model": None}, "no tokenizer"), ({"tokenizer.ggml.model": "rwkv"}, "rwkv")],
)
def test_a_file_without_a_known_tokenizer_says_why(gguf_file, metadata, reason):
    tokenizer, why = gguf_tokenizer(open_gguf(gguf_file(metadata=metadata)).metadata, HERE)
    assert tokenizer is None
    assert reason in why


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("tokenizer.ggml.merges", None, "no list 'tokenizer.ggml.merges'"),
        ("tokenizer.ggml.merges", ["nospace"], "not a merge of two"),
        ("tokenizer.ggml.merges", ["zz qq"], "cannot be used"),
        ("tokenizer.ggml.tokens", [1, 2, 3], "not a list of texts"),
        ("tokenizer.ggml.bos_token_id", 5000, "bos token 5000 is not among 307"),
    ],
)
def test_a_vocabulary_that_contradicts_itself_is_refused(gguf_file, key, value, why):
    metadata = open_gguf(gguf_file(metadata={key: value})).metadata
    with pytest.raises(TokenizerError, match=why):
        gguf_tokenizer(metadata, HERE)


@pytest.fixture(scope="module")
def sentencepiece_model(tmp_path_factory):
    sentencepiece = pytest.importorskip("sentencepiece")
    folder = tmp_path_factory.mktemp("spm")
    text = "in the beginning was the word and the light of the kitchen 1234 was on\n"
    (folder / "text").write_text((text + "the fan in the hall is off, and it's 7 o'clock\n") * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"),
        model_prefix=str(folder / "spm"),
        vocab_size=340,
        model_type="bpe",
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))


def spm_metadata(model, **more):
    ids = range(model.get_piece_size())
    kinds = [
        2 if model.is_unknown(i) else 3 if model.is_control(i) else 6 if model.is_byte(i) else 1
        for i in ids
    ]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tuple(model.id_to_piece(i) for i in ids),
        "tokenizer.ggml.scores": tuple(model.get_score(i) for i in ids),
        "tokenizer.ggml.token_type": tuple(kinds),
        "tokenizer.ggml.bos_token_id": model.bos_id(),
        "tokenizer.ggml.eos_token_id": model.eos_id(),
        **more,
    }


@pytest.mark.parametrize(
    "text",
    [
        "the word was in the kitchen",
        "the  word   and 1234 lights",
        " it's 7 o'clock",
        TEXT.replace("\t", " "),
        "thethethe ininin kitchenkitchen",
        "",
    ],
)
def test_a_sentencepiece_vocabulary_gives_its_own_ids(sentencepiece_model, text):
    tokenizer, _ = gguf_tokenizer(spm_metadata(sentencepiece_model), HERE)
    assert tokenizer.encode(text) == [
        sentencepiece_model.bos_id(),
        *sentencepiece_model.encode(text),
    ]
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_sentencepiece_vocabulary_without_scores_is_refused(sentencepiece_model):
    metadata = spm_metadata(sentencepiece_model, **{"tokenizer.ggml.scores": (0.0,)})
    with pytest.raises(TokenizerError, match="340 tokens but 1 scores"):
        gguf_tokenizer(metadata, HERE)
