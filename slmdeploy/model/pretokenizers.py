r"""How llama.cpp cuts text before byte-pair merging, by ``tokenizer.ggml.pre``.

A rule is a sequence of regular expressions: each cuts the pieces that the one before
left, and what no expression matches stays a piece of its own.
Source of the names and expressions: ``src/llama-vocab.cpp`` of llama.cpp, read at
commit 00ad355e. That engine knows no ``(?i:...)``, so the cases are written out there;
``\s+(?!\S)`` without a last ``\s+`` cuts the same pieces, since what is left over is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PRE_TOKENIZERS", "PreTokenizer"]


@dataclass(frozen=True)
class PreTokenizer:
    """A rule of cutting.

    Attributes:
        patterns: Regular expressions, applied one after the other.
        whole_words: A piece that is in the vocabulary is taken before any merging.
        add_bos: Text begins with BOS unless the file says otherwise.
    """

    patterns: tuple[str, ...]
    whole_words: bool = False
    add_bos: bool = False


_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_CONTRACTION = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_DIGIT = r"\p{N}"


def _tiktoken(digits: str) -> str:
    """The cl100k expression, with the number of digits that a piece may have."""
    return (
        _CONTRACTION + rf"|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


_DEFAULT = PreTokenizer((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]"))
_DIGITS_GPT2 = PreTokenizer((_DIGIT, _GPT2))
_PLAIN_GPT2 = PreTokenizer((_GPT2,))
_LLAMA3 = PreTokenizer((_tiktoken(r"\p{N}{1,3}"),), whole_words=True, add_bos=True)
_SMAUG = PreTokenizer((_tiktoken(r"\p{N}{1,3}"),))
_QWEN2 = PreTokenizer((_tiktoken(r"\p{N}"),))

PRE_TOKENIZERS: Mapping[str, PreTokenizer] = {
    **dict.fromkeys(("", "default"), _DEFAULT),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell"), _DIGITS_GPT2),
    **dict.fromkeys(("gpt-2", "phi-2", "olmo", "mpt", "exaone4", "gigachat"), _PLAIN_GPT2),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "lfm2", "pixtral"), _LLAMA3),
    **dict.fromkeys(("smaug-bpe", "dbrx"), _SMAUG),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan"), _QWEN2),
}
"""The rules by name; the empty name stands for a file that names none."""
