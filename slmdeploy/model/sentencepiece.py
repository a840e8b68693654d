"""SentencePiece's ``tokenizer.model``, read without its library, for ``tokenizers``.

Field numbers and meanings: ``sentencepiece_model.proto`` of the sentencepiece repository.
The wire format: the Protocol Buffers documentation, "Encoding".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers

from slmdeploy.errors import TokenizerError
from slmdeploy.model.tokenizer_parts import guarded, merges_by_score

__all__ = ["Piece", "SentencePieceModel", "parse_sentencepiece", "sentencepiece_core"]

_SPACE = "\u2581"  # how SentencePiece writes a space
_UNIGRAM, _BPE = 1, 2
_ALGORITHMS = {1: "Unigram", 2: "BPE", 3: "Word", 4: "Char"}
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10

_Fields = dict[int, list[Any]]


@dataclass(frozen=True)
class Piece:
    """A piece of the vocabulary; ``kind`` as in the format (1 normal, 3 control, 6 byte)."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True)
class SentencePieceModel:
    """What the file says.

    Attributes:
        pieces: By id.
        algorithm: 1 for Unigram, 2 for BPE.
        ids: Of ``unk``, ``bos``, ``eos`` and ``pad``; -1 where there is none.
        byte_fallback: What has no piece is written as bytes.
        prefix: A text gets a space before it.
        trims: Spaces at the ends go, and runs of them become one.
        charsmap: A compiled normalization of characters; may be empty.
    """

    pieces: tuple[Piece, ...]
    algorithm: int
    ids: Mapping[str, int]
    byte_fallback: bool
    prefix: bool
    trims: bool
    charsmap: bytes


def parse_sentencepiece(raw: bytes, path: Path) -> SentencePieceModel:
    """Read a model file.

    Args:
        raw: Its bytes.
        path: The file, for messages.

    Raises:
        TokenizerError: It is damaged, or uses what is not supported.
    """
    top = _fields(raw, path)
    trainer, rules = (_fields(_last(top, number, b"", path), path) for number in (2, 3))
    pieces = tuple(_piece(_fields(_as_bytes(item, path), path), path) for item in top.get(1, []))
    algorithm = _last(trainer, 3, _UNIGRAM, path)
    if not pieces or algorithm not in (_UNIGRAM, _BPE):
        kind = _ALGORITHMS.get(algorithm, algorithm)
        why = f"its algorithm is {kind}" if pieces else "it has no pieces"
        raise TokenizerError(
            f"{path} is not a SentencePiece model that is read: {why}.",
            hint="BPE and Unigram models are read.",
        )
    if _last(trainer, 24, 0, path):
        raise TokenizerError(f"{path} keeps spaces at the ends of words, which is not supported.")
    ids = {"unk": (40, 0), "bos": (41, 1), "eos": (42, 2), "pad": (43, -1)}
    found = {
        role: _signed(_last(trainer, number, value, path)) for role, (number, value) in ids.items()
    }
    for role, index in found.items():
        if not -1 <= index < len(pieces):
            raise TokenizerError(f"{path}: the {role} piece {index} is not among {len(pieces)}.")
    return SentencePieceModel(
        pieces=pieces,
        algorithm=algorithm,
        ids=found,
        byte_fallback=bool(_last(trainer, 35, 0, path)),
        prefix=bool(_last(rules, 3, 1, path)),
        trims=bool(_last(rules, 4, 1, path)),
        charsmap=_last(rules, 2, b"", path),
    )


