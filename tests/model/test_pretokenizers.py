from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from slmdeploy.model.pretokenizers import PRE_TOKENIZERS


def cut(name: str, text: str) -> list[str]:
    steps = [
        pre_tokenizers.Split(Regex(p), behavior="isolated") for p in PRE_TOKENIZERS[name].patterns
    ]
    return [piece for piece, _ in pre_tokenizers.Sequence(steps).pre_tokenize_str(text)]


@pytest.mark.parametrize(
    ("name", "text", "pieces"),
    [
        ("smollm", "in 1066  a", ["in", " ", "1", "0", "6", "6", " ", " a"]),
        ("gpt-2", "in 1066  a", ["in", " 1066", " ", " a"]),
        ("qwen2", "in 1066  a", ["in", " ", "1", "0", "6", "6", " ", " a"]),
        ("llama-bpe", "in 1066  a", ["in", " ", "106", "6", " ", " a"]),
        ("default", "in 1066", ["in", " ", "106", "6"]),
        ("gpt-2", "It's IT'S", ["It", "'s", " IT", "'", "S"]),
        ("llama-bpe", "It's IT'S", ["It", "'s", " IT", "'S"]),
        ("qwen2", "f(x)\n\n y", ["f", "(x", ")\n\n", " y"]),
        ("smollm", "f(x)\n\n y", ["f", "(", "x", ")", "\n\n", " y"]),
        ("qwen2", "a   \n b", ["a", "   \n", " b"]),
        ("default", "a, b=c", ["a", ",", " b", "=", "c"]),
    ],
)
def test_rules_cut_as_llama_cpp_does(name, text, pieces):
    assert cut(name, text) == pieces


@pytest.mark.parametrize("name", sorted(PRE_TOKENIZERS))
@given(text=st.text(max_size=60))
def test_nothing_is_lost(name, text):
    assert "".join(cut(name, text)) == text


@given(text=st.text(alphabet=st.sampled_from("ab1 2\n\t'sS.,(é\u00a0日😀"), max_size=60))
def test_the_gpt2_rule_is_the_one_of_the_tokenizers_package(text):
    own = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    wanted = [text[a:b] for _, (a, b) in own.pre_tokenize_str(text)]
    assert cut("gpt-2", text) == wanted


@given(text=st.text(alphabet=st.sampled_from("ab1 2\n\t'sS.,(é\u00a0日😀²½"), max_size=60))
def test_the_smollm_rule_is_the_one_of_its_original_tokenizer(text):
    own = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    wanted = [text[a:b] for _, (a, b) in own.pre_tokenize_str(text)]
    assert cut("smollm", text) == wanted


# The expressions of the original tokenizer.json files, which llama.cpp quotes.
ORIGINAL = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@pytest.mark.parametrize(("name", "digits"), [("qwen2", ""), ("llama-bpe", "{1,3}")])
@given(text=st.text(alphabet=st.sampled_from("abST1 2\n\r\t'sSrReELl.,(é\u00a0日😀"), max_size=60))
def test_the_tiktoken_rules_are_those_of_the_original_tokenizers(name, digits, text):
    pattern = Regex(ORIGINAL.replace("DIGITS", digits))
    own = pre_tokenizers.Split(pattern, behavior="isolated")
    assert cut(name, text) == [piece for piece, _ in own.pre_tokenize_str(text)]
