"""A question after a measurement: figures of a model that talks nonsense are worth nothing."""

from __future__ import annotations

from slmdeploy.bundle.folder import Bundle
from slmdeploy.errors import SlmdeployError
from slmdeploy.model.tokenizer import Tokenizer
from slmdeploy.progress import Progress, Step
from slmdeploy.runtime.protocol import GenerateRequest, Runner
from slmdeploy.steps.outcomes import Generated
from slmdeploy.steps.talking import pieces, prompt_ids

__all__ = ["answer_note"]

_QUESTION, _BEGINNING = "What is the capital of France?", "In the beginning"
"""For a model that chats, and for one that goes on from a text."""

_MOST = 24
"""Tokens of an answer: enough to judge by, and few on a slow board."""


def answer_note(
    bundle: Bundle, runner: Runner, threads: int | None, progress: Progress
) -> tuple[str, ...]:
    """Ask what was measured, on the device, and say what it answers.

    Args:
        bundle: What was measured.
        runner: Of the device.
        threads: Worker threads.
        progress: Is told of the question.

    Returns:
        A sentence with the answer, or with the reason why there is none; nothing where the
        model writes no text or the bundle has no tokenizer.
    """
    if bundle.manifest.model.kind != "decoder":
        return ()
    tokenizer = bundle.tokenizer()
    if tokenizer is None:
        return ()
    chats = tokenizer.chat_template is not None
    asked = _QUESTION if chats else _BEGINNING
    progress(Step("ask a question"))
    try:
        text, whole = _answer(bundle, runner, tokenizer, asked, threads)
    except SlmdeployError as error:
        return (f"asked {asked!r}, it gave no answer: {error.message}",)
    finally:
        progress(Step("ask a question", finished=True))
    said = f"asked {asked!r}, it answers: {text}" if chats else f"it goes on: {asked}{text}"
    return (" ".join(said.split()) + ("" if whole else " ..."),)


def _answer(
    bundle: Bundle, runner: Runner, tokenizer: Tokenizer, asked: str, threads: int | None
) -> tuple[str, bool]:
    """The text, and whether the model came to its end."""
    ids = prompt_ids(bundle, tokenizer, asked, system=None, raw=False)
    request = GenerateRequest(
        prompt=tuple(ids),
        max_new=min(_MOST, (bundle.manifest.context or 0) - len(ids)),
        stop_ids=tokenizer.stop_ids,
        threads=threads,
    )
    text, whole = "", False
    for piece in pieces(runner.generate(request), tokenizer, len(ids)):
        if isinstance(piece, Generated):
            text += piece.text
        else:
            whole = piece.reason == "stop"
    return text, whole
