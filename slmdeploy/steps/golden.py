"""Golden tokens: what every rung of the ladder is fed, and what the source answers.

The prompt is longer than one chunk of ``prefill`` and does not fill its last one, so
that chaining and padding are part of what is compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slmdeploy.export.artifact import Artifact
from slmdeploy.model.model import Model
from slmdeploy.model.tokenizer import Tokenizer

__all__ = ["CONTINUATION", "Made", "golden_prompt"]

CONTINUATION = 16
"""Tokens that are fed one by one after the prompt."""

_TEXT = (
    "A laboratory keeps a drawer of small boards. Each of them has a name, a power supply "
    "and a job to do. On Monday the first board measures how fast a language model answers "
    "a short question, and on Tuesday the second one measures how warm it becomes while it "
    "does so. An engineer writes both figures into a table, with the unit, the time of day "
    "and the version of every program that was involved. When two figures disagree, she does "
    "not take the nicer one; she measures again. Explain in plain words why she does this, "
    "and what could go wrong if she did not."
)


@dataclass(frozen=True)
class Made:
    """What an export made.

    Attributes:
        artifact: The runtime's file.
        arrays: Golden vectors, named as ``bundle.manifest.GoldenInfo`` says, with the
            outputs of every rung that was run.
        absent: Why a rung was not.
        reused: Steps that were kept from an earlier export.
    """

    artifact: Artifact
    arrays: dict[str, npt.NDArray[Any]]
    absent: dict[str, str]
    reused: tuple[str, ...]


def golden_prompt(model: Model, *, chunk: int, context: int) -> npt.NDArray[np.int64]:
    """The prompt for a model, cut to a chunk and a part of the next.

    Args:
        model: A decoder; without a tokenizer, ids are drawn from a fixed seed.
        chunk: Tokens that one call of ``prefill`` takes.
        context: Tokens that a run may hold.
    """
    length = min(chunk + max(1, chunk * 3 // 8), context - CONTINUATION)
    if model.vocab_size is None:
        raise ValueError("only decoders have golden tokens")
    if model.tokenizer is None:
        return np.random.default_rng(0).integers(0, model.vocab_size, length)
    ids = _text_ids(model.tokenizer)
    while len(ids) < length:
        ids = ids + model.tokenizer.encode(f"\n{_TEXT}")
    # The end of a chat prompt is what makes the model answer, so the front is cut.
    return np.asarray(ids[-length:], dtype=np.int64)


def _text_ids(tokenizer: Tokenizer) -> list[int]:
    if tokenizer.chat_template is None:
        return tokenizer.encode(_TEXT)
    messages = [{"role": "user", "content": _TEXT}]
    return tokenizer.encode(tokenizer.render_chat(messages))
