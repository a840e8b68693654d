"""What a measurement runs: a fixed trace of token ids, or timed runs of a method.

Two measurements are comparable only if their workloads have the same ``key``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from slmdeploy.errors import UsageError

__all__ = [
    "GenerateWorkload",
    "InvokeWorkload",
    "Workload",
    "check_fits",
    "invoke_workload",
    "synthetic",
    "text_workload",
]


class _Workload(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GenerateWorkload(_Workload):
    """Feed ``prompt``, then generate ``generate`` tokens greedily; the end of text is ignored.

    Attributes:
        source: ``synthetic`` ids are random, so what follows them need not be
            language; after a ``text`` the output is judged.
        prompt: Token ids.
        generate: Tokens to generate; fewer make a run invalid.
        seed: Of a synthetic trace.
        stop_ids: Ids that would end the text. They do not end a run; what comes
            after them is not judged as text.
    """

    kind: Literal["generate"] = "generate"
    source: Literal["synthetic", "text"]
    prompt: tuple[int, ...] = Field(min_length=1)
    generate: int = Field(ge=1)
    seed: int | None = None
    stop_ids: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """Short name of the trace: equal for equal work."""
        ids = np.asarray(self.prompt, dtype="<i8").tobytes()
        digest = hashlib.sha256(ids).hexdigest()[:8]
        return f"prompt {len(self.prompt)}, generate {self.generate} ({self.source} {digest})"


class InvokeWorkload(_Workload):
    """Run a method again and again with the same inputs.

    Attributes:
        runs: Timed runs in each process.
        warmup: Untimed runs before them.
        input_shapes: Shape of each input, in order.
        input_sha256: Over dtype, shape and bytes of all inputs.
    """

    kind: Literal["invoke"] = "invoke"
    method: str
    runs: int = Field(ge=1)
    warmup: int = Field(ge=0)
    input_shapes: tuple[tuple[int, ...], ...]
    input_sha256: str

    @property
    def key(self) -> str:
        """Short name of the work: equal for equal work."""
        shapes = " ".join("x".join(map(str, shape)) for shape in self.input_shapes)
        return f"{self.method}({shapes}), {self.runs} runs ({self.input_sha256[:8]})"


Workload = GenerateWorkload | InvokeWorkload


def synthetic(
    vocab_size: int,
    *,
    prompt: int = 128,
    generate: int = 64,
    seed: int = 0,
    exclude: Collection[int] = (),
) -> GenerateWorkload:
    """A trace of pseudo-random token ids, the same on every machine and version.

    Args:
        vocab_size: Ids are below it.
        prompt: Tokens of the prompt.
        generate: Tokens to generate.
        seed: Another seed gives another trace.
        exclude: Special ids, which must not stand in a prompt; they are also the
            workload's ``stop_ids``.

    Raises:
        UsageError: A length below 1, or no id is left to draw from.
    """
    excluded = frozenset(exclude)
    if prompt < 1 or generate < 1:
        raise UsageError(
            f"A workload of {prompt} prompt and {generate} generated tokens measures nothing.",
            hint="Both --prompt and --generate must be 1 or more.",
        )
    if len([token for token in excluded if 0 <= token < vocab_size]) >= vocab_size:
        raise UsageError(f"All {vocab_size} ids of the vocabulary are special: no prompt.")
    ids: list[int] = []
    count = 0
    while len(ids) < prompt:
        token = _draw(seed, count) % vocab_size
        count += 1
        if token not in excluded:
            ids.append(token)
    return GenerateWorkload(
        source="synthetic",
        prompt=tuple(ids),
        generate=generate,
        seed=seed,
        stop_ids=tuple(sorted(excluded)),
    )


def _draw(seed: int, count: int) -> int:
    """A 64-bit number that depends on nothing but its arguments."""
    digest = hashlib.sha256(f"{seed}:{count}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def text_workload(
    prompt: Sequence[int], *, generate: int = 64, stop_ids: Sequence[int] = ()
) -> GenerateWorkload:
    """A trace from the ids of a real text; its continuation is judged as text."""
    return GenerateWorkload(
        source="text", prompt=tuple(prompt), generate=generate, stop_ids=tuple(stop_ids)
    )


def invoke_workload(
    method: str, inputs: Sequence[npt.NDArray[Any]], *, runs: int = 50, warmup: int = 10
) -> InvokeWorkload:
    """Timed runs of a generic model's method with the given inputs."""
    digest = hashlib.sha256()
    for array in inputs:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return InvokeWorkload(
        method=method,
        runs=runs,
        warmup=warmup,
        input_shapes=tuple(tuple(array.shape) for array in inputs),
        input_sha256=digest.hexdigest(),
    )


def check_fits(workload: GenerateWorkload, context: int) -> None:
    """Refuse a trace that is longer than the bundle's context.

    Raises:
        UsageError: Prompt and generated tokens together exceed ``context``.
    """
    wanted = len(workload.prompt) + workload.generate
    if wanted > context:
        raise UsageError(
            f"{len(workload.prompt)} prompt and {workload.generate} generated tokens make "
            f"{wanted}; the bundle's context is {context}.",
            hint="Give fewer with --prompt and --generate, or export with a larger --context.",
        )
