"""The exporters' option types. Nothing here imports torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from slmdeploy.export.lengths import checked_lengths

__all__ = [
    "ComputeUnits",
    "CoremlOptions",
    "DeploymentTarget",
    "ExecutorchOptions",
    "ExportOptions",
    "LitertOptions",
]

DeploymentTarget = Literal["iOS17", "iOS18"]
"""Oldest system that loads a Core ML package; macOS 14 and 15 are those of the same year."""

Lengths = Annotated[tuple[int, ...], AfterValidator(checked_lengths)]
"""Of the texts that an encoder takes, in ascending order."""


ComputeUnits = Literal["all", "cpuOnly", "cpuAndGPU", "cpuAndNeuralEngine"]
"""What Core ML may use, by the names of its own ``MLComputeUnits``."""


class ExecutorchOptions(BaseModel):
    """Options of the ExecuTorch exporter.

    Attributes:
        backend: What computes: ``xnnpack`` on the processor, or ``coreml`` on Apple's systems,
            which gets each method whole.
        kernels: ``portable`` uses only operators of the wheel's own libraries;
            ``llm`` has attention and cache update as ``llama::`` operators, which
            our own kernel library brings to the device.
        context: Tokens that the cache holds; ``None`` for the smaller of 2048 and
            what the model was trained for. Of an encoder the tokens of a text.
        lengths: Of an encoder: a method ``forward_<length>`` for each, with the same weights;
            a text goes through the shortest that it fits. ``None`` for the one of ``context``.
        prefill_chunk: Tokens that one call of ``prefill`` takes.
        logits: ``last`` gives the logits of the last token of a chunk, ``all`` of
            every token (needed to score texts fast; costs memory).
        deployment_target: Of backend ``coreml``: ``iOS18``, which is the default there.
        compute_units: Of backend ``coreml``: what the delegate lets Core ML use, which the
            file says; ``None`` for ``cpuAndNeuralEngine``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Literal["xnnpack", "coreml"] = "xnnpack"
    kernels: Literal["portable", "llm"] = "llm"
    context: int | None = Field(default=None, ge=16)
    lengths: Lengths | None = None
    prefill_chunk: int = Field(default=128, ge=2, le=4096)
    logits: Literal["last", "all"] = "last"
    deployment_target: DeploymentTarget | None = None
    compute_units: ComputeUnits | None = None

    @model_validator(mode="after")
    def _options_of_the_backend(self) -> ExecutorchOptions:
        if self.backend == "xnnpack":
            for name in ("deployment_target", "compute_units"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} needs backend = 'coreml'")
            return self
        if "kernels" in self.model_fields_set:
            raise ValueError("backend 'coreml' has no kernels of ours: leave kernels out")
        if self.deployment_target == "iOS17":
            raise ValueError(
                "backend 'coreml' needs deployment_target 'iOS18', which has several functions "
                "in a package; for iOS 17 use a target of runtime 'coreml'"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_kernels_of_others(self, usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is written is read again."""
        said: dict[str, Any] = usual(self)
        if self.core_ml:
            del said["kernels"]
        return said

    @property
    def core_ml(self) -> bool:
        """Whether Core ML computes it all, on Apple's systems alone."""
        return self.backend == "coreml"

    @property
    def units(self) -> ComputeUnits:
        """What the delegate lets Core ML use."""
        return self.compute_units or "cpuAndNeuralEngine"

    @property
    def longest_chunk(self) -> int:
        """Tokens that one call of ``prefill`` takes at most."""
        return self.prefill_chunk


class LitertOptions(BaseModel):
    """Options of the LiteRT exporter.

    Attributes:
        context: As for ExecuTorch.
        lengths: As for ExecuTorch, a signature each.
        prefill_chunks: Sizes of calls of prefill, each a signature ``prefill_<size>``.
            The runtime packs the weights once for each signature that a run needs.
        logits: As for ExecuTorch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    context: int | None = Field(default=None, ge=16)
    lengths: Lengths | None = None
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


class CoremlOptions(BaseModel):
    """Options of the Core ML exporter.

    Attributes:
        deployment_target: ``iOS18`` has states, functions that share weights and one operator
            for attention; for ``iOS17`` the cache goes in and out of each call, and there are
            two packages.
        context: As for ExecuTorch.
        lengths: As for ExecuTorch, a function each; several need ``iOS18``.
        prefill_chunk: As for ExecuTorch.
        logits: As for ExecuTorch.
        cache_update: ``slice`` writes new keys and values at a place that is known when it
            runs; ``onehot`` blends them into the whole cache, which has no such place in it.
            ``None`` for ``slice`` where there are states.
        compute_units: What an app shall let Core ML use; the manifest and the bundle's README
            say it, and a package cannot.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    deployment_target: DeploymentTarget = "iOS18"
    context: int | None = Field(default=None, ge=16)
    lengths: Lengths | None = None
    prefill_chunk: int = Field(default=128, ge=2, le=4096)
    logits: Literal["last", "all"] = "last"
    cache_update: Literal["slice", "onehot"] | None = None
    compute_units: ComputeUnits = "cpuAndNeuralEngine"

    @field_validator("prefill_chunk", mode="before")
    @classmethod
    def _fixed(cls, chunk: object) -> object:
        if isinstance(chunk, (list, tuple, dict)):
            raise ValueError(  # noqa: TRY004 - what pydantic turns into its own error
                "Core ML's states have fixed shapes, and so have the functions that use them "
                "(apple/coremltools#2537, #2548): give one size"
            )
        return chunk

    @model_validator(mode="after")
    def _update_goes_with_the_target(self) -> CoremlOptions:
        if self.cache_update == "slice" and not self.states:
            raise ValueError(
                "cache_update 'slice' needs deployment_target 'iOS18'; iOS17 has 'onehot'"
            )
        if self.lengths is not None and len(self.lengths) > 1 and not self.states:
            raise ValueError("several lengths need deployment_target 'iOS18'")
        return self

    @property
    def longest_chunk(self) -> int:
        """Tokens that one call of ``prefill`` takes at most."""
        return self.prefill_chunk

    @property
    def states(self) -> bool:
        """Whether the cache is kept in states."""
        return self.deployment_target != "iOS17"

    @property
    def decoder_file(self) -> str:
        """Name of a decoder's artifact: a package, or for iOS 17 a folder with two of them."""
        return "model.mlpackage" if self.states else "packages"

    @property
    def update(self) -> Literal["slice", "onehot"]:
        """How new keys and values are written."""
        return self.cache_update or ("slice" if self.states else "onehot")


ExportOptions = ExecutorchOptions | LitertOptions | CoremlOptions
"""Of whichever exporter a target's runtime has."""