def sentencepiece_core(model: SentencePieceModel, path: Path) -> tokenizers.Tokenizer:
    """Make a tokenizer that cuts text as the model does.

    Raises:
        TokenizerError: The model contradicts itself.
    """
    core = guarded(str(path), lambda: tokenizers.Tokenizer(_algorithm(model, path)))
    core.normalizer = guarded(str(path), lambda: normalizers.Sequence(_normalizers(model)))
    steps: list[Any] = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    core.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if model.prefix else steps)
    special = [p.text for p in model.pieces if p.kind in (_CONTROL, _UNKNOWN) and p.text]
    own = [p.text for p in model.pieces if p.kind == _USER_DEFINED and p.text]
    core.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in special])
    # A piece with a space in it is looked for after spaces were rewritten.
    core.add_tokens([AddedToken(text, normalized=_SPACE in text) for text in own])
    return core


def _algorithm(model: SentencePieceModel, path: Path) -> Any:
    unknown = model.ids["unk"]
    if model.algorithm == _UNIGRAM:
        scored = [(piece.text, piece.score) for piece in model.pieces]
        return models.Unigram(scored, unk_id=unknown, byte_fallback=model.byte_fallback)
    tokens = [piece.text for piece in model.pieces]
    usable = [i for i, p in enumerate(model.pieces) if p.kind in (_NORMAL, _USER_DEFINED)]
    return models.BPE(
        vocab={text: i for i, text in reversed(list(enumerate(tokens)))},
        merges=merges_by_score(tokens, [p.score for p in model.pieces], usable, path),
        unk_token=tokens[unknown] if unknown >= 0 else None,
        fuse_unk=True,
        byte_fallback=model.byte_fallback,
    )


def _normalizers(model: SentencePieceModel) -> list[Any]:
    steps: list[Any] = []
    if model.charsmap:
        steps.append(normalizers.Precompiled(model.charsmap))
    if model.trims:
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    if model.prefix:
        steps.append(normalizers.Prepend(_SPACE))
    return [*steps, normalizers.Replace(" ", _SPACE)]


def _piece(fields: _Fields, path: Path) -> Piece:
    raw, score = _last(fields, 1, b"", path), _last(fields, 2, 0.0, path)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _damaged(path, f"the piece {raw[:20]!r} is not UTF-8") from error
    if not -1e30 < score < 1e30:
        raise _damaged(path, f"the piece {text[:20]!r} has the score {score}")
    return Piece(text, score, _last(fields, 3, _NORMAL, path))


def _fields(raw: bytes, path: Path) -> _Fields:
    found: _Fields = {}
    for number, value in _walk(raw, path):
        found.setdefault(number, []).append(value)
    return found


def _walk(raw: bytes, path: Path) -> Iterator[tuple[int, Any]]:
    """Number and value of each field: an int, a float or bytes."""
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at, path)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(raw, at, path)
            yield number, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if kind == _BYTES:
            size, at = _varint(raw, at, path)
        if size is None or at + size > len(raw):
            raise _damaged(path, f"the field at byte {at} does not fit")
        part, at = raw[at : at + size], at + size
        yield number, struct.unpack("<f", part)[0] if kind == _FIXED32 else part


def _varint(raw: bytes, at: int, path: Path) -> tuple[int, int]:
    value = 0
    for index in range(_LONGEST_VARINT):
        if at + index >= len(raw):
            break
        byte = raw[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise _damaged(path, f"the number at byte {at} does not end")


def _last(fields: _Fields, number: int, default: Any, path: Path) -> Any:
    """The value of a field, where the last of several counts."""
    value = fields.get(number, [default])[-1]
    if type(value) is not type(default):
        raise _damaged(path, f"the field {number} is a {type(value).__name__}")
    return value


def _as_bytes(value: Any, path: Path) -> bytes:
    if not isinstance(value, bytes):
        raise _damaged(path, "a piece is a number")
    return value


def _signed(value: int) -> int:
    """An int32 of the format: negative ones are written as 64 bits."""
    return value - 2**64 if value >= 2**63 else value


def _damaged(path: Path, why: str) -> TokenizerError:
    return TokenizerError(
        f"{path} is not a SentencePiece model, or was not copied whole: {why}.",
        hint="Fetch or copy it again.",
    )
