"""The command line of the runner, as ``docs/runner-protocol.md`` lists it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from slmdeploy.runtime.litert_board.saying import REFUSED, Failure

__all__ = ["MODES", "RUNTIMES", "Options", "parse_args", "parse_ids"]

MODES = ("generate", "score", "invoke", "describe")

RUNTIMES = {"litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}
"""Packages by the name of the runtime; the first that is there is taken."""

_MANY = 2**31 - 1
_NEEDED = {
    "generate": ("tokens", "max_new"),
    "score": ("tokens", "prompt_length", "logits"),
    "invoke": ("method", "output_dir"),
    "describe": (),
}


class Options:
    """What was asked for; ``None`` where nothing was said and something must be."""

    def __init__(self) -> None:
        self.mode: str | None = None
        self.model: str | None = None
        self.runtime: str | None = None
        self.threads: int | None = None
        self.tokens: str | None = None
        self.decode_tail = 0
        self.max_new: int | None = None
        self.stop: list[int] = []
        self.temperature = 0.0
        self.top_k = 0
        self.top_p = 1.0
        self.min_p = 0.0
        self.repetition_penalty = 1.0
        self.seed = 0
        self.prompt_length: int | None = None
        self.logits: str | None = None
        self.method: str | None = None
        self.input: list[str] = []
        self.output_dir: str | None = None
        self.runs = 1
        self.warmup = 0
        self.verbose = False


def parse_args(argv: list[str]) -> Options:
    """Read the words of the command line.

    Raises:
        Failure: ``bad_argument``: an unknown flag, a wrong or a missing value.
    """
    options, words = Options(), list(argv)
    while words:
        flag = words.pop(0)
        if flag == "--verbose":
            options.verbose = True
            continue
        name = flag[2:].replace("-", "_")
        if not flag.startswith("--") or "_" in flag or name not in _READ:
            _refuse(f"Unknown flag {flag!r}.")
        if not words:
            _refuse(f"{flag} needs a value.")
        value = _READ[name](flag, words.pop(0))
        kept = getattr(options, name)
        setattr(options, name, [*kept, value] if name == "input" else value)
    _require(options)
    return options


def parse_ids(text: str) -> list[int]:
    """Token ids between spaces, newlines or commas.

    Raises:
        Failure: ``bad_tokens`` or ``empty_prompt``.
    """
    words = [word for word in re.split(r"[ \t\r\n,]+", text) if word]
    for word in words:
        if not re.fullmatch("[0-9]{1,10}", word):
            raise Failure(
                REFUSED,
                "bad_tokens",
                f"'{word[:40]}' is not a token id.",
                "Token ids are decimal numbers between spaces, newlines or commas.",
            )
    if not words:
        raise Failure(REFUSED, "empty_prompt", "There are no token ids.")
    return [int(word) for word in words]


def _require(options: Options) -> None:
    if options.mode is None:
        _refuse("--mode is missing.")
    if options.model is None:
        _refuse("--model is missing.")
    for name in _NEEDED[options.mode]:
        if getattr(options, name) is None:
            _refuse(f"--mode {options.mode} needs --{name.replace('_', '-')}.")


def _refuse(message: str) -> NoReturn:
    raise Failure(REFUSED, "bad_argument", message, "docs/runner-protocol.md lists the flags.")


def _text(_: str, value: str) -> str:
    return value


def _mode(_: str, value: str) -> str:
    if value not in MODES:
        _refuse(f"--mode is generate, score, invoke or describe, not '{value}'.")
    return value


def _runtime(_: str, value: str) -> str:
    if value not in RUNTIMES:
        _refuse(f"--runtime is {' or '.join(RUNTIMES)}, not '{value}'.")
    return value


def _whole(least: int, most: int) -> Callable[[str, str], int]:
    def read(flag: str, value: str) -> int:
        if re.fullmatch("-?[0-9]+", value) and least <= int(value) <= most:
            return int(value)
        _refuse(f"{flag} takes a whole number from {least} to {most}, not '{value}'.")

    return read


def _real(least: float, most: float) -> Callable[[str, str], float]:
    def read(flag: str, value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if least <= number <= most and value == value.strip():
            return number
        _refuse(f"{flag} takes a number from {least:g} to {most:g}, not '{value}'.")

    return read


def _ids(flag: str, value: str) -> list[int]:
    return [_whole(0, _MANY)(flag, word) for word in value.split(",")] if value else []


_READ: Mapping[str, Callable[[str, str], Any]] = {
    "mode": _mode,
    "model": _text,
    "runtime": _runtime,
    "threads": _whole(1, 1024),
    "tokens": _text,
    "decode_tail": _whole(0, _MANY),
    "max_new": _whole(0, _MANY),
    "stop": _ids,
    "temperature": _real(0, 1e6),
    "top_k": _whole(0, _MANY),
    "top_p": _real(0, 1),
    "min_p": _real(0, 1),
    "repetition_penalty": _real(1e-3, 1e3),
    "seed": _whole(0, 2**63 - 1),
    "prompt_length": _whole(1, _MANY),
    "logits": _text,
    "method": _text,
    "input": _text,
    "output_dir": _text,
    "runs": _whole(0, _MANY),
    "warmup": _whole(0, _MANY),
}
