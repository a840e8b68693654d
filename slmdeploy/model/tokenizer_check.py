"""Does a tokenizer still do the same after it was saved into a bundle?"""

from __future__ import annotations

from pathlib import Path

from slmdeploy.errors import TokenizerError
from slmdeploy.model.tokenizer import PROBE_TEXT, Tokenizer

__all__ = ["require_saved"]

_TEXTS = (PROBE_TEXT, "", " ", "Hello, world!\n", "a\r\nb\u00a0c\u200d")
_CHAT = ({"role": "user", "content": "Hello!"},)


def require_saved(tokenizer: Tokenizer, folder: Path) -> None:
    """Read a saved tokenizer again and let both cut, join and stop.

    Raises:
        TokenizerError: They differ; the message says in what.
    """
    again = Tokenizer.from_directory(folder)
    for text in (*_TEXTS, *_rendered(tokenizer)):
        ids = tokenizer.encode(text)
        if again.encode(text) != ids:
            raise TokenizerError(f"The saved tokenizer cuts the text {text[:40]!r} in another way.")
        if again.decode(ids) != tokenizer.decode(ids):
            raise TokenizerError(f"The saved tokenizer joins {text[:40]!r} in another way.")
    before = (tokenizer.bos_id, tokenizer.pad_id, tokenizer.eos_ids, tokenizer.stop_ids)
    after = (again.bos_id, again.pad_id, again.eos_ids, again.stop_ids)
    if before != after:
        raise TokenizerError(f"The saved tokenizer has the special tokens {after}, not {before}.")


def _rendered(tokenizer: Tokenizer) -> tuple[str, ...]:
    if tokenizer.chat_template is None:
        return ()
    try:
        return (tokenizer.render_chat(_CHAT),)
    except TokenizerError:  # a template may want other messages than ours
        return ()
