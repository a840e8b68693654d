"""Text to token ids and back, on the host: boards see ids only.

Works from ``tokenizers`` and ``jinja2`` alone, without ``transformers``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers

from slmdeploy.errors import TokenizerError
from slmdeploy.model.chat import render_chat_template
from slmdeploy.model.stream import ByteStream, StreamDecoder, WholeStream, token_bytes
from slmdeploy.model.tokenizer_parts import guarded

__all__ = ["END_OF_TURN", "PROBE_TEXT", "Tokenizer"]

END_OF_TURN = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<end_of_turn>",
    "</s>",
)
"""Special tokens that end a turn or a text in the templates of the families we know."""

PROBE_TEXT = (
    "In 1066 and  2024:\tfoo(x) != 'bar';\n\n  na\u00efve caf\u00e9 \u65e5\u672c\u8a9e \U0001f600!"
)
"""Digits, runs of spaces, quotes, accents, other scripts and an emoji."""

_NO_TEMPLATE = "The model has no chat template."
_STOP_KEY = "stop_token_ids"


class Tokenizer:
    """A tokenizer with the special tokens and the chat template of its model.

    Args:
        core: The tokenizer of the ``tokenizers`` package.
        bos_id: The token that begins a text; ``None`` where there is none.
        eos_ids: Tokens that end a text, the checkpoint's own first.
        pad_id: The token that fills.
        chat_template: Jinja; ``None`` where the model has none.
    """

    def __init__(
        self,
        core: tokenizers.Tokenizer,
        *,
        bos_id: int | None = None,
        eos_ids: Sequence[int] = (),
        pad_id: int | None = None,
        chat_template: str | None = None,
    ) -> None:
        # What a training run left in the file would cut or fill our texts.
        core.no_truncation()
        core.no_padding()
        self._core = core
        self._bytes = token_bytes(core)
        added = core.get_added_tokens_decoder()
        self._special = frozenset(i for i, token in added.items() if token.special)
        self.bos_id, self.pad_id, self.chat_template = bos_id, pad_id, chat_template
        self.eos_ids = tuple(dict.fromkeys(eos_ids))
        self.vocab_size = max(core.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    @classmethod
    def from_directory(cls, path: Path, *, hf_config: Mapping[str, Any] | None = None) -> Tokenizer:
        """Read ``tokenizer.json`` and what stands beside it.

        Args:
            path: A checkpoint's folder, or a bundle's.
            hf_config: ``config.json``, for special tokens that are only named there.

        Raises:
            TokenizerError: There is no ``tokenizer.json``, or a file cannot be read.
        """
        raw = _read_text(path / "tokenizer.json", required=True)
        template = _read_text(path / "chat_template.jinja")
        return cls.from_json(
            raw or "",
            config=_read_json(path / "tokenizer_config.json"),
            generation=_read_json(path / "generation_config.json"),
            hf_config=hf_config,
            chat_template=template,
        )

    @classmethod
    def from_json(
        cls,
        text: str,
        *,
        config: Mapping[str, Any] | None = None,
        generation: Mapping[str, Any] | None = None,
        hf_config: Mapping[str, Any] | None = None,
        chat_template: str | None = None,
    ) -> Tokenizer:
        """Make a tokenizer of the contents of its files.

        Args:
            text: ``tokenizer.json``.
            config: ``tokenizer_config.json``.
            generation: ``generation_config.json``.
            hf_config: ``config.json``.
            chat_template: A template that stands in a file of its own.

        Raises:
            TokenizerError: ``text`` is not a tokenizer.
        """
        core = guarded("tokenizer.json", lambda: tokenizers.Tokenizer.from_str(text))
        return cls.of_core(
            core,
            config=config,
            generation=generation,
            hf_config=hf_config,
            chat_template=chat_template,
        )

    @classmethod
    def of_core(
        cls,
        core: tokenizers.Tokenizer,
        *,
        config: Mapping[str, Any] | None = None,
        generation: Mapping[str, Any] | None = None,
        hf_config: Mapping[str, Any] | None = None,
        chat_template: str | None = None,
    ) -> Tokenizer:
        """Give a tokenizer the special tokens and the template that its model's files name.

        Args:
            core: The tokenizer of the ``tokenizers`` package.
            config: ``tokenizer_config.json``.
            generation: ``generation_config.json``.
            hf_config: ``config.json``.
            chat_template: A template that stands in a file of its own.
        """
        config, generation, hf_config = config or {}, generation or {}, hf_config or {}
        bos = _token_id(core, config.get("bos_token"))
        if bos is None:
            bos = next(
                iter(_ids(generation.get("bos_token_id", hf_config.get("bos_token_id")))), None
            )
        named = _token_id(core, config.get("eos_token"))
        return cls(
            core,
            bos_id=bos,
            eos_ids=(
                *_ids(config.get(_STOP_KEY)),
                *(() if named is None else (named,)),
                *_ids(generation.get("eos_token_id")),
                *_ids(hf_config.get("eos_token_id")),
            ),
            pad_id=_token_id(core, config.get("pad_token")),
            chat_template=chat_template or _template(config.get("chat_template")),
        )

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """Tokens after which nothing follows, sorted: ends of text and ends of turn."""
        turns = (self._core.token_to_id(token) for token in END_OF_TURN)
        return tuple(sorted({*self.eos_ids, *(i for i in turns if i in self._special)} - {None}))

    @property
    def special_ids(self) -> frozenset[int]:
        """Tokens that are not text."""
        return self._special

    @property
    def kind(self) -> str:
        """The model of the tokenizer: ``BPE``, ``WordPiece``, ``Unigram``, ``WordLevel``."""
        return type(self._core.model).__name__

    def id_of(self, text: str) -> int | None:
        """Id of the token with this text, such as a special one; ``None`` where there is none."""
        found: int | None = self._core.token_to_id(text)
        return found

    def encode(self, text: str) -> list[int]:
        """Cut a text into tokens, with the ends that the tokenizer itself adds.

        A text that brings its BOS along, as a rendered chat does, gets no second one.

        Raises:
            TokenizerError: The text is not valid Unicode.
        """
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:  # a command line that was not UTF-8
            raise TokenizerError("The text is not valid Unicode.") from error
        ids: list[int] = guarded("The tokenizer", lambda: self._core.encode(text)).ids
        doubled = self.bos_id is not None and ids[:2] == [self.bos_id, self.bos_id]
        return ids[1:] if doubled else ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens; special ones and unknown ids give nothing."""
        stream = self.stream()
        return "".join([*(stream.push(token_id) for token_id in ids), stream.finish()])

    def stream(self) -> StreamDecoder:
        """A decoder that takes tokens one at a time and gives whole characters."""
        if self._bytes is None:
            known = range(self.vocab_size)
            return WholeStream(lambda ids: str(self._core.decode([i for i in ids if i in known])))
        return ByteStream(self._piece, self._bytes)

    def render_chat(
        self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True
    ) -> str:
        """Write messages as the model was trained to see them.

        Args:
            messages: Each with ``role`` and ``content``.
            add_generation_prompt: End with what makes the model answer.

        Raises:
            TokenizerError: There is no template, or it refuses the messages.
        """
        if self.chat_template is None:
            raise TokenizerError(_NO_TEMPLATE, hint="Give plain text to be continued instead.")
        named = {"bos_token": self.bos_id, "eos_token": next(iter(self.eos_ids), None)}
        named["pad_token"] = self.pad_id
        return render_chat_template(
            self.chat_template,
            messages,
            add_generation_prompt=add_generation_prompt,
            tokens={key: self._text_of(token_id) for key, token_id in named.items()},
        )

    def round_trip_fault(self, text: str = PROBE_TEXT) -> str | None:
        """Say where a text does not come back from its tokens; ``None`` where it does.

        A tokenizer that lowers case or drops spaces (WordPiece) is not at fault.
        """
        if self._bytes is None:
            return None
        back = self.decode(self._core.encode(text, add_special_tokens=False).ids)
        if back == text:
            return None
        at = next(
            (i for i, (a, b) in enumerate(zip(text, back, strict=False)) if a != b), len(back)
        )
        return f"the text {text[at : at + 8]!r} comes back as {back[at : at + 8]!r}"

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write ``tokenizer.json`` and ``tokenizer_config.json``; gives their paths."""
        named = {"bos_token": self.bos_id, "eos_token": next(iter(self.eos_ids), None)}
        named["pad_token"] = self.pad_id
        config: dict[str, Any] = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            **{key: self._text_of(i) for key, i in named.items() if i is not None},
            _STOP_KEY: list(self.eos_ids),
        }
        if self.chat_template is not None:
            config["chat_template"] = self.chat_template
        paths = (folder / "tokenizer.json", folder / "tokenizer_config.json")
        paths[0].write_text(self._core.to_str(), encoding="utf-8")
        paths[1].write_text(
            json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        return paths

    def _piece(self, token_id: int) -> str | None:
        return None if token_id in self._special else self._token(token_id)

    def _text_of(self, token_id: int | None) -> str:
        return "" if token_id is None else self._token(token_id) or ""

    def _token(self, token_id: int) -> str | None:
        """Text of a token; ids that are none (-1 in a configuration) are an error of the core."""
        known = 0 <= token_id < self.vocab_size
        return self._core.id_to_token(token_id) if known else None


def _read_text(path: Path, *, required: bool = False) -> str | None:
    if not path.is_file() and not required:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise TokenizerError(f"There is no {path}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise TokenizerError(f"{path} cannot be read: {error}.") from error


def _read_json(path: Path) -> Mapping[str, Any] | None:
    text = _read_text(path)
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TokenizerError(f"{path} is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise TokenizerError(f"{path} is not a JSON object.")
    return value


def _token_id(core: tokenizers.Tokenizer, token: Any) -> int | None:
    """Id of a special token, which configurations name by its text or as a table."""
    text = token.get("content") if isinstance(token, Mapping) else token
    found: int | None = core.token_to_id(text) if isinstance(text, str) else None
    return found


def _ids(value: Any) -> tuple[int, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(item for item in values if isinstance(item, int) and not isinstance(item, bool))


def _template(value: Any) -> str | None:
    """A template, or the default one of several."""
    if isinstance(value, list):
        several = [item for item in value if isinstance(item, dict)]
        named = {str(item.get("name")): item.get("template") for item in several}
        value = named.get("default", next(iter(named.values()), None))
    return value if isinstance(value, str) else None
