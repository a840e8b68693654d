"""The tokenizer that a GGUF file carries, rebuilt for the ``tokenizers`` package.

Keys as in ``docs/gguf.md`` of the ggml repository.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers

from slmdeploy.errors import TokenizerError
from slmdeploy.model.pretokenizers import PRE_TOKENIZERS
from slmdeploy.model.tokenizer import Tokenizer
from slmdeploy.model.tokenizer_parts import add_ends, byte_level_cutter, guarded, merges_by_score

__all__ = ["gguf_tokenizer"]

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4
_SPACE = "\u2581"  # how SentencePiece writes a space
_ROLES = ("bos", "eos", "eot", "eom", "unknown", "padding")


def gguf_tokenizer(metadata: Mapping[str, Any], path: Path) -> tuple[Tokenizer | None, str | None]:
    """Rebuild a tokenizer, or say why there is none.

    Args:
        metadata: The file's keys and values.
        path: The file, for messages.

    Returns:
        The tokenizer, or ``None`` and the reason.

    Raises:
        TokenizerError: The file has a vocabulary that contradicts itself.
    """
    model = metadata.get("tokenizer.ggml.model")
    if model is None or "tokenizer.ggml.tokens" not in metadata:
        return None, f"{path} carries no tokenizer."
    if model == "gpt2":
        return _byte_level(metadata, path)
    if model == "llama":
        return _sentencepiece(metadata, path), None
    return None, f"{path} has a tokenizer of the kind {model!r}; gpt2 and llama are known."


def _byte_level(metadata: Mapping[str, Any], path: Path) -> tuple[Tokenizer | None, str | None]:
    name = metadata.get("tokenizer.ggml.pre", "")
    rule = PRE_TOKENIZERS.get(name)
    if rule is None:
        return None, f"{path} cuts text by the rule {name!r}, which slmdeploy does not know."
    tokens = _tokens(metadata, path)
    merges = [_pair(merge, path) for merge in _array(metadata, "tokenizer.ggml.merges", path)]
    core = _core(models.BPE, path, _vocabulary(tokens), merges, ignore_merges=rule.whole_words)
    byte_level_cutter(core, rule)
    return _finish(core, tokens, metadata, path, add_bos=rule.add_bos), None


def _sentencepiece(metadata: Mapping[str, Any], path: Path) -> Tokenizer:
    """Byte-pair merging in the order of SentencePiece's scores, with bytes to fall back on."""
    tokens = _tokens(metadata, path)
    scores = _array(metadata, "tokenizer.ggml.scores", path)
    if len(scores) < len(tokens):
        raise TokenizerError(f"{path} has {len(tokens)} tokens but {len(scores)} scores.")
    vocabulary = _vocabulary(tokens)
    unknown = metadata.get("tokenizer.ggml.unknown_token_id", 0)
    kinds = _kinds(metadata, tokens)
    usable = [i for i, kind in enumerate(kinds) if kind in (_NORMAL, _USER_DEFINED)]
    core = _core(
        models.BPE,
        path,
        vocabulary,
        merges_by_score(tokens, scores, usable, path),
        unk_token=tokens[unknown] if 0 <= unknown < len(tokens) else None,
        fuse_unk=True,
        byte_fallback=True,
    )
    prefix = bool(metadata.get("tokenizer.ggml.add_space_prefix", True))
    replace = normalizers.Replace(" ", _SPACE)
    core.normalizer = (
        normalizers.Sequence([normalizers.Prepend(_SPACE), replace]) if prefix else replace
    )
    steps: list[Any] = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    core.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if prefix else steps)
    return _finish(core, tokens, metadata, path, add_bos=True)


def _core(
    model: Any,
    path: Path,
    vocabulary: dict[str, int],
    merges: list[tuple[str, str]],
    **options: Any,
) -> tokenizers.Tokenizer:
    def build() -> tokenizers.Tokenizer:
        return tokenizers.Tokenizer(model(vocab=vocabulary, merges=merges, **options))

    return guarded(f"The tokenizer in {path}", build)


def _finish(
    core: tokenizers.Tokenizer,
    tokens: Sequence[str],
    metadata: Mapping[str, Any],
    path: Path,
    *,
    add_bos: bool,
) -> Tokenizer:
    kinds = _kinds(metadata, tokens)
    core.add_special_tokens(_added(tokens, kinds, (_CONTROL, _UNKNOWN), special=True))
    core.add_tokens(_added(tokens, kinds, (_USER_DEFINED,), special=False))
    roles = {role: _role(metadata, role, tokens, path) for role in _ROLES}
    bos, eos = roles["bos"], roles["eos"]
    begins = bos is not None and bool(metadata.get("tokenizer.ggml.add_bos_token", add_bos))
    ends = eos is not None and bool(metadata.get("tokenizer.ggml.add_eos_token", False))
    add_ends(core, dict(enumerate(tokens)), bos if begins else None, eos if ends else None)
    stops = tuple(i for role in ("eos", "eot", "eom") if (i := roles[role]) is not None)
    template = metadata.get("tokenizer.chat_template")
    return Tokenizer(
        core,
        bos_id=bos,
        eos_ids=stops,
        pad_id=roles["padding"],
        chat_template=template if isinstance(template, str) else None,
    )


def _tokens(metadata: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    tokens: tuple[str, ...] = _array(metadata, "tokenizer.ggml.tokens", path)
    if not tokens or not all(isinstance(token, str) for token in tokens):
        raise TokenizerError(f"{path}: tokenizer.ggml.tokens is not a list of texts.")
    return tokens


def _vocabulary(tokens: Sequence[str]) -> dict[str, int]:
    # Where a text occurs twice (padding rows of some converters), its first id counts.
    return {token: i for i, token in reversed(list(enumerate(tokens)))}


def _array(metadata: Mapping[str, Any], key: str, path: Path) -> tuple[Any, ...]:
    value = metadata.get(key)
    if not isinstance(value, tuple):
        raise TokenizerError(f"{path} has no list {key!r}.")
    return value


def _kinds(metadata: Mapping[str, Any], tokens: Sequence[str]) -> Sequence[int]:
    kinds = metadata.get("tokenizer.ggml.token_type")
    if isinstance(kinds, tuple) and len(kinds) == len(tokens):
        return kinds
    return [_NORMAL] * len(tokens)


def _added(
    tokens: Sequence[str], kinds: Sequence[int], wanted: tuple[int, ...], *, special: bool
) -> list[AddedToken]:
    return [
        AddedToken(token, special=special, normalized=False)
        for token, kind in zip(tokens, kinds, strict=True)
        if kind in wanted and token
    ]


def _role(metadata: Mapping[str, Any], role: str, tokens: Sequence[str], path: Path) -> int | None:
    found = metadata.get(f"tokenizer.ggml.{role}_token_id")
    if found is None:
        return None
    if not isinstance(found, int) or not 0 <= found < len(tokens):
        raise TokenizerError(
            f"{path}: the {role} token {found!r} is not among {len(tokens)} tokens."
        )
    return found


def _pair(merge: Any, path: Path) -> tuple[str, str]:
    left, space, right = str(merge).partition(" ")
    if not left:  # a piece may begin with a space only where it is not byte-encoded
        left, space, right = " ", *str(merge)[1:].partition(" ")[1:]
    if not (left and space and right):
        raise TokenizerError(f"{path}: {merge!r} is not a merge of two pieces.")
    return left, right
