"""The exporters' option types. Nothing here imports torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["ExecutorchOptions", "ExportOptions", "LitertOptions"]


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

    @property
    def longest_chunk(self) -> int:
        """Tokens that one call of ``prefill`` takes at most."""
        return self.prefill_chunk


class LitertOptions(BaseModel):
    """Options of the LiteRT exporter.

    Attributes:
        context: As for ExecuTorch.
        prefill_chunks: Sizes of calls of prefill, each a signature ``prefill_<size>``.
            The runtime packs the weights once for each signature that a run needs.
        logits: As for ExecuTorch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    context: int | None = Field(default=None, ge=16)
    prefill_chunks: tuple[int, ...] = Field(default=(128,), min_length=1, max_length=8)
    logits: Literal["last", "all"] = "last"

    @field_validator("prefill_chunks")
    @classmethod
    def _sizes(cls, chunks: tuple[int, ...]) -> tuple[int, ...]:
        for chunk in chunks:
            if not 2 <= chunk <= 4096:
                raise ValueError(f"a chunk has 2 to 4096 tokens, not {chunk}")
        return tuple(sorted(set(chunks)))

    @property
    def longest_chunk(self) -> int:
        """Tokens that one call of prefill takes at most."""
        return self.prefill_chunks[-1]


ExportOptions = ExecutorchOptions | LitertOptions
"""Of whichever exporter a target's runtime has."""
