"""Find a checkpoint's tokenizer, in whichever of the known formats it lies there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers

from slmdeploy.errors import TokenizerError
from slmdeploy.model.sentencepiece import parse_sentencepiece, sentencepiece_core
from slmdeploy.model.tiktoken_file import (
    is_tiktoken,
    parse_tiktoken,
    tekken_core,
    tiktoken_core,
    tiktoken_rule,
)
from slmdeploy.model.tokenizer import Tokenizer
from slmdeploy.model.tokenizer_parts import add_ends, add_named_tokens

__all__ = ["FoundTokenizer", "read_tokenizer"]

_SENTENCEPIECE = ("tokenizer.model", "spiece.model")
_TEKKEN = "tekken.json"
_UNREAD = ("vocab.json", "vocab.txt", "sentencepiece.bpe.model")
_ENDS = {"add_bos_token": True, "add_eos_token": False}

FoundTokenizer = tuple[Tokenizer | None, str | None, tuple[str, ...]]
"""A tokenizer or the reason why there is none, and remarks."""


def read_tokenizer(folder: Path, hf_config: Mapping[str, Any]) -> FoundTokenizer:
    """Read ``tokenizer.json``, else SentencePiece's or tiktoken's file.

    Args:
        folder: The checkpoint.
        hf_config: ``config.json``.

    Raises:
        TokenizerError: A file is damaged, or files contradict each other.
    """
    if (folder / "tokenizer.json").is_file():
        return Tokenizer.from_directory(folder, hf_config=hf_config), None, ()
    for path in _candidates(folder):
        raw = _bytes(path)
        if path.name == _TEKKEN:
            return _with_settings(tekken_core(raw, path), folder, hf_config, path), None, ()
        if path.suffix == ".tiktoken" or is_tiktoken(raw):
            return _tiktoken(raw, path, hf_config)
        model = parse_sentencepiece(raw, path)
        core = sentencepiece_core(model, path)
        return _with_settings(core, folder, hf_config, path, model.ids), None, ()
    other = next((name for name in _UNREAD if (folder / name).is_file()), None)
    if other is None:
        return None, f"{folder} has no tokenizer.json.", ()
    reason = (
        f"{folder} has {other} but no tokenizer.json; AutoTokenizer.from_pretrained(FOLDER)"
        ".save_pretrained(FOLDER) of transformers writes one."
    )
    return None, reason, ()


def _candidates(folder: Path) -> list[Path]:
    named = [folder / _TEKKEN, *(folder / name for name in _SENTENCEPIECE)]
    return [*(path for path in named if path.is_file()), *sorted(folder.glob("*.tiktoken"))][:1]


def _tiktoken(raw: bytes, path: Path, hf_config: Mapping[str, Any]) -> FoundTokenizer:
    name, rule = tiktoken_rule(hf_config)
    core = tiktoken_core(parse_tiktoken(raw, path), rule, path)
    remark = f"Tokenizer: {path.name} does not say how text is cut; the rule {name!r} was taken."
    return _with_settings(core, path.parent, hf_config, path), None, (remark,)


def _with_settings(
    core: tokenizers.Tokenizer,
    folder: Path,
    hf_config: Mapping[str, Any],
    path: Path,
    ids: Mapping[str, int] | None = None,
) -> Tokenizer:
    """Add what stands in the files beside it: added tokens, ends, template.

    Args:
        core: The vocabulary and its rules.
        folder: The checkpoint.
        hf_config: ``config.json``.
        path: The vocabulary's file, for messages.
        ids: Special pieces of a SentencePiece model, by role; -1 for none.
    """
    config = dict(_json(folder / "tokenizer_config.json"))
    add_named_tokens(core, config, path)
    for role in ("bos", "eos", "pad"):
        if ids is not None and ids[role] >= 0:
            config.setdefault(f"{role}_token", core.id_to_token(ids[role]))
    tokenizer = Tokenizer.of_core(
        core,
        config=config,
        generation=_json(folder / "generation_config.json"),
        hf_config=hf_config,
        chat_template=_text(folder / "chat_template.jinja"),
    )
    bos, eos = tokenizer.bos_id, next(iter(tokenizer.eos_ids), None)
    begins, ends = (bool(config.get(key, default)) for key, default in _ENDS.items())
    named = {i: text for i in (bos, eos) if i is not None and (text := core.id_to_token(i))}
    add_ends(
        core,
        named,
        bos if begins and bos in named else None,
        eos if ends and eos in named else None,
    )
    return tokenizer


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TokenizerError(f"{path} cannot be read: {error.strerror}.") from error


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise TokenizerError(f"{path} cannot be read: {error}.") from error


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(_text(path) or "{}")
    except (ValueError, RecursionError) as error:
        raise TokenizerError(f"{path} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise TokenizerError(f"{path} is not a JSON object.")
    return found
