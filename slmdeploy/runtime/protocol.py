"""What every runtime's runner takes and says: token ids in, JSON lines out.

``docs/runner-protocol.md`` describes it for those who write a runner. Each request
here becomes one process on the device; each line of its stdout one ``Event``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = [
    "Event",
    "GenerateRequest",
    "InvokeRequest",
    "Runner",
    "RunnerFiles",
    "Sampling",
    "ScoreRequest",
]


@dataclass(frozen=True)
class Event:
    """One JSON line of a runner; ``kind`` is its ``event`` key, ``data`` the rest."""

    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; the default is greedy.

    Attributes:
        temperature: 0 for greedy.
        top_k: Keep the k likeliest; 0 for all.
        top_p: Keep the smallest set with this probability; 1 for all.
        min_p: Drop what is less likely than this share of the likeliest; 0 for none.
        repetition_penalty: Divides (multiplies, where negative) logits of tokens
            that occurred already (Keskar et al. 2019, arXiv 1909.05858); 1 for none.
        seed: Of the generator.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class GenerateRequest:
    """Continue a prompt.

    Attributes:
        prompt: Token ids.
        max_new: Tokens to generate at most.
        stop_ids: Ids that end the text; empty to ignore the end of text.
        threads: Worker threads; ``None`` for the runner's own choice.
    """

    prompt: tuple[int, ...]
    max_new: int
    stop_ids: tuple[int, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    threads: int | None = None


@dataclass(frozen=True)
class ScoreRequest:
    """Feed given tokens and hand back logits.

    The first ``prompt_length`` tokens go through ``prefill``, the others one by one
    through ``decode``. The result has a row after the prompt and one after each
    further token: float32 [len(tokens) - prompt_length + 1, vocabulary].
    """

    tokens: tuple[int, ...]
    prompt_length: int
    threads: int | None = None


@dataclass(frozen=True)
class InvokeRequest:
    """Run any method with raw inputs.

    Attributes:
        method: Name of the method.
        inputs: One array per input, in order; dtype and shape must be the method's.
        runs: Timed runs after ``warmup`` untimed ones.
    """

    method: str
    inputs: tuple[npt.NDArray[Any], ...]
    runs: int = 1
    warmup: int = 0
    threads: int | None = None


class Runner(Protocol):
    """Drives one runtime on one device, for one deployed bundle."""

    def generate(self, request: GenerateRequest) -> Iterator[Event]:
        """Start a process and yield its events as they come.

        Raises:
            RunnerError: The runner reported an error, or died without one.
        """

    def score(self, request: ScoreRequest) -> npt.NDArray[np.float32]:
        """Logits for given tokens; shape as in ``ScoreRequest``."""

    def invoke(
        self, request: InvokeRequest
    ) -> tuple[tuple[npt.NDArray[Any], ...], tuple[Event, ...]]:
        """Run a method; gives its outputs and the events of the process."""


@dataclass(frozen=True)
class RunnerFiles:
    """What must be on the device to run a bundle.

    Attributes:
        files: Path on the device, relative to the runner's folder, to the local file.
        executable: Which of them is started.
        libraries: Kernel libraries to load, relative as well.
        name: Of the runner's folder among the runtimes of a device.
        python: What starts the executable, where that is a Python program; a path on the
            device.
        env: What its process must have in its environment.
        flags: Flags that it is always given.
    """

    files: Mapping[str, Path]
    executable: str
    libraries: tuple[str, ...] = ()
    name: str = "executorch"
    python: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
