"""Token ids to text, one at a time, in whole characters.

Each token stands for bytes; a character may need several tokens. The bytes of a token
are taken from the tokenizer's decoder, so that text can be given out as soon as its
bytes are whole UTF-8, and never changes afterwards.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import tokenizers

__all__ = [
    "ByteStream",
    "StreamDecoder",
    "TokenBytes",
    "WholeStream",
    "byte_level_text",
    "token_bytes",
]

_SPACE = "\u2581"  # how SentencePiece writes a space
_HEX_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@dataclass(frozen=True)
class TokenBytes:
    """How a tokenizer's decoder makes bytes of tokens.

    Attributes:
        later: From a token's text to its bytes.
        first: The same for the first token of a text, which may lose a leading space.
    """

    later: Callable[[str], bytes]
    first: Callable[[str], bytes]


class StreamDecoder(Protocol):
    """Gives text as tokens come; what it gives, joined, is the text of all of them."""

    def push(self, token_id: int) -> str:
        """Take a token and give the characters that are whole by now; may be empty."""

    def finish(self) -> str:
        """Give what is left; bytes that never became a character are U+FFFD."""


class ByteStream:
    """A stream where each token has bytes of its own.

    Args:
        piece: Text of a token by id; ``None`` for those that are not shown.
        rule: The bytes that a token's text stands for.
    """

    def __init__(self, piece: Callable[[int], str | None], rule: TokenBytes) -> None:
        self._piece, self._rule = piece, rule
        self._to_bytes = rule.first
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        """Take a token and give the characters that are whole by now."""
        piece = self._piece(token_id)
        if piece is None:
            return ""
        data, self._to_bytes = self._to_bytes(piece), self._rule.later
        return self._decoder.decode(data)

    def finish(self) -> str:
        """Give what is left."""
        return self._decoder.decode(b"", final=True)


class WholeStream:
    """For decoders that look at neighbours (WordPiece): all text comes at the end.

    Args:
        decode: Text of all ids.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []

    def push(self, token_id: int) -> str:
        """Keep the token."""
        self._ids.append(token_id)
        return ""

    def finish(self) -> str:
        """Give the text of all tokens."""
        text, self._ids = self._decode(self._ids), []
        return text


def token_bytes(core: tokenizers.Tokenizer) -> TokenBytes | None:
    """Read from a tokenizer's decoder how tokens become bytes.

    Returns:
        The rule; ``None`` where tokens have no bytes of their own.
    """
    steps = _steps(core)
    kinds = [step["type"] for step in steps]
    if kinds == ["ByteLevel"]:
        return TokenBytes(_byte_level_bytes, _byte_level_bytes)
    if kinds == ["Metaspace"]:
        return _metaspace(steps[0])
    if kinds[:3] == ["Replace", "ByteFallback", "Fuse"] and steps[0]["content"] == " ":
        return _sentencepiece(steps[0]["pattern"].get("String"), steps[3:])
    return None


def _metaspace(step: Mapping[str, Any]) -> TokenBytes:
    space = str(step.get("replacement", _SPACE))
    later = _replacing(space, " ")
    keeps = step.get("prepend_scheme") == "never"
    return TokenBytes(later, later if keeps else _replacing(space, ""))


def _sentencepiece(space: str | None, strips: Sequence[Mapping[str, Any]]) -> TokenBytes | None:
    ends = [(strip.get("content"), strip.get("start"), strip.get("stop")) for strip in strips]
    if not space or ends not in ([], [(" ", 1, 0)]):
        return None
    plain = _replacing(space, " ")

    def later(piece: str) -> bytes:
        match = _HEX_BYTE.fullmatch(piece)
        return bytes([int(match[1], 16)]) if match else plain(piece)

    return TokenBytes(later, (lambda piece: later(piece).removeprefix(b" ")) if ends else later)


def _steps(core: tokenizers.Tokenizer) -> list[dict[str, Any]]:
    if core.decoder is None:
        return []
    state = json.loads(core.decoder.__getstate__())
    return list(state["decoders"]) if state["type"] == "Sequence" else [state]


def _replacing(space: str, by: str) -> Callable[[str], bytes]:
    return lambda piece: piece.replace(space, by).encode("utf-8")


def _alphabet() -> dict[str, int]:
    """The printable character that GPT-2 writes for each byte, and the byte.

    Bytes that are printable in Latin-1 stand for themselves; the others take the
    characters from U+0100 on, in their order (``bytes_to_unicode`` of GPT-2).
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(0x100 + i): byte for i, byte in enumerate(others)
    }


_BYTE_OF = _alphabet()
_TEXT_OF = {byte: character for character, byte in _BYTE_OF.items()}


def byte_level_text(data: bytes) -> str:
    """How GPT-2 and its followers write bytes as text: a printable character for each."""
    return "".join(_TEXT_OF[byte] for byte in data)


def _byte_level_bytes(piece: str) -> bytes:
    try:
        return bytes(_BYTE_OF[character] for character in piece)
    except KeyError:  # an added token, written as it is
        return piece.encode("utf-8")
