"""What tokenizers of several file formats are put together of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import tokenizers
from tokenizers import AddedToken, Regex, decoders, pre_tokenizers, processors

from slmdeploy.errors import TokenizerError
from slmdeploy.model.pretokenizers import PreTokenizer

__all__ = ["add_ends", "add_named_tokens", "byte_level_cutter", "guarded", "merges_by_score"]

T = TypeVar("T")

_LONGEST_PIECE = 4096
"""Characters; trained vocabularies stay below 300, and a forged one would take for ever."""


def guarded(what: str, build: Callable[[], T]) -> T:
    """Call the ``tokenizers`` package; what it cannot use is our error.

    Raises:
        TokenizerError: It refused, or its Rust code panicked, which comes as an exception
            that is no ``Exception``.
    """
    try:
        return build()
    except Exception as error:
        raise TokenizerError(f"{what} cannot be used: {error}.") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise TokenizerError(f"{what} cannot be used: {error}.") from error


def merges_by_score(
    tokens: Sequence[str], scores: Sequence[float], usable: Collection[int], where: object
) -> list[tuple[str, str]]:
    """Every way to make a piece of two others, best score first.

    SentencePiece merges the neighbours whose joint piece scores highest; a list of
    merges in that order does the same.

    Args:
        tokens: Pieces by id.
        scores: A score for each.
        usable: Ids of pieces that take part.
        where: The file, for messages.

    Raises:
        TokenizerError: A piece is longer than any trained one.
    """
    known = {tokens[i]: i for i in usable}
    longest = max(map(len, known), default=0)
    if longest > _LONGEST_PIECE:
        raise TokenizerError(f"{where} has a piece of {longest} characters.")
    found = [
        (-scores[i], known[token[:cut]], known[token[cut:]], token[:cut], token[cut:])
        for token, i in known.items()
        for cut in range(1, len(token))
        if token[:cut] in known and token[cut:] in known
    ]
    return [(left, right) for _, _, _, left, right in sorted(found)]


def add_ends(
    core: tokenizers.Tokenizer, tokens: Mapping[int, str], bos: int | None, eos: int | None
) -> None:
    """Let a text begin with ``bos`` and end with ``eos``, where they are given."""
    before = [] if bos is None else [tokens[bos]]
    after = [] if eos is None else [tokens[eos]]
    if before or after:
        ends = {tokens[i]: i for i in (bos, eos) if i is not None}
        core.post_processor = processors.TemplateProcessing(
            single=[*before, "$A", *after],
            pair=[*before, "$A", *after, *before, "$B:1", *after],
            special_tokens=sorted(ends.items()),
        )


def byte_level_cutter(core: tokenizers.Tokenizer, rule: PreTokenizer) -> None:
    """Let a tokenizer cut text by a rule, and write its bytes as GPT-2 does."""
    cuts: list[Any] = [
        pre_tokenizers.Split(Regex(pattern), behavior="isolated") for pattern in rule.patterns
    ]
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.pre_tokenizer = pre_tokenizers.Sequence([*cuts, to_bytes])
    core.decoder = decoders.ByteLevel()


def add_named_tokens(core: tokenizers.Tokenizer, config: Mapping[str, Any], where: object) -> None:
    """Add the tokens that ``tokenizer_config.json`` lists with their ids.

    Args:
        core: Has the vocabulary of the file.
        config: ``tokenizer_config.json``; ``added_tokens_decoder`` is read.
        where: The file, for messages.

    Raises:
        TokenizerError: A token would get another id than the one that is listed.
    """
    listed = config.get("added_tokens_decoder")
    if not isinstance(listed, Mapping):
        return
    for key, entry in sorted(listed.items(), key=lambda item: _number(item[0])):
        text = entry.get("content") if isinstance(entry, Mapping) else None
        if not isinstance(text, str) or not text:
            continue
        wanted, special = _number(key), bool(entry.get("special"))
        found = core.token_to_id(text)
        if found is None and wanted != core.get_vocab_size(with_added_tokens=True):
            raise TokenizerError(
                f"tokenizer_config.json gives {text!r} the id {wanted}, but {where} ends at "
                f"{core.get_vocab_size(with_added_tokens=True)} tokens."
            )
        if found not in (None, wanted):
            raise TokenizerError(
                f"tokenizer_config.json gives {text!r} the id {wanted}; in {where} it has {found}."
            )
        token = AddedToken(text, special=special, normalized=False)
        (core.add_special_tokens if special else core.add_tokens)([token])


def _number(key: object) -> int:
    text = str(key)
    return int(text) if text.isdecimal() and len(text) < 10 else -1
