"""How the vectors of a text's tokens become one: the part of an embedding model that is ours.

The formats are those of sentence-transformers: ``modules.json`` lists the parts in order,
``1_Pooling/config.json`` has a flag for each way of pooling, in older files, or the name of
the way, in newer ones (``pooling_mode``). No torch here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from slmdeploy.errors import ModelReadError, UnsupportedModelError, UsageError

__all__ = ["MODES", "Mode", "Pooling", "parse_pooling", "read_pooling"]

Mode = Literal["cls", "max", "mean", "mean_sqrt_len"]
MODES: tuple[Mode, ...] = ("cls", "max", "mean", "mean_sqrt_len")
"""In the order in which sentence-transformers puts several beside each other."""

_FLAGS: Mapping[str, Mode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
}
_NORMALIZED = "+normalize"


@dataclass(frozen=True)
class Pooling:
    """How tokens become one vector.

    Attributes:
        modes: ``cls`` takes the first token, ``max`` the largest value, ``mean`` the
            average over tokens, ``mean_sqrt_len`` the sum divided by the root of their
            number; several stand one after another.
        normalize: The vector is brought to length 1.
        max_length: Tokens that texts are cut to; ``None`` where nothing says.
    """

    modes: tuple[Mode, ...]
    normalize: bool
    max_length: int | None = None

    def __str__(self) -> str:
        return "+".join(self.modes) + (_NORMALIZED if self.normalize else "")


def parse_pooling(text: str) -> Pooling:
    """Read ``mean``, ``cls+normalize`` and the like.

    Raises:
        UsageError: It is none of these.
    """
    name = text.removesuffix(_NORMALIZED)
    if name not in MODES:
        raise UsageError(
            f"{text!r} is not a way of pooling.",
            hint=f"Ways: {', '.join(MODES)}; each also as in mean{_NORMALIZED}.",
        )
    return Pooling((name,), text.endswith(_NORMALIZED))


def read_pooling(folder: Path, asked: str | None) -> Pooling:
    """The pooling that the user asks for, or that the checkpoint names.

    Args:
        folder: The checkpoint.
        asked: What the user says, as ``parse_pooling`` takes it.

    Raises:
        UnsupportedModelError: The checkpoint has a part that we do not have.
        ModelReadError: Neither says; or a file of sentence-transformers is damaged.
    """
    listed = _read(folder / "modules.json")
    if asked is not None:
        given = parse_pooling(asked)
        return Pooling(given.modes, given.normalize, _max_length(folder))
    if listed is None:
        raise ModelReadError(
            f"{folder} does not say how its tokens become an embedding (no modules.json).",
            hint="Say it: --pooling mean, or mean+normalize, cls, cls+normalize.",
        )
    if not isinstance(listed, list) or not all(isinstance(part, dict) for part in listed):
        raise ModelReadError(f"{folder / 'modules.json'} is not a list of parts.")
    modes: tuple[Mode, ...] = ()
    normalize = False
    for part in listed:
        kind = str(part.get("type", "")).rpartition(".")[2]
        if kind == "Pooling":
            modes = _modes(folder / str(part.get("path", "")) / "config.json")
        elif kind == "Normalize":
            normalize = True
        elif kind != "Transformer":
            raise UnsupportedModelError(
                f"{folder} has a part {kind!r} of sentence-transformers, which slmdeploy does "
                "not have.",
                hint="Write a function that gives the whole module: package.module:function",
            )
    if not modes:
        raise ModelReadError(f"{folder / 'modules.json'} lists no pooling.")
    return Pooling(modes, normalize, _max_length(folder))


def _modes(path: Path) -> tuple[Mode, ...]:
    found = _read(path)
    if not isinstance(found, dict):
        raise ModelReadError(f"{path} is not there, or is not a JSON object.")
    named = found.get("pooling_mode")
    names = [named] if isinstance(named, str) else named if isinstance(named, list) else None
    if names is None:
        flags = [key for key, value in found.items() if key.startswith("pooling_mode_") and value]
        names = [_FLAGS.get(key, key.removeprefix("pooling_mode_")) for key in flags]
    unknown = [name for name in names if name not in MODES]
    if unknown:
        raise UnsupportedModelError(
            f"{path} asks for the pooling {unknown[0]!r}, which slmdeploy does not have.",
            hint=f"It has: {', '.join(MODES)}.",
        )
    return cast("tuple[Mode, ...]", tuple(mode for mode in MODES if mode in names))


def _max_length(folder: Path) -> int | None:
    found = _read(folder / "sentence_bert_config.json")
    value = found.get("max_seq_length") if isinstance(found, dict) else None
    return value if isinstance(value, int) and value > 0 else None


def _read(path: Path) -> Any:
    """A JSON document; ``None`` where there is no such file."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelReadError(f"{path} is not JSON: {error}.") from error
