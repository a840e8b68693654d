"""The exporters' option types. Nothing here imports torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ExecutorchOptions"]


class ExecutorchOptions(BaseModel):
    """Options of the ExecuTorch exporter.

    Attributes:
        kernels: ``portable`` uses only operators of the wheel's own libraries;
            ``llm`` has attention and cache update as ``llama::`` operators, which
            our own kernel library brings to the device.
        context: Tokens that the cache holds; ``None`` for the smaller of 2048 and
            what the model was trained for.
        prefill_chunk: Tokens that one call of ``prefill`` takes.
        logits: ``last`` gives the logits of the last token of a chunk, ``all`` of
            every token (needed to score texts fast; costs memory).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kernels: Literal["portable", "llm"] = "llm"
    context: int | None = Field(default=None, ge=16)
    prefill_chunk: int = Field(default=128, ge=2, le=4096)
    logits: Literal["last", "all"] = "last"
