"""Vocabularies of tiktoken's kind: ``*.tiktoken``, Llama 3's ``tokenizer.model``, ``tekken.json``.

A ``.tiktoken`` file has a line for each token: its bytes in base64, a space, its rank, which
is its id; neighbours whose joint bytes have the lowest rank are merged first.
Source: ``load_tiktoken_bpe`` and ``_educational.py`` of the tiktoken package. How text is cut
beforehand is not in the file; ``tekken.json`` has it (mistral-common's ``Tekkenizer``).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, models

from slmdeploy.errors import TokenizerError
from slmdeploy.model.pretokenizers import PRE_TOKENIZERS, PreTokenizer
from slmdeploy.model.stream import byte_level_text
from slmdeploy.model.tokenizer_parts import byte_level_cutter, guarded

__all__ = ["is_tiktoken", "parse_tiktoken", "tekken_core", "tiktoken_core", "tiktoken_rule"]

_FAILURES = (
    ArithmeticError,  # 1e999 is a number of JSON
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
_LONGEST_TOKEN = 4096
_LARGEST_ID = 2**24


def is_tiktoken(raw: bytes) -> bool:
    """Whether a file called ``tokenizer.model`` is of this kind rather than SentencePiece's."""
    line = raw[:1000].split(b"\n", 1)[0].strip()
    token, space, rank = line.partition(b" ")
    return bool(token and space and rank.isdigit()) and token.isascii()


def tiktoken_rule(hf_config: Mapping[str, Any]) -> tuple[str, PreTokenizer]:
    """How the model's family cuts text, by name: Qwen one digit at a time, others up to three."""
    qwen = str(hf_config.get("model_type", "")).startswith("qwen")
    name = "qwen2" if qwen else "llama3"
    return name, PRE_TOKENIZERS[name]


def parse_tiktoken(raw: bytes, path: Path) -> dict[bytes, int]:
    """Read the tokens' bytes and ranks.

    Raises:
        TokenizerError: A line is not a token and its rank, or two have the same.
    """
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(raw.splitlines(), 1):
        if not line.strip():
            continue
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = _rank(rank)
        except (ValueError, binascii.Error) as error:
            raise TokenizerError(f"{path}, line {number} is not a token and its rank.") from error
    _require_sane(ranks, path)
    return ranks


def tiktoken_core(
    ranks: Mapping[bytes, int], rule: PreTokenizer, path: Path, *, first: int = 0
) -> tokenizers.Tokenizer:
    """Make a tokenizer of ranks.

    Args:
        ranks: Bytes of each token and its rank.
        rule: How text is cut beforehand.
        path: The file, for messages.
        first: Id of rank 0.

    Raises:
        TokenizerError: The ranks contradict themselves.
    """
    text = {token: byte_level_text(token) for token in ranks}
    merges = [
        (rank, ranks[left], ranks[right], text[left], text[right])
        for token, rank in ranks.items()
        for cut in range(1, len(token))
        if (left := token[:cut]) in ranks and (right := token[cut:]) in ranks
    ]
    model = guarded(
        str(path),
        lambda: models.BPE(
            vocab={text[token]: first + rank for token, rank in ranks.items()},
            merges=[(left, right) for *_, left, right in sorted(merges)],
            ignore_merges=True,
        ),
    )
    core = tokenizers.Tokenizer(model)
    guarded(str(path), lambda: byte_level_cutter(core, rule))
    return core


def tekken_core(raw: bytes, path: Path) -> tokenizers.Tokenizer:
    """Read Mistral's ``tekken.json``: the special tokens come first, then the ranks.

    Raises:
        TokenizerError: It is not such a file.
    """
    try:
        document = json.loads(raw)
        config = document["config"]
        specials = int(config["default_num_special_tokens"])
        kept = int(config["default_vocab_size"]) - specials
        entries = document["vocab"][:kept]
        ranks = {
            base64.b64decode(entry["token_bytes"], validate=True): int(entry["rank"])
            for entry in entries
        }
        rule = PreTokenizer((str(config["pattern"]),))
        named = {int(t["rank"]): str(t["token_str"]) for t in document.get("special_tokens") or ()}
    except _FAILURES as error:
        raise TokenizerError(f"{path} is not a tekken.json: {error!r}.") from error
    _require_sane(ranks, path)
    if not 0 <= specials < _LARGEST_ID:
        raise TokenizerError(f"{path} has {specials} special tokens.")
    core = tiktoken_core(ranks, rule, path, first=specials)
    return _with_first(core, [named.get(i, f"<SPECIAL_{i}>") for i in range(specials)], path)


def _with_first(
    core: tokenizers.Tokenizer, specials: list[str], path: Path
) -> tokenizers.Tokenizer:
    """Put special tokens at the ids from 0 on, which the vocabulary left free."""
    state = json.loads(core.to_str())
    state["model"]["vocab"] |= {text: i for i, text in enumerate(specials)}
    found = guarded(str(path), lambda: tokenizers.Tokenizer.from_str(json.dumps(state)))
    found.add_special_tokens(
        [AddedToken(text, special=True, normalized=False) for text in specials]
    )
    return found


def _rank(text: bytes) -> int:
    if not text.isdigit() or len(text) > 9:
        raise ValueError(text)
    return int(text)


def _require_sane(ranks: Mapping[bytes, int], path: Path) -> None:
    if not ranks:
        raise TokenizerError(f"{path} has no tokens.")
    if len(set(ranks.values())) != len(ranks):
        raise TokenizerError(f"{path} gives two tokens the same rank.")
    if not 0 <= min(ranks.values()) <= max(ranks.values()) < _LARGEST_ID:
        raise TokenizerError(f"{path} has the rank {max(ranks.values())}.")
    longest = max(map(len, ranks))
    if longest > _LONGEST_TOKEN:
        raise TokenizerError(f"{path} has a token of {longest} bytes.")
